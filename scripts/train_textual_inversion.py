"""Learn a new word from pictures; `configs/textual_inversion.yaml` says how: `jstyle train textual-inversion`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("train textual-inversion")
