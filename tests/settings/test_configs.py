"""Configs by path and by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.settings.configs import find_config, list_configs

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_every_shipped_config_is_found_by_its_name() -> None:
    files = sorted(CONFIGS.glob("*.yaml"))
    assert [find_config(file.stem) for file in files] == files
    assert [find_config(file.name) for file in files] == files
    assert list_configs() == [file.stem for file in files] and "lora" in list_configs()


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("lora.yml") == CONFIGS / "lora.yaml"
    Path("lora.yml").write_text("rank: 2\n")
    Path("own").write_text("rank: 2\n")
    assert find_config("lora.yml").samefile(tmp_path / "lora.yml")
    assert find_config("own").samefile(tmp_path / "own")
    Path("styleid").mkdir()  # a folder is no config
    assert find_config("styleid") == CONFIGS / "styleid.yaml"


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "n" * 300, "a\0b"])
def test_what_cannot_be_a_path_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match="there is no config") as caught:
        find_config(name)
    assert "\n" not in str(caught.value)


def test_a_prefix_is_left_out() -> None:
    assert find_config("lora+styleid", "submission_") == CONFIGS / "submission_lora+styleid.yaml"
    assert "baseline" in list_configs("submission_") and "lora" not in list_configs("submission_")


@pytest.mark.parametrize(
    ("name", "prefix", "message"),
    [
        ("styleid_sd12", "", "there is no config 'styleid_sd12' (did you mean styleid_sd21?)"),
        ("styleidd.yaml", "", "there is no config 'styleidd.yaml' (did you mean styleid?)"),
        ("/no/such.txt", "", "there is no config '/no/such.txt' (there are: attention_distillation, "),
        ("basline", "submission_", "there is no preset 'basline' (did you mean baseline?)"),
        ("lora", "submission_", "there is no preset 'lora' (there are: baseline, lora+styleid,"),
        ("../configs/lora", "", "there is no config"),
    ],
)
def test_an_unknown_name_is_one_line(name: str, prefix: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_config(name, prefix)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
