"""What counts in what a picture is: every field of every method's settings and of every spec, unless it is free."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from jstyle.competition.spec import FinishSpec, SetSpec, StartSpec, SubmissionPicture
from jstyle.methods.artfusion.settings import ArtFusionSettings
from jstyle.methods.attention_distillation.settings import AttentionDistillationSettings, TextureSubject
from jstyle.methods.attention_distillation.text.settings import DistilledTextSettings, StyledTextSubject
from jstyle.methods.imagic.settings import ImagicSettings, ImagicSubject
from jstyle.methods.inst.settings import InstSettings
from jstyle.methods.prompt_to_prompt.settings import EditSubject, PromptToPromptSettings
from jstyle.methods.table import METHODS
from jstyle.methods.text_to_image.settings import TextSubject, TextToImageSettings
from jstyle.methods.z_star.settings import ZStarSettings
from jstyle.pictures.spec import AdapterSpec, ControlSubject, ModelIdentity, PairSubject, PictureSpec, PromptedPicture
from jstyle.settings.control import ControlSettings
from jstyle.settings.fields import is_free
from jstyle.settings.identity import digest
from jstyle.settings.reader import build, plain
from style_align.files import Companion, ReferenceSubject, SetSubject
from style_align.settings import CanvasSettings, ReferenceSettings, SamplingSettings, StyleAlignSettings
from styleid.settings import StyleIDSettings

FREE: Mapping[str, str] = {
    "ModelIdentity.name": "the weights' hash stands for it",
    "ModelIdentity.named": "the digests stand for it",
    "ModelIdentity.files": "the hash of all is over them too",
    "ModelIdentity.contents": "the hash of all is over them too",
    "ModelIdentity.sampler": "the configuration's digest stands for it",
    "ModelIdentity.curve": "the configuration's digest stands for it",
    "PairSubject.content_file": "the hash stands for it",
    "PairSubject.style_file": "the hash stands for it",
    "TextSubject.image_file": "the hash stands for it",
    "TextSubject.mask_file": "the hash stands for it",
    "Companion.start_file": "the hash stands for it",
    "SetSubject.start_file": "the hash stands for it",
    "ReferenceSubject.picture_file": "the hash stands for it",
    "ReferenceSubject.saved_file": "the hash stands for it",
    "ControlSubject.map_file": "the hash stands for it",
    "ControlSettings.controlnet": "the nets' own digests stand for them",
    "TextToImageSettings.seed": "what a picture is names it",
    "SamplingSettings.seed": "what a picture is names the seed of each",
    "TextToImageSettings.batch_size": "images are the same in any batch",
    "StyleIDSettings.batch_size": "a picture depends on its batch in last bits alone",
    "StyleIDSettings.features": "kept or computed again, they are the same bits",
    "ZStarSettings.batch_size": "a picture depends on its batch in last bits alone",
    "InstSettings.batch_size": "a content's result does not depend on those beside it",
    "ArtFusionSettings.batch_size": "a content's result does not depend on those beside it",
    "PromptToPromptSettings.seed": "what a picture is names it",
    "PromptToPromptSettings.batch_size": "an edit depends on its batch in last bits alone",
    "EditSubject.image_file": "the hash stands for it",
    "LoopSettings.checkpoint_every": "a resumed run ends with the bits of an uninterrupted one",
    "ImagicSettings.batch_size": "pictures are the same in any batch",
    "ImagicSettings.recompute": "it trades time for memory",
    "ImagicSubject.image_file": "the hash stands for it",
    "AttentionDistillationSettings.seed": "what a picture is names it",
    "AttentionDistillationSettings.batch_size": "a content's result does not depend on those beside it",
    "TextureSubject.style_file": "the hash stands for it",
    "DistilledTextSettings.seed": "what a picture is names it",
    "StyledTextSubject.style_file": "the hash stands for it",
    "SamplingSettings.batch_size": "the same in any batch but for rounding that auto features leave open",
}
"""Every field that may differ between two specs of one picture, and why. How Style Aligned keeps features is none of
them: kept ones are rounded, and pixels of 8 bits show it. StyleID rounds those that it computes again too.
"""

MODEL = ModelIdentity("hash", "configuration")
COMPANIONS = (Companion("b", 2, "start"),)
SUBJECT = SetSubject("a", 1, (ReferenceSubject("r", 0, "file", COMPANIONS),), (1.0,), "start", COMPANIONS)
CONTROLS = ControlSettings(("a", "b"), ("canny", "tile"), (1.0, 0.5), (0.0, 0.2), (1.0, 0.9))
STEERED = ControlSubject("net", "map")
SPECS: Mapping[str, Any] = {
    "txt2img": PictureSpec("txt2img", MODEL, TextToImageSettings(), TextSubject("a", 1, "image", "mask")),
    "steered": PictureSpec(
        "txt2img", MODEL, TextToImageSettings(controls=CONTROLS), TextSubject("a", 1, controls=(STEERED,))
    ),
    "styleid": PictureSpec("styleid", MODEL, StyleIDSettings(), PairSubject("content", "style")),
    "steered pair": PictureSpec(
        "styleid", MODEL, StyleIDSettings(controls=CONTROLS), PairSubject("content", "style", controls=(STEERED,))
    ),
    "exactly inverted": PictureSpec("styleid", MODEL, StyleIDSettings(inversion="target"), PairSubject("a", "b")),
    "z_star": PictureSpec("z_star", MODEL, ZStarSettings(), PairSubject("content", "style")),
    "null texts": PictureSpec("z_star", MODEL, ZStarSettings(null_text=1), PairSubject("content", "style")),
    "prompt_to_prompt": PictureSpec(
        "prompt_to_prompt", MODEL, PromptToPromptSettings(blend_words=("a",)), EditSubject("a", "b", 1, "image")
    ),
    "imagic": PictureSpec("imagic", MODEL, ImagicSettings(tune="lora"), ImagicSubject("a", 0.7, "image")),
    "attention_distillation": PictureSpec(
        "attention_distillation", MODEL, AttentionDistillationSettings(layers=(1,)), PairSubject("content", "style")
    ),
    "texture": PictureSpec(
        "attention_distillation", MODEL, AttentionDistillationSettings(layers=(1,)), TextureSubject("style", 1)
    ),
    "attention_distillation_text": PictureSpec(
        "attention_distillation_text",
        MODEL,
        DistilledTextSettings(layers=(1,)),
        StyledTextSubject("a", "style", 1),
    ),
    "inst": PictureSpec("inst", MODEL, InstSettings(), PairSubject("content", "style")),
    "artfusion": PictureSpec("artfusion", MODEL, ArtFusionSettings(), PairSubject("content", "style")),
    "style_align": PictureSpec("style_align", MODEL, StyleAlignSettings(), SUBJECT),
    "steered set": PictureSpec(
        "style_align", MODEL, StyleAlignSettings(controls=CONTROLS), replace(SUBJECT, controls=(STEERED,))
    ),
    "exactly inverted set": PictureSpec(
        "style_align", MODEL, StyleAlignSettings(reference=ReferenceSettings(inversion_guidance=1.0)), SUBJECT
    ),
    "sd": PictureSpec("style_align", MODEL, StyleAlignSettings(preset="sd"), SUBJECT),
    "panorama": PictureSpec("style_align", MODEL, StyleAlignSettings(canvas=CanvasSettings(panorama=True)), SUBJECT),
    "submission": SubmissionPicture(
        MODEL,
        64,
        64,
        "a",
        25,
        7.5,
        0,
        start=StartSpec(0.5, ("hash",)),
        adapters=(AdapterSpec("lora", "identity"),),
        set=SetSpec("style_align", StyleAlignSettings(), "r", 0, "picture"),
        finish=FinishSpec("styleid", StyleIDSettings(), "first", ("hash",), ("net",)),
    ),
    "prompted": PromptedPicture(MODEL, 64, 64, "a", 4, 2.0, 0, adapters=(AdapterSpec("lora", "identity"),)),
}

OTHER: Mapping[str, Any] = {
    "preset": "sdxl",
    "sampler": "euler",
    "sigmas": "karras",
    "layers": (1,),
    "offset": 7,
    "inject_stop": 6,
    "layer_stop": 5,
    "step_stop": 5,
    "strength": 0.5,
    "share_attention": False,
    "adain_queries": False,
    "adain_keys": False,
    "adain_values": True,
    "share_group_norm": False,
    "full_attention_share": True,
}
"""Values, by name, for fields whose default is None; the others are numbers."""

OTHER_LISTS: Mapping[str, Any] = {
    "cross_replace_steps": (0.1, 0.5),
    "self_replace_steps": (0.1, 0.5),
    "controlnet": ("a", "c"),
    "preprocess": ("canny", "invert"),
    "control_scale": (1.0, 0.6),
    "control_start": (0.1, 0.2),
    "control_end": (1.0, 0.8),
}
"""Values of lists that cannot be longer."""

OTHER_ENTRIES: Mapping[str, Any] = {"reweight": 2.0, "word_steps": (0.0, 0.5)}
"""What mappings may hold, where it is no text."""

OTHER_WORDS: Mapping[str, str] = {"schedule": "linear", "times": "logit_normal"}
"""Values of texts that are looked at when settings are built."""

Change = tuple[str, bool, Any]


def list_changes(whole: Any) -> Iterator[Change]:
    """(class.field, whether it is free, ``whole`` with another value of it), as far as one is allowed."""
    for field in dataclasses.fields(whole):
        value, name = getattr(whole, field.name), f"{type(whole).__name__}.{field.name}"
        changes: list[Change] = []
        if dataclasses.is_dataclass(value):
            changes += list_changes(value)
        elif isinstance(value, tuple):
            usual = (*value, value[0]) if value else ("a",)
            changes.append((name, is_free(field), OTHER_LISTS.get(field.name, usual)))
            if value and dataclasses.is_dataclass(value[0]):
                changes += [(below, free, (changed, *value[1:])) for below, free, changed in list_changes(value[0])]
        elif isinstance(value, dict):
            changes.append((name, is_free(field), {**value, "a": OTHER_ENTRIES.get(field.name, "b")}))
        else:
            changes.append((name, is_free(field), change(field.name, value)))
        for below, free, changed in changes:
            # refused beside the others: `test_every_field_is_looked_at` sees that it is changed in another spec
            with contextlib.suppress(ValueError):
                yield below, free, dataclasses.replace(whole, **{field.name: changed})


def change(name: str, value: Any) -> Any:
    if value is None:
        return OTHER.get(name, 8)
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return {**value, "revision": "other"}
    if isinstance(value, int):
        return value + 1
    return OTHER_WORDS.get(name, f"{value} other") if isinstance(value, str) else value / 2 or 0.25


def list_fields(whole: Any) -> Iterator[tuple[str, dataclasses.Field]]:
    for field in dataclasses.fields(whole):
        value = getattr(whole, field.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(inner):
                yield from list_fields(inner)
        if not dataclasses.is_dataclass(value):
            yield f"{type(whole).__name__}.{field.name}", field


def fill(spec: Any) -> Any:
    """As a run writes it: settings of Style Aligned with every choice made."""
    if isinstance(spec, SubmissionPicture) and spec.set is not None:
        return dataclasses.replace(spec, set=fill(spec.set))
    settings = getattr(spec, "settings", None)
    return dataclasses.replace(spec, settings=settings.fill(False)) if hasattr(settings, "fill") else spec


@pytest.mark.parametrize("kind", SPECS)
def test_a_changed_field_is_another_picture_unless_it_is_free(kind: str) -> None:
    before = digest(fill(SPECS[kind]))
    wrong = [name for name, free, changed in list_changes(SPECS[kind]) if (digest(fill(changed)) == before) != free]
    assert wrong == []


def test_every_field_is_looked_at() -> None:
    looked_at = {name for spec in SPECS.values() for name, _, _ in list_changes(spec)}
    assert {name for spec in SPECS.values() for name, _ in list_fields(spec)} == looked_at
    assert {type(getattr(spec, "settings", None)) for spec in SPECS.values()} >= {
        method.settings for method in METHODS.values()
    }


def test_the_free_fields_are_those_that_were_looked_at() -> None:
    fields = dict(item for spec in SPECS.values() for item in list_fields(spec))
    free = {name: next(iter(field.metadata.values())) for name, field in fields.items() if is_free(field)}
    assert free == FREE


@pytest.mark.parametrize(
    "kind",
    [
        TextToImageSettings,
        StyleIDSettings,
        InstSettings,
        SamplingSettings,
        PromptToPromptSettings,
        ImagicSettings,
        ArtFusionSettings,
        AttentionDistillationSettings,
        DistilledTextSettings,
    ],
)
def test_a_seed_that_is_drawn_is_a_number_from_then_on(kind: Any) -> None:
    first, second = kind(seed=-1), kind(seed=-1)
    assert 0 <= first.seed < 2**32 and first.seed != second.seed
    assert dataclasses.replace(first).seed == first.seed
    assert build(kind, plain(first)) == first
