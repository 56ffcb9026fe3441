"""What loaders are told about fetching, obeyed by every one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jstyle
from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from tests.parity.networks import GOLDEN

LOADERS: dict[str, Callable[..., Any]] = {
    "pipeline": lambda **told: StableDiffusionPipeline.from_pretrained("owner/model", **told),
    "auto": lambda **told: jstyle.AutoPipelineForText2Image.from_pretrained("owner/model", **told),
    "any": lambda **told: jstyle.DiffusionPipeline.from_pretrained("owner/model", **told),
    "single": lambda **told: StableDiffusionPipeline.from_single_file("owner/model/file.safetensors", **told),
    "unet": lambda **told: jstyle.UNet2DConditionModel.from_pretrained("owner/model", subfolder="unet", **told),
    "vae": lambda **told: jstyle.AutoencoderKL.from_pretrained("owner/model", **told),
    "text_encoder": lambda **told: jstyle.CLIPTextModel.from_pretrained("owner/model", **told),
    "tokenizer": lambda **told: jstyle.CLIPTokenizer.from_pretrained("owner/model", subfolder="tokenizer", **told),
    "scheduler": lambda **told: jstyle.DDIMScheduler.from_pretrained("owner/model", subfolder="scheduler", **told),
    "lora": lambda **told: load_pipe().load_lora_weights("owner/model", **told),
    "word": lambda **told: load_pipe().load_textual_inversion("owner/model", **told),
}


def load_pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


@pytest.mark.parametrize("name", list(LOADERS))
def test_nothing_is_fetched_where_a_loader_is_told_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def refuse(*_: Any, **options: Any) -> Any:
        asked.append(bool(options.get("local_files_only")))
        raise OSError("no network")

    for function in ("snapshot_download", "hf_hub_download", "model_info"):
        monkeypatch.setattr(f"huggingface_hub.{function}", refuse, raising=False)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    for told, is_local in (({"local_files_only": True}, True), ({}, False), ({"local_files_only": False}, False)):
        asked.clear()
        with pytest.raises(InputError) as refused:
            LOADERS[name](**told)
        assert "\n" not in str(refused.value)
        assert (not asked or all(asked)) if is_local else asked and not any(asked)


@pytest.mark.parametrize("name", list(LOADERS))
def test_a_misspelt_argument_is_told(name: str) -> None:
    with pytest.raises(InputError, match="'local_file_only'.*; did you mean local_files_only"):
        LOADERS[name](local_file_only=True)
