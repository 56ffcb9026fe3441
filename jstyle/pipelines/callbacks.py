"""What a call shows while it runs, and lets its callbacks change, as diffusers does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Sampler
from jstyle.diffusion.schedule import Level
from jstyle.errors import InputError, InputWarning
from jstyle.networks import Condition
from jstyle.networks.condition import GivenNumbers
from jstyle.pipelines.arrays import read_var
from jstyle.runtime import jt
from jstyle.settings.arguments import read_names, read_number

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
    from jstyle.pipelines.starts import Beginning

OnStepEnd = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]
"""(pipeline, index of the call, time, tensors by name) -> the tensors, some of them changed."""

OldCallback = Callable[[int, Any, Any], None]
"""(index of the step, time, latents)."""

MASKED = ("mask", "masked_image_latents")
"""What a call that paints a part of pictures anew has besides."""

XL_TENSORS = ("add_text_embeds", "negative_pooled_prompt_embeds", "add_time_ids", "negative_add_time_ids")
"""What is shown of SDXL besides: vectors of the texts and sizes, both halves of each under guidance."""


class Watcher:
    """Stands behind every step of one call: moves its bar, asks its callbacks, and knows whether it ``has_changed``
    anything for them.

    Latents are shown in the scale of diffusers' scheduler of that name, x0 + sigma eps for those that go by sigma.
    ``prompt_embeds`` are what the UNet reads, both halves under guidance; ``mask`` and ``masked_image_latents``
    come twice there too. What a callback gives back is obeyed, and so are the pipeline's ``_guidance_scale`` and
    ``_interrupt``.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        on_step_end: Optional[OnStepEnd] = None,
        tensors: Optional[Sequence[str]] = None,
        callback: Optional[OldCallback] = None,
        callback_steps: Optional[int] = None,
    ) -> None:
        """Raises InputError for tensors that are not here."""
        names = getattr(on_step_end, "tensor_inputs", tensors)  # diffusers' callback objects name their own
        wanted, known = "callback_on_step_end_tensor_inputs", (*pipe._callback_tensor_inputs, *_list_additions(pipe))
        self._tensors = ("latents",) if names is None else read_names(wanted, names, known)
        every = 1 if callback_steps is None else callback_steps
        self._pipe, self._on_step_end, self._callback, self._every = pipe, on_step_end, callback, every
        self.has_changed = False

    def begin(self, method: Sampler, denoiser: GuidedDenoiser, steps: int, begun: Beginning) -> None:
        """A run of ``method`` begins at a step of ``steps``."""
        self._method, self._denoiser, self._masking = method, denoiser, begun.masking
        start = begun.index
        calls = method.list_calls(self._pipe.schedule, steps, start=start)
        self._calls, self._order = len(calls), method.order
        self._ahead = self._calls - (steps - start) * self._order
        self._index = 0
        self._pipe._num_timesteps = self._calls
        self._bar = self._pipe.progress_bar(total=steps - start)

    def note(self, x: jt.Var, index: int, level: Level) -> jt.Var:
        """A step is taken, to ``x`` at ``level``; returns what a callback makes of x."""
        scale = level.alpha_bar**0.5 if self._method.in_sigma else 1.0
        i, t = self._index, _make_time(self._denoiser.level.t)
        shown = x if scale == 1 else x / scale
        if self._on_step_end is not None:
            changed = self._ask(i, t, shown)
            if changed is not shown:
                x, shown = (changed if scale == 1 else changed * scale), changed
                self.has_changed = True
        self._index += 1
        if self._index == self._calls or (self._index > self._ahead and self._index % self._order == 0):
            self._bar.update()
            if self._callback is not None and i % self._every == 0:
                self._callback(i // self._order, t, shown)
        return x

    def end(self) -> None:
        """The run is over, or was left."""
        self.has_changed = self.has_changed or self._pipe.interrupt
        self._bar.close()

    def _ask(self, index: int, t: Any, latents: jt.Var) -> jt.Var:
        """What the callback makes of the latents; text, guidance and masks are changed where it changes them."""
        shown = self._list_tensors(latents)
        answer = self._on_step_end(self._pipe, index, t, dict(shown))  # type: ignore[misc]
        if not isinstance(answer, dict):
            raise InputError(f"callback_on_step_end must return a dictionary of tensors, not {type(answer).__name__}")
        negative = shown.get("negative_prompt_embeds")
        if answer.get("negative_prompt_embeds", negative) is not negative:
            line = "the first half of prompt_embeds; negative_prompt_embeds are shown to callbacks, and not read again"
            warnings.warn(f"change {line}, as in diffusers", InputWarning, stacklevel=2)
        self._change_condition(answer, shown, latents)
        self._change_masks(
            {name: answer[name] for name in MASKED if answer.get(name, shown.get(name)) is not shown.get(name)}
        )
        changed = answer.get("latents", latents)
        if changed is latents:
            return latents
        changed = read_var(changed, "latents")
        if tuple(changed.shape) != tuple(latents.shape):
            raise InputError(f"latents of a callback must be {tuple(latents.shape)}, not {tuple(changed.shape)}")
        return changed

    def _list_tensors(self, latents: jt.Var) -> dict[str, Any]:
        """Those that the callback is shown."""
        guided, text = self._denoiser.guided, self._denoiser.text.text
        known: dict[str, Callable[[], Any]] = {
            "latents": lambda: latents,
            "prompt_embeds": lambda: text,
            "negative_prompt_embeds": lambda: text[: text.shape[0] // 2] if guided else None,
        }
        shown = {name: known[name]() for name in self._tensors if name in known}
        shown.update({name: value for name, value in self._show_addition(latents).items() if name in self._tensors})
        for name in MASKED:
            if name in self._tensors:
                rows = getattr(self._masking, name)
                shown[name] = jt.concat([rows, rows], dim=0) if guided else rows
        return shown

    def _show_addition(self, latents: jt.Var) -> dict[str, Optional[jt.Var]]:
        """What a UNet of SDXL's reads beside the text; of others nothing."""
        if not self._pipe.is_xl:
            return {}
        condition = self._denoiser.text.condition
        pooled: Any = condition.pooled
        count = self._pipe.unet.config.count_sizes(pooled.shape[1])
        numbers = jt.array(condition.list_numbers(latents.shape[2:], count))
        half = pooled.shape[0] // 2
        shown: dict[str, Optional[jt.Var]] = dict(zip(XL_TENSORS, (pooled, None, numbers, None)))
        if self._denoiser.guided:
            shown.update({XL_TENSORS[1]: pooled[:half], XL_TENSORS[3]: numbers[:half]})
        return shown

    def _change_condition(self, answer: Mapping[str, Any], shown: Mapping[str, Any], latents: jt.Var) -> None:
        """Go on under another text, or what SDXL reads beside it, or the guidance that the pipeline now says."""
        denoiser, guidance = self._denoiser, self._pipe.guidance_scale
        names = ("prompt_embeds", *((XL_TENSORS[0], XL_TENSORS[2]) if self._pipe.is_xl else ()))
        changed = {name: answer[name] for name in names if answer.get(name) is not None}
        changed = {name: value for name, value in changed.items() if value is not shown.get(name)}
        if not changed and guidance == denoiser.guidance_scale:
            return
        guidance = read_number("guidance_scale", guidance)
        known = {"prompt_embeds": denoiser.text.text, **self._show_addition(latents)}
        read = {name: read_var(changed.get(name, known[name]), name) for name in names}
        rows = latents.shape[0] * (2 if denoiser.needs_halves(guidance) else 1)
        for name, array in read.items():
            wanted = (rows, *known[name].shape[1:])
            if tuple(array.shape) != wanted:
                raise InputError(
                    f"{name} of a callback must be {wanted} at a guidance of {guidance:g}, not {tuple(array.shape)}"
                )
        condition = Condition(read["prompt_embeds"], read.get(XL_TENSORS[0]))
        if XL_TENSORS[2] in read:
            numbers = tuple(GivenNumbers(tuple(map(float, row))) for row in read[XL_TENSORS[2]].numpy())
            condition = replace(condition, sizes=numbers)
        denoiser.turn(condition, guidance)
        self.has_changed = True

    def _change_masks(self, changed: dict[str, Any]) -> None:
        if self._masking is None or not changed:
            return
        self.has_changed = True
        for name, value in changed.items():
            self._masking.change(name, value)
        if self._denoiser.extra is not None:
            self._denoiser.extra = self._masking.make_extra()


def _list_additions(pipe: StableDiffusionPipeline) -> tuple[str, ...]:
    """The names of what a UNet of SDXL's reads beside the text; of others none."""
    return XL_TENSORS if pipe.is_xl else ()


def _make_time(t: float) -> Any:
    """The time as a NumPy number, which prints as a number and has ``item()``: whole where it is."""
    return np.int64(t) if t == int(t) else np.float64(t)
