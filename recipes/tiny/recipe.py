"""The stages in their order. Each leaves a file and is not run again once that is there; interrupted ones resume."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL, CLIPTextModel, CLIPVisionModelWithProjection, UNet2DConditionModel
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.report import write_grid
from jstyle.weights import checkpoint
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import FileTensors
from recipes.tiny import autoencoder, clip, denoiser, package, pictures, tokenizer
from recipes.tiny.origin import Origin
from recipes.tiny.settings import STAGES, Stage, TinySettings

SCHEDULE = ScheduleConfig(
    "ddim", 1000, 0.00085, 0.012, "scaled_linear", None, "v_prediction", "leading", 1, set_alpha_to_one=False
)
"""Stable Diffusion 2.1's."""

SHEET = "samples.png"
"""A sheet of what the model draws, beside its folder."""

_CAPTIONS = 20000  # from which the tokenizer learns
_SHEET_STEPS = 25
_PROMPTS = (
    "a red house by the sea, watercolour",
    "a blue fish, mosaic",
    "an oil painting of a green tree in a field",
    "a yellow boat by the sea, woodcut",
    "neon lights of a purple cat in a town at night",
    "a stained glass window of a white duck",
    "a red car in the desert, pixel art",
    "a chalk drawing of an orange mushroom in a forest",
)


_ICON_PROMPTS = (
    "a red apple, flat icon",
    "a lion, glossy 3d",
    "a tiger, noto icon",
    "a bicycle, black ink icon",
    "a sofa, twemoji icon",
    "a dolphin by the sea, watercolour",
    "a hat on a table, flat icon",
    "a house in a field, woodcut",
)


class Recipe:
    """The recipe, whose results are in one folder."""

    def __init__(self, settings: TinySettings) -> None:
        self.settings = settings
        self.folder = settings.output
        self._run: dict[Stage, Callable[[], None]] = {
            "pictures": self._draw,
            "tokenizer": self._learn_words,
            "clip": self._train_clip,
            "vae": self._train_vae,
            "latents": self._write_latents,
            "unet": self._train_unet,
            "package": self._package,
        }

    def run(self) -> None:
        """Run the stages of the settings. Raises InputError where one needs another that is not finished."""
        for stage in STAGES:
            wanted = self.settings.stages is None or stage in self.settings.stages
            if wanted and not self.result(stage).exists():
                self._run[stage]()

    def result(self, stage: Stage) -> Path:
        """The file or folder that exists once the stage is finished."""
        names = {
            "pictures": pictures.FILE,
            "tokenizer": "tokenizer",
            "clip": f"clip/{clip.FILES[-1]}",
            "vae": f"vae/{autoencoder.FILE}",
            "latents": denoiser.LATENTS,
            "unet": f"unet/{denoiser.FILE}",
            "package": "model",
        }
        return self.folder / names[stage]

    @cached_property
    def origin(self) -> Optional[Origin]:
        """The model from which training goes on, if the settings name one."""
        return Origin(self.settings.start) if self.settings.start else None

    @cached_property
    def words(self) -> Any:
        """The tokenizer."""
        return load_tokenizer(self._require("tokenizer"))

    @cached_property
    def text(self) -> CLIPTextModel:
        """The trained text tower."""
        network = CLIPTextModel(clip.text_config(self.settings.clip, self.words))
        return self._fill(network, self._require("clip").with_name(clip.FILES[0]))

    @cached_property
    def vision(self) -> CLIPVisionModelWithProjection:
        """The trained vision tower."""
        network = clip.Towers(self.settings.clip, self.words).vision
        return self._fill(network, self._require("clip"))

    @cached_property
    def vae(self) -> AutoencoderKL:
        """The trained autoencoder."""
        network = AutoencoderKL(self.settings.vae.network)
        return self._fill(network, self._require("vae"))

    def _draw(self) -> None:
        pictures.draw_pictures(self.settings.pictures, self.folder, os.cpu_count() or 1)

    def _learn_words(self) -> None:
        texts = self._write_captions()
        if self.origin:
            tokenizer.extend(self.origin.tokenizer, texts, self.settings.vocabulary, self.result("tokenizer"))
        else:
            tokenizer.train(texts, self.settings.vocabulary, self.result("tokenizer"))

    def _write_captions(self) -> list[str]:
        scenes = self._scenes
        repeated = [scenes[i % len(scenes)] for i in range(_CAPTIONS)]
        return pictures.write_captions(repeated, self.settings.pictures.seed, -1 % 2**32)

    def _train_clip(self) -> None:
        origin = self.origin
        fill = (lambda towers: origin.fill_towers(towers, self.words)) if origin else None
        clip.train_clip(self.settings.clip, self.folder / "clip", self._open_pictures(), self._scenes, self.words, fill)

    def _train_vae(self) -> None:
        if self.origin:
            self.origin.keep_vae(self.settings.vae.network, self.result("vae"), self._open_pictures())
        else:
            autoencoder.train_vae(self.settings.vae, self.folder / "vae", self._open_pictures())

    def _write_latents(self) -> None:
        denoiser.write_latents(self.vae, self._open_pictures(), self.folder)

    def _train_unet(self) -> None:
        latents = np.load(self._require("latents"), mmap_mode="r")
        denoiser.train_unet(
            self.settings.unet,
            self.folder / "unet",
            latents,
            self._scenes,
            self.text,
            self.words,
            Schedule(SCHEDULE),
            self._draw_sheet,
            self.origin.fill_unet if self.origin else None,
        )

    def _package(self) -> None:
        unet = UNet2DConditionModel(self.settings.unet.network)
        parts = self._assemble(self._fill(unet, self._require("unet")))
        self._draw_sheet(parts.unet, self.folder / SHEET)
        package.write_model(parts, self.result("package"), self._write_captions())

    def _draw_sheet(self, unet: UNet2DConditionModel, path: Path) -> None:
        pipe = StableDiffusionPipeline(self._assemble(unet))
        texts = _ICON_PROMPTS if self.settings.pictures.icons else _PROMPTS
        rows = [
            pipe(list(texts), seed=seed, num_inference_steps=_SHEET_STEPS, guidance_scale=scale).images
            for seed, scale in ((0, 3.0), (1, 3.0), (0, 7.5))
        ]
        write_grid(rows, path, ["seed 0", "seed 1", "guidance 7.5"], texts)

    def _assemble(self, unet: UNet2DConditionModel) -> checkpoint.Components:
        folder = self._require("tokenizer")
        return checkpoint.Components(unet, self.vae, self.text, self.words, SCHEDULE, folder, image_encoder=self.vision)

    @property
    def _scenes(self) -> tuple[pictures.Scene, ...]:
        return pictures.scenes(self.settings.pictures, self.folder)

    def _open_pictures(self) -> np.ndarray:
        return np.load(self._require("pictures"), mmap_mode="r")

    def _require(self, stage: Stage) -> Path:
        """The result of a stage. Raises InputError where it is not finished."""
        path = self.result(stage)
        if not path.exists():
            raise InputError(f"{path} is missing: the stage {stage} is not finished; run it first")
        return path

    def _fill(self, network: Any, file: Path) -> Any:
        load_weights(network, FileTensors([file]), file.stem)
        return network
