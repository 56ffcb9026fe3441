"""``LoraConfig`` under peft's names: which layers of a network get a LoRA, how wide, how strong, and how it starts.

Names and meanings: https://huggingface.co/docs/peft/package_reference/lora, of peft 0.21.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from jstyle.adapters.added import add_changes
from jstyle.adapters.lora import LowRank, layers
from jstyle.adapters.lora_config import read_config
from jstyle.adapters.lora_keys import list_names
from jstyle.adapters.lora_start import draw_down
from jstyle.errors import InputError
from jstyle.networks.layers import Conv2d, Linear
from jstyle.runtime import jt
from jstyle.settings.messages import suggest
from jstyle.settings.vocabulary import MOST_THINGS

Modules = Union[str, Sequence[str], None]

_STARTS = {True: "kaiming", "gaussian": "gaussian"}
_ABOUT_THE_FILE = (
    "task_type",
    "peft_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "runtime_config",
    "qalora_group_size",
    "loftq_config",
    "megatron_core",
)
"""What says nothing of the layers, or only together with what is refused."""
_ELSEWHERE = {
    "use_dora": "DoRA",
    "lora_bias": "LoRA with biases",
    "lora_dropout": "dropout (jstyle.train with LoraSettings(dropout=...) has it)",
    "fan_in_fan_out": "layers that store their weight transposed",
    "modules_to_save": "layers that are trained whole (give their parameters to the optimizer)",
    "layers_to_transform": "a choice of layers by index (write a regular expression in target_modules)",
    "layers_pattern": "a choice of layers by index (write a regular expression in target_modules)",
    "trainable_token_indices": "training of single tokens (jstyle.train with TextualInversionSettings has it)",
    "target_parameters": "LoRA on single parameters",
    "layer_replication": "LoRA on replicated layers",
    "ensure_weight_tying": "tied weights",
    "megatron_config": "Megatron",
    "eva_config": "EVA",
    "corda_config": "CorDA",
    "lora_ga_config": "LoRA-GA",
    "velora_config": "VeLoRA",
    "alora_invocation_tokens": "aLoRA",
    "use_qalora": "QALoRA",
    "monteclora_config": "Monteclora",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
}
"""What peft has and is not had here: nothing may be set."""


class LoraConfig:
    """A LoRA as peft describes one, for ``add_adapter``.

    >>> LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]).r
    4

    A list in ``target_modules`` or ``exclude_modules`` names layers by their path or by its end, a text is a regular
    expression for the whole path, "all-linear" are all linear layers. The keys of ``rank_pattern`` and
    ``alpha_pattern`` are regular expressions for the path or its end, of which the first that fits counts.
    ``init_lora_weights`` is True, peft's uniform start of A, or "gaussian". Raises InputError, which names the
    argument, for what peft has and is not had here, and for values that no LoRA can have.
    """

    def __init__(
        self,
        *,
        r: int = 8,
        target_modules: Modules = None,
        lora_alpha: float = 8,
        exclude_modules: Modules = None,
        bias: str = "none",
        use_rslora: bool = False,
        init_lora_weights: Union[bool, str] = True,
        rank_pattern: Optional[Mapping[str, int]] = None,
        alpha_pattern: Optional[Mapping[str, float]] = None,
        **others: Any,
    ) -> None:
        for name, value in others.items():
            _check_other(name, value)
        if bias != "none":
            raise InputError(f"bias={bias!r}: biases are not trained here; leave it at 'none'")
        if init_lora_weights not in _STARTS:
            raise InputError(f"init_lora_weights must be True or 'gaussian', not {init_lora_weights!r}")
        if not target_modules:
            raise InputError("target_modules must say which layers, such as ['to_q', 'to_k', 'to_v', 'to_out.0']")
        self.r = r
        self.lora_alpha = lora_alpha
        self.target_modules = _keep_modules(target_modules)
        self.exclude_modules = _keep_modules(exclude_modules)
        self.use_rslora = use_rslora
        self.init_lora_weights = init_lora_weights
        self.rank_pattern = dict(rank_pattern or {})
        self.alpha_pattern = dict(alpha_pattern or {})
        _check_ranks(r, self.rank_pattern)
        read_config(self.to_dict())  # which looks at the other numbers and at the patterns

    def to_dict(self) -> dict[str, Any]:
        """The entries as peft stores them in JSON."""
        return {"peft_type": "LORA", **vars(self)}

    def add_to(self, network: jt.Module, name: str) -> None:
        """Make such a LoRA a part of the network, under a name, as its method ``add_adapter`` does.

        A is drawn from NumPy's generator, which ``jt.set_global_seed`` seeds; B is zero. Raises InputError where
        ``target_modules`` means no layer.
        """
        add_changes(network, name, self._start_changes(network))

    def _start_changes(self, network: jt.Module) -> dict[str, LowRank]:
        strength = read_config(self.to_dict())
        changes = {}
        for path, layer in self._find_layers(network).items():
            names = list_names("text_encoder", path)  # a UNet has no path that this changes
            rank = strength.rank_pattern.find(names, self.r)
            out, *inputs = layer.weight.shape
            down = draw_down(_STARTS[self.init_lora_weights], [rank, *inputs], np.random)
            up = np.zeros((out, rank, *([1, 1] if isinstance(layer, Conv2d) else [])), np.float32)
            with jt.no_grad():
                changes[path] = LowRank(jt.array(down), jt.array(up), strength.find_alpha(names, rank))
        return changes

    def _find_layers(self, network: jt.Module) -> dict[str, Any]:
        known = layers(network)
        paths = [path for path, _ in network.named_modules()]
        if isinstance(self.target_modules, str) and self.target_modules.lower() == "all-linear":
            meant = {path for path, layer in known.items() if isinstance(layer, Linear)}
        else:
            meant = _select(paths, self.target_modules)
        meant -= _select(paths, self.exclude_modules)
        other = sorted(meant - set(known))
        if other or not meant:
            wrong = f"{other[0]!r}, which is neither" if other else "none"
            raise InputError(
                f"target_modules={self.target_modules!r} must mean linear layers or convolutions of this "
                f"{type(network).__name__}, not {wrong}; their paths are like {next(iter(known))}"
            )
        return {path: layer for path, layer in known.items() if path in meant}


def _check_other(name: str, value: Any) -> None:
    if name in _ELSEWHERE and value:
        raise InputError(f"{name}={value!r:.40}: there is no {_ELSEWHERE[name]} in add_adapter")
    if name not in (*_ELSEWHERE, *_ABOUT_THE_FILE):
        known = inspect.signature(LoraConfig).parameters
        raise InputError(f"LoraConfig has no argument {name!r}; {suggest(name, list(known)[:-1])}")


def _check_ranks(r: Any, pattern: Mapping[str, Any]) -> None:
    for name, rank in {"r": r, **{f"rank_pattern[{key!r}]": rank for key, rank in pattern.items()}}.items():
        if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= MOST_THINGS:
            raise InputError(f"{name} must be a whole number from 1 to {MOST_THINGS}, not {rank!r:.40}")


def _keep_modules(modules: Modules) -> Modules:
    return modules if modules is None or isinstance(modules, str) else list(modules)


def _select(paths: Iterable[str], modules: Modules) -> set[str]:
    """The paths that a list of endings, or a regular expression, means."""
    if isinstance(modules, str):
        try:
            return {path for path in paths for name in list_names("text_encoder", path) if re.fullmatch(modules, name)}
        except re.error as error:
            raise InputError(f"{modules!r} is no regular expression ({error})") from None
    return {path for path in paths for end in modules or () if path == end or path.endswith(f".{end}")}
