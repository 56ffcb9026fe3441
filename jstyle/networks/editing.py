"""The two seams through which a method changes a network: editors of attention, and swapped modules.

Both are context managers that leave the model exactly as they found it, even after an exception. Modules
hold no features and no counters: the caller of the network announces the step, and an editor keeps what
it records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional, Protocol, Union

from jstyle import ops
from jstyle.errors import InputError
from jstyle.ops import KeyValue
from jstyle.runtime import jt


@dataclass(frozen=True)
class Site:
    """One attention layer of a UNet.

    ``path`` is its module path in diffusers' naming, ``index`` its place in the order of execution
    (self- and cross-attention count separately), ``level`` the number of times the feature map was
    halved before it.
    """

    path: str
    index: int
    heads: int
    is_cross: bool
    level: int


@dataclass(frozen=True)
class QKV:
    """What an attention layer is about to use.

    q is (batch, queries, heads, head_dim), k and v (batch or 1, keys, heads, head_dim): the order in which
    the projections leave them, so that an editor never pays for a transpose; with 1 in place of batch, one set of
    keys serves all rows without a copy. ``bias`` broadcasts to (batch, heads, queries, keys) and is added to the
    logits. ``shared`` is a second set of keys and values that all queries attend to. ``temperature`` multiplies
    the logits q k^T before the bias is added, which ``upcast`` computes in fp32. ``added``, of q's shape, is added to
    what the queries gather: with `attend` an editor sums two attentions, such as `replace(qkv, added=other.attend())`.
    """

    q: jt.Var
    k: jt.Var
    v: jt.Var
    bias: Optional[jt.Var] = None
    shared: Optional[KeyValue] = None
    temperature: float = 1.0
    upcast: bool = False
    added: Optional[jt.Var] = None

    def attend(self) -> jt.Var:
        """What the queries gather, (batch, queries, heads, head_dim), as the layer itself would compute it.

        An editor that leaves this value to the layer has asked for what the layer computes anyway.
        """
        return self._gathered

    @cached_property
    def _gathered(self) -> jt.Var:
        out = ops.attention(
            self.q,
            self.k,
            self.v,
            bias=self.bias,
            shared=self.shared,
            temperature=self.temperature,
            upcast=self.upcast,
        )
        return out if self.added is None else ops.add(out, self.added)


def require_plain(qkv: QKV, method: str) -> None:
    """Raise InputError where an editor has added keys, a bias or an attention, which ``method`` does not go with."""
    if qkv.bias is not None or qkv.shared is not None or qkv.added is not None:
        raise InputError(f"{method} goes with no other editor that adds keys, a bias or an attention")


class AttentionEditor(Protocol):
    """Reads or replaces what an attention layer uses."""

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """What the layer at ``site`` is to use instead of ``qkv``; the step is the one the sampler announced."""
        ...


Keep = Callable[[QKV], Sequence[jt.Var]]
Seen = Mapping[str, Sequence[jt.Var]]
"""What a `Watcher` keeps of a layer, and what it has kept by the paths of their sites."""


class Watcher:
    """An editor that changes nothing, and keeps of each layer what ``keep`` gives, until it is taken.

    Gradients pass through what it keeps, and where blocks are recomputed too (`jstyle.networks.recompute`).
    """

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._seen: dict[str, Sequence[jt.Var]] = {}

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """As every editor of attention."""
        self._seen[site.path] = self._keep(qkv)
        return qkv

    def put(self, seen: Seen) -> None:
        """Keep these too, as if they had been seen."""
        self._seen.update(seen)

    def take(self) -> Seen:
        """What was kept since the last time."""
        seen, self._seen = self._seen, {}
        return seen


class Editable(Protocol):
    """A network whose attention can be edited. ``attachments`` is read at every call of the network."""

    sites: tuple[Site, ...]
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True)
class Attachment:
    """An editor and the paths of the attention layers that it edits."""

    editor: AttentionEditor
    paths: frozenset[str]


class Edit:
    """The one function that a network's attention layers call at a step: its editors, in their order."""

    def __init__(self, attachments: tuple[Attachment, ...], step: int) -> None:
        self.editors = [attachment.editor for attachment in attachments]
        self._attachments = attachments
        self._step = step

    def __call__(self, site: Site, qkv: QKV) -> QKV:
        """What the layer is to use instead of ``qkv``."""
        for attachment in self._attachments:
            if site.path in attachment.paths:
                qkv = attachment.editor(site, self._step, qkv)
        return qkv


Where = Callable[[Site], bool]


def everywhere(site: Site) -> bool:
    """Every attention layer."""
    return True


def self_attention(site: Site) -> bool:
    """Every self-attention layer."""
    return not site.is_cross


def decoder_self_attention(site: Site) -> bool:
    """Every self-attention layer of the up blocks."""
    return not site.is_cross and site.path.startswith("up_blocks.")


@contextmanager
def attached(
    unet: Editable, editors: Union[AttentionEditor, Sequence[AttentionEditor]], where: Where = everywhere
) -> Iterator[None]:
    """Let ``editors``, in their order, edit the attention layers that ``where`` selects.

    Editors of an outer ``attached`` come first. Raises InputError when no layer is selected.
    """
    paths = frozenset(site.path for site in unet.sites if where(site))
    if not paths:
        raise InputError("no attention layer of this network is selected; check the layers asked for")
    in_order: Sequence[Any] = editors if isinstance(editors, Sequence) else [editors]
    before = unet.attachments
    unet.attachments = (*before, *(Attachment(editor, paths) for editor in in_order))
    try:
        yield
    finally:
        unet.attachments = before


def bind(attachments: tuple[Attachment, ...], step: int) -> Optional[Edit]:
    """What a network's attention layers call at this step, or None if nothing is attached."""
    return Edit(attachments, step) if attachments else None


@contextmanager
def swapped(module: jt.Module, replacements: Mapping[str, Any]) -> Iterator[None]:
    """Put each replacement (a module or a Var) at its path below ``module``, and the original back on exit.

    Paths are as in ``state_dict``, such as ``"up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"``.
    Raises InputError, before anything is changed, for a path that does not exist.
    """
    places = [find_holder(module, path) for path in replacements]
    originals: list[Any] = [holder[name] for holder, name in places]
    try:
        for (holder, name), replacement in zip(places, replacements.values()):
            holder[name] = replacement
        yield
    finally:
        for (holder, name), original in zip(places, originals):
            holder[name] = original


def find_holder(module: jt.Module, path: str) -> tuple[Any, str]:
    """The dictionary that holds what is at ``path``, and its key there. Raises InputError if nothing is there."""
    *parents, name = path.split(".")
    for parent in parents:
        holder = _get_children(module)
        if parent not in holder:
            raise InputError(f"there is nothing at {path!r} in {type(module).__name__}")
        module = holder[parent]
    holder = _get_children(module)
    if name not in holder:
        raise InputError(f"there is nothing at {path!r} in {type(module).__name__}")
    return holder, name


def _get_children(module: Any) -> Any:
    """A list of modules keeps them in ``layers``, any other module in its attributes."""
    return module.layers if isinstance(module, jt.nn.Sequential) else vars(module)
