"""Style Aligned: pictures that share the attention of one reference (arXiv 2312.02133), and panoramas."""
