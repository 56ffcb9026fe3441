"""Where the file of a LoRA or a word may lie: a folder, a folder in it, a hub that is an HTTP server in this test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jstyle.adapters.sources import find_file, read_place
from jstyle.errors import InputError
from tests.weights.test_hub import FakeHub, served

NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")


class FakeLoraHub(FakeHub):
    """Repositories as people publish LoRAs."""

    repos: ClassVar = {
        "owner/usual": ["README.md", "pytorch_lora_weights.safetensors", "checkpoint-500/unet.safetensors", "big.ckpt"],
        "owner/own-name": ["ink.safetensors", "sample.png", "old/ink.safetensors"],
        "owner/two": ["ink.safetensors", "pond.safetensors"],
        "owner/peft": ["unet/adapter_model.safetensors", "unet/adapter_config.json", "text/adapter_model.safetensors"],
        "owner/pickle": ["pytorch_lora_weights.bin"],
    }
    fetched: ClassVar[list[str]] = []

    def describe(self, owner: str, name: str, what: str, revision: str) -> None:
        super().describe(owner, name, what, revision or "main")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served(FakeLoraHub) as address:
        yield address


PROGRAM = """
import json, sys
from jstyle.adapters.put_on import fetch_adapters
from jstyle.adapters.sources import InputError, find_file, read_place
from jstyle.settings.adapted import AdaptedModelSettings
for model, options in json.loads(sys.argv[1]):
    try:
        if isinstance(model, list):
            answer = fetch_adapters(AdaptedModelSettings(lora=model)).lora
        else:
            answer = str(find_file(model, NAMES, "a LoRA", read_place(options)))
    except InputError as error:
        answer = {"error": str(error)}
    print("ANSWER", json.dumps(answer))
"""


def find_all(home: Path, requests: list, **environment: str) -> list[Any]:
    """`find_file` in a fresh process, since huggingface_hub reads its variables only once."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("NAMES", repr(NAMES)), json.dumps(requests)],
        env={**kept, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*", **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("ANSWER")]


def test_of_a_hubs_repository_one_file_is_fetched(endpoint: str, tmp_path: Path) -> None:
    FakeLoraHub.fetched.clear()
    requests: list = [
        ["owner/usual", {}],
        ["owner/own-name", {}],
        ["owner/two", {"weight_name": "pond.safetensors", "revision": "main"}],
        ["owner/peft", {"subfolder": "unet"}],
        ["owner/own-name", {"weight_name": "ink.safetensors", "subfolder": "old"}],
        ["https://huggingface.co/owner/two/resolve/main/ink.safetensors", {}],
    ]
    found = find_all(tmp_path, requests, HF_ENDPOINT=endpoint)
    texts = ["owner/usual:0.5", "owner/own-name", "owner/two/pond.safetensors:2", "docs/none", "a.safetensors", "docs"]
    fetched = find_all(tmp_path, [[texts, {}]], HF_ENDPOINT=endpoint)[0]
    assert [text.rpartition("/")[2] for text in fetched] == [
        "pytorch_lora_weights.safetensors:0.5", "ink.safetensors", "pond.safetensors:2", "none", "a.safetensors", "docs"
    ]  # fmt: skip
    assert fetched[3:] == texts[3:] and "owner--two" in fetched[2]
    wanted = [
        "owner/usual/pytorch_lora_weights.safetensors",
        "owner/own-name/ink.safetensors",
        "owner/two/pond.safetensors",
        "owner/peft/unet/adapter_model.safetensors",
        "owner/own-name/old/ink.safetensors",
        "owner/two/ink.safetensors",
    ]
    assert all(isinstance(file, str) and file.endswith(name.split("/", 2)[2]) for file, name in zip(found, wanted))
    assert set(FakeLoraHub.fetched) == {*wanted, "owner/peft/unet/adapter_config.json"}
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    again = find_all(tmp_path, [["owner/usual", {}], ["owner/other", {}]], **offline)
    assert again[0] == found[0] and "'owner/other' is not on this machine" in again[1]["error"]
    kept = [["owner/usual", {"local_files_only": True}]]
    assert find_all(tmp_path, kept, HF_ENDPOINT="http://127.0.0.1:9") == found[:1]


def test_what_a_hub_does_not_have_is_said(endpoint: str, tmp_path: Path) -> None:
    requests: list = [
        ["owner/two", {}],
        ["owner/two", {"weight_name": "ponds.safetensors"}],
        ["owner/pickle", {}],
        ["owner/none", {}],
        ["owner/peft", {}],
        ["owner/usual", {"revision": "v9"}],
    ]
    said = [
        "owner/two holds 2 safetensors files (ink.safetensors, pond.safetensors); name one of them, owner/two/",
        "there is no ponds.safetensors in owner/two; did you mean pond.safetensors?",
        "owner/pickle/pytorch_lora_weights.bin is a pickle",
        "no folder 'owner/none' and no such model",
        "there is no file pytorch_lora_weights.safetensors in owner/peft",
        "'owner/usual' has no revision 'v9'",
    ]
    for answer, line in zip(find_all(tmp_path, requests, HF_ENDPOINT=endpoint), said):
        assert line in answer["error"] and "\n" not in answer["error"]


def test_a_folder_and_what_lies_in_it(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors", "unet/adapter_model.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def find(**options: Any) -> Path:
        return find_file(str(tmp_path), NAMES, "a LoRA", read_place(options))

    assert find(weight_name="b.safetensors") == tmp_path / "b.safetensors"
    assert find(subfolder="unet", use_safetensors=True) == tmp_path / "unet/adapter_model.safetensors"
    assert find(weight_name="unet/adapter_model.safetensors") == tmp_path / "unet/adapter_model.safetensors"
    for options, said in (
        ({}, "holds 2 safetensors files"),
        ({"weight_name": "c.safetensors"}, "there is no c.safetensors in"),
        ({"weight_name": "c/d.safetensors"}, "there is no file .*c/d.safetensors"),
        ({"weight_name": "a.bin"}, "a.bin is a pickle"),
        ({"subfolder": "text"}, "there is no folder .*text"),
        ({"weightname": "a"}, "loading has no argument 'weightname'; did you mean weight_name"),
    ):
        with pytest.raises(InputError, match=said):
            find(**options)
    with pytest.raises(InputError, match="is a file: leave out weight_name"):
        find_file(tmp_path / "a.safetensors", NAMES, "a LoRA", read_place({"weight_name": "b.safetensors"}))
