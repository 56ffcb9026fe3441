"""Records Prompt-to-Prompt (arXiv 2208.01626) by the controllers of its own notebook, on `diffusers_folder/`.

Run `python tests/golden/record_prompt_to_prompt_published.py CHECKOUT CONTROLLERS` from the repository's root, in the
environment that README.md describes. CHECKOUT is github.com/google/prompt-to-prompt at commit 9c472e4, whose
`ptp_utils.py` and `seq_aligner.py` run as they are; CONTROLLERS holds the classes from `AttentionControl` to
`AttentionReweight` of its `prompt-to-prompt_stable.ipynb`. The edits are such as its alignment gets right: words of as
many tokens, and words that come. All layouts are replaced, as it does up to 16 x 16.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from record import save
from record_prompt_to_prompt import ALPHA_BAR, CAT, REFINED, SEED, SIDE, STEPS, TIMESTEPS, Network, move
from torch import Tensor

GUIDANCE = 4.0
UNUSED = ("cv2", "IPython", "IPython.display", "tqdm.notebook")
BRIDGE = "a bridge on a hat"  # its words have as many tokens
FACTORS = {"mat": 3.0, "cat": -1.0}


def load_controllers(checkout: str, controllers: str, tokenizer: Any) -> Any:
    """The notebook's classes, and its helpers' module."""
    sys.path.insert(0, checkout)
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in UNUSED}):
        import ptp_utils
        import seq_aligner
    known: dict[str, Any] = {
        "ptp_utils": ptp_utils, "seq_aligner": seq_aligner, "tokenizer": tokenizer, "device": "cpu",
        "LOW_RESOURCE": False, "MAX_NUM_WORDS": 77,
    }  # fmt: skip
    exec(compile(Path(controllers).read_text(), controllers, "exec"), known)
    return known, ptp_utils


class Published:
    """Hands whole matrices of attention to one of the notebook's controllers."""

    def __init__(self, controller: Any) -> None:
        self.controller = controller

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, **_: Any) -> Tensor:
        """hidden_states (rows, tokens, channels) -> the same."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            x.reshape(*x.shape[:2], attn.heads, -1).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        maps = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, dim=-1)
        edited = self.controller(maps.flatten(0, 1), encoder_hidden_states is not None, "up").reshape(maps.shape)
        return attn.to_out[0]((edited @ v).transpose(1, 2).reshape(hidden_states.shape))


def run(network: Network, texts: list[str], controller: Any, first: Tensor) -> np.ndarray:
    """The clean latents of the source and its edit."""
    controller.num_att_layers = len(network.processors)
    network.unet.set_attn_processor(Published(controller))
    context = torch.cat([network.encode([""]).expand(len(texts), -1, -1), network.encode(texts)])
    x = first.expand(len(texts), -1, -1, -1)
    for t in TIMESTEPS:
        both = torch.cat([x, x])
        v = network.unet(both, t, context).sample
        plain, text = (ALPHA_BAR[t].sqrt() * v + (1 - ALPHA_BAR[t]).sqrt() * both).chunk(2)
        x = move(x, plain + GUIDANCE * (text - plain), ALPHA_BAR[t], ALPHA_BAR[max(t - 1000 // STEPS, 0)])
        x = controller.step_callback(x)
    return x.numpy().astype(np.float32)


def main() -> None:
    """Records a replacement, a refinement, and factors on the source's own words."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    network = Network()
    made, helpers = load_controllers(sys.argv[1], sys.argv[2], network.tokenizer)
    generator = np.random.default_rng([SEED, zlib.crc32(b"latents")])
    first = torch.from_numpy(generator.standard_normal((1, 4, SIDE, SIDE), np.float32)).double()
    equalizer = torch.ones(1, 77)
    for word, factor in FACTORS.items():
        equalizer[:, helpers.get_word_inds(CAT, word, network.tokenizer)] = factor
    controllers = {
        "replace": ([CAT, BRIDGE], made["AttentionReplace"]([CAT, BRIDGE], STEPS, 0.8, 0.4)),
        "refine": ([CAT, REFINED], made["AttentionRefine"]([CAT, REFINED], STEPS, 0.8, 0.4)),
        "reweight": ([CAT, CAT], made["AttentionReweight"]([CAT, CAT], STEPS, 1.0, 0.0, equalizer)),
    }
    for _, controller in controllers.values():
        for name in ("mapper", "alphas", "equalizer", "cross_replace_alpha"):
            value = getattr(controller, name, None)
            if value is not None and value.is_floating_point():
                setattr(controller, name, value.double())
    arrays = {name: run(network, texts, controller, first) for name, (texts, controller) in controllers.items()}
    save("prompt_to_prompt_published", arrays)


if __name__ == "__main__":
    main()
