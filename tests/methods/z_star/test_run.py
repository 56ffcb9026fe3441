"""Z* on pictures: what it makes, what it costs, what it refuses, and its command's run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, PictureWritten
from jstyle.methods.kept import Kept
from jstyle.methods.table import PairInputs
from jstyle.methods.z_star import METHOD
from jstyle.methods.z_star.run import ZStar
from jstyle.methods.z_star.settings import ZStarSettings
from jstyle.networks.editing import QKV, Site, attached
from jstyle.ops import KeyValue
from jstyle.pictures import images, png_texts
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build
from jstyle.settings.yaml_files import read_yaml
from jstyle.weights.configuration import read_configurations
from tests.parity.networks import GOLDEN
from tests.telling import only, plan

ROOT = Path(__file__).resolve().parents[3]
MODEL = GOLDEN / "diffusers_folder"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(MODEL))


def picture(seed: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize(size)


CONTENTS, STYLES = [picture(1), picture(2), picture(3)], [picture(4), picture(5)]


def settings(**changes: Any) -> ZStarSettings:
    return ZStarSettings(**{"steps": 4, "inject_start": 1, "width": 32, "height": 32, **changes})


def run(pipe: StableDiffusionPipeline, pairs: Any = None, **changes: Any) -> tuple[dict[Any, np.ndarray], dict]:
    """The pictures as arrays, by pair, and the evaluations, by stage."""
    made, stages = {}, {}
    for event in ZStar(pipe, settings(**changes)).stylise_pairs(CONTENTS, STYLES, pairs):
        if isinstance(event, Evaluated):
            stages[event.stage] = stages.get(event.stage, 0) + event.count
        elif event.image is not None:
            made[event.content, event.style] = images.to_array([event.image])
    return made, stages


def test_n_contents_in_m_styles_cost_n_plus_m_inversions(pipe: StableDiffusionPipeline) -> None:
    made, stages = run(pipe, batch_size=2)
    assert sorted(made) == [(content, style) for content in range(3) for style in range(2)]
    # the first of four steps is of contents alone, the others have the style's row beside each
    assert stages == {"content inversion": 3 * 4, "style inversion": 2 * 4, "stylisation": 6 * (1 + 3 * 2)}


def test_a_picture_does_not_depend_on_its_batch(pipe: StableDiffusionPipeline) -> None:
    together, _ = run(pipe, batch_size=3)
    for pair, image in run(pipe, [(1, 0), (2, 1)])[0].items():
        assert np.abs(image - together[pair]).max() <= 2 / 127.5


def test_every_option_changes_the_result(pipe: StableDiffusionPipeline) -> None:
    plain, _ = run(pipe, [(0, 0)])
    again, _ = run(pipe, [(0, 0)])
    assert np.array_equal(plain[0, 0], again[0, 0])
    changes: list[dict[str, Any]] = [
        {"style_scale": 3.0}, {"content_scale": 9.0}, {"content_scale": None}, {"content_pull": 0.3}, {"adain": True},
        {"layers": (0,)}, {"inject_start": 3}, {"inject_stop": 2}, {"fixed_point": 1}, {"null_text": 1},
        {"null_text": 1, "guidance": 3.0}, {"null_text": 1, "null_text_rate": 0.1},
    ]  # fmt: skip
    for change in changes:
        other, _ = run(pipe, [(0, 0)], **change)
        assert not np.array_equal(other[0, 0], plain[0, 0]), change


def test_content_that_is_all_pull_is_what_the_autoencoder_keeps(pipe: StableDiffusionPipeline) -> None:
    """Each step then begins on the path of inversion, so the last does too; the style is nearly gone."""
    clean = pipe.decode_latents(
        pipe.encode_images(jt.array(images.to_array([CONTENTS[0].resize((32, 32), Image.Resampling.LANCZOS)])))
    )
    near, far = (
        float(np.abs(run(pipe, [(0, 0)], content_pull=pull, steps=20)[0][0, 0] - clean).mean()) for pull in (1.0, 0.0)
    )
    assert near < 0.2 * far


def test_styles_come_to_the_shape_of_each_content(pipe: StableDiffusionPipeline) -> None:
    """A style is inverted once for each, from its centre, and a content's result does not depend on those beside it."""
    contents = [picture(1), picture(2, (96, 48)), picture(3, (96, 48))]
    style = picture(7, (48, 96))
    stages: dict[str, int] = {}
    made = {}
    for event in ZStar(pipe, settings(batch_size=2)).stylise_pairs(contents, [style]):
        if isinstance(event, Evaluated):
            stages[event.stage] = stages.get(event.stage, 0) + event.count
        else:
            made[event.content] = event.image
    assert [made[i].size for i in range(3)] == [(32, 32), (44, 24), (44, 24)]
    assert stages["style inversion"] == 2 * 4
    cut = images.fit(style, 44, 24)
    alone = ZStar(pipe, settings(fit="crop", width=44, height=24))(contents[1], cut)
    assert np.abs(np.asarray(alone, np.int16) - np.asarray(made[1], np.int16)).max() <= 3


def test_what_no_later_pair_needs_is_let_go(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Watched(Kept[Any, Any]):
        def forget(self, keys: Any) -> None:
            sizes.append(len(self._kept))
            super().forget(keys)

    monkeypatch.setattr("jstyle.methods.z_star.run.Kept", Watched)
    pictures = [picture(1), picture(2, (96, 48)), picture(3)]
    for _ in ZStar(pipe, settings(steps=2)).stylise_pairs(pictures, STYLES[:1]):
        pass
    assert max(sizes) <= 3  # a content and the style, in both shapes while both are to come


def test_counting_is_what_goes_through_the_unet(pipe: StableDiffusionPipeline) -> None:
    counting = CountingPipeline.of_configurations(read_configurations(MODEL))
    for change in ({}, {"batch_size": 2, "fixed_point": 1}, {"inject_stop": 3}, {"batch_size": 3, "null_text": 1}):
        planned = count_evaluations(
            lambda counted, change=change: ZStar(counted, settings(**change)).stylise_pairs(CONTENTS, STYLES), counting
        )
        assert planned == sum(run(pipe, **change)[1].values()) > 0


def test_an_abandoned_run_leaves_no_editor(pipe: StableDiffusionPipeline) -> None:
    events = ZStar(pipe, settings(inject_start=0)).stylise_pairs(CONTENTS, STYLES)
    while not isinstance(event := next(events), Evaluated) or event.stage != "stylisation":
        pass
    events.close()  # type: ignore[attr-defined]
    assert not pipe.unet.attachments


def test_another_editor_that_adds_keys_is_refused(pipe: StableDiffusionPipeline) -> None:
    def add(site: Site, step: int, qkv: QKV) -> QKV:
        return QKV(qkv.q, qkv.k, qkv.v, shared=KeyValue(qkv.k, qkv.v))

    with attached(pipe.unet, add), pytest.raises(InputError, match=r"Z\* goes with no other editor"):
        ZStar(pipe, settings())(CONTENTS[0], STYLES[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2000}, {"style_scale": 0.0}, {"content_scale": -1.0}, {"content_pull": 1.5},
        {"batch_size": 0}, {"layers": ()}, {"inject_start": 4}, {"inject_start": 2, "inject_stop": 2},
        {"inject_stop": 9}, {"width": 0}, {"fixed_point": -1},
        {"null_text": -1}, {"null_text": 5, "guidance": 1.0}, {"null_text_rate": 0.0}, {"guidance": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        settings(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unused", [{"guidance": 3.0}, {"null_text_rate": 0.5}])
def test_what_null_texts_alone_use_is_refused_without_them(unused: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="guidance and null_text_rate change nothing without null_text: set it too"):
        settings(**unused)
    settings(null_text=1, **unused)


@pytest.mark.parametrize("wrong", [{"layers": (99,)}, {"layers": (-1,)}, {"width": 33}])
def test_settings_that_the_model_cannot_take(pipe: StableDiffusionPipeline, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ZStar(pipe, settings(**wrong))


def test_editing_begins_after_a_sixth_of_the_steps() -> None:
    assert [ZStarSettings(steps=steps).injected_steps.start for steps in (1, 10, 30, 50)] == [0, 1, 5, 8]


def test_the_run_from_end_to_end(tmp_path: Path) -> None:
    for name, image in (("content", CONTENTS[0]), ("style", STYLES[0])):
        image.save(tmp_path / f"{name}.png")
    inputs = PairInputs((tmp_path / "content.png",), (tmp_path / "style.png",), tmp_path / "out")
    events = list(METHOD.start(inputs, settings(), ModelSettings(model=str(MODEL))))
    assert plan(events).evaluations == sum(event.count for event in only(events, Evaluated)) == 4 + 4 + 7
    (written,) = only(events, PictureWritten)
    assert written.path.name == "content_stylized_style.png"
    spec: Any = (png_texts.read_metadata(written.path) or {})["spec"]
    assert (spec["method"], spec["settings"]["style_scale"]) == ("z_star", 1.2)
    again = list(METHOD.start(inputs, settings(batch_size=2), ModelSettings(model=str(MODEL))))
    assert plan(again).finished == 1 and not only(again, PictureWritten)


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("z_star*.yaml")), ids=lambda config: config.name)
def test_every_shipped_config_is_valid(config: Path) -> None:
    values = read_yaml(config)
    model = {name: values.pop(name) for name in list(values) if name in ModelSettings.__dataclass_fields__}
    assert build(ZStarSettings, values).steps == 30
    assert build(ModelSettings, model).model
