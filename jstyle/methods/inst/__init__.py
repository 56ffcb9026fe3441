"""InST: inversion-based style transfer (arXiv 2211.13203). A style is learnt from one picture, then transferred."""
