"""Whether every method computes the same on JDiffusion's networks as on this project's, from the same seeds.

    PYTHON -m benchmarks.jdiffusion_parity [--model tiny] [--steps 20] [--updates 10]

PYTHON is an environment with JDiffusion (docs/jdiffusion.md). Pictures are compared by their PSNR, the worst of each
row; trainings by the relative difference of their losses, the largest of all steps.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import jstyle
from benchmarks import machine
from benchmarks.options import ROOT
from benchmarks.recording import command_line, say, write
from jstyle.diffusion.samplers import ddim, ddim_invert
from jstyle.methods.pairs import Stylised
from jstyle.methods.sets import TextReference
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.reader import build
from jstyle.training.report import read_log
from jstyle.training.settings import LoopSettings
from jstyle.training.teaching.lora.settings import LoraSettings
from jstyle.training.teaching.textual_inversion.settings import TextualInversionSettings
from jstyle.weights.backends import library
from style_align.run import StyleAligned
from style_align.settings import ReferenceSettings, SamplingSettings, StyleAlignSettings
from styleid.run import StyleID
from styleid.settings import StyleIDSettings

BACKENDS = ("native", "jdiffusion")
LEAST_PSNR = 40.0  # dB
LARGEST_LOSS_DIFFERENCE = 1e-3
PACKAGES = ("JDiffusion", "jittor", "jtorch", "diffusers", "transformers", "tokenizers", "huggingface-hub", "numpy")
PROMPTS = ("a red house by the sea", "two green trees")
RECIPE = """\
model: {model}
picture: {{prompt: "{{prompt}}", steps: {steps}, guidance: 5.0, seed: 3, start: {{image: mean, strength: 0.85}},
  finish: {{method: styleid, reference: first, settings: {{steps: {steps}}}}}}}
"""

Pictures = list[Image.Image]


@dataclass(frozen=True)
class Row:
    """A comparison: ``psnr`` of pictures in dB (None where all are equal), or ``losses``' relative difference."""

    name: str
    psnr: Any = None
    losses: Any = None

    @property
    def passed(self) -> bool:
        """Whether the backends are as near as they must be."""
        if self.losses is not None:
            return self.losses < LARGEST_LOSS_DIFFERENCE
        return self.psnr is None or self.psnr > LEAST_PSNR

    def text(self) -> str:
        """The row for a terminal."""
        found = f"losses differ by {self.losses:.1e}" if self.losses is not None else "PSNR equal"
        found = found if self.psnr is None else f"PSNR {self.psnr:.1f} dB"
        return f"{self.name:<44}{found:<28}{'passed' if self.passed else 'FAILED'}"


class Pair:
    """The same model on both backends."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pipes = [StableDiffusionPipeline.from_pretrained(options.model, backend=one) for one in BACKENDS]

    def pictures(self, name: str, make: Callable[[StableDiffusionPipeline], Pictures]) -> Row:
        """Make pictures on both backends; the row says how alike the least alike are."""
        say(name)
        return Row(name, psnr=worst_psnr(*(make(pipe) for pipe in self.pipes)))

    def losses(self, name: str, settings: type, **changes: Any) -> Row:
        """Train on both backends; the row says how far the losses are apart."""
        say(name)
        found = []
        for backend in BACKENDS:
            with tempfile.TemporaryDirectory() as folder:
                values = {"output": folder, "backend": backend, **self._training(), **changes}
                jstyle.train(build(settings, values))
                found.append(np.array([record["loss"] for record in read_log(Path(folder))]))
        return Row(name, losses=float(np.max(np.abs(found[1] / found[0] - 1))))

    def _training(self) -> dict[str, Any]:
        loop = LoopSettings(steps=self.options.updates, rate=1e-3, checkpoint_every=self.options.updates)
        return {"data": (ROOT / "samples" / "style",), "model": self.options.model, "batch": 2, "loop": loop}


def main() -> int:
    """1 where a row failed."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    made.add_argument("--model", default="tiny", help="a folder in diffusers' layout, a hub id, or tiny")
    made.add_argument("--steps", type=int, default=20, help="of each sampling and inversion")
    made.add_argument("--updates", type=int, default=10, help="of each training")
    made.add_argument("--output", type=Path, help="JSON file for the result")
    options = made.parse_args()
    rows: list[Row] = []
    for row in compared(Pair(options)):
        print(row.text(), flush=True)
        rows.append(row)
    record = {
        "benchmark": "jdiffusion_parity",
        "command": command_line(),
        "machine": machine.describe(),
        "packages": {name: version(name) for name in PACKAGES},
        "rows": [{**vars(row), "passed": row.passed} for row in rows],
    }
    print(json.dumps(record["packages"]))
    if options.output is not None:
        write(record, options.output)
    return 0 if all(row.passed for row in rows) else 1


def compared(pair: Pair) -> Iterator[Row]:
    """Every comparison, as it is made."""
    steps = pair.options.steps
    yield pair.pictures("text-to-image", lambda pipe: pipe(PROMPTS, num_inference_steps=steps, seed=7).images)
    yield from own_calls(pair)
    yield pair.pictures("DDIM inversion and back", lambda pipe: inverted_and_back(pipe, steps))
    yield pair.pictures("StyleID", lambda pipe: styled(pipe, steps))
    yield pair.pictures("Style Aligned", lambda pipe: aligned(pipe, steps))
    yield pair.losses("textual inversion, losses", TextualInversionSettings)
    yield pair.losses("LoRA on UNet and text encoder, losses", LoraSettings, text_encoder=True, feed_forward=True)
    yield submission(pair)


def own_calls(pair: Pair) -> list[Row]:
    """JDiffusion's pipeline, called by itself: beside ours, accelerated, and as it was, to the bit, after all that."""
    say("JDiffusion's own call")
    native = pair.pipes[0]
    with tempfile.TemporaryDirectory() as folder, library.jtorch_mode(), library.silence():
        native.save_pretrained(Path(folder) / "model")
        kind = library.jdiffusion().StableDiffusionPipeline
        given = kind.from_pretrained(f"{folder}/model", safety_checker=None, requires_safety_checker=False)
        given.set_progress_bar_config(disable=True)
    shape = (1, *native.latent_shape(None, None))
    latents = np.random.default_rng(3).standard_normal(shape, np.float32)
    steps = pair.options.steps

    def own() -> Pictures:
        with library.jtorch_mode(), library.silence(), jt.no_grad():
            return given(PROMPTS[0], num_inference_steps=steps, latents=jt.array(latents)).images

    before = own()
    ours = native(PROMPTS[0], num_inference_steps=steps, latents=latents, sampler="ddim").images
    with jstyle.accelerate(given):
        fast = own()
    wrapped = jstyle.wrap(given)
    styled(wrapped, 2)
    aligned(wrapped, 2)
    same = np.array_equal(np.asarray(before[0]), np.asarray(own()[0]))
    return [
        Row("JDiffusion's own call", psnr=worst_psnr(ours, before)),
        Row("JDiffusion's own call, accelerated", psnr=worst_psnr(before, fast)),
        Row("the same to the bit after all that", psnr=None if same else 0.0),
    ]


def inverted_and_back(pipe: StableDiffusionPipeline, steps: int) -> Pictures:
    """A picture's noise, and the picture that is made of it again."""
    denoiser = pipe.denoiser("")
    x = pipe.encode_images(jt.array(images.to_array([sample(pipe, "content", 0)])))
    with jt.no_grad():
        for step in ddim_invert(denoiser, x, pipe.schedule, steps):
            x = step.x
        for step in ddim(denoiser, x, pipe.schedule, steps):
            x = step.x
    return images.to_images(pipe.decode_latents(x))


def styled(pipe: StableDiffusionPipeline, steps: int) -> Pictures:
    """StyleID over two contents and two styles."""
    contents, styles = ([sample(pipe, kind, i) for i in range(2)] for kind in ("content", "style"))
    settings = StyleIDSettings(steps=steps, width=pipe.size, height=pipe.size)
    events = StyleID(pipe, settings).stylise_pairs(contents, styles)
    return checked(event for event in events if isinstance(event, Stylised))


def aligned(pipe: StableDiffusionPipeline, steps: int) -> Pictures:
    """A Style Aligned set of the prompts."""
    settings = StyleAlignSettings(
        sampling=SamplingSettings(steps=steps), reference=ReferenceSettings(features="memory")
    )
    texts = [f"{prompt}, watercolour" for prompt in PROMPTS]
    return StyleAligned(pipe, settings)(texts, seed=0, reference=TextReference("a boat, watercolour", 0))


def checked(made: Any) -> Pictures:
    """The pictures of results, each of which must have one."""
    found = []
    for one in made:
        if one.image is None:
            raise RuntimeError(one.error)
        found.append(one.image)
    return found


def submission(pair: Pair) -> Row:
    """Two styles of two prompts, image-to-image with StyleID, by the script."""
    say("two-style submission")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, file in enumerate(sorted((ROOT / "samples" / "style").glob("*.png"))[:2]):
            place = folder / "data" / f"{number:02d}"
            (place / "images").mkdir(parents=True)
            shutil.copy(file, place / "images")
            (place / "prompt.json").write_text(json.dumps({"0": "Boat", "1": "House"}))
        (folder / "recipe.yaml").write_text(RECIPE.format(model=pair.options.model, steps=pair.options.steps))
        made = []
        for backend in BACKENDS:
            options = {"data": folder / "data", "recipe": folder / "recipe.yaml", "output": folder / backend}
            words = [f"--{key}={value}" for key, value in options.items()]
            command = [sys.executable, str(ROOT / "scripts" / "make_submission.py"), *words, "--backend", backend]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            made.append([Image.open(file) for file in sorted((folder / backend / "pictures").rglob("*.png"))])
        if len(made[0]) != 4:
            raise RuntimeError(f"{len(made[0])} pictures instead of 4")
        return Row("two-style submission", psnr=worst_psnr(*made))


def sample(pipe: StableDiffusionPipeline, kind: str, index: int) -> Image.Image:
    """One of the sample pictures at the model's size."""
    files = sorted((ROOT / "samples" / kind).glob("*.png"))
    return images.fit(images.open_image(files[index]), pipe.size, pipe.size)


def worst_psnr(some: Sequence[Image.Image], others: Sequence[Image.Image]) -> Any:
    """Of pairs of pictures, in dB; None where all are equal."""
    if len(some) != len(others):
        raise RuntimeError(f"{len(some)} pictures and {len(others)}")
    errors = [np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2) for a, b in zip(some, others)]
    return float(10 * np.log10(255**2 / max(errors))) if max(errors) > 0 else None


def version(name: str) -> tuple[str, ...]:
    """A package's version, and the commit that pip installed it from, where it knows one."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return ("from a folder",)
    told = json.loads(found.read_text("direct_url.json") or "{}")
    commit = told.get("vcs_info", {}).get("commit_id")
    return (found.version, commit) if commit else (found.version,)


if __name__ == "__main__":
    sys.exit(main())
