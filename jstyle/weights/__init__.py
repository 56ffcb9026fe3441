"""Model folders and files: located on the hub or on disk, read strictly into networks, written whole."""
