"""The kinds of adapters that files hold: by which arrays each is known, and what reads a layer's change from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jstyle.adapters import reading_products, reading_sums
from jstyle.adapters.changes import Change
from jstyle.adapters.stored_layers import StoredLayer
from jstyle.errors import InputError
from jstyle.networks.layers import GroupNorm, LayerNorm


@dataclass(frozen=True)
class Kind:
    """A kind of adapter: a layer's arrays have the roles ``needs`` and perhaps some of ``may``; ``read`` reads them."""

    name: str
    needs: frozenset[str]
    may: frozenset[str]
    read: Callable[[StoredLayer], Change]


def read_change(layer: StoredLayer) -> Change:
    """A layer's change, of whatever kind. Raises InputError, naming layer or array, for what does not fit."""
    kind = find_kind(layer)
    for said, roles in (("DoRA", {"magnitude", "dora_scale"}), ("biases", {"up_bias"})):
        if said in layer.config.announced and not roles & set(layer.keys):
            raise InputError(f"its configuration says {said}, which {layer.names[0]} lacks; save the file again")
    if isinstance(layer.base, (GroupNorm, LayerNorm)) != (kind.name == _NORM):
        raise InputError(f"{layer.names[0]} cannot be changed by {kind.name}: the file is for another model")
    return kind.read(layer)


def find_kind(layer: StoredLayer) -> Kind:
    """The kind whose arrays these are. Raises InputError where some are missing, or do not go together."""
    roles = set(layer.keys)
    for kind in KINDS:
        if kind.needs <= roles <= kind.needs | kind.may:
            return kind
    begun = [kind for kind in KINDS if kind.needs & roles]
    if not begun or roles == {"weight"}:
        named = ", ".join(sorted(layer.keys.values())[:3])
        raise InputError(f"{named} alone is no adapter; is it the file of a whole model?")
    likely = min(begun, key=lambda kind: (len(roles - kind.needs - kind.may), len(kind.needs - roles)))
    odd, missing = sorted(roles - likely.needs - likely.may), sorted(likely.needs - roles)
    if odd:
        raise InputError(f"{layer.names[0]} has {', '.join(odd[:4])} beside {likely.name}; fetch the file again")
    raise InputError(f"{layer.names[0]} lacks {', '.join(missing)} of {likely.name}; fetch the file again")


def _list_lokr() -> Iterator[Kind]:
    """Each factor is whole or a product, and the second may have a core."""
    for first in ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"}):
        for second in ({"lokr_w2"}, {"lokr_w2_a", "lokr_w2_b"}):
            core = {"lokr_t2"} if len(second) == 2 else set()
            yield Kind("LoKr", frozenset(first | second), _EXTRAS | core, reading_sums.read_lokr)


_NORM = "differences of a norm"
_MAGNITUDES = frozenset({"magnitude", "dora_scale"})
_EXTRAS = frozenset({"alpha", "dora_scale", "diff_b"})
_LOHA = frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"})
KINDS: tuple[Kind, ...] = (
    Kind("LoRA", frozenset({"down", "up"}), _MAGNITUDES | {"alpha", "up_bias"}, reading_sums.read_lora),
    Kind("LoRA", frozenset({"down", "up", "diff_b"}), _MAGNITUDES | {"alpha"}, reading_sums.read_lora),
    Kind("LoCon", frozenset({"down", "up", "mid"}), _EXTRAS, reading_sums.read_tucker),
    Kind("LoHa", _LOHA, _EXTRAS, reading_sums.read_loha),
    Kind("LoHa", _LOHA | {"hada_t1", "hada_t2"}, _EXTRAS, reading_sums.read_loha),
    *_list_lokr(),
    Kind("a whole difference", frozenset({"diff"}), frozenset({"diff_b", "dora_scale"}), reading_sums.read_whole),
    Kind("a difference of a bias", frozenset({"diff_b"}), frozenset(), reading_sums.read_bias),
    Kind(_NORM, frozenset({"w_norm"}), frozenset({"b_norm"}), reading_sums.read_norm),
    Kind("GLoRA", frozenset({"a1", "a2", "b1", "b2"}), frozenset({"alpha"}), reading_products.read_glora),
    Kind("(IA)3", frozenset({"weight", "on_input"}), frozenset(), reading_products.read_rescaled),
    Kind("(IA)3", frozenset({"ia3_l"}), frozenset(), reading_products.read_peft_rescaled),
    Kind("OFT", frozenset({"oft_blocks"}), frozenset({"alpha", "rescale"}), reading_products.read_rotated),
    Kind("OFT", frozenset({"oft_R"}), frozenset({"scaled_oft"}), reading_products.read_peft_rotated),
    Kind("BOFT", frozenset({"boft_R", "boft_s"}), frozenset(), reading_products.read_peft_butterfly),
)
"""All kinds. The layers of a file may be of several."""
