"""peft's configuration of an adapter: in the header of diffusers' LoRA files, or in a JSON file beside those of peft.

Names and meanings: https://huggingface.co/docs/peft/package_reference/lora and its neighbours, of peft 0.21.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from jstyle.adapters.patterns import Patterns
from jstyle.errors import InputError
from jstyle.settings.json_files import parse_json

KINDS = {"LORA": "lora_alpha", "LOHA": "alpha", "LOKR": "alpha", "OFT": "", "BOFT": "", "IA3": ""}
"""What peft calls the kinds that are read, and their entry for alpha."""

# Settings under which the layers compute something that is not read here.
_OTHER_KINDS = {
    "use_qalora": "QALoRA",
    "alora_invocation_tokens": "aLoRA",
    "layer_replication": "LoRA on replicated layers",
    "kasa_config": "KaSA",
    "monteclora_config": "Monteclora",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
}
_ANNOUNCED = {"use_dora": "DoRA", "lora_bias": "biases"}
_PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica")  # besides true and false: the base weights stay what they are
SUBTRACTED_STARTS = ("pissa", "olora")
"""Starts from a part of the base weight that training takes out of it and that can be computed again from it."""

_LARGEST = 1e9  # of an alpha: what is beyond is damaged
_MOST_TERMS = 100


@dataclass(frozen=True)
class LoraConfig:
    """How strong an adapter's layers are, and what training began with. Without entries: alpha is the rank."""

    kind: Optional[str] = None
    """peft's kind, one of ``KINDS``; None where there is no configuration."""

    rank: Optional[int] = None
    alpha: Optional[float] = None
    rank_pattern: Patterns = field(default_factory=lambda: Patterns({}))
    alpha_pattern: Patterns = field(default_factory=lambda: Patterns({}))
    rank_stabilised: bool = False
    start: Optional[str] = None
    """One of ``SUBTRACTED_STARTS``, or None for a start that leaves the base weights alone."""

    announced: frozenset[str] = frozenset()
    """Of "DoRA" and "biases", those whose arrays every layer must have."""

    series_terms: Optional[int] = 5
    """Of OFT: how many terms of a series stand for Cayley's matrices; None for these themselves."""

    bound: Optional[float] = None
    """Of OFT, constrained: how far its matrices may be from the identity."""

    feed_forward: Optional[tuple[str, ...]] = ()
    """Of (IA)3: the endings of layers whose inputs are rescaled; None where the configuration says it by a pattern."""

    def find_rank(self, names: Sequence[str]) -> Optional[int]:
        """The rank of the layer that goes by these names, where the configuration has one."""
        return self.rank_pattern.find(names, self.rank)

    def is_feed_forward(self, names: Sequence[str]) -> bool:
        """Whether (IA)3 rescales this layer's inputs. Raises InputError where a pattern says it."""
        if self.feed_forward is None:
            raise InputError("feedforward_modules in its configuration is a pattern; write a list of layers' endings")
        return names[0].endswith(self.feed_forward)

    def find_alpha(self, names: Sequence[str], rank: int) -> float:
        """The alpha of a layer of this rank, which goes by these names, so that alpha / rank is the factor.

        Raises InputError where the configuration gives the layer another rank.
        """
        said = self.find_rank(names)
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
    """One component's configuration. Raises InputError for a kind that is not read, and for values of a wrong kind."""
    if not entries:
        return LoraConfig()
    kind = entries.get("peft_type", "LORA")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"its kind is {kind!r:.40}; only {', '.join(KINDS)} of peft's can be read")
    for key, other in _OTHER_KINDS.items():
        if entries.get(key):
            raise InputError(f"this is {other} ({key} is set), which cannot be read; train a plain LoRA")
    is_rotation = kind in ("OFT", "BOFT")  # which call other things their rank
    return LoraConfig(
        kind,
        None if is_rotation else _check_count(entries.get("r"), "r"),
        _check_number(entries.get(KINDS[kind]), KINDS[kind]),
        _read_patterns(entries, "rank_pattern"),
        _read_patterns(entries, "alpha_pattern"),
        _check_switch(entries.get("use_rslora"), "use_rslora"),
        _read_start(entries.get("init_lora_weights")),
        frozenset(said for key, said in _ANNOUNCED.items() if _check_switch(entries.get(key), key)),
        _read_terms(entries),
        _read_bound(entries),
        _read_feed_forward(entries.get("feedforward_modules")),
    )


def _read_terms(entries: Mapping[str, Any]) -> Optional[int]:
    """How many terms of its series peft's OFT takes."""
    if not _check_switch(entries.get("use_cayley_neumann", True), "use_cayley_neumann"):
        return None
    terms = _check_count(entries.get("num_cayley_neumann_terms", 5), "num_cayley_neumann_terms")
    if terms is None or terms > _MOST_TERMS:
        raise InputError(
            f"num_cayley_neumann_terms in its configuration is {terms}; it must be from 1 to {_MOST_TERMS}"
        )
    return terms


def _read_bound(entries: Mapping[str, Any]) -> Optional[float]:
    """How far the matrices of peft's constrained OFT may be from the identity."""
    if not _check_switch(entries.get("coft"), "coft"):
        return None
    bound = _check_number(entries.get("eps", 6e-5), "eps")
    if bound is None or bound <= 0:
        raise InputError(f"eps in its configuration is {bound}; it must be above 0")
    return bound


def _read_feed_forward(value: Any) -> Optional[tuple[str, ...]]:
    if isinstance(value, str):
        return None
    if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise InputError(f"feedforward_modules in its configuration is {value!r:.40}; it must be a list of names")
    return tuple(value or ())


def _check_count(value: Any, key: str) -> Optional[int]:
    if value is not None and (type(value) is not int or value < 1):
        raise InputError(f"{key} in its configuration is {value!r:.40}; it must be a number from 1 on")
    return value


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
