"""Make pictures in one style with Style Aligned: `jstyle style-align`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("style-align")
