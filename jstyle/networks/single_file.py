"""One network of a checkpoint in a single file, loaded alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Optional, Union

from jstyle.errors import InputError
from jstyle.networks.network import Kind
from jstyle.settings.arguments import list_arguments
from jstyle.table import load_attribute
from jstyle.weights.telling import fetching_as_told

_FIND = "jstyle.weights.single_file.alone:find_network"
"""Named, because the layouts of single files stand above the networks whose shapes they tell of."""


class FromSingleFile:
    """For a network that checkpoints in one file have under the original code's names."""

    kind: ClassVar[Kind]

    @classmethod
    def from_single_file(
        cls,
        pretrained_model_link_or_path_or_dict: Union[str, Path],
        *,
        config: Optional[Union[str, Path]] = None,
        subfolder: Optional[str] = None,
        revision: Optional[str] = None,
        torch_dtype: Any = None,
        dtype: Any = None,
        original_config: None = None,
        **told: Any,
    ) -> Any:
        """Load the network from a safetensors file: of a whole checkpoint, or of itself alone.

        The file is one on this machine, `owner/name/FILE.safetensors` of the hub, or its address there. ``config`` is
        a folder or hub id with its configuration, in ``subfolder`` or where a model's folder has it; without it the
        network is one of Stable Diffusion 1.x or 2.x. ``told`` is about fetching, as in `from_pretrained`. Raises
        InputError, one line, for a file that is damaged, a pickle, or has no such network, and for other arguments.
        """
        if original_config is not None:
            raise InputError("original_config is not read: give config=, a folder or hub id in diffusers' layout")
        with fetching_as_told(f"{cls.__name__}.from_single_file", told, list_arguments(cls.from_single_file)):
            file = pretrained_model_link_or_path_or_dict
            found, stored = load_attribute(_FIND)(cls.kind.folder, file, config, subfolder, revision)
        network: Any = cls(found)  # type: ignore[call-arg]
        network.fill(stored)
        for named in (torch_dtype, dtype):
            if named is not None:
                network.to(named)
        return network
