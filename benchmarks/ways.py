"""How many files somebody opens who follows a picture or a training from its beginning to the networks.

    python -m benchmarks.ways           # all of them: how many, and how many they may be
    python -m benchmarks.ways styleid   # the files of one

A file counts when a call of it is under way while a network is entered, that is, when it stands between the beginning
and the networks; an editor's file counts too, with the seam that calls it. What is called there and returns before,
such as a formula or a check, is read by its name. A pair and a set begin where a program calls the method, a text where
it calls the pipeline, a training and a submission with a command's words; a training ends with its file, as the sheets
that may be drawn afterwards are texts' pictures. ``text`` goes on through the UNet to the kernels, the others end at
the networks' doors.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any, Optional, Union
from unittest.mock import patch

from PIL import Image

import jstyle
from benchmarks.options import ROOT
from jstyle.cli.main import main
from jstyle.networks import AutoencoderKL, UNet2DConditionModel, editing
from jstyle.ops.kernels import operator
from jstyle.settings.reader import build

CONTENT = ROOT / "samples" / "content" / "house_by_the_sea.png"
STYLE = ROOT / "samples" / "style" / "woodcut.png"
DOORS = ((UNet2DConditionModel, "execute"), (AutoencoderKL, "encode"), (AutoencoderKL, "decode"))


class Files(set[str]):
    """Files of the project, by their paths below its root."""

    def note_calls(self) -> None:
        """Add those of the calls that are under way."""
        frame: Optional[FrameType] = sys._getframe(1)
        while frame is not None:
            self.note(frame.f_code.co_filename)
            frame = frame.f_back

    def note(self, file: str) -> None:
        """Add one, unless it is not of the project, or counts for nobody's way."""
        path = Path(file)
        if ROOT in path.parents and path.relative_to(ROOT).parts[0] not in ("benchmarks", "tests", ".venv"):
            self.add(path.relative_to(ROOT).as_posix())


@contextmanager
def watched_doors(files: Files) -> Iterator[None]:
    """Note the calls that lead to a network, and editors."""
    with ExitStack() as stack:
        for network, door in DOORS:
            stack.enter_context(patch.object(network, door, _note_before(files, getattr(network, door))))
        stack.enter_context(patch.object(editing.Edit, "__init__", _note_editors(files, editing.Edit.__init__)))
        yield


def _note_before(files: Files, function: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*arguments: Any, **options: Any) -> Any:
        files.note_calls()
        return function(*arguments, **options)

    return noted


def _note_editors(files: Files, make: Callable[..., None]) -> Callable[..., None]:
    def noted(self: editing.Edit, attachments: Sequence[editing.Attachment], step: int) -> None:
        files.note(editing.__file__)
        for attachment in attachments:
            editor = attachment.editor
            files.note(inspect.getfile(editor if inspect.isfunction(editor) else type(editor)))
        make(self, attachments, step)

    return noted


@contextmanager
def watched_kernels(files: Files) -> Iterator[None]:
    """Note the calls that lead through the UNet to a kernel."""

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        with patch.object(operator, "call", _note_before(files, operator.call)):
            return execute(self, *arguments, **options)

    execute = UNet2DConditionModel.execute
    with patch.object(UNet2DConditionModel, "execute", noted):
        yield


@dataclass(frozen=True)
class Way:
    """What somebody follows, and how many files that may take."""

    follow: Callable[[str, Path], object]  # with a model, in a folder that is there for it alone
    limit: int
    watched: Callable[[Files], Any] = watched_doors


def stylise_pair(model: str, folder: Path) -> object:
    """One content in one style, by StyleID."""
    pipe = jstyle.StableDiffusionPipeline.from_pretrained(model)
    settings = jstyle.StyleIDSettings(steps=2, width=64, height=64)
    return jstyle.StyleID(pipe, settings)(Image.open(CONTENT), Image.open(STYLE))


def align_set(model: str, folder: Path) -> object:
    """A set of two, by Style Aligned."""
    pipe = jstyle.StableDiffusionPipeline.from_pretrained(model)
    return jstyle.StyleAligned(pipe, build(jstyle.StyleAlignSettings, {"steps": 2}))(["a red boat", "a blue house"])


def draw_text(model: str, folder: Path) -> object:
    """One text's picture."""
    pipe = jstyle.StableDiffusionPipeline.from_pretrained(model)
    return pipe("a house", num_inference_steps=2)


def teach_lora(model: str, folder: Path) -> object:
    """One style's LoRA by what ``scripts/train_style.sh`` runs."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"model: {model}\nlora: {{prompt: '{{name}} in s', loop: {{steps: 1}}}}\n", "utf-8")
    words = ("--data", _write_style(folder), "--recipe", recipe, "--method", "lora", "--output", folder / "taught")
    return main(["train", "styles", *map(str, words)])


def make_submission(model: str, folder: Path) -> object:
    """A submission of one picture."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"model: {model}\npicture: {{steps: 2}}\n", "utf-8")
    words = ("--data", _write_style(folder), "--recipe", recipe, "--output", folder / "submission")
    return main(["submit", *map(str, words)])


def _write_style(folder: Path) -> Path:
    """A dataset of one style, whose one prompt is House."""
    style = folder / "data" / "00"
    (style / "images").mkdir(parents=True)
    (style / "images" / "boat.png").write_bytes(STYLE.read_bytes())
    (style / "prompt.json").write_text(json.dumps({"0": "House"}), "utf-8")
    return style.parent


WAYS = {
    "styleid": Way(stylise_pair, 15),
    "style_align": Way(align_set, 15),
    "text": Way(draw_text, 22, watched_kernels),
    "lora": Way(teach_lora, 22),
    "submission": Way(make_submission, 22),
}


def find_way(name: str, model: Union[str, Path] = "tiny") -> list[str]:
    """The files on one of the ways, by their paths below the project's root."""
    way, files = WAYS[name], Files()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(redirect_stdout(StringIO()))
        stack.enter_context(redirect_stderr(StringIO()))
        stack.enter_context(way.watched(files))
        way.follow(str(model), Path(folder))
    return sorted(files)


def print_ways(names: Sequence[str]) -> None:
    """Say how long all ways are, or show those that are named."""
    for name in names or WAYS:
        files = find_way(name)
        print(*(files if names else ()), f"{name}: {len(files)} files, of {WAYS[name].limit} at most", sep="\n")


if __name__ == "__main__":
    print_ways(sys.argv[1:])
