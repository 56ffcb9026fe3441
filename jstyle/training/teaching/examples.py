"""What a model is taught: pictures in its latent space, and what is said of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image, ImageOps

from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt

STYLE_TEMPLATES = (
    "a painting in the style of {token}",
    "a picture in the style of {token}",
    "a drawing in the style of {token}",
    "an artwork in the style of {token}",
    "a bright painting in the style of {token}",
    "a dark painting in the style of {token}",
    "a small study in the style of {token}",
    "a large canvas in the style of {token}",
    "a detail of a painting in the style of {token}",
    "a scene rendered in the style of {token}",
    "a quiet picture in the style of {token}",
    "a colourful picture in the style of {token}",
    "a sketch in the style of {token}",
    "one of several works in the style of {token}",
)
"""Captions of pictures that share a style."""

OBJECT_TEMPLATES = (
    "a photo of a {token}",
    "a photograph of the {token}",
    "a picture of one {token}",
    "a close view of a {token}",
    "a {token} seen from afar",
    "a bright photo of a {token}",
    "a dark photo of the {token}",
    "a clean {token}, photographed",
    "my {token}",
    "a {token} in a room",
    "a small {token}",
    "a large {token}",
    "a sharp photo of the {token}",
    "a drawing of a {token}",
)
"""Captions of pictures that show one object."""

NAMED = {"style": "{article} {name} in the style of {token}", "object": "{article} {name} with a {token}"}
"""Captions that also say what else is in a picture."""


@dataclass(frozen=True)
class Moments:
    """Posteriors encoded once: ``mean`` and ``deviation``, (pictures, channels, h, w), scaled as latents."""

    mean: np.ndarray
    deviation: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)

    def draw(self, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A latent from the posterior of each of these pictures."""
        noise = rng.standard_normal((len(indices), *self.mean.shape[1:]), np.float32)
        return self.mean[indices] + self.deviation[indices] * noise


def encode_moments(pipe: StableDiffusionPipeline, pictures: Sequence[Image.Image], flip: bool) -> Moments:
    """Encode pictures of one size one by one; with ``flip`` the mirrored ones follow in the same order."""
    mirrored = [ImageOps.mirror(picture) for picture in pictures] if flip else []
    every, scale = [*pictures, *mirrored], pipe.vae.config.scaling_factor
    moments: Optional[Moments] = None
    for number, picture in enumerate(every):
        with jt.no_grad():
            posterior = pipe.encode_posterior(jt.array(images.to_array([picture])))
            mean = np.array((posterior.mean * scale).numpy())
            deviation = np.array((jt.exp(0.5 * posterior.logvar) * scale).numpy())
        if moments is None:  # at once: small arrays between the encoder's large ones would keep those from being reused
            shape = (len(every), *mean.shape[1:])
            moments = Moments(np.empty(shape, np.float32), np.empty(shape, np.float32))
        moments.mean[number], moments.deviation[number] = mean[0], deviation[0]
    assert moments is not None
    return moments


def read_names(files: Sequence[Path]) -> list[str]:
    """What each picture shows: the words of its .txt file, else of its own name. InputError for a text not in UTF-8."""
    names = []
    for file in files:
        text = file.with_suffix(".txt")
        try:
            names.append(" ".join(text.read_text(encoding="utf-8").split()) if text.is_file() else name_in_words(file))
        except UnicodeDecodeError:
            raise InputError(f"{text} is not UTF-8 text; save it as such") from None
    return names


def write_captions(files: Sequence[Path], template: str) -> list[str]:
    """The caption of each picture: the template with the picture's name in its place. InputError as of its parts."""
    return [fill_template(template, name=name, article=find_article(name)) for name in read_names(files)]


def name_in_words(file: Path) -> str:
    """ "wheat_field.png" -> "wheat field", "Tree_.png" -> "tree", "IMG-0042 (1).jpg" -> "img 0042 1"."""
    return " ".join(re.findall(r"[^\W_]+", file.stem.lower()))


def find_article(name: str) -> str:
    """The indefinite article that a name's spelling asks for."""
    return "an" if name[:1] in "aeiou" else "a"


def hash_examples(files: Sequence[Path], captions: Sequence[str]) -> str:
    """Tells data apart: SHA-256 over the pictures' bytes and their captions."""
    digest = hashlib.sha256()
    for file, caption in zip(files, captions):
        digest.update(hashlib.sha256(file.read_bytes()).digest() + caption.encode() + b"\0")
    return digest.hexdigest()


def fill_template(template: str, **words: str) -> str:
    """The template with its words in place. InputError, which names them, where it asks for others."""
    try:
        return " ".join(template.format(**words).split())
    except (KeyError, IndexError, ValueError):
        raise InputError(
            f"the prompt {template!r} cannot be filled in; in braces may stand {', '.join(words)}"
        ) from None
