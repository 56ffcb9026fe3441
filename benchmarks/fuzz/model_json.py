"""The JSON and the merges of a model's folder, spoilt: python -m benchmarks.fuzz.model_json --inputs 10000"""

from __future__ import annotations

import atexit
import json
import random
import shutil
import sys
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.fuzz import trials
from benchmarks.fuzz.spoiling import draw_value, spoil_text, write_as_json
from jstyle.diffusion.prompts import token_ids
from jstyle.diffusion.samplers import SAMPLERS
from jstyle.diffusion.schedule import Schedule
from jstyle.errors import InputError
from jstyle.settings.model import ModelSettings
from jstyle.weights.checkpoint import read_tokenizer
from jstyle.weights.configuration import read_configurations
from jstyle.weights.description import describe_checkpoint

ROOT = Path(__file__).resolve().parents[2]
MODELS = (ROOT / "tests" / "golden" / "diffusers_folder", ROOT / "jstyle" / "embedded" / "tiny")
FILES = [
    (model, path.relative_to(model))
    for model in MODELS
    for path in sorted(model.rglob("*"))
    if path.suffix in (".json", ".txt")
]
CLASSES = ["LCMScheduler", "HeunDiscreteScheduler", "PNDMScheduler", "v_prediction", "trailing", "gelu"]
TEXT = "a river at night, 汉字 <|ENDOFTEXT|>"


@lru_cache(maxsize=None)
def copy_model(model: Path) -> Path:
    """A copy of a model whose texts may be overwritten, until the process ends."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    copy = Path(shutil.copytree(model, Path(folder) / "model", ignore=shutil.ignore_patterns("*.safetensors")))
    for weights in model.rglob("*.safetensors"):
        (copy / weights.relative_to(model)).symlink_to(weights)
    return copy


def draw(chance: random.Random) -> bytes:
    """A file's number, and the file with other bytes or, more often, with other values."""
    number = chance.randrange(len(FILES))
    model, name = FILES[number]
    content = (model / name).read_bytes()
    if name.suffix == ".txt" or chance.random() < 0.3:
        return bytes([number]) + spoil_text(chance, [content])
    value = json.loads(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        value = change_value(value, chance)
    return bytes([number]) + write_as_json(value)


def change_value(value: Any, chance: random.Random) -> Any:
    """A value with one of those within it changed, taken out or added."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.1:
        return draw_value(chance, CLASSES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, kind = chance.choice(keys), chance.random()
    if kind < 0.1:
        del value[key]
    elif kind < 0.2 and isinstance(value, dict):
        value[chance.choice((*keys, "a_new_key", ""))] = draw_value(chance, CLASSES)
    else:
        value[key] = change_value(value[key], chance)
    return value


def read(content: bytes) -> None:
    """Read all that is read of a model before its weights, and make of it what sampling needs."""
    model, name = FILES[content[0]]
    folder = copy_model(model)
    (folder / name).write_bytes(content[1:])
    try:
        read_folder(folder)
    finally:
        (folder / name).write_bytes((model / name).read_bytes())


def read_folder(folder: Path) -> None:
    """Describe the model, choose every sampler's levels, and read a text. Raises InputError."""
    describe_checkpoint(ModelSettings(str(folder)))
    configurations = read_configurations(folder)
    schedule, refusals = Schedule(configurations.schedule), []
    for name, sampler in SAMPLERS.items():
        for steps in (1, 7):
            try:
                configurations.schedule.choose_sampler(name)
                sampler.levels(schedule, steps)
                sampler.initial_scale(schedule, steps)
            except InputError as error:
                refusals.append(str(error))
    trials.fail_lines(refusals, 2 * len(SAMPLERS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token_ids(read_tokenizer(folder / "tokenizer", configurations.text_encoder), [TEXT])


if __name__ == "__main__":
    sys.exit(trials.main(__doc__, draw, read))
