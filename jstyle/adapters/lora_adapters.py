"""The adapters of a pipeline, LoRA and its kin: loaded by name, weighted, fused, removed, as in diffusers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.adapters import lora_files
from jstyle.adapters.block_weights import AdapterWeight, read_weight
from jstyle.adapters.changes import Additive, Change
from jstyle.adapters.lora import Lora, changed
from jstyle.adapters.sources import Place, to_arrays
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.arguments import read_name, read_names, read_number
from jstyle.weights.tensors import ArrayTensors

Names = Union[str, Sequence[str]]
Source = Union[str, Path, Lora, Mapping[str, Any]]


@dataclass(frozen=True)
class _Effect:
    """Adapters that act together, each with its weight times ``scale``; in the weights of the components ``fused``."""

    loras: Mapping[str, Lora]
    weights: Mapping[str, AdapterWeight]
    scale: float
    fused: Sequence[str] = ()

    def list_changes(self, component: str) -> dict[str, dict[str, Change]]:
        """What changes in a component, by adapter and path, each as strong as it is to be."""
        return {
            name: {
                path: change.strengthen(weight.find(component, path)).strengthen(self.scale)
                for path, change in self.loras[name].of(component).items()
            }
            for name, weight in self.weights.items()
        }


class LoraAdapters:
    """Adapters of a UNet and its text encoders. Whenever none is in effect, the networks are as they were before.

    ``loaded`` has all adapters by name, ``weights`` the weight of each that is in effect. What was fused when it was
    unloaded is part of the networks until it is unfused: others are loaded, and fused, on top of it.
    """

    def __init__(self, unet: jt.Module, text_encoder: jt.Module, text_encoder_2: Optional[jt.Module] = None) -> None:
        self.loaded: dict[str, Lora] = {}
        self.weights: dict[str, AdapterWeight] = {}
        self.enabled = True
        self._networks = {"unet": unet, "text_encoder": text_encoder}
        if text_encoder_2 is not None:
            self._networks["text_encoder_2"] = text_encoder_2
        self._factor = 1.0
        self._fusion: Optional[_Effect] = None
        self._left: list[_Effect] = []
        self._changes = ExitStack()

    def load(self, source: Source, name: Optional[str] = None, place: Optional[Place] = None) -> str:
        """Load a file, folder or hub id, or take a `Lora` or named arrays, and put it alone into effect, as diffusers.

        ``place`` is where in a folder or repository it lies. Returns its name. Raises InputError for a name that is
        loaded already, and for what ``lora_files.read`` refuses.
        """
        self._require_unfused("load another adapter")
        name = f"default_{len(self.loaded)}" if name is None else read_name("adapter_name", name)
        if name in self.loaded:
            raise InputError(f"an adapter {name!r} is loaded already; give another name, or unload it first")
        self.loaded[name] = self._read(source, place)
        self.weights = {name: AdapterWeight()}
        self._attach()
        return name

    def replace(self, source: Source, name: str, place: Optional[Place] = None) -> None:
        """Load another adapter in the place of the loaded one of this name, with its weight.

        Raises InputError for a name that is not loaded, and for what ``lora_files.read`` refuses.
        """
        self._require_unfused("replace an adapter")
        self.check_names(name)
        self.loaded[name] = self._read(source, place)
        self._attach()

    def set(self, names: Names, weights: Any = None) -> None:
        """Put only these adapters into effect, with one weight for all or one for each, by default 1.

        A weight is a number or, by component and block, what ``block_weights`` describes. Raises InputError for a name
        that is not loaded, for another number of weights, and for one that is none.
        """
        self._require_unfused("choose other adapters")
        active = self.check_names(names)
        given = list(weights) if isinstance(weights, (list, tuple, np.ndarray)) else [weights] * len(active)
        if len(given) != len(active):
            raise InputError(f"{len(given)} weights for {len(active)} adapters; give one, or one each")
        self.weights = {name: read_weight(weight, self._networks["unet"].config) for name, weight in zip(active, given)}
        self._attach()

    def enable(self, enabled: bool) -> None:
        """Put the adapters back into effect, or out of it. Raises InputError where they are fused."""
        self._require_unfused("switch adapters")
        self.enabled = enabled
        self._attach()

    def delete(self, names: Names) -> None:
        """Forget these adapters. Raises InputError, and forgets none, for a name that is not loaded."""
        self._require_unfused("delete adapters")
        for name in self.check_names(names):
            self.loaded.pop(name, None)
            self.weights.pop(name, None)
        self._attach()

    def fuse(self, components: Optional[Names] = None, scale: float = 1.0, names: Optional[Names] = None) -> None:
        """Add the adapters in effect, or those named, ``scale`` times, into the weights of these components, or of all.

        Raises InputError, and fuses none, for a name that is not loaded, for another component, where no adapter is in
        effect, and for one with a bias that a layer has no place for.
        """
        self._require_unfused("fuse again")
        adapters = self.check_names(list(self.weights) if names is None else names)
        chosen = tuple(self._networks) if components is None else self._list_components(components)
        if not adapters:
            raise InputError("no adapter is in effect that could be fused; load one first")
        weights = {name: self.weights.get(name, AdapterWeight()) for name in adapters}
        self._fusion = _Effect(dict(self.loaded), weights, read_number("lora_scale", scale), chosen)
        try:
            self._attach()
        except InputError:
            self._fusion = None
            self._attach()
            raise

    def unfuse(self, components: Optional[Names] = None) -> None:
        """Put the original weights of these components back, by default of all, to the bit, adapters beside them again.

        Of adapters that were unloaded since they were fused, the last are taken out. Raises InputError where none is
        fused, and for another component.
        """
        if not self.fused:
            raise InputError("no adapter is fused")
        chosen = tuple(self._networks) if components is None else self._list_components(components)
        fusion = self._left.pop() if self._fusion is None else self._fusion
        left = [name for name in fusion.fused if name not in chosen]
        remaining = replace(fusion, fused=left) if left else None
        if self._fusion is not None:
            self._fusion = remaining
        elif remaining is not None:
            self._left.append(remaining)
        self._attach()

    @property
    def fused(self) -> list[str]:
        """The names of the adapters that are fused, those that were unloaded since among them."""
        fusions = self._left if self._fusion is None else [*self._left, self._fusion]
        return list(dict.fromkeys(name for fusion in fusions for name in fusion.weights))

    def unload(self, *, keep_fused: bool = False) -> None:
        """Forget all adapters: the networks are as they were loaded, but for what is fused where that is to be kept."""
        if not keep_fused:
            self._left = []
        elif self._fusion is not None:
            self._left.append(self._fusion)
        self._fusion, self.loaded, self.weights, self.enabled = None, {}, {}, True
        self._attach()

    @contextmanager
    def scaled(self, factor: float) -> Iterator[None]:
        """Until the end of the ``with``, the adapters in effect count ``factor`` times; those fused stay as they are.

        Raises InputError for a factor that is no finite number.
        """
        before, self._factor = self._factor, self._factor * read_number("the scale of the adapters", factor)
        try:
            if self._factor != before:
                self._attach()
            yield
        finally:
            if self._factor != before:
                self._factor = before
                self._attach()

    def by_component(self) -> dict[str, list[str]]:
        """The names of the adapters that change each network."""
        return {
            component: [name for name, lora in self.loaded.items() if lora.of(component)]
            for component in self._networks
        }

    def describe(self) -> dict[str, Any]:
        """The weight of each adapter in effect, by its name, as "lora", and as "fused" the components that have them in
        their weights; nothing where there are none.
        """
        effects = self._list_effects()
        weights = _join(
            {name: weight.describe(effect.scale) for name, weight in effect.weights.items()} for effect in effects
        )
        fused = list(dict.fromkeys(component for effect in effects for component in effect.fused))
        return {**({"lora": weights} if weights else {}), **({"fused": fused} if fused else {})}

    def fingerprint(self) -> str:
        """SHA-256 over the adapters in effect, "" where there are none, no matter whether they are fused.

        Their order counts where one of them does more than add.
        """
        effects = self._list_effects()
        if not any(effect.weights for effect in effects):
            return ""
        digest = hashlib.sha256()
        changes = {
            component: _join(self._act_on(component, effect).list_changes(component) for effect in effects)
            for component in self._networks
        }
        in_order = list(dict.fromkeys(name for adapters in changes.values() for name in adapters))
        for name in sorted(in_order):
            for component, adapters in changes.items():
                for path, change in sorted(adapters.get(name, {}).items()):
                    digest.update(f"{component}.{path} ".encode())
                    for part in change.describe():
                        digest.update(part)
        every = (change for adapters in changes.values() for layers in adapters.values() for change in layers.values())
        if not all(isinstance(change, Additive) for change in every):
            digest.update(repr(in_order).encode())
        return digest.hexdigest()

    def _attach(self) -> None:
        """Make the networks what the adapters in effect say."""
        self._changes.close()
        for component, network in self._networks.items():
            for effect in self._list_effects():
                adapters = list(self._act_on(component, effect).list_changes(component).values())
                self._changes.enter_context(changed(network, adapters, fuse=component in effect.fused))

    def _list_effects(self) -> list[_Effect]:
        """What is in the weights for good, then what is loaded, fused or beside them."""
        return [*self._left, self._fusion or self._find_unfused()]

    def _find_unfused(self) -> _Effect:
        return _Effect(self.loaded, self.weights if self.enabled else {}, self._factor)

    def _act_on(self, component: str, effect: _Effect) -> _Effect:
        """What acts on a component where this does: what is beside the weights if it is fused in others alone."""
        if not effect.fused or component in effect.fused:
            return effect
        return self._find_unfused() if effect is self._fusion else _Effect({}, {}, 1.0)

    def _read(self, source: Source, place: Optional[Place]) -> Lora[Change]:
        if isinstance(source, Lora):
            return source
        if isinstance(source, Mapping):
            return lora_files.parse(ArrayTensors(to_arrays(source)), **self._networks)
        return lora_files.read(source, **self._networks, place=place)

    def check_names(self, names: Names) -> list[str]:
        """The names as a list. Raises InputError for one that is not loaded, and for one that is named twice."""
        in_order = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
        for name in in_order:
            if in_order.count(name) > 1:
                raise InputError(f"the adapter {name!r} is named twice")
            if name not in self.loaded:
                raise InputError(f"no adapter {name!r} is loaded; loaded are {', '.join(self.loaded) or 'none'}")
        return in_order

    def _list_components(self, components: Names) -> tuple[str, ...]:
        named = [components] if isinstance(components, str) else components
        return read_names("components", list(named), tuple(self._networks))

    def _require_unfused(self, wish: str) -> None:
        if self._fusion is not None:
            raise InputError(
                f"adapters are fused; call unfuse_lora() to {wish}, or unload_lora_weights(), which leaves them in the "
                "weights"
            )


def _join(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All in one, in order; a name that is there already gets a mark."""
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            while name in joined:
                name += "'"
            joined[name] = value
    return joined
