"""From the competition's data and a recipe to the zip: `jstyle submit`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("submit")
