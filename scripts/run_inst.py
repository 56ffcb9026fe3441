"""Stylise pictures with InST, each style learnt from its picture: `jstyle inst`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("inst")
