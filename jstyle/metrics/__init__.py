"""How alike pictures are: the colours' histograms here, what needs networks in a PyTorch process."""
