"""Whoever follows a picture or a training from its beginning to the networks opens few files."""

from __future__ import annotations

import pytest

from benchmarks.ways import WAYS, find_way
from tests.parity.networks import GOLDEN

PASSED = {
    "styleid": {"styleid/run.py", "styleid/inject.py", "jstyle/networks/editing.py", "jstyle/pipelines/latents.py"},
    "style_align": {"style_align/run.py", "style_align/share.py", "jstyle/diffusion/samplers/ddim.py"},
    "text": {"jstyle/pipelines/stable_diffusion.py", "jstyle/networks/unet.py", "jstyle/ops/kernels/operator.py"},
    "lora": {"jstyle/cli/main.py", "jstyle/training/loop.py", "jstyle/training/teaching/lora/train.py"},
    "submission": {"jstyle/cli/submit.py", "jstyle/competition/making.py", "jstyle/workers/pictures.py"},
}


@pytest.mark.parametrize("name", list(WAYS))
def test_a_way_is_short(name: str) -> None:
    files = find_way(name, GOLDEN / "diffusers_folder")
    assert set(files) >= PASSED[name]
    assert len(files) <= WAYS[name].limit, files
