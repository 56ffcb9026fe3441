"""peft's configuration of a LoRA: in the header of diffusers' files, or in a JSON file beside those of peft.

Names and meanings: https://huggingface.co/docs/peft/package_reference/lora, LoraConfig, of peft 0.21.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from jstyle.adapters.patterns import Patterns
from jstyle.errors import InputError
from jstyle.settings.json_files import parse_json

# Settings under which the layers compute something else than W x + alpha / rank B A x.
_OTHER_KINDS = {
    "use_dora": "DoRA",
    "lora_bias": "LoRA with biases",
    "use_qalora": "QALoRA",
    "alora_invocation_tokens": "aLoRA",
    "layer_replication": "LoRA on replicated layers",
    "kasa_config": "KaSA",
    "monteclora_config": "Monteclora",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
}
_PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica")  # besides true and false: the base weights stay what they are
SUBTRACTED_STARTS = ("pissa", "olora")
"""Starts from a part of the base weight that training takes out of it and that can be computed again from it."""

_LARGEST = 1e9  # of an alpha: what is beyond is damaged


@dataclass(frozen=True)
class LoraConfig:
    """How strong a LoRA's layers are, and what training began with. Without entries: alpha is the rank."""

    rank: Optional[int] = None
    alpha: Optional[float] = None
    rank_pattern: Patterns = field(default_factory=lambda: Patterns({}))
    alpha_pattern: Patterns = field(default_factory=lambda: Patterns({}))
    rank_stabilised: bool = False
    start: Optional[str] = None
    """One of ``SUBTRACTED_STARTS``, or None for a start that leaves the base weights alone."""

    def find_alpha(self, names: Sequence[str], rank: int) -> float:
        """The alpha of a layer of this rank, which goes by these names, so that alpha / rank is the factor.

        Raises InputError where the configuration gives the layer another rank.
        """
        said = self.rank_pattern.find(names, self.rank)
        if said is not None and said != rank:
            raise InputError(f"its configuration gives {names[0]} the rank {said}, its matrices have {rank}")
        alpha = self.alpha_pattern.find(names, rank if self.alpha is None else self.alpha)
        return float(alpha) * (math.sqrt(rank) if self.rank_stabilised else 1.0)


def parse_config(content: bytes) -> dict[str, Any]:
    """The JSON of a configuration. Raises InputError for what is none."""
    found = parse_json(content, "its configuration")
    if not isinstance(found, dict):
        raise InputError("its configuration is no JSON object; save the LoRA again")
    return found


def select_entries(header: Mapping[str, Any], component: str, components: Sequence[str]) -> dict[str, Any]:
    """The entries of a component: those with its name before them, else those without any component's."""
    named = {key[len(component) + 1 :]: value for key, value in header.items() if key.startswith(f"{component}.")}
    prefixes = tuple(f"{name}." for name in components)
    return named or {key: value for key, value in header.items() if not key.startswith(prefixes)}


def read_config(entries: Mapping[str, Any]) -> LoraConfig:
    """One component's configuration. Raises InputError for what is no plain LoRA, and for values of a wrong kind."""
    if entries.get("peft_type", "LORA") != "LORA":
        raise InputError(f"its kind is {entries['peft_type']!r:.40}; only plain LoRA can be read")
    for key, kind in _OTHER_KINDS.items():
        if entries.get(key):
            raise InputError(f"this is {kind} ({key} is set); only plain LoRA can be read")
    rank = entries.get("r")
    if rank is not None and (type(rank) is not int or rank < 1):
        raise InputError(f"r in its configuration is {rank!r:.40}; it must be a number from 1 on")
    return LoraConfig(
        rank,
        _check_number(entries.get("lora_alpha"), "lora_alpha"),
        _read_patterns(entries, "rank_pattern"),
        _read_patterns(entries, "alpha_pattern"),
        _check_switch(entries.get("use_rslora"), "use_rslora"),
        _read_start(entries.get("init_lora_weights")),
    )


def _read_patterns(entries: Mapping[str, Any], key: str) -> Patterns:
    values = entries.get(key) or {}
    if not isinstance(values, dict):
        raise InputError(f"{key} in its configuration is {values!r:.40}; it must give a number to each pattern")
    for pattern, value in values.items():
        if _check_number(value, f"{key}[{pattern!r:.60}]") is None:
            raise InputError(f"{key}[{pattern!r:.60}] in its configuration is empty; it must be a number")
    return Patterns(values)


def _check_number(value: Any, key: str) -> Optional[float]:
    if value is None or (type(value) in (int, float) and abs(value) < _LARGEST):
        return value
    raise InputError(f"{key} in its configuration is {value!r:.40}; it must be a number")


def _check_switch(value: Any, key: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InputError(f"{key} in its configuration is {value!r:.40}; it must be true or false")


def _read_start(value: Any) -> Optional[str]:
    """Which part of the base weights is to be taken out of them again."""
    if value is None or isinstance(value, bool) or str(value).lower() in _PLAIN_STARTS:
        return None
    if str(value).lower() in SUBTRACTED_STARTS:
        return str(value).lower()
    raise InputError(
        f"it was trained from {value!r:.40} (init_lora_weights), which changes weights by what its file does not say;"
        " save it by peft with path_initial_model_for_weight_conversion, which makes a plain LoRA, or train again"
    )
