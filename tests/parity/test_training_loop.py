"""The training loop of diffusers' examples, with changed imports, against PyTorch's losses and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from jstyle import AutoencoderKL, CLIPTextModel, CLIPTokenizer, DDPMScheduler, UNet2DConditionModel
from jstyle.runtime import jt
from tests.parity.networks import golden, relative_error

RECORDED = golden("training")


class Recorded(np.random.RandomState):
    """A generator whose next numbers are recorded ones."""

    array: np.ndarray

    def standard_normal(self, size: Any = None) -> Any:
        return self.array

    @classmethod
    def rolled(cls, name: str, update: int) -> Recorded:
        """Those of one update."""
        generator = cls(0)
        generator.array = np.roll(RECORDED[name], update, axis=-1)
        return generator


def train(updates: int, checkpointing: bool = False) -> Iterator[tuple[jt.Var, UNet2DConditionModel]]:
    """The loss of each update, before the update is made."""
    model = "tiny"
    noise_scheduler = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(model, subfolder="tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(model, subfolder="text_encoder")
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae")
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    vae.requires_grad_(False)
    text_encoder.requires_grad_(False)
    unet.train()
    if checkpointing:
        unet.enable_gradient_checkpointing()
    optimizer = jt.optim.AdamW(unet.parameters(), lr=float(RECORDED["rate"]), weight_decay=1e-2)
    pixel_values = jt.array(np.kron(RECORDED["blocks"], np.ones((8, 8), np.float32)))
    texts = [str(text) for text in RECORDED["texts"]]
    for update in range(updates):
        latents = vae.encode(pixel_values).latent_dist.sample(Recorded.rolled("posterior", update))
        latents = latents * vae.config.scaling_factor
        noise = jt.array(np.roll(RECORDED["noise"], update, axis=-1))
        timesteps = jt.array(RECORDED["times"][update])
        noisy_latents = noise_scheduler.add_noise(latents, noise, timesteps)
        input_ids = tokenizer(
            texts, max_length=tokenizer.model_max_length, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        encoder_hidden_states = text_encoder(input_ids)[0]
        model_pred = unet(noisy_latents, timesteps, encoder_hidden_states).sample
        if noise_scheduler.config.prediction_type == "epsilon":
            target = noise
        else:
            target = noise_scheduler.get_velocity(latents, noise, timesteps)
        loss = jt.nn.mse_loss(model_pred, target)
        yield loss, unet
        optimizer.step(loss)


def test_losses_are_pytorchs() -> None:
    found = [loss.item() for loss, _ in train(len(RECORDED["losses"]))]
    np.testing.assert_allclose(found, RECORDED["losses"], rtol=1e-4)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_pytorchs(checkpointing: bool) -> None:
    loss, unet = next(train(1, checkpointing))
    named = dict(unet.named_parameters())
    gradients = dict(zip(named, jt.grad(loss, list(named.values()))))
    norms = [float(np.linalg.norm(gradients[str(name)].numpy())) for name in RECORDED["names"]]
    np.testing.assert_allclose(norms, RECORDED["gradient_norms"], rtol=1e-3)
    for key in RECORDED:
        if key.startswith("gradient_") and key != "gradient_norms":
            assert relative_error(gradients[key[len("gradient_") :]], RECORDED[key]) < 1e-4
