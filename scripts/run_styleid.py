"""Stylise pictures with StyleID, every content in every style: `jstyle styleid`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("styleid")
