"""``python -m jstyle``: the command `jstyle`."""

from __future__ import annotations

from jstyle.cli.main import main_and_exit

if __name__ == "__main__":
    main_and_exit()
