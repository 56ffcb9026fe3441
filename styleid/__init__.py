"""StyleID: style injection into a diffusion model without training (arXiv 2312.09008)."""
