"""Runs Imagic in child processes that are killed in either stage, until one comes to the end.

python -m tests.methods.imagic.killed PICTURE OUTPUT TUNE
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.methods.imagic.small import start
from tests.training.teaching.killed import child, prepare


def main() -> None:
    picture, output, tune = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

    def whole_run() -> None:
        list(start(picture, output, tune))

    prepare()
    assert child(whole_run, 3)  # of the first stage's updates, one after the checkpoint
    assert len(list(output.glob("trainings/*"))) == 1
    assert child(whole_run, 3)  # of the second's: of the first's two were left
    assert len(list(output.glob("trainings/*"))) == 2
    assert not child(whole_run, 99)


if __name__ == "__main__":
    main()
