"""Score a submission as the organisers' program does, and as it was meant to: `jstyle score`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("score")
