"""What a scheduler is between its steps: settings from Python and files, and the noise levels that these say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.scheduler_settings import SCHEDULER_SETTINGS
from jstyle.diffusion.schedulers.config import (
    DEFAULTED,
    SchedulerConfig,
    bind_settings,
    complete_settings,
    hand_on,
    read_schedule,
)
from jstyle.errors import InputError
from jstyle.networks.config_reader import read_json
from jstyle.runtime import jt
from jstyle.settings.arguments import list_arguments
from jstyle.weights.hub import locate_component
from jstyle.weights.saving import refuse_unsaved, saving
from jstyle.weights.telling import fetching_as_told

CONFIG = "scheduler_config.json"


class ConfiguredScheduler:
    """A scheduler's settings and noise levels.

    The constructor takes diffusers' settings, by name or in its order. Raises InputError for settings that are unknown,
    wrong or not supported.
    """

    def __init__(self, *values: Any, **named: Any) -> None:
        name = type(self).__name__
        self._build(complete_settings(name, bind_settings(name, values, named), {}), name)

    def _build(self, config: SchedulerConfig, source: str) -> None:
        self.config = config
        self.schedule = Schedule(read_schedule(config, source))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], return_unused_kwargs: bool = False, **changes: Any) -> Any:
        """A scheduler with the settings of another's ``config``, or of diffusers' JSON, and ``changes``.

        What another class was given is taken over where this class has it; defaults that nobody gave are not. Raises
        InputError as the constructor does.
        """
        return cls._from_settings(config, changes, cls.__name__, return_unused_kwargs)

    @classmethod
    def from_pretrained(
        cls,
        model: Union[str, Path],
        subfolder: Optional[str] = None,
        return_unused_kwargs: bool = False,
        *,
        revision: Optional[str] = None,
        **changes: Any,
    ) -> Any:
        """Read ``scheduler_config.json`` of a folder, a hub's model or "tiny"; ``subfolder`` is usually "scheduler".

        ``changes`` are settings, or about fetching (`fetching_as_told`). Raises InputError where there is none, and as
        `from_config` does.
        """
        settings = {name: value for name, value in changes.items() if name in SCHEDULER_SETTINGS[cls.__name__]}
        told = {name: value for name, value in changes.items() if name not in settings}
        known = [*list_arguments(cls.from_pretrained), *SCHEDULER_SETTINGS[cls.__name__]]
        with fetching_as_told(f"{cls.__name__}.from_pretrained", told, known):
            file = locate_component(model, subfolder, "scheduler", (CONFIG,), revision=revision) / CONFIG
        return cls._from_settings(read_json(file), settings, str(file), return_unused_kwargs)

    @classmethod
    def _from_settings(cls, config: Any, changes: Mapping[str, Any], source: str, with_unused: bool) -> Any:
        if not isinstance(config, Mapping):
            kind = type(config).__name__
            raise InputError(f"{cls.__name__}: wanted a scheduler's config, got {kind}; use from_pretrained for files")
        given, others = hand_on(cls.__name__, config)
        known = SCHEDULER_SETTINGS[cls.__name__]
        unused = {name: value for name, value in changes.items() if name not in known}
        asked = changes if not with_unused else {name: changes[name] for name in changes if name in known}
        settings = {**given, **bind_settings(cls.__name__, (), asked)}
        scheduler = cls.__new__(cls)
        scheduler._build(complete_settings(cls.__name__, settings, others), source)
        return (scheduler, unused) if with_unused else scheduler

    def save_pretrained(self, save_directory: Union[str, Path], *, overwrite: bool = False, **told: Any) -> None:
        """Write ``scheduler_config.json``, as diffusers does.

        Raises InputError where there is one of other content, but for ``overwrite=True``, and for other arguments.
        """
        refuse_unsaved(f"{type(self).__name__}.save_pretrained", told, list_arguments(self.save_pretrained))
        content = {name: value for name, value in self.config.items() if name != DEFAULTED}
        with saving(Path(save_directory), overwrite) as folder:
            text = json.dumps(content, indent=2, sort_keys=True, default=list)
            (folder / CONFIG).write_text(text + "\n", encoding="utf-8")

    save_config = save_pretrained

    def __len__(self) -> int:
        """The number of training times."""
        return len(self.schedule.alpha_bars)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.config)})"

    @cached_property
    def alphas_cumprod(self) -> jt.Var:
        """alpha_bar of every training time, (num_train_timesteps,)."""
        return jt.array(np.float32(self.schedule.alpha_bars))

    @cached_property
    def alphas(self) -> jt.Var:
        """The factor by which each training time lessens alpha_bar, (num_train_timesteps,)."""
        return jt.array(np.float32(self._list_factors()))

    @cached_property
    def betas(self) -> jt.Var:
        """1 - alphas, (num_train_timesteps,)."""
        return jt.array(np.float32(1 - self._list_factors()))

    def _list_factors(self) -> np.ndarray:
        bars = self.schedule.alpha_bars
        return bars / np.concatenate([[1.0], bars[:-1]])

    @property
    def final_alpha_cumprod(self) -> jt.Var:
        """alpha_bar of the clean end, (1,)."""
        return jt.array(np.array([self.schedule.final_alpha_bar], np.float32))
