"""The path of a reference from noise to picture: made, inverted from a picture, stored and read again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from jstyle.diffusion.samplers import Denoiser
from jstyle.diffusion.samplers.step import transfer
from jstyle.diffusion.schedule import Level, Schedule
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.weights.tensors import write_tensors


@dataclass(frozen=True)
class Trajectory:
    """What one reference was at every call of the UNet.

    ``latents`` is (calls + 1, channels, height, width): what was fed at ``times``, noisiest first, and the clean end.
    ``about`` says by which model and settings it was made; "inverted" tells a picture's from a generated one's.
    """

    prompt: str
    negative_prompt: str
    times: Tuple[float, ...]
    latents: np.ndarray
    about: Mapping[str, Any]

    @property
    def inverted(self) -> bool:
        return bool(self.about.get("inverted"))

    def fed(self, call: int, offset: int = 0) -> np.ndarray:
        """The latent at one call, (channels, height, width).

        An ``offset`` lets a reference begin that many steps ahead and wait there for the targets, as the paper's
        code does: it stands at ``offset`` first, then at max(offset + 1, call).
        """
        return self.latents[call if offset == 0 else offset if call == 0 else max(offset + 1, call)]

    def save(self, file: Path) -> None:
        """Write one safetensors file, whole or not at all. Raises InputError when it cannot be written."""
        about = {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "times": list(self.times),
            "about": dict(self.about),
        }
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {str(file.parent)!r}: {error.strerror}") from error
        write_tensors({"latents": np.ascontiguousarray(self.latents, np.float32), "about": text}, file)


def load_trajectory(file: Path) -> Trajectory:
    """A stored reference. Raises InputError for a file that is missing or is none."""
    if not file.is_file():
        raise InputError(f"there is no saved reference at {str(file)!r}; make one with --save_reference")
    try:
        arrays = load_file(file)
        told = json.loads(arrays["about"].tobytes().decode())
        found = Trajectory(
            str(told["prompt"]),
            str(told["negative_prompt"]),
            tuple(float(t) for t in told["times"]),
            arrays["latents"],
            dict(told["about"]),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(file)!r} is no saved reference; make one with --save_reference") from error
    if found.latents.ndim != 4 or len(found.latents) != len(found.times) + 1:
        raise InputError(f"{str(file)!r} is a damaged reference; make it again")
    return found


def check(trajectory: Trajectory, about: Mapping[str, Any], name: str) -> None:
    """Raises InputError where a stored reference was made by another model or on another path."""
    for key, is_what in (("model_hash", "other weights"), ("schedule", "another noise schedule")):
        if trajectory.about.get(key) != about[key]:
            raise InputError(f"{name} was made with {is_what} than this model's; make it again with --save_reference")
    for key in ("steps", "sampler"):
        if trajectory.about.get(key) != about[key]:
            was = trajectory.about.get(key)
            raise InputError(f"{name} was made with {key} = {was}, not {about[key]}; use --{key} {was}")


def invert(
    denoiser: Denoiser,
    clean: jt.Var,
    levels: Sequence[Level],
    schedule: Schedule,
    on_step: Optional[Callable[[], None]] = None,
) -> Dict[str, Any]:
    """DDIM inversion of one latent (1, channels, height, width) through ``levels``, those that a sampler feeds.

    The noise is taken at the level that a step reaches (`ddim_invert`'s convention "target", generalised to any
    sampler's levels). Returns ``times`` and ``latents`` of the trajectory.
    """
    x, here = clean, schedule.level(-1)
    path = [np.array(x[0].numpy())]
    for index, level in enumerate(reversed(levels)):
        with jt.no_grad():
            eps = denoiser(x, level, index).eps
            x, _ = transfer(x, eps, here.alpha_bar, level.alpha_bar)
        here = level
        path.append(np.array(x[0].numpy()))
        if on_step is not None:
            on_step()
    return {"times": tuple(level.t for level in levels), "latents": np.stack(path[::-1])}
