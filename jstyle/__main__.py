"""``python -m jstyle doctor``: look at this machine and say what was found."""

from __future__ import annotations

import sys

USAGE = "usage: python -m jstyle doctor    look at this machine and try to start Jittor on it"


def main(arguments: list[str]) -> int:
    """The exit code: 0 well, 1 something essential is missing, 2 not understood."""
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if arguments != ["doctor"]:
        print(USAGE, file=sys.stderr)
        return 2
    from jstyle.doctor import report

    return report()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
