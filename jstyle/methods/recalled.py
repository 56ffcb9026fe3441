"""What a picture's file gives back, and whether what the picture was made from is still there, and still the same.

A file is compared with what the picture says of it unless it is named again, on the command line or in a config: that
says "this one". Nothing here starts Jittor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from jstyle.adapters.put_on import hash_adapted
from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.settings.adapted import hash_adapter, split_name, split_weight
from jstyle.settings.messages import one_line
from jstyle.settings.model import ModelSettings, NamesModel
from jstyle.table import load_attribute
from jstyle.weights import fetching
from jstyle.weights.control_files import locate_net
from jstyle.weights.model_files import locate_model

OF_ONE_MODEL = ("revision", "variant", "base_model", "prediction_type")
"""Settings that say more of the model that ``model`` names, and nothing of another."""

_LARGEST_PICTURE = 1 << 29  # bytes of a file whose content is compared


def hash_picture(path: Path) -> str:
    """SHA-256 of a picture's file, "" of one that is too large to be one. Raises: OSError."""
    return hash_files([path]) if path.stat().st_size <= _LARGEST_PICTURE else ""


@dataclass(frozen=True)
class Origin:
    """What a picture was made from: the setting that names it, where it was, and the digest of its content.

    ``what`` it is as people say it; ``again`` is what the setting is given to take it as it is now.
    """

    setting: str
    path: Path
    digest: Optional[str]
    what: str = ""
    again: str = ""
    hash_content: Callable[[Path], str] = hash_picture

    def check(self, picture: Path) -> None:
        """Raise InputError, one line, unless it is there and has that content."""
        shown = f"{str(picture)!r} was made with the {self.what or self.setting} {str(self.path)!r}"
        try:
            is_there = self.path.is_file() or (self.path.is_dir() and self.hash_content is not hash_picture)
            found = self.hash_content(self.path) if is_there and self.digest is not None else self.digest
        except (OSError, ValueError):
            is_there, found = False, None
        name = f"--{self.setting}"
        if not is_there:
            where = "there" if self.path.is_absolute() else "to be found from this folder"
            raise InputError(one_line(f"{shown}, which is not {where}: name it, or another, by {name}"))
        if found != self.digest:
            advice = f"{name} {self.again or self.path} takes it as it is now"
            raise InputError(one_line(f"{shown}, whose content was another: {advice}"))


@dataclass(frozen=True)
class Need:
    """What a picture's file cannot say: all of ``settings`` must be given; where there are none, nothing helps."""

    settings: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Recalled:
    """Values of settings by their names, lines on what was not taken over, and what they stand and fall with.

    ``model`` is what the picture says of its model (`ModelIdentity`), as far as that is to be compared.
    """

    values: Mapping[str, Any]
    lines: Sequence[str] = ()
    origins: Sequence[Origin] = ()
    needs: Sequence[Need] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
    picture: Path = Path()
    kind: type = ModelSettings
    """The dataclass that names the model."""

    def without(self, given: Collection[str]) -> Recalled:
        """What is left where these settings are given beside the picture."""
        is_other_model = "model" in given
        dropped = {*given, *(OF_ONE_MODEL if is_other_model else ())}
        return replace(
            self,
            values={name: value for name, value in self.values.items() if name not in dropped},
            origins=[origin for origin in self.origins if origin.setting not in given],
            needs=[need for need in self.needs if not need.settings or not dropped.issuperset(need.settings)],
            model={} if dropped.intersection(("model", "vae_weights", *OF_ONE_MODEL)) else self.model,
        )

    def check_origins(self) -> None:
        """Raise InputError, one line, for what must be given, and for a file or model that is gone or has changed.

        The model's weights are not looked at, and one of the hub is not asked for.
        """
        if self.needs:
            reasons = "; ".join(dict.fromkeys(need.reason for need in self.needs))
            raise InputError(one_line(f"{str(self.picture)!r}: {reasons}"))
        for origin in self.origins:
            origin.check(self.picture)
        if "model" in self.values and issubclass(self.kind, ModelSettings):
            self._locate_model()

    def check_model(self, model: NamesModel) -> None:
        """Raise InputError, one line, unless the weights and configurations of these settings are the picture's."""
        if not self.model:
            return
        found = load_attribute(model.describe)(model)
        shown = f"{str(self.picture)!r} was made with the model {str(model.model)!r}"
        advice = f"--model {model.model} takes it as it is now"
        wanted, weights = self.model.get("files"), found.model_hash
        if not wanted:  # made before pictures said that
            wanted, weights = self.model.get("hash"), hash_adapted(weights, model)
        if wanted != weights:
            raise InputError(one_line(f"{shown}, whose weights were others: {advice}"))
        if self.model.get("configuration") != found.configuration:
            raise InputError(one_line(f"{shown}, whose configurations or tokenizer were others: {advice}"))

    def _locate_model(self) -> None:
        """Raise InputError where there is no such model, as the picture names it."""
        settings = ModelSettings(
            **{name: self.values[name] for name in ("model", "vae_weights", *OF_ONE_MODEL) if name in self.values}
        )
        try:
            with fetching.nothing_fetched(), suppress(fetching.NotHere):
                locate_model(settings)
        except InputError as error:
            shown = f"{str(self.picture)!r} was made with the model {settings.model!r}, which cannot be had here"
            raise InputError(one_line(f"{shown} ({error}): name it, or another, by --model")) from error


def list_adapters(model: Mapping[str, Any]) -> list[Origin]:
    """The LoRAs and words that a picture's model had on it."""
    named, contents = model.get("named"), model.get("contents")
    origins = []
    for setting, what, split in (("lora", "LoRA", split_weight), ("words", "word", split_name)):
        texts = _list_texts(named, setting)
        digests = _list_texts(contents, setting)
        known: list[Optional[str]] = [*digests] if len(digests) == len(texts) else [None] * len(texts)
        again = " ".join(texts)
        origins += [
            Origin(setting, split(text)[0], digest, what, again, hash_adapter) for text, digest in zip(texts, known)
        ]
    return origins


def list_control_origins(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Origin]:
    """The nets and maps that a picture's file names, to be compared with what is there."""
    said, names = subject.get("controls"), settings.get("controlnet")
    if not isinstance(said, list) or not isinstance(names, list):
        return []
    known = [one if isinstance(one, dict) else {} for one in said]
    maps = " ".join(str(one.get("map_file")) for one in known)
    origins = [Origin("control", Path(str(one.get("map_file"))), one.get("map"), "map", maps) for one in known]
    for name, one in zip(names, known):
        path = Path(str(name)).expanduser()
        if path.exists():
            again = " ".join(map(str, names))
            origins.append(Origin("controlnet", path, one.get("net"), "ControlNet", again, _identify_net))
    return origins


def _identify_net(path: Path) -> str:
    return locate_net(str(path)).identity


def _list_texts(found: Any, name: str) -> list[str]:
    """The texts of a list in a mapping, none where it is something else."""
    listed = found.get(name) if isinstance(found, dict) else None
    return [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
