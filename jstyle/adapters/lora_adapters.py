"""The LoRA adapters of a pipeline: loaded by name, weighted, fused, taken off. Names and meanings are diffusers'."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

import numpy as np

from jstyle.adapters import lora_files
from jstyle.adapters.lora import Lora, changed
from jstyle.errors import InputError
from jstyle.runtime import jt

Names = Union[str, Sequence[str]]


@dataclass(frozen=True)
class _Fused:
    components: Sequence[str]
    scale: float
    weights: Mapping[str, float]


class LoraAdapters:
    """Adapters over a UNet and a text encoder. The networks are as they were whenever none is in effect.

    ``loaded`` are all adapters, ``weights`` those in effect, each with its factor.
    """

    def __init__(self, unet: jt.Module, text_encoder: jt.Module) -> None:
        self.loaded: dict[str, Lora] = {}
        self.weights: dict[str, float] = {}
        self.enabled = True
        self._networks = {"unet": unet, "text_encoder": text_encoder}
        self._fused: Optional[_Fused] = None
        self._open = ExitStack()

    def load(self, source: Union[str, Path, Lora], name: Optional[str] = None) -> str:
        """Load a file or folder, or take a `Lora`; it alone is in effect then, as in diffusers. Returns its name."""
        self._require_unfused("load another adapter")
        name = name or f"default_{len(self.loaded)}"
        if name in self.loaded:
            raise InputError(f"an adapter {name!r} is loaded already; give another name, or unload it first")
        lora = source if isinstance(source, Lora) else lora_files.read(source, **self._networks)
        self.loaded[name] = lora
        self.weights = {name: 1.0}
        self._attach()
        return name

    def set(self, names: Names, weights: Union[float, Sequence[float], None] = None) -> None:
        """Only these adapters are in effect, with these factors: one for all, or one each, 1 by default."""
        self._require_unfused("choose other adapters")
        several = [names] if isinstance(names, str) else list(names)
        one = 1.0 if weights is None else weights
        factors = [float(one)] * len(several) if isinstance(one, (int, float)) else [float(each) for each in one]
        for name in several:
            self._require(name)
        if len(factors) != len(several):
            raise InputError(f"{len(factors)} weights for {len(several)} adapters; give one, or one each")
        self.weights = {name: factor for name, factor in zip(several, factors)}
        self._attach()

    def enable(self, enabled: bool) -> None:
        """Put all adapters out of effect, or back into it."""
        self._require_unfused("switch adapters")
        self.enabled = enabled
        self._attach()

    def delete(self, names: Names) -> None:
        """Forget these adapters."""
        self._require_unfused("delete adapters")
        for name in [names] if isinstance(names, str) else list(names):
            self._require(name)
            del self.loaded[name]
            self.weights.pop(name, None)
        self._attach()

    def fuse(self, components: Sequence[str], scale: float = 1.0, names: Optional[Names] = None) -> None:
        """Add the adapters in effect, or those named, ``scale`` times, into the weights of these components."""
        self._require_unfused("fuse again")
        chosen = list(self.weights) if names is None else [names] if isinstance(names, str) else list(names)
        for name in chosen:
            self._require(name)
        for component in components:
            if component not in self._networks:
                raise InputError(f"component {component!r} is not known; it must be {' or '.join(self._networks)}")
        if not chosen:
            raise InputError("no adapter is in effect that could be fused; load one first")
        self._fused = _Fused(tuple(components), scale, {name: self.weights.get(name, 1.0) for name in chosen})
        self._attach()

    def unfuse(self) -> None:
        """Put the original weights back, to the bit, with the adapters beside them again."""
        if self._fused is None:
            raise InputError("no adapter is fused")
        self._fused = None
        self._attach()

    def unload(self) -> None:
        """Forget all adapters, fused ones too: the networks are as they were loaded."""
        self._fused = None
        self.loaded, self.weights, self.enabled = {}, {}, True
        self._attach()

    def by_component(self) -> dict[str, list[str]]:
        """Which adapters each network has."""
        return {
            component: [name for name, lora in self.loaded.items() if lora.of(component)]
            for component in self._networks
        }

    def fingerprint(self) -> str:
        """SHA-256 over what is in effect, "" where nothing is. Fused or not makes no difference to it."""
        if not self.weights or not self.enabled:
            return ""
        digest = hashlib.sha256()
        scale = 1.0 if self._fused is None else self._fused.scale
        for name, weight in sorted((self._fused.weights if self._fused else self.weights).items()):
            for component in self._networks:
                for path, change in self.loaded[name].of(component).items():
                    digest.update(f"{component}.{path} {change.alpha * weight * scale!r}".encode())
                    for matrix in (change.down, change.up):
                        digest.update(np.ascontiguousarray(matrix.numpy()).tobytes())
        return digest.hexdigest()

    def _attach(self) -> None:
        self._open.close()
        for component, network in self._networks.items():
            fused = self._fused is not None and component in self._fused.components
            weights = self._fused.weights if fused and self._fused else self.weights if self.enabled else {}
            scale = self._fused.scale if fused and self._fused else 1.0
            several = [
                {path: change.weighted(weight * scale) for path, change in self.loaded[name].of(component).items()}
                for name, weight in weights.items()
            ]
            self._open.enter_context(changed(network, several, fuse=fused))

    def _require(self, name: str) -> None:
        if name not in self.loaded:
            raise InputError(f"no adapter {name!r} is loaded; loaded are {', '.join(self.loaded) or 'none'}")

    def _require_unfused(self, wish: str) -> None:
        if self._fused is not None:
            raise InputError(f"adapters are fused; call unfuse_lora() to {wish}")
