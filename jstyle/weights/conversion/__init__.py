"""PyTorch's pickles turned into safetensors, by a process that has PyTorch and runs none of their code."""
