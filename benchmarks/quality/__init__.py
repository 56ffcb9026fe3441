"""What the embedded model's pictures show, judged by a small network that was trained on drawings alone."""
