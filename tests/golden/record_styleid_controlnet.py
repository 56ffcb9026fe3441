"""Records StyleID with a ControlNet in float64: `record_styleid.py`'s rendering, whose stylisation a net steers.

Run `python tests/golden/record_styleid_controlnet.py` from the repository's root, in the environment that README.md
describes. Contents, styles and contexts are those of `styleid.npz`, nets those of `record_controlnet.py`. `map` is
uint8 (1, 3, height, width); `sd1` and `sd2` are the stylised latents at gamma 0.75 and temperature 1.5, without the
first step: sd1's steered in every step, sd2's in those from 20 to 70 per cent of the nine that run. Inversions are not
steered.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import tiny
import torch
from record import HERE, rng, save
from record_controlnet import NETS, build_net
from record_styleid import TIMESTEPS, Network, transfer

SIDE, SCALE = 64, 0.8
RUN = {"out": (0.75, 1.5, True)}
WINDOWS = {"sd1": (0.0, 1.0), "sd2": (0.2, 0.7)}


class Steered(Network):
    """A UNet that a net steers while features are injected."""

    def __init__(self, flavour: str, context: np.ndarray, shown: np.ndarray) -> None:
        super().__init__(
            {"sd1": tiny.SD1, "sd2": tiny.SD2}[flavour]["unet"], context, {"sd1": "eps", "sd2": "v"}[flavour]
        )
        self.net = build_net(NETS[flavour]).double()
        self.shown = torch.from_numpy(shown / 255.0)
        run = TIMESTEPS[::-1][1:]
        start, end = WINDOWS[flavour]
        self.steps = [t for i, t in enumerate(run) if i / len(run) >= start and (i + 1) / len(run) <= end]
        self.unet.register_forward_pre_hook(self._steer, with_kwargs=True)

    def _steer(self, unet: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Optional[Any]:
        """What the UNet is told besides."""
        x, t, context = inputs
        if self.layers[0].inject is None or t not in self.steps:
            return None
        down, middle = self.net(x, t, context, self.shown, SCALE, return_dict=False)
        return inputs, {**named, "down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def main() -> None:
    """Record a pair of each flavour."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    known = np.load(HERE / "styleid.npz")
    shown = rng("styleid/map").integers(0, 256, (1, 3, SIDE, SIDE), np.uint8)
    arrays: dict[str, Any] = {"map": shown}
    for flavour in WINDOWS:
        network = Steered(flavour, known[f"{flavour}_context"], shown)
        inputs = {name: known[f"{flavour}_{name}"] for name in ("content", "style")}
        arrays[flavour] = transfer(network, inputs, "current", RUN)["out"].numpy().astype(np.float32)
    save("styleid_controlnet", arrays)


if __name__ == "__main__":
    main()
