"""Trains InST in child processes that are killed, until one comes to the end.

python -m tests.methods.inst.killed MODEL PICTURE OUTPUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.methods.inst.small import run
from tests.training.teaching.killed import until_it_ends

if __name__ == "__main__":
    model, data, output = map(Path, sys.argv[1:])
    until_it_ends(lambda: run(model, data, output))
