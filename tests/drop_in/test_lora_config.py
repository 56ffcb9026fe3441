"""``LoraConfig`` and ``add_adapter`` against peft, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.adapters.added import read_changes
from jstyle.adapters.lora_states import LoraLoaderMixin, convert_state_dict_to_diffusers, get_peft_model_state_dict
from jstyle.drop_in.lora_config import LoraConfig
from jstyle.errors import InputError, InputWarning
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.weights.tensors import FileTensors

GOLDEN = Path(__file__).parents[1] / "golden"
FACES = json.loads((GOLDEN / "training_faces.json").read_text())
ATTENTION = ["to_k", "to_q", "to_v", "to_out.0"]


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


@pytest.fixture
def unet(pipe: StableDiffusionPipeline) -> Any:
    yield pipe.unet
    pipe.unet.delete_adapters(pipe.unet.list_adapters())
    pipe.unet.requires_grad_(True)


def ask(unet: Any) -> np.ndarray:
    """The UNet's answer to one question."""
    rng = np.random.default_rng(3)
    sample, text = rng.standard_normal((1, 4, 8, 8)), rng.standard_normal((1, 5, unet.config.cross_attention_dim))
    return np.array(unet(sample, 300, text).sample.numpy())


def shake(network: Any) -> None:
    """Give every B numbers, so that the changes change something."""
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.assign(jt.array(np.random.default_rng(4).standard_normal(parameter.shape).astype(np.float32)))


@pytest.mark.parametrize("case", FACES["layers"], ids=lambda case: str(case["config"]["target_modules"])[:40])
def test_the_layers_ranks_and_scales_are_peft_s(pipe: StableDiffusionPipeline, case: dict[str, Any]) -> None:
    network = getattr(pipe, case["network"])
    network.add_adapter(LoraConfig(**case["config"]))
    found = {path: [change.rank, change.scale] for path, change in read_changes(network, "default").items()}
    network.delete_adapters("default")
    prefix = "text_model." if case["network"] == "text_encoder" else ""
    assert set(found) == {prefix + path for path in case["layers"]}
    for path, (rank, scale) in case["layers"].items():
        assert found[prefix + path] == [rank, pytest.approx(scale)]


def test_only_the_matrices_are_trained_and_change_nothing_yet(unet: Any) -> None:
    before = ask(unet)
    unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights="gaussian", target_modules=ATTENTION))
    trained = [name for name, parameter in unet.named_parameters() if parameter.requires_grad]
    assert len(trained) == 256 and all(".default.weight" in name for name in trained)
    assert "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.default.weight" in trained
    assert np.abs(ask(unet) - before).max() < 1e-6


def test_the_starts_of_a_are_peft_s_distributions(unet: Any) -> None:
    for initial, deviation in (("gaussian", 1 / 8), (True, 1 / np.sqrt(3 * 72))):
        unet.add_adapter(LoraConfig(r=8, init_lora_weights=initial, target_modules=["conv1"]), "wide")
        changes = read_changes(unet, "wide")
        same_size = [change.down.numpy() for change in changes.values() if np.prod(change.down.shape[1:]) == 72]
        drawn = np.concatenate([down.ravel() for down in same_size])
        assert np.std(drawn) == pytest.approx(deviation, rel=0.05)
        assert initial == "gaussian" or np.abs(drawn).max() <= 1 / np.sqrt(72)
        unet.delete_adapters("wide")


def test_numpy_s_seed_repeats_the_start(unet: Any) -> None:
    starts = []
    for _ in range(2):
        jt.set_global_seed(5)
        unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]))
        starts.append(
            get_peft_model_state_dict(unet)["mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"]
        )
        unet.delete_adapters("default")
    assert np.array_equal(starts[0].numpy(), starts[1].numpy())


def test_adapters_are_chosen_switched_off_and_taken_off_to_the_bit(unet: Any) -> None:
    shape, before = repr(unet), ask(unet)
    for name in ("one", "two"):
        unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "conv1"]), name)
        shake(unet)
    two = ask(unet)
    assert unet.active_adapters() == ["two"] and np.abs(two - before).max() > 1e-3
    assert all(".two." in name for name, parameter in unet.named_parameters() if parameter.requires_grad)
    unet.set_adapter(["one", "two"])
    both = ask(unet)
    unet.disable_adapters()
    assert np.array_equal(ask(unet), before)
    unet.enable_adapters()
    assert np.array_equal(ask(unet), both) and not np.array_equal(both, two)
    unet.delete_adapters("one")
    assert np.array_equal(ask(unet), two)
    unet.delete_adapters("two")
    assert np.array_equal(ask(unet), before) and repr(unet) == shape and "Changed" not in shape


def test_what_is_saved_is_what_was_trained(pipe: StableDiffusionPipeline, unet: Any, tmp_path: Path) -> None:
    unet.add_adapter(LoraConfig(r=4, lora_alpha=6, target_modules=[*ATTENTION, "conv2"]))
    shake(unet)
    trained = ask(unet)
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    with pytest.warns(InputWarning, match="no pickle is written"):
        LoraLoaderMixin.save_lora_weights(str(tmp_path), unet_lora_layers=state, safe_serialization=False)
    unet.delete_adapters("default")
    pipe.load_lora_weights(str(tmp_path))
    loaded = ask(unet)
    pipe.unload_lora_weights()
    assert np.abs(loaded - trained).max() < 1e-5 * np.abs(trained).max()
    names = FileTensors([tmp_path / "pytorch_lora_weights.safetensors"]).shapes()
    assert "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0.lora.up.weight" in names


def test_a_loaded_lora_counts_beside_a_trained_one(pipe: StableDiffusionPipeline, unet: Any, tmp_path: Path) -> None:
    plain, plain_hash = ask(unet), pipe.model_hash

    def add(alpha: float) -> None:
        jt.set_global_seed(5)
        unet.add_adapter(LoraConfig(r=2, lora_alpha=alpha, target_modules=["to_q", "conv1"]))
        shake(unet)

    add(2)
    trained, trained_hash = ask(unet), pipe.model_hash
    LoraLoaderMixin.save_lora_weights(tmp_path, unet_lora_layers=get_peft_model_state_dict(unet))
    pipe.load_lora_weights(tmp_path)
    both = ask(unet)
    pipe.unload_lora_weights()
    assert np.array_equal(ask(unet), trained)
    unet.set_adapter([])
    assert np.array_equal(ask(unet), plain) and pipe.model_hash == plain_hash != trained_hash
    unet.delete_adapters("default")
    add(4)
    assert np.abs(both - ask(unet)).max() < 1e-5 < np.abs(both - trained).max()


def test_alpha_from_peft_s_metadata_counts(pipe: StableDiffusionPipeline, unet: Any, tmp_path: Path) -> None:
    config = LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=["to_q"])
    unet.add_adapter(config)
    shake(unet)
    trained = ask(unet)
    bare = {name: value for name, value in get_peft_model_state_dict(unet).items() if "alpha" not in name}
    unet.delete_adapters("default")
    LoraLoaderMixin.save_lora_weights(tmp_path, unet_lora_layers=bare, unet_lora_adapter_metadata=config.to_dict())
    pipe.load_lora_weights(tmp_path)
    loaded = ask(unet)
    pipe.unload_lora_weights()
    assert np.abs(loaded - trained).max() < 1e-5 * np.abs(trained).max()


def test_names_are_those_of_diffusers() -> None:
    assert convert_state_dict_to_diffusers(dict.fromkeys(FACES["names"])) == dict.fromkeys(FACES["names"].values())
    assert list(convert_state_dict_to_diffusers({"a.to_q.lora_A.mine.weight": 1}, "mine")) == [
        "a.to_q.lora.down.weight"
    ]
    assert convert_state_dict_to_diffusers({"a.to_q.lora.up.weight": 1}) == {"a.to_q.lora.up.weight": 1}
    with pytest.raises(InputError, match="no names of peft's"):
        convert_state_dict_to_diffusers({"a.to_q.weight": 1})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "target_modules must say which layers"),
        ({"target_modules": ["to_q"], "r": 0}, "r must be a whole number from 1"),
        ({"target_modules": ["to_q"], "rank_pattern": {"to_q": 1.5}}, "rank_pattern.*whole number"),
        ({"target_modules": ["to_q"], "lora_alpha": "4"}, "lora_alpha .* must be a number"),
        ({"target_modules": ["to_q"], "alpha_pattern": {"(": 1}}, "pattern"),
        ({"target_modules": ["to_q"], "use_dora": True}, "use_dora=True: there is no DoRA"),
        ({"target_modules": ["to_q"], "lora_dropout": 0.1}, "jstyle.train with LoraSettings"),
        ({"target_modules": ["to_q"], "init_lora_weights": "pissa"}, "True or 'gaussian', not 'pissa'"),
        ({"target_modules": ["to_q"], "bias": "all"}, "bias='all'"),
        ({"target_modules": ["to_q"], "lora_alhpa": 4}, "did you mean lora_alpha"),
    ],
)
def test_a_configuration_that_cannot_be_is_told_in_a_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LoraConfig(**arguments)


def test_what_peft_writes_into_its_configurations_is_taken() -> None:
    assert LoraConfig(r=2, target_modules=["to_q"], task_type=None, inference_mode=True, use_dora=False).r == 2


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        (["to_out"], "attn1.to_out', which is neither"),
        (["to_z"], "not none"),
        (["out.0"], "not none"),  # the end of a name is not the end of a path
        (r".*to_[qz", "no regular expression"),
    ],
)
def test_modules_that_are_no_layers_are_told(unet: Any, modules: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        unet.add_adapter(LoraConfig(target_modules=modules))
    assert not unet.list_adapters()


def test_adapters_that_are_not_there_or_are_there_twice_are_told(unet: Any) -> None:
    config = LoraConfig(r=2, target_modules=["to_q"])
    unet.add_adapter(config, "mine")
    for call in (lambda: unet.set_adapter("mien"), lambda: unet.delete_adapters("mien")):
        with pytest.raises(InputError, match="did you mean mine"):
            call()
    with pytest.raises(InputError, match="has an adapter 'mine' already"):
        unet.add_adapter(config, "mine")
    with pytest.raises(InputError, match="cannot be 'a.b'"):
        unet.add_adapter(config, "a.b")
    with pytest.raises(InputError, match="jstyle.LoraConfig, not builtins"):
        unet.add_adapter({"r": 2}, "other")
    with pytest.raises(InputError, match="no adapter 'default'"):
        get_peft_model_state_dict(unet)


def test_a_text_encoder_s_lora_is_saved_beside_the_unet_s(
    pipe: StableDiffusionPipeline, unet: Any, tmp_path: Path
) -> None:
    text_encoder, ids = pipe.text_encoder, [[3, 7, 2, 9]]
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_v"]))
    text_encoder.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj", "out_proj"]))
    states = []
    for network in (unet, text_encoder):
        shake(network)
        states.append(convert_state_dict_to_diffusers(get_peft_model_state_dict(network)))
    trained = text_encoder(ids)[0].numpy()
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=states[0], text_encoder_lora_layers=states[1])
    for network in (unet, text_encoder):
        network.delete_adapters("default")
    plain = text_encoder(ids)[0].numpy()
    pipe.load_lora_weights(tmp_path)
    loaded = text_encoder(ids)[0].numpy()
    assert pipe.get_list_adapters() == {"unet": ["default_0"], "text_encoder": ["default_0"]}
    pipe.unload_lora_weights()
    assert np.abs(loaded - trained).max() < 1e-5 < 1e-3 < np.abs(plain - trained).max()


def test_a_network_with_adapters_is_no_model_to_save(pipe: StableDiffusionPipeline, unet: Any, tmp_path: Path) -> None:
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_v"]), "mine")
    for save in (unet.save_pretrained, pipe.save_pretrained):
        with pytest.raises(InputError, match="has adapters \\(mine\\).*save_lora_weights writes them"):
            save(tmp_path / "model")
        assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "nothing to write"),
        ({"unet_lora_layers": {"a": 1}, "weight_name": "lora.bin"}, "only safetensors"),
        ({"unet_lora_layers": {"a.to_q.lora.up.weight": np.full((2, 1), np.nan)}}, "has diverged"),
    ],
)
def test_what_cannot_be_saved_is_told(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LoraLoaderMixin.save_lora_weights(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()
