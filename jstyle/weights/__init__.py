"""Model folders and files: found on the hub or on disk, read strictly into networks, written whole."""
