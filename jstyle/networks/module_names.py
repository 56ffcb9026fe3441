"""What scripts call on a module beside its layers: obeyed as in PyTorch, where plain Jittor would do something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jstyle import ops
from jstyle.errors import RefusedName
from jstyle.runtime import jt
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import ArrayTensors

REFUSED: Mapping[str, str] = {
    "attn_processors": "attach an editor to its attention with jstyle.attached",
    "set_attn_processor": "attach an editor to its attention with jstyle.attached",
    "set_default_attn_processor": "take off what was attached, by leaving its with",
    "load_attn_procs": "load a LoRA with load_lora_weights of a pipeline",
    "save_attn_procs": "save a LoRA with save_lora_weights of a pipeline",
    "enable_freeu": "FreeU is not here; leave it out",
}


class Keys(NamedTuple):
    """Names that a state lacked, and those that it had too many."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class ModuleNames:
    """For a network: dtypes, places and states by the names that they have in PyTorch; devices change nothing here."""

    def half(self) -> Any:
        """``to("float16")``, and so for the others."""
        return self.to("float16")  # type: ignore[attr-defined]

    def bfloat16(self) -> Any:
        """``to("bfloat16")``."""
        return self.to("bfloat16")  # type: ignore[attr-defined]

    def float(self) -> Any:
        """``to("float32")``."""
        return self.to("float32")  # type: ignore[attr-defined]

    float16 = half
    float32 = float

    def cuda(self, device: Any = None) -> Any:
        """The network itself."""
        return self

    def cpu(self) -> Any:
        """The network itself."""
        return self

    def compile(self, *options: Any, **named: Any) -> None:
        """Nothing: kernels are compiled when they are first used, and kept."""

    compile_repeated_blocks = compile

    def load_state_dict(self: Any, state_dict: Mapping[str, Any], strict: bool = True) -> Keys:
        """Fill the parameters from Vars or arrays by their names; what is trained stays so.

        Raises InputError, before anything is changed, for another shape, and with ``strict`` for missing and unexpected
        names; without, these are returned.
        """
        parameters = dict(self.named_parameters())
        missing, unexpected = (sorted(set(a) - set(b)) for a, b in ((parameters, state_dict), (state_dict, parameters)))
        given = state_dict if strict else {**parameters, **{n: state_dict[n] for n in parameters if n in state_dict}}
        arrays = {name: _to_array(value) for name, value in given.items()}
        frozen = [parameter for parameter in parameters.values() if parameter.is_stop_grad()]
        load_weights(self, ArrayTensors(arrays), self.kind.folder, dtype=self.dtype, described_by="the network")
        for parameter in frozen:
            parameter.stop_grad()
        return Keys(missing, unexpected)

    def __getattr__(self, name: str) -> Any:
        if name in REFUSED:
            raise RefusedName(f"{name}: {REFUSED[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _to_array(value: Any) -> np.ndarray:
    return np.array(ops.cast(value, "float32").numpy() if isinstance(value, jt.Var) else value)
