"""Snippets as people write them for diffusers, with jstyle in its place, against what diffusers made of them."""

from __future__ import annotations

import numpy as np
import pytest

import jstyle
from jstyle.runtime import jt
from tests.golden.snippets import SNIPPETS
from tests.parity.networks import GOLDEN, golden, relative_error

TOLERANCE = 1e-4


@pytest.mark.parametrize("name", list(SNIPPETS))
def test_a_script_moves_over_by_its_import(name: str) -> None:
    recorded = golden("calls")
    noise = recorded["noise"] if name == "euler" else jt.array(recorded["noise"])  # either is taken
    made = SNIPPETS[name](jstyle, str(GOLDEN / "diffusers_folder"), {"latents": noise})
    assert relative_error(np.asarray(made), recorded[name]) < TOLERANCE
