"""The other library's networks themselves: what is done to them, and that it is undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.errors import InputError
from jstyle.networks.editing import QKV, Site, attached
from jstyle.networks.layers import GroupNorm
from jstyle.runtime import jt
from jstyle.weights.backends import library
from tests.weights.backends import diffusers_style
from tests.weights.backends.providers import FOLDER, HOSTED, apart, provided, unet_call

ROOT = Path(__file__).resolve().parents[3]


def networks(pipe: Any) -> list:
    return [getattr(pipe, name)._host.network for name in ("unet", "vae", "text_encoder")]


def structure(pipe: Any) -> list:
    """Every module and processor of the other library's networks, by identity, and what each parameter is."""
    found: list = []
    for network in networks(pipe):
        for path, module in network.named_modules():
            found.append((path, id(module), id(getattr(module, "processor", None))))
        found += [(key, id(one)) for key, one in network.named_parameters()]
    return found


@pytest.mark.parametrize("provider", HOSTED)
def test_accelerated_calls_agree_and_leave_nothing(provider: str) -> None:
    pipe = provided(provider)
    picture = jt.array(np.random.default_rng(1).uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32))

    def all_calls() -> list:
        text, latent = pipe.encode_texts("a house").numpy(), pipe.encode_images(picture)
        return [np.array(one) for one in (unet_call(pipe), text, latent.numpy(), pipe.decode_latents(latent))]

    before, built = all_calls(), structure(pipe)
    with jstyle.accelerate(pipe):
        fast, names = all_calls(), parameter_names(pipe)
    for one, other in zip(fast, before):
        assert 0 < apart(one, other) < 1e-5
    assert structure(pipe) == built and parameter_names(pipe) == names
    assert all(np.array_equal(one, other) for one, other in zip(all_calls(), before))


def parameter_names(pipe: Any) -> list:
    return [sorted(key for key, _ in network.named_parameters()) for network in networks(pipe)]


def test_all_norms_gates_and_attentions_are_accelerated() -> None:
    """Those of the stand-in count their own calls."""
    pipe = jstyle.wrap(diffusers_style.pipeline(FOLDER))
    kinds = (diffusers_style.nn.GroupNorm, diffusers_style.nn.LayerNorm, diffusers_style.GEGLU, diffusers_style.SiLU)
    with jstyle.accelerate(pipe):
        left = [path for one in networks(pipe) for path, module in one.named_modules() if isinstance(module, kinds)]
        own = [one for one in networks(pipe)[0].named_modules() if hasattr(one[1], "processor")]
        assert left == ["time_embedding.act"]
        assert {type(module.processor).__name__ for _, module in own} == {"FusedAttnProcessor"}
        with pytest.raises(InputError, match="already"), jstyle.accelerate(pipe):
            pass
    assert all(type(module.processor) is diffusers_style.AttnProcessor for _, module in own)


@pytest.mark.parametrize("provider", HOSTED)
def test_methods_work_while_accelerated(provider: str) -> None:
    pipe = provided(provider)

    def halved(site: Site, step: int, qkv: QKV) -> QKV:
        return QKV(qkv.q * 0.5, qkv.k, qkv.v)

    norms = {path: Doubled(one) for path, one in pipe.unet.named_modules() if isinstance(one, GroupNorm)}
    outputs = []
    for accelerate in (False, True):
        with attached(pipe.unet, halved), jstyle.swapped(pipe.unet, norms):
            if not accelerate:
                outputs.append(unet_call(pipe))
                continue
            with jstyle.accelerate(pipe):
                outputs.append(unet_call(pipe))
    assert apart(outputs[1], outputs[0]) < 1e-5 < apart(outputs[0], unet_call(pipe))


class Doubled(GroupNorm):
    """A norm whose result, before a silu, counts twice."""

    def __init__(self, one: GroupNorm) -> None:
        self.weight, self.bias, self.groups, self.eps = one.weight * 2, one.bias * 2, one.groups, one.eps


@pytest.mark.parametrize("provider", HOSTED)
def test_editors_leave_the_very_processors(provider: str) -> None:
    pipe = provided(provider)
    built, during = structure(pipe), []

    def look(site: Site, step: int, qkv: QKV) -> QKV:
        during.append(structure(pipe) == built)
        return qkv

    with attached(pipe.unet, look):
        unet_call(pipe)
    assert during and not any(during) and structure(pipe) == built

    def fails(site: Site, step: int, qkv: QKV) -> QKV:
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), attached(pipe.unet, fails), jstyle.accelerate(pipe):
        unet_call(pipe)
    assert structure(pipe) == built


def test_a_processor_with_something_of_its_own_is_not_replaced() -> None:
    given = diffusers_style.pipeline(FOLDER)
    pipe = jstyle.wrap(given)

    class IPAdapterAttnProcessor(diffusers_style.AttnProcessor):
        pass

    given.unet.mid_block.attentions[0].transformer_blocks[0].attn2.set_processor(IPAdapterAttnProcessor())
    message = r"mid_block.*attn2 has a processor of its own \(IPAdapterAttnProcessor\)"
    with pytest.raises(InputError, match=message), jstyle.accelerate(pipe):
        pass


def test_what_is_no_stable_diffusion_pipeline_is_refused() -> None:
    given = diffusers_style.pipeline(FOLDER)
    given.unet.extra = diffusers_style.Linear(2, 2)
    with pytest.raises(InputError, match=r"UNet.*extra\.bias.*take adapters off"):
        jstyle.wrap(given)
    given.unet = None
    with pytest.raises(InputError, match="has no unet"):
        jstyle.wrap(given)


def test_weights_are_shared_not_copied() -> None:
    given = diffusers_style.pipeline(FOLDER)
    pipe = jstyle.wrap(given)
    assert pipe.unet.conv_in.weight is given.unet.conv_in.weight
    before = unet_call(pipe)
    assert len(pipe.model_hash) == 64 and pipe.model_hash == jstyle.wrap(given).model_hash
    given.unet.conv_out.bias.assign(given.unet.conv_out.bias + 1)
    assert np.allclose(unet_call(pipe), before + 1, atol=1e-5)
    assert jstyle.wrap(given).model_hash != pipe.model_hash


@pytest.mark.skipif(library.find_obstacle() is None, reason="JDiffusion is installed")
def test_its_absence_is_one_line(tmp_path: Path) -> None:
    """To whoever runs a script."""
    words = ["--backend", "jdiffusion", "--prompt", "a house", "--output", str(tmp_path)]
    ran = subprocess.run([sys.executable, "scripts/txt2img.py", *words], cwd=ROOT, capture_output=True, text=True)
    line = ran.stderr.strip().splitlines()[-1]
    assert ran.returncode == 2 and line.startswith("error: backend jdiffusion: JDiffusion, ")
    assert "`pip install -r requirements-jdiffusion.txt`" in line and "Traceback" not in ran.stderr
    assert (ROOT / "requirements-jdiffusion.txt").is_file() and library.described().startswith("not ")


def test_a_broken_one_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise AttributeError("module 'torch' has no attribute 'Generator'\nmore")

    monkeypatch.setattr(library, "find_obstacle", lambda: None)
    monkeypatch.setattr(library, "import_module", broken)
    monkeypatch.delitem(library.sys.modules, "JDiffusion", raising=False)
    with pytest.raises(InputError) as caught:
        library.jdiffusion()
    assert "\n" not in str(caught.value) and "no attribute 'Generator' more" in str(caught.value)
    assert jt.cudnn is None or not isinstance(jt.cudnn, library._NoCuDNN)


def test_pytorch_in_its_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = {"torch": "/a/torch/__init__.py", "jtorch": "/b/jtorch/__init__.py"}
    monkeypatch.setattr(
        library.util, "find_spec", lambda name: type("Spec", (), {"origin": homes.get(name, "/b/x/__init__.py")})
    )
    versions = {"diffusers": "0.42.1", "transformers": "4.26.1"}
    monkeypatch.setattr(library.metadata, "version", lambda name: versions.get(name, "1.0"))
    assert library.find_obstacle() == "diffusers is 0.42.1, not JDiffusion's 0.26.0; torch is PyTorch, not JTorch"
    assert library.described().startswith("not usable: diffusers is 0.42.1")


@pytest.mark.parametrize(("options", "message"), [({"backend": "torch"}, "native, jdiffusion")])
def test_wrong_options_are_told(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        jstyle.StableDiffusionPipeline.from_pretrained("tiny", **options)


def test_bf16_is_refused() -> None:
    with pytest.raises(InputError, match="fp32"):
        jstyle.StableDiffusionPipeline.from_pretrained("tiny", backend="jdiffusion", precision="bf16")
