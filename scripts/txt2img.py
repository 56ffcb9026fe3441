"""Text to image; with --image image to image, with --mask inpainting: `jstyle txt2img`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("txt2img")
