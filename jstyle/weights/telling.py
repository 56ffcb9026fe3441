"""What loaders are told, in diffusers' and transformers' words, about fetching files and holding weights: one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from jstyle.settings.arguments import read_yes, refuse_unknown
from jstyle.weights.fetching import nothing_fetched

WITHOUT_EFFECT = frozenset(
    ["cache_dir", "device_map", "disable_mmap", "force_download", "ignore_mismatched_sizes",
     "load_connected_pipeline", "low_cpu_mem_usage", "max_memory", "offload_folder", "offload_state_dict", "proxies",
     "resume_download", "token", "trust_remote_code", "use_auth_token", "use_safetensors"]
)  # fmt: skip
"""huggingface_hub's variables (HF_TOKEN, HF_HOME, HTTPS_PROXY) decide how files are fetched; Jittor holds weights."""

LOCAL = "local_files_only"


def fetching_as_told(where: str, told: Mapping[str, Any], known: Iterable[str]) -> AbstractContextManager[None]:
    """For the time in which a loader ``where`` reads: with ``local_files_only`` nothing is fetched.

    ``told`` are its arguments beside those that are ``known``. Raises InputError for one that is in no table.
    """
    refuse_unknown(where, told, [*known, *sorted(WITHOUT_EFFECT), LOCAL])
    is_local = told.get(LOCAL)
    return nothing_fetched() if is_local is not None and read_yes(LOCAL, is_local) else nullcontext()
