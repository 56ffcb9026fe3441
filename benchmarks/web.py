"""The page under visitors: several ask at once for a time, others ask for what is wrong, and all must be answered.

python -m benchmarks.web --seconds 180 --visitors 8

It needs Gradio where it runs (pip install 'jstyle[web]'). Said are how many pictures were made, whether each is what
its visitor asked for, the seconds of the page's own answers meanwhile, and the memory of page and worker.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.options import ROOT

STEPS = 8
BAD = 50


class Page:
    """The page as programs see it, at an address."""

    def __init__(self, address: str) -> None:
        self._api = f"http://{address}/gradio_api"

    def fetch(self, path: str, data: Any = None) -> bytes:
        """The answer to a request, JSON where there is any. Raises OSError where it is refused."""
        url = path if path.startswith("http") else f"{self._api}/{path}"
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.read()

    def draw(self, prompt: str) -> bool:
        """Whether a picture of that prompt came back."""
        settings = {"prompt": prompt, "steps": STEPS}
        event = json.loads(self.fetch("call/txt2img", {"data": [settings, [], [], []]}))["event_id"]
        kind, data = re.findall(r"event: (.*)\ndata: (.*)\n", self.fetch(f"call/txt2img/{event}").decode())[-1]
        if kind != "complete":
            return False
        picture = Image.open(BytesIO(self.fetch(json.loads(data)[0][0]["url"])))
        return f'"{prompt}"' in picture.info["jstyle"]

    def upload_too_much(self) -> str:
        """The answer to a file of 100 MB."""
        mark = "a-mark"
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'.encode()
        body = head + bytes(100 << 20) + f"\r\n--{mark}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self._api}/upload", body, kind)) as answer:
                return f"taken: {answer.read()!r}"
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError as error:  # it hung up before all was sent
            return str(error)

    def hang_up(self) -> str:
        """What comes of a connection that is cut in the middle of a request: nothing."""
        host, _, port = self._api.split("/")[2].partition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx")
        return ""

    def ask_wrongly(self, number: int) -> str:
        """The answer to one of some bad requests: wrong types, unknown settings, paths, too much of anything."""
        if number % 10 in (3, 7):
            return self.upload_too_much() if number % 10 == 3 else self.hang_up()
        file = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
        wrong: list[Any] = [
            {"prompt": "a house", "steps": "many"},
            {"prompt": "a house", "output": "/tmp/elsewhere"},
            {"prompt": "a house", "model": "../../model"},
            {"prompt": ["a house"] * 5, "width": 7},
            {"prompt": "x" * 2_000_000},
            {"prompt": 7},
            [1, 2, 3],
            "text",
            None,
        ]
        data: Any = [wrong[number % len(wrong)], [], [], []] if number % 5 else [{"prompt": "a house"}, [file], [], []]
        try:
            event = json.loads(self.fetch("call/txt2img", {"data": data}))["event_id"]
            return self.fetch(f"call/txt2img/{event}").decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()


@contextmanager
def serve(folder: Path) -> Iterator[tuple[Page, int]]:
    """A page, and the number of its process."""
    command = [sys.executable, "-m", "jstyle", "web", "--port", "0", "--output", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield Page(process.stdout.readline().split("http://")[1].split(";")[0]), process.pid
    finally:
        process.terminate()
        process.wait(60)


def measure_memory(page: int) -> list[int]:
    """MB of the page's process and of its worker."""
    children = Path(f"/proc/{page}/task/{page}/children").read_text().split()
    return [_read_rss(pid) for pid in [page, *map(int, children)]]


def _read_rss(pid: int) -> int:
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) >> 10


def visit(page: Page, visitor: int, end: float, made: list[bool]) -> None:
    """Ask for one picture after another, each with a prompt of its own."""
    number = 0
    while time.monotonic() < end:
        made.append(page.draw(f"a house, {visitor}, {number}"))
        number += 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--visitors", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as (page, pid):
        assert page.draw("the first house")
        first, made, took = measure_memory(pid), [], []
        end = time.monotonic() + options.seconds
        for visitor in range(options.visitors):
            threading.Thread(target=visit, args=(page, visitor, end, made), daemon=True).start()
        while time.monotonic() < end:
            begin = time.monotonic()
            page.fetch("info")
            took.append(time.monotonic() - begin)
            time.sleep(0.2)
        last = measure_memory(pid)
        print(f"{len(made)} pictures in {options.seconds:.0f} s, {sum(made)} of them what was asked for")
        print(f"own answers: median {statistics.median(took):.3f} s, longest {max(took):.2f} s")
        print(f"memory of page and worker: {first} MB after the first picture, {last} MB at the end")
        answers = [page.ask_wrongly(number) for number in range(BAD)]
        print(
            f"{BAD} bad requests: {sum('Traceback' in answer for answer in answers)} tracebacks, "
            f"{sum(answer.startswith('taken') for answer in answers)} taken"
        )
        print(f"the next good one is made: {page.draw('the last house')}")


if __name__ == "__main__":
    main()
