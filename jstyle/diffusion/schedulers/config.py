"""A scheduler's settings as scripts read them, and how one class takes over those of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jstyle.diffusion.schedule_config import SCHEDULERS, ScheduleConfig
from jstyle.diffusion.scheduler_settings import SCHEDULER_SETTINGS
from jstyle.errors import InputError
from jstyle.settings.messages import one_line, show, suggest

DEFAULTED = "_use_default_values"
"""The key, as in diffusers, of the names that nobody gave: they are not handed on, but written to files."""


# Classes that are no sampler of a checkpoint's, and whose levels they have.
_LEVELS_OF = {"DDIMInverseScheduler": "DDIMScheduler"}
_CLIPPING = ("DDIMScheduler", "DDPMScheduler", "LCMScheduler")


class SchedulerConfig(Mapping[str, Any]):
    """A scheduler's settings, read as attributes or by name, which do not change.

    Settings of other classes that came along are kept, for the next class that has them.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.__dict__.update(settings)

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __getattr__(self, name: str) -> Any:  # for readers of types: all that is there lies in __dict__
        raise AttributeError(f"the scheduler's config has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a scheduler's config does not change; use from_config(config, {name}=...)")

    def __repr__(self) -> str:
        return f"SchedulerConfig({self.__dict__})"


def bind_settings(class_name: str, values: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a constructor was given, by name. Raises InputError for one that the class does not have."""
    names = list(SCHEDULER_SETTINGS[class_name])
    if len(values) > len(names):
        raise InputError(f"{class_name}: at most {len(names)} settings can be given, not {len(values)}")
    settings = dict(zip(names, values))
    for name, value in named.items():
        if name not in names:
            raise InputError(f"{class_name}: the setting {name!r} is not known; {suggest(name, names)}")
        if name in settings:
            raise InputError(f"{class_name}: the setting {name!r} was given twice")
        settings[name] = value
    return settings


def complete_settings(class_name: str, given: Mapping[str, Any], others: Mapping[str, Any]) -> SchedulerConfig:
    """The class's whole config: what was given, the defaults, and ``others`` of other classes."""
    defaults = SCHEDULER_SETTINGS[class_name]
    left_out = [name for name in defaults if name not in given]
    return SchedulerConfig({**others, **defaults, **given, DEFAULTED: left_out, "_class_name": class_name})


def hand_on(class_name: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a class takes over from a config, and what it only keeps.

    As in diffusers, defaults that nobody gave stay behind: the spacing of a file that names one goes along, that of
    a scheduler made in Python without one does not.
    """
    defaulted = config.get(DEFAULTED, ())
    known = {name: value for name, value in config.items() if name not in defaulted and not name.startswith("_")}
    taken = {name: known.pop(name) for name in SCHEDULER_SETTINGS[class_name] if name in known}
    return taken, known


def read_schedule(config: SchedulerConfig, source: str) -> ScheduleConfig:
    """The noise levels and the sampler of a scheduler's config.

    Raises InputError, which begins with ``source``, for what is wrong or not supported.
    """
    class_name = config["_class_name"]
    levels_of = _LEVELS_OF.get(class_name, class_name)
    settings = {name: _to_plain(config[name]) for name in SCHEDULER_SETTINGS[class_name]}
    schedule = ScheduleConfig.from_dict({"_class_name": levels_of, **settings}, source)
    if schedule.sampler is None:
        forms = [demands for known, demands in SCHEDULERS.values() if known == class_name]
        asked = " and ".join(f"{key} {show(settings[key])}" for key in forms[0])
        known = "; or ".join(", ".join(f"{key} {show(value)}" for key, value in form.items()) for form in forms)
        raise InputError(one_line(f"{source}: {asked} is not supported, only {known}"))
    schedule.choose_sampler()
    if schedule.clip_sample and class_name not in _CLIPPING:
        raise InputError(f"{source}: clip_sample is for {', '.join(_CLIPPING)}; set it to False")
    return schedule


def _to_plain(value: Any) -> Any:
    """Betas may come as an array."""
    return value.tolist() if hasattr(value, "tolist") else value
