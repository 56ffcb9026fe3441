"""The Jittor challenge's style track: its data, its submissions, its score."""
