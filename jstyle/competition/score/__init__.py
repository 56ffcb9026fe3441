"""The organisers' score of a submission, as their program computes it and as it was meant."""
