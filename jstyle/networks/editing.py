"""The two seams through which a method changes a network: editors of attention, and swapped modules.

Both are context managers that leave the model exactly as they found it, after an exception too. No
feature and no counter lives on a module: the caller of the network announces the step, and what an
editor records it keeps itself.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, FrozenSet, Iterator, List, Mapping, Optional, Protocol, Sequence, Tuple, Union

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
    the projections leave them, so that an editor never pays for a transpose, and one set of keys serves all
    rows without a copy. ``bias`` is added to the logits and broadcasts to (batch, heads, queries, keys).
    ``shared`` is a second set of keys and values for all queries to attend to. ``temperature`` multiplies
    the logits q k^T, before a bias.
    """

    q: jt.Var
    k: jt.Var
    v: jt.Var
    bias: Optional[jt.Var] = None
    shared: Optional[KeyValue] = None
    temperature: float = 1.0


class AttentionEditor(Protocol):
    """Reads or replaces what an attention layer uses; the step is the one the sampler announced."""

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV: ...


class Editable(Protocol):
    """A network whose attention can be edited. ``attachments`` is read at every call of the network."""

    sites: Tuple[Site, ...]
    attachments: Tuple[Attachment, ...]


@dataclass(frozen=True)
class Attachment:
    """An editor and the paths of the sites it edits."""

    editor: AttentionEditor
    paths: FrozenSet[str]


Edit = Callable[[Site, QKV], QKV]
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
    """Let ``editors`` edit the attention layers that ``where`` selects, in their order.

    Editors of an outer ``attached`` come first. Raises InputError when no layer is selected.
    """
    paths = frozenset(site.path for site in unet.sites if where(site))
    if not paths:
        raise InputError("no attention layer of this network is selected; check the layers asked for")
    several: Sequence[Any] = editors if isinstance(editors, Sequence) else [editors]
    before = unet.attachments
    unet.attachments = (*before, *(Attachment(editor, paths) for editor in several))
    try:
        yield
    finally:
        unet.attachments = before


def bind(attachments: Tuple[Attachment, ...], step: int) -> Optional[Edit]:
    """The one function that a network's attention layers call at this step, or None if nothing is attached."""
    if not attachments:
        return None

    def edit(site: Site, qkv: QKV) -> QKV:
        for attachment in attachments:
            if site.path in attachment.paths:
                qkv = attachment.editor(site, step, qkv)
        return qkv

    return edit


@contextmanager
def swapped(module: jt.Module, replacements: Mapping[str, Any]) -> Iterator[None]:
    """Put each replacement (a module or a Var) at its path below ``module``, and the original back on exit.

    Paths are as in ``state_dict``, such as ``"up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"``.
    Raises InputError for a path that does not exist; then nothing was changed.
    """
    places = [place(module, path) for path in replacements]
    originals: List[Any] = [holder[name] for holder, name in places]
    try:
        for (holder, name), replacement in zip(places, replacements.values()):
            holder[name] = replacement
        yield
    finally:
        for (holder, name), original in zip(places, originals):
            holder[name] = original


def place(module: jt.Module, path: str) -> Tuple[Any, str]:
    """The dictionary that holds what is at ``path``, and its key there. Raises InputError where nothing is."""
    *parents, name = path.split(".")
    for parent in parents:
        holder = _children(module)
        if parent not in holder:
            raise InputError(f"there is nothing at {path!r} in {type(module).__name__}")
        module = holder[parent]
    holder = _children(module)
    if name not in holder:
        raise InputError(f"there is nothing at {path!r} in {type(module).__name__}")
    return holder, name


def _children(module: Any) -> Any:
    """A list of modules keeps them in ``layers``, any other module in its attributes."""
    return module.layers if isinstance(module, jt.nn.Sequential) else vars(module)
