"""The page for programs: uploads and requests over HTTP, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.served import ROOT, list_processes, served

CONTENT, STYLE = ROOT / "samples/content/house_by_the_sea.png", ROOT / "samples/style/woodcut.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web") / "web"


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder, "--largest_upload", "2", "--most_pictures", "3") as address:
        yield f"http://{address}/gradio_api"


def fetch(url: str, data: Any = None, content_type: str = "application/json", method: Any = None) -> bytes:
    body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": content_type}, method=method)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.read()


def fail(url: str, data: Any = None, content_type: str = "application/json") -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(url, data, content_type)
    return caught.value.code, caught.value.read().decode()


def upload(address: str, content: bytes, name: str = "a.png") -> dict[str, Any]:
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
    (path,) = json.loads(fetch(f"{address}/upload", body, f"multipart/form-data; boundary={mark}"))
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def call(address: str, work: str, *data: Any) -> tuple[str, Any]:
    """The event that a request ends with, and what comes with it."""
    event = json.loads(fetch(f"{address}/call/{work}", {"data": data}))["event_id"]
    lines = fetch(f"{address}/call/{work}/{event}").decode().strip().splitlines()
    kind = [line for line in lines if line.startswith("event:")][-1].partition(": ")[2]
    return kind, json.loads([line for line in lines if line.startswith("data:")][-1].partition(": ")[2])


def draw(address: str, prompt: str, steps: int = 2) -> tuple[str, Any]:
    return call(address, "txt2img", {"prompt": prompt, "steps": steps}, [], [], [])


def test_a_pair_comes_back_with_its_settings(address: str) -> None:
    pictures = [[upload(address, file.read_bytes(), file.name)] for file in (CONTENT, STYLE)]
    kind, ((first, sheet),) = call(address, "styleid", *pictures, {"steps": 4, "gamma": 0.4}, [])
    assert kind == "complete" and sheet["orig_name"] == "contact_sheet.png"
    picture = Image.open(BytesIO(fetch(first["url"])))
    assert picture.size == (256, 256) and '"gamma": 0.4' in picture.info["jstyle"]
    assert first["orig_name"] == "house_by_the_sea_stylized_woodcut.png"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"gamma": 2}, "gamma must be from 0 to 1"),
        ({"output": "/tmp"}, "unknown setting"),
        ({"model": "/etc/passwd"}, "model must be one of tiny"),
        ({"store": "/tmp/x"}, "unknown setting"),
        ({"width": 10**9}, "width must be from 1"),
        ([1, 2], "settings must be an object"),
        ("x" * 1000, "settings must be an object"),
    ],
)
def test_wrong_settings_are_one_line(address: str, settings: Any, line: str) -> None:
    pictures = [[upload(address, file.read_bytes(), file.name)] for file in (CONTENT, STYLE)]
    kind, told = call(address, "styleid", *pictures, settings, [])
    assert kind == "error" and line in json.dumps(told) and "Traceback" not in json.dumps(told)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"GIF89a"])
def test_what_is_no_picture_is_one_line(address: str, content: bytes) -> None:
    spoilt, whole = upload(address, content, "../../bad name.png"), upload(address, STYLE.read_bytes())
    kind, told = call(address, "styleid", [spoilt], [whole], {}, [])
    assert kind == "error" and "Traceback" not in json.dumps(told) and str(ROOT) not in json.dumps(told)
    assert draw(address, "a house")[0] == "complete", "the next request is made"


def test_paths_that_were_not_given_are_not_read(address: str, folder: Path) -> None:
    whole = upload(address, STYLE.read_bytes())
    inside = f"{whole['path']}/../../../../etc/passwd"
    for path in ("/etc/passwd", str(CONTENT), "../../etc/passwd", inside, "http://127.0.0.1:1/a"):
        status, told = fail(f"{address}/call/styleid", {"data": [[{**whole, "path": path}], [whole], {}, []]})
        assert status == 400 and "pictures are uploaded first" in told
        assert fail(f"{address}/file={path}")[0] in (403, 404)
    assert fail(f"{address}/file={folder}")[0] in (403, 404)


def test_uploads_have_limits(address: str) -> None:
    with pytest.raises((urllib.error.HTTPError, urllib.error.URLError, ConnectionError)):
        upload(address, b"\0" * (3 << 20))
    whole = upload(address, STYLE.read_bytes())
    kind, told = call(address, "styleid", [whole] * 4, [whole], {}, [])
    assert kind == "error" and "4 pictures, and 3 are taken at once" in json.dumps(told)


def test_eight_at_once_are_answered_with_what_they_asked_for(address: str) -> None:
    """All of the same size and steps, each of another prompt, which its picture says."""
    answers: dict[str, Any] = {}

    def ask(prompt: str) -> None:
        answers[prompt] = draw(address, prompt)

    threads = [threading.Thread(target=ask, args=(f"house {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    took = []
    while any(thread.is_alive() for thread in threads):
        begin = time.monotonic()
        fetch(f"{address}/info")
        took.append(time.monotonic() - begin)
    for prompt, (kind, ((picture,),)) in answers.items():
        assert kind == "complete" and prompt in Image.open(BytesIO(fetch(picture["url"]))).info["jstyle"]
    assert np.median(took) < 5, "the page answers while pictures are made"


def test_a_worker_that_is_killed_fails_its_request_alone(address: str, folder: Path) -> None:
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(draw(address, "a house", 900)))
    thread.start()
    time.sleep(2)
    for pid in list_processes("jstyle.web.worker", str(folder)):
        os.kill(pid, signal.SIGKILL)
    thread.join(600)
    kind, line = told[0]
    assert kind == "error" and "the worker died" in json.dumps(line)
    assert draw(address, "a house")[0] == "complete"


def test_a_password_is_asked_for(tmp_path: Path) -> None:
    with served(tmp_path / "web", "--password", "open sesame") as address:
        assert fail(f"http://{address}/gradio_api/info")[0] == 401
        assert fail(f"http://{address}/gradio_api/call/txt2img", {"data": []})[0] == 401
        form = "application/x-www-form-urlencoded"
        assert fail(f"http://{address}/login", b"username=a&password=wrong", form)[0] == 400
        assert b"true" in fetch(f"http://{address}/login", b"username=a&password=open+sesame", form)
