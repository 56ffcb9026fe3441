"""What other programs call a setting leads to ours, in every command that has it, and to nothing that is not there."""

from __future__ import annotations

from typing import get_args

import pytest

from jstyle.cli.command import SettingsCommand
from jstyle.cli.commands import iterate_commands
from jstyle.cli.main import main
from jstyle.diffusion.schedule_config import SCHEDULERS
from jstyle.errors import InputError
from jstyle.pictures.a1111 import SAMPLERS
from jstyle.settings.fields import join_flat
from jstyle.settings.options import list_options
from jstyle.settings.other_names import guess_setting, guess_value, list_words
from jstyle.settings.parser import list_spellings
from jstyle.settings.reader import check
from jstyle.settings.vocabulary import Precision, PredictionType, SamplerName, Sigmas
from jstyle.settings.words import parse_words

COMMANDS = {command.words: command for command in iterate_commands() if isinstance(command, SettingsCommand)}


def names_of(command: SettingsCommand) -> list[str]:
    return [option.name[2:] for option in list_options(join_flat(command.settings), {})]


@pytest.mark.parametrize("words", COMMANDS)
def test_only_options_of_the_command_are_named(words: str) -> None:
    spellings = [name[2:] for name in list_spellings(COMMANDS[words].make_parser("jstyle")) if name.startswith("--")]
    for word in list_words():
        meant = guess_setting(word, spellings)
        assert not meant or meant.partition(" ")[0] in spellings
    with pytest.raises(InputError) as caught:
        main([*words.split(), "--no-such=1"])
    assert str(caught.value) == "unknown option --no-such (--help lists all there are)"


def test_every_word_is_for_a_setting_of_some_command() -> None:
    """And the value that goes with it is one."""
    meant = set()
    for command in COMMANDS.values():
        names = names_of(command)
        found = {word: guess_setting(word, names) for word in list_words() if word not in names}
        meant.update(word for word, name in found.items() if name)
        for name, _, value in {name.partition(" ") for name in found.values() if " " in name}:
            with pytest.raises(SystemExit):
                parse_words(command.settings, [f"--{name}", value, "--print_config"], "command", "a command")
    assert set(list_words()) <= meant


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "txt2img",
            "cfg_scale=guidance guidance_scale=guidance sampler_name=sampler n_iter=images batch_count=images W=width "
            "H=height ckpt=model outdir=output num_inference_steps=steps ddim-steps=steps num-images-per-prompt=images "
            "denoising_strength=strength init-img=image denoise=strength noise_seed=seed ckpt_name=model neg_prompt="
            "negative_prompt plms=sampler~pndm warmup= max_train_steps= promtp=prompt lora_rank=",
        ),
        (
            "train dreambooth",
            "instance_data_dir=data instance_prompt=prompt max_train_steps=loop.steps learning_rate=loop.rate "
            "resolution=width train_batch_size=batch num_class_images=class_images lr_warmup_steps=loop.warmup "
            "warmup=loop.warmup warmpu=loop.warmup steps=loop.steps seed=loop.seed snr_gamma=loss.min_snr "
            "guidance_scale=guidance pretrained_model_name_or_path=model output_dir=output "
            "gradient_checkpointing=recompute rank=",
        ),
        ("train lora", "network_dim=rank network_alpha=alpha lora_rank=rank unet_lr=loop.rate conv_dim=convolutions"),
        ("train textual-inversion", "placeholder_token=token initializer_token=initial num_vectors=vectors"),
        ("inst", "max_train_steps=training.loop.steps lr=training.loop.rate rate=training.loop.rate batch=batch_size"),
        (
            "styleid",
            "cnt=content sty=style ddim_inv_steps=steps T=steps content_image=content style_image=style scale=",
        ),
        ("style-align", "style_prompt=style_text ref_image=reference_image strength=image_strength W=width"),
        ("train styles", "learning_rate=set~loop.rate=1e-4 loop.steps=set~loop.steps=300 rank=set~rank=8"),
        ("convert", "input=files out=output force=overwrite"),
        ("submit", "num_workers=workers gpus=devices checkpoint=model dry-run=plan"),
    ],
)
def test_words_of_known_programs(command: str, options: str) -> None:
    names = names_of(COMMANDS[command])
    for pair in options.split():
        word, _, wanted = pair.partition("=")
        assert (word, guess_setting(word, names)) == (word, wanted.replace("~", " "))


def test_configs_are_answered_alike() -> None:
    kinds = {words: join_flat(command.settings) for words, command in COMMANDS.items()}
    for words, name, said in (
        ("txt2img", "cfg_scale", "unknown setting 'cfg_scale' (did you mean guidance?)"),
        ("txt2img", "plms", "unknown setting 'plms' (did you mean sampler: pndm?)"),
        ("train lora", "learning_rate", "unknown setting 'learning_rate' (did you mean loop.rate?)"),
        ("convert", "qqq", "unknown setting 'qqq' (there are: files, output, python, overwrite)"),
    ):
        with pytest.raises(InputError) as caught:
            check(kinds[words], {name: 1})
        assert str(caught.value) == said


def test_a_word_like_nothing_is_not_guessed() -> None:
    assert guess_setting("promt", ["from", "print_config"]) == ""


@pytest.mark.parametrize(
    ("choices", "value", "said"),
    [
        (SamplerName, "DPM++ 2M Karras", "did you mean dpmpp_2m, and karras for sigmas?"),
        (SamplerName, "DPM2 a Karras", "did you mean kdpm2_a, and karras for sigmas?"),
        (SamplerName, "DPM++ 2M SDE", "did you mean dpmpp_2m_sde?"),
        (SamplerName, "Euler a", "did you mean euler_a?"),
        (SamplerName, "PLMS", "did you mean pndm?"),
        (SamplerName, "uni_pc_bh2", "did you mean unipc?"),
        (SamplerName, "EulerAncestralDiscreteScheduler", "did you mean euler_a?"),
        (SamplerName, "eulr", "did you mean euler?"),
        (SamplerName, "nothing like it", ""),
        (Sigmas, "Align Your Steps", "did you mean ays?"),
        (Precision, "no", "did you mean fp32?"),
        (Precision, "bfloat16", "did you mean bf16?"),
        (PredictionType, "v", "did you mean v_prediction?"),
    ],
)
def test_values_of_known_programs(choices: object, value: str, said: str) -> None:
    assert guess_value(value, get_args(choices)) == said


@pytest.mark.parametrize("sampler", get_args(SamplerName))
def test_names_of_samplers_in_galleries_and_in_diffusers_are_known(sampler: str) -> None:
    """Where several samplers have one name there, it is answered with one of them."""
    for names in (SAMPLERS, {ours: name for ours, (name, _) in SCHEDULERS.items()}):
        alike = [ours for ours, name in names.items() if name.lower() == names[sampler].lower()]
        alike += ["pndm"] * (sampler == "pndm_rk")  # galleries have PNDM for the one and PLMS for the other
        meant = guess_value(names[sampler], get_args(SamplerName))
        assert meant in [f"did you mean {ours}?" for ours in alike]
