"""Teach a model the styles of a folder, each by itself, on any number of workers: `jstyle train styles`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("train styles")
