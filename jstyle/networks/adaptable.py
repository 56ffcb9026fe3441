"""Networks that adapters can be added to and trained on, by diffusers' names, and the layers that carry them.

What an adapter computes is none of a network's business: ``add_adapter`` asks the adapter's configuration to put its
layers in place, and all that is done with them later is asked of these layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Union

from jstyle.errors import InputError
from jstyle.networks.editing import find_holder
from jstyle.runtime import jt
from jstyle.settings.messages import suggest

Names = Union[str, Sequence[str]]


class AdapterConfig(Protocol):
    """What adapter is wanted."""

    def add_to(self, network: Any, name: str) -> None:
        """Put layers that carry this adapter into the network."""
        ...


class AdaptedLayer:
    """A layer that carries adapters by name, whose parameters are its own. ``base`` is the layer that it stands for."""

    def __init__(self, base: Any) -> None:
        self._base = (base,)  # in a tuple, Jittor does not take it for a part of this one

    @property
    def base(self) -> Any:
        """The layer as it was."""
        return self._base[0]

    def list_adapters(self) -> list[str]:
        """The names of the adapters."""
        raise NotImplementedError

    def list_parameters(self, name: str) -> list[jt.Var]:
        """What is trained of that adapter here."""
        raise NotImplementedError

    def choose(self, names: Sequence[str]) -> None:
        """Let these adapters, and no others, have an effect."""
        raise NotImplementedError

    def drop(self, name: str) -> None:
        """Forget an adapter, if it is here."""
        raise NotImplementedError


class Adaptable:
    """For a network: the methods of diffusers' that add adapters, choose among them, and take them off."""

    _chosen: tuple[str, ...] = ()
    _are_enabled = True

    def add_adapter(self, adapter_config: AdapterConfig, adapter_name: str = "default") -> None:
        """Make an adapter part of the network and choose it alone; nothing but its parameters can be trained then.

        Raises InputError for a configuration that is not `jstyle.LoraConfig`, and for a name that is taken or is none.
        """
        if not hasattr(adapter_config, "add_to"):
            raise InputError(f"add_adapter takes jstyle.LoraConfig, not {type(adapter_config).__module__}'s")
        if not adapter_name or "." in adapter_name:
            raise InputError(f"an adapter's name is a part of its parameters' names; it cannot be {adapter_name!r}")
        if adapter_name in list_adapters(self):
            raise InputError(f"the network has an adapter {adapter_name!r} already; give this one another adapter_name")
        adapter_config.add_to(self, adapter_name)
        self.set_adapter(adapter_name)

    def set_adapter(self, adapter_name: Names) -> None:
        """Choose these adapters: they, and no others, have an effect and can be trained.

        Raises InputError for one that the network does not have.
        """
        self._chosen = (adapter_name,) if isinstance(adapter_name, str) else tuple(adapter_name)
        have = list_adapters(self)
        for name in self._chosen:
            if name not in have:
                raise InputError(f"the network has no adapter {name!r}; {suggest(name, have)}")
        for _, layer in find_adapted_layers(self):
            for name in layer.list_adapters():
                for parameter in layer.list_parameters(name):
                    (parameter.start_grad if name in self._chosen else parameter.stop_grad)()
        self._apply()

    def list_adapters(self) -> list[str]:
        """The names of all adapters that are part of the network."""
        return list_adapters(self)

    def active_adapters(self) -> list[str]:
        """The names of the chosen adapters."""
        return list(self._chosen)

    def disable_adapters(self) -> None:
        """Let no adapter have an effect, until ``enable_adapters``."""
        self._are_enabled = False
        self._apply()

    def enable_adapters(self) -> None:
        """Let the chosen adapters have their effect again."""
        self._are_enabled = True
        self._apply()

    def delete_adapters(self, adapter_names: Names) -> None:
        """Take adapters off. A layer that none is left on is the very one that it was before.

        Raises InputError, and takes none off, for one that the network does not have.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        have = list_adapters(self)
        for name in names:
            if name not in have:
                raise InputError(f"the network has no adapter {name!r}; {suggest(name, have)}")
        for path, layer in find_adapted_layers(self):
            for name in names:
                layer.drop(name)
            if not layer.list_adapters():
                holder, last = find_holder(self, path)
                holder[last] = layer.base
        self._chosen = tuple(name for name in self._chosen if name not in names)
        self._apply()

    def write(self, folder: Path, dtype: str, mark: str = "") -> None:
        """Write configuration and weights, as `Network.write` does. Raises InputError where adapters are on it."""
        self.require_no_adapters()
        super().write(folder, dtype, mark)  # type: ignore[misc]

    def require_no_adapters(self) -> None:
        """Raise InputError where adapters are part of the network, whose folder has no place for them."""
        have = list_adapters(self)
        if have:
            raise InputError(
                f"the {type(self).__name__} has adapters ({', '.join(have)}), which its folder has no place for; "
                "save_lora_weights writes them, delete_adapters takes them off"
            )

    def _apply(self) -> None:
        for _, layer in find_adapted_layers(self):
            layer.choose(self._chosen if self._are_enabled else ())


def find_adapted_layers(network: Any) -> list[tuple[str, AdaptedLayer]]:
    """The layers that carry adapters, by path."""
    return [(path, module) for path, module in network.named_modules() if isinstance(module, AdaptedLayer)]


def list_adapters(network: Any) -> list[str]:
    """The names of all adapters that are part of the network."""
    return list(dict.fromkeys(name for _, layer in find_adapted_layers(network) for name in layer.list_adapters()))
