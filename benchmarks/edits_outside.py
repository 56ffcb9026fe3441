"""What Prompt-to-Prompt changes outside the object that is edited, on the embedded model.

    python -m benchmarks.edits_outside [--edits 14] [--kinds colour object]

The edits of a colour and of a thing of `benchmarks.prompt_edits`. Outside is where neither the source's own attention
looks at its object, nor that of the picture of the new text alone at the new one: a mask of the model's own, the same
for every way, whose threshold and pooling are local blend's. A technique is everywhere, so none is outside it. Two
numbers: the distance in the autoencoder's latents, each place scaled to length 1, and PSNR, both from the source.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.prompt_edits import EDITS, GUIDANCE, NEW_TEXT, STEPS, choose_settings, draw_edits, encode_units
from benchmarks.quality.adherence import prompt
from jstyle.methods.prompt_to_prompt.blend import WordMaps, find_map_sites
from jstyle.methods.prompt_to_prompt.editor import mark_values, read_marks
from jstyle.methods.prompt_to_prompt.plan import fill_levels
from jstyle.methods.prompt_to_prompt.run import PromptToPrompt
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings
from jstyle.methods.prompt_to_prompt.weights import mark_words
from jstyle.methods.prompt_to_prompt.words import Located
from jstyle.networks.editing import QKV, Site, attached
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from recipes.tiny.drawings import Scene

KINDS = ("colour", "object")


@dataclass
class Looking:
    """An editor that changes nothing, and adds up how much a prompt's marked tokens (1, tokens) are looked at."""

    marks: np.ndarray
    sums: list[Any] = field(default_factory=list)

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """As every editor of attention; the prompt's row is the last."""
        row = replace(qkv, q=qkv.q[-1:], k=qkv.k[-1:], v=mark_values(self.marks, qkv.v[-1:]))
        looked = read_marks(row.attend())
        self.sums = [looked if not self.sums else self.sums[0] + looked]
        return qkv


def main() -> None:
    """Make the edits and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--edits", type=int, default=max(EDITS.values()), help="of each kind, at most")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    edits = [(seed, *edit) for seed, edit in enumerate(draw_edits())]
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    shares = []
    for kind in options.kinds:
        for seed, source, target, _ in [edit for edit in edits if edit[3] == kind][: options.edits]:
            made, mask = make_pictures(pipe, source, target, seed)
            if mask.all():
                print(f"{kind} {seed}: the object is looked at everywhere, so that nothing is outside it")
                continue
            shares.append(mask.mean())
            for way, picture in made.items():
                if way != "source":
                    found.setdefault((way, kind), []).append(measure_outside(pipe, made["source"], picture, mask))
            print(f"{kind} {seed}: {len(shares)} measured", flush=True)
    print(f"outside is {1 - np.mean(shares):.0%} of a picture; {len(shares)} edits")
    print(f"{'':<20}{'edits':<9}{'distance':>10}{'squared error':>15}{'PSNR':>10}")
    for (way, kind), numbers in found.items():
        far, error = np.mean(numbers, axis=0)
        print(f"{way:<20}{kind:<9}{far:>10.3f}{error:>15.5f}{-10 * np.log10(error):>7.1f} dB")


def make_pictures(
    pipe: StableDiffusionPipeline, source: Scene, target: Scene, seed: int
) -> tuple[Mapping[str, Image.Image], np.ndarray]:
    """The source's picture and what each way makes of it; and where the object is in the latents, (height, width)."""
    settings = fill_levels(PromptToPromptSettings(), pipe)
    assert settings.blend_level is not None
    paths, made, looked = find_map_sites(pipe.unet.sites, settings.blend_level), {}, []
    for name, scene in (("source", source), (NEW_TEXT, target)):
        located = Located.read(pipe.tokenizer, prompt(scene))
        looking = Looking(mark_words(located, pipe.tokenizer.model_max_length, [scene.object])[None])
        with attached(pipe.unet, looking, lambda site: site.path in paths):
            drawn = pipe(prompt(scene), num_inference_steps=STEPS, guidance_scale=GUIDANCE, seed=seed, sampler="ddim")
        made[name] = drawn.images[0]
        looked.append(looking.sums[0])
    maps = WordMaps(np.zeros((2, 1)), paths)
    maps.add((looked[0], looked[1]))
    height, width = pipe.latent_shape(pipe.size, pipe.size)[1:]
    mask = maps.draw_masks((height, width), settings.blend_level, settings.blend_threshold)[0, 0]
    for name, chosen in choose_settings(source, target).items():
        made[name] = PromptToPrompt(pipe, chosen)(prompt(source), [prompt(target)], seed=seed)[1]
    return made, mask


def measure_outside(
    pipe: StableDiffusionPipeline, one: Image.Image, other: Image.Image, mask: np.ndarray
) -> tuple[float, float]:
    """The distance in latents, and the squared error of pixels from 0 to 1, where ``mask`` (height, width) is 0."""
    outside = mask == 0
    units = [encode_units(pipe, [picture])[0] for picture in (one, other)]
    far = ((units[0] - units[1]) ** 2).sum(axis=0)
    pixels = [np.asarray(picture, float) / 255 for picture in (one, other)]
    factor = pixels[0].shape[0] // mask.shape[0]
    places = np.kron(outside, np.ones((factor, factor), bool))
    return float(far[outside].mean()), float(((pixels[0] - pixels[1]) ** 2).mean(axis=2)[places].mean())


if __name__ == "__main__":
    main()
