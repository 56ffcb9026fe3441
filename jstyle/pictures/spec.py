"""What a picture is: a frozen, typed value, whose digest is the picture's identity.

`jstyle.settings.identity` takes the digest over every field that is not marked as free; files are named by content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jstyle.settings.fields import free
from jstyle.settings.vocabulary import Backend, Precision


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights compute, and how."""

    hash: str
    """SHA-256 over the weights, what is loaded onto them included (`StableDiffusionPipeline.model_hash`)."""

    precision: Precision = "fp32"
    backend: Backend = "native"
    vae_tiling: bool = False

    name: str = free("", because="the weights' hash stands for it")
    """How the user named the model."""


@dataclass(frozen=True)
class PictureSpec:
    """One picture of a method: ``settings`` is the method's dataclass; ``subject`` says of what it is."""

    method: str
    model: ModelIdentity
    settings: Any
    subject: Any


@dataclass(frozen=True)
class PairSubject:
    """A content in a style, by the hashes of their files."""

    content: str
    style: str
    content_file: str = free("", because="the hash stands for it")
    style_file: str = free("", because="the hash stands for it")
