"""What every network is to who holds it: configured, loaded, saved, trained, under diffusers' names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.files import replacing
from jstyle.networks.config_reader import read_json, to_dict
from jstyle.networks.module_names import ModuleNames
from jstyle.ops.precision import find_precision, on_gpu
from jstyle.runtime import jt
from jstyle.settings.arguments import list_arguments
from jstyle.weights.header import require_safe
from jstyle.weights.hub import locate_component
from jstyle.weights.loading import load_weights, save_weights
from jstyle.weights.saving import refuse_unsaved, saving
from jstyle.weights.stored import StoredNetwork, store_folder
from jstyle.weights.telling import fetching_as_told

CONFIG = "config.json"


@dataclass(frozen=True)
class Kind:
    """How a network lies in a model's folder: its own folder there, its class and library, its file's name."""

    folder: str
    class_name: str
    library: str
    stem: str
    model_type: Optional[str] = None


class Network(ModuleNames, jt.Module):
    """A network with a configuration, in the places where scripts for diffusers and transformers look."""

    kind: ClassVar[Kind]
    config_class: ClassVar[Any]

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def from_pretrained(
        cls,
        model: Union[str, Path],
        subfolder: Optional[str] = None,
        *,
        revision: Optional[str] = None,
        variant: Optional[str] = None,
        torch_dtype: Any = None,
        dtype: Any = None,
        **told: Any,
    ) -> Any:
        """Load the network from a folder, a hub's model or "tiny"; ``subfolder`` is its own there, such as "unet".

        ``torch_dtype`` and ``dtype`` are those of a UNet; the other networks compute in fp32. Of what it is
        ``told`` about fetching ``local_files_only`` is obeyed; what PyTorch is told of holding weights changes nothing
        (`fetching_as_told`). Raises InputError for anything missing, damaged or of another kind, and for other
        arguments.
        """
        with fetching_as_told(f"{cls.__name__}.from_pretrained", told, list_arguments(cls.from_pretrained)):
            folder = locate_component(model, subfolder, cls.kind.folder, (CONFIG,), revision=revision, variant=variant)
        network = cls(cls.config_class.from_dict(read_json(folder / CONFIG), str(folder / CONFIG)))
        network.fill(store_folder(cls.kind.folder, folder, variant))
        for named in (torch_dtype, dtype):
            if named is not None:
                network.to(named)
        return network

    @classmethod
    def load_config(
        cls, model: Union[str, Path], subfolder: Optional[str] = None, *, revision: Optional[str] = None, **told: Any
    ) -> dict[str, Any]:
        """The content of a network's ``config.json``, for `from_config`; errors as in `from_pretrained`."""
        with fetching_as_told(f"{cls.__name__}.load_config", told, list_arguments(cls.load_config)):
            folder = locate_component(model, subfolder, cls.kind.folder, (CONFIG,), revision=revision)
        return read_json(folder / CONFIG)

    @classmethod
    def from_config(cls, config: Any) -> Any:
        """A network of that configuration (a network's ``config``, or diffusers' JSON) with Jittor's first weights.

        Raises InputError for what is wrong in it or not supported.
        """
        return cls(cls.read_config(config, {}))

    @classmethod
    def read_config(cls, config: Any, named: Mapping[str, Any]) -> Any:
        """A configuration from one, or from diffusers' JSON, or none, and the values that are ``named`` beside it.

        Raises InputError for what is wrong in it or not supported.
        """
        if isinstance(config, cls.config_class) and not named:
            return config
        if config is not None and not isinstance(config, (Mapping, cls.config_class)):
            raise InputError(f"{cls.__name__}: wanted a configuration, or values by name, got {type(config).__name__}")
        return cls.config_class.from_dict({**({} if config is None else dict(config)), **named})

    def fill(self, stored: StoredNetwork, dtype: str = "float32") -> None:
        """Read the weights. Raises InputError where they are missing, damaged or do not fit the network."""
        tensors = stored.open([name for name, _ in self.named_parameters()])
        what, by = self.kind.folder, stored.described_by
        load_weights(self, tensors, what, stored.rename, dtype, described_by=by, spell=stored.spell, is_new=True)

    def save_pretrained(
        self,
        save_directory: Union[str, Path],
        *,
        variant: Optional[str] = None,
        safe_serialization: bool = True,
        overwrite: bool = False,
        **told: Any,
    ) -> None:
        """Write the configuration and the weights as diffusers does; ``variant="fp16"`` halves the file.

        Files of other content are replaced with ``overwrite=True`` alone (`saving`). ``told`` is diffusers'
        ``max_shard_size`` and ``is_main_process``, which change nothing. Raises InputError where the folder holds such
        files, for another variant, for pickles, and for other arguments.
        """
        refuse_unsaved(f"{type(self).__name__}.save_pretrained", told, list_arguments(self.save_pretrained))
        if variant not in (None, "fp16"):
            raise InputError(f"variant {variant!r} cannot be written, only fp16 or none")
        require_safe(safe_serialization)
        with saving(Path(save_directory), overwrite, variant) as folder:
            self.write(folder, "float16" if variant else "float32", f".{variant}" if variant else "")

    def write(self, folder: Path, dtype: str, mark: str = "") -> None:
        """Write configuration and weights into a folder that exists; ``mark`` stands before the file's ending."""
        with replacing(folder / CONFIG) as part:
            part.write_text(json.dumps(self.describe(), indent=2) + "\n", encoding="utf-8")
        save_weights(self, folder / f"{self.kind.stem}{mark}.safetensors", dtype)

    def hash_weights(self) -> str:
        """SHA-256, in hexadecimal, over names and numbers of its parameters, for a network without files."""
        digest = hashlib.sha256()
        self.add_to_digest(digest)
        return digest.hexdigest()

    def add_to_digest(self, digest: Any) -> None:
        """Take names and numbers of the parameters, in fp32, into a digest of hashlib's."""
        for name, parameter in self.named_parameters():
            numbers = np.ascontiguousarray(ops.cast(parameter, "float32").numpy())
            digest.update(name.encode() + numbers.tobytes())

    def describe(self) -> dict[str, Any]:
        """The content of its ``config.json``."""
        config = to_dict(self.config, self.kind.class_name)
        if self.kind.model_type is None:
            return config
        return {"architectures": [self.kind.class_name], "model_type": self.kind.model_type, **config}

    @property
    def dtype(self) -> str:
        """The dtype of its weights."""
        return str(next(iter(self.parameters())).dtype)

    @property
    def device(self) -> str:
        """Where Jittor computes: "cuda" or "cpu"."""
        return "cuda" if on_gpu() else "cpu"

    def to(
        self, *places: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, memory_format: Any = None
    ) -> Any:
        """The network itself. A dtype is a UNet's; where it is computed is Jittor's to say, so devices change nothing.

        Raises InputError for a dtype that is unknown or in which this machine cannot compute.
        """
        for place in (*places, dtype):
            if place is not None and not _is_device(place):
                self.set_precision(find_precision(place))
        return self

    def set_precision(self, precision: str) -> None:
        """Compute in "fp32", "bf16" or "fp16": of all networks the UNet alone does, the others stay in fp32."""

    def train(self, mode: bool = True) -> Any:
        """Set whether it is ``training``. No layer acts otherwise for it, and what is trained stays as it is."""
        for module in self.modules():
            module.is_train = mode
        return self

    def eval(self) -> Any:
        """``train(False)``. The parameters' gradients stay, as in PyTorch, where a plain Jittor module stops them."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Set whether its parameters are trained. Gradients go through it to its inputs all the same."""
        for parameter in self.parameters():
            if requires_grad:
                parameter.start_grad()
            else:
                parameter.stop_grad()
        return self

    def num_parameters(self, only_trainable: bool = False) -> int:
        """How many numbers its parameters hold."""
        counted = [p for p in self.parameters() if not (only_trainable and p.is_stop_grad())]
        return sum(p.numel() for p in counted)

    def enable_gradient_checkpointing(self) -> None:
        """Keep less for the backward pass, where that is worth it: in the UNet."""

    def disable_gradient_checkpointing(self) -> None:
        """Keep all for the backward pass."""

    gradient_checkpointing_enable = enable_gradient_checkpointing
    gradient_checkpointing_disable = disable_gradient_checkpointing

    def enable_xformers_memory_efficient_attention(self, attention_op: Any = None) -> None:
        """Nothing: attention never holds a matrix of logits here."""

    def disable_xformers_memory_efficient_attention(self) -> None:
        """Nothing, as enabling it does."""

    def set_attention_slice(self, slice_size: Any = None) -> None:
        """Nothing: attention never holds a matrix of logits here."""


def _is_device(place: Any) -> bool:
    """Whether ``place`` names a device: "cuda:0", "cpu", a number, or a library's object for one."""
    name = str(getattr(place, "type", place)).partition(":")[0]
    return name in ("cpu", "cuda", "mps", "npu", "xpu", "rocm") or isinstance(place, int)
