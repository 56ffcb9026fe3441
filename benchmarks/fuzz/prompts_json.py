"""The competition's prompt.json, spoilt: python -m benchmarks.fuzz.prompts_json --inputs 10000"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.fuzz import trials
from benchmarks.fuzz.spoiling import VALUES, draw_value, spoil_text, write_as_json
from jstyle.competition.archive import list_pictures
from jstyle.competition.dataset import survey_dataset
from jstyle.competition.names import fold_case

MOST_LINES = 60
WORDS = ["Dolphin", "Lion", "Ice cream", "Café", "St. Peter", "dolphin", "a/b", "con", "..", "猫"]
SAMPLES = [
    json.dumps({str(number): word for number, word in enumerate(WORDS[:4])}).encode(),
    json.dumps({str(number): f"Prompt {number}" for number in range(25)}, indent=4).encode(),
    json.dumps(dict(enumerate(WORDS)), ensure_ascii=False).encode(),
    b"\xef\xbb\xbf" + json.dumps({"0": "Boat"}).encode(),
]
KEYS = ["0", "1", "2", "00", "-1", "1.5", "9" * 9, "9" * 10, "9" * 5000, "²", "a", ""]


def draw(chance: random.Random) -> bytes:
    """A spoilt file, or one that was written with anything in it."""
    if chance.random() < 0.6:
        return spoil_text(chance, SAMPLES)
    if chance.random() < 0.2:
        return write_as_json(draw_value(chance, WORDS))
    keys = chance.sample(KEYS, chance.randint(0, len(KEYS)))
    return write_as_json({key: chance.choice([*WORDS, *VALUES]) for key in keys})


def read(content: bytes) -> None:
    """Survey a dataset with that file; what passes must give file names that do not fall together."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "00"
        (folder / "images").mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(folder / "images" / "a.png")
        (folder / "prompt.json").write_bytes(content)
        dataset, findings = survey_dataset(Path(place))
    trials.fail_lines([*findings.errors, *findings.remarks], MOST_LINES)
    findings.raise_errors()
    names = list_pictures(dataset)
    if len({fold_case(name) for name in names}) < len(names) or any(name.count("/") != 1 for name in names):
        raise ValueError(f"names that cannot be: {names[:5]}")


if __name__ == "__main__":
    sys.exit(trials.main(__doc__, draw, read))
