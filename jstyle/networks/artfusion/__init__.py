"""ArtFusion's networks (arXiv 2306.09330), their parameters under the names of the paper's own checkpoints."""
