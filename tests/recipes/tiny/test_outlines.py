"""What the embedded model's ControlNet learns from: scenes in every technique, and the same scenes flat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes.tiny import drawings
from recipes.tiny.outlines import FLAT, sample_examples, write_examples


def test_scenes_and_captions_depend_on_the_seed_alone() -> None:
    first, longer, other = (list(sample_examples(*asked)) for asked in ((5, 0), (9, 0), (5, 1)))
    assert first == longer[:5] and first != other
    assert not any(drawings.is_held_out(scene.object, scene.technique) for scene, _ in longer)


def test_pictures_have_captions_and_flat_ones_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[drawings.Scene] = []
    render = drawings.render

    def count(scene: drawings.Scene, size: int) -> np.ndarray:
        drawn.append(scene)
        return render(scene, size)

    monkeypatch.setattr(drawings, "render", count)
    write_examples(tmp_path, 2, 32, 0)
    write_examples(tmp_path, 3, 32, 0)  # goes on
    assert len(drawn) == 6 and all(scene.technique == FLAT for scene in drawn[1::2])
    names = sorted(path.stem for path in (tmp_path / "flat").iterdir())
    assert names == ["00000", "00001", "00002"] == sorted(p.stem for p in (tmp_path / "pictures").glob("*.txt"))
    (scene, caption), *_ = sample_examples(1, 0)
    assert (tmp_path / "pictures" / "00000.txt").read_text("utf-8") == caption
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "pictures" / "00000.png")), render(scene, 32))
