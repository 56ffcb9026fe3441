"""What does not reach the page: requests that are too large, and those by which it would ask another host."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from jstyle.web.gate import Gate

SECURITY = b"content-security-policy"


def send_request(path: str, body: bytes = b"", content_type: str = "application/json", **more: Any) -> tuple[int, Any]:
    """(status, the body that reached the page, or None)."""
    reached: list[bytes] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        whole, again = b"", True
        while again:
            message = await receive()
            whole, again = whole + message["body"], message.get("more_body", False)
        reached.append(whole)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    parts = [body[:10], body[10:]]

    async def receive() -> Any:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    length = more.get("length", str(len(body)))
    headers = [(b"content-type", content_type.encode()), (b"content-length", length.encode())]
    scope = {"type": "http", "method": more.get("method", "POST"), "path": path, "headers": headers}
    asyncio.run(Gate(app, Path("/tmp/uploads"), 1 << 20, 4)(scope, receive, send))
    status = sent[0]["status"]
    assert status != 200 or SECURITY in dict(sent[0]["headers"])
    return status, reached[0] if reached else None


def test_a_body_reaches_the_page_whole() -> None:
    body = json.dumps({"data": [{"path": "/tmp/uploads/1/x.png", "meta": {}}, "http://is.a/text"]}).encode()
    assert send_request("/gradio_api/queue/join", body) == (200, body)


@pytest.mark.parametrize("address", ["http://example.org/a", "/etc/hosts", "a.png", "/tmp/uploads/../a.png", "//x/a"])
def test_a_file_that_was_not_uploaded_is_not_named(address: str) -> None:
    body = json.dumps({"data": [[{"image": {"path": address, "meta": {"_type": "gradio.FileData"}}}]]}).encode()
    assert send_request("/gradio_api/queue/join", body) == (400, None)


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=https://example.org/a", "/gradio_api/proxy=https://example.org", "/gradio_api/runs"]
)
def test_the_page_fetches_nothing(path: str) -> None:
    assert send_request(path, method="GET") == (403, None)


def test_what_is_too_large_is_refused_before_it_is_read() -> None:
    assert send_request("/gradio_api/queue/join", length=str(5 << 20))[0] == 413
    assert send_request("/gradio_api/upload", content_type="multipart/form-data", length=str(6 << 20))[0] == 413
    assert send_request("/gradio_api/upload", b"x" * 100, "multipart/form-data")[0] == 200
    assert send_request("/gradio_api/queue/join", b"{" + b" " * (5 << 20), length="10")[0] == 413
    assert send_request("/gradio_api/queue/join", length="many")[0] == 413


def test_what_is_no_json_is_refused() -> None:
    assert send_request("/gradio_api/queue/join", b"{nothing")[0] == 400
    assert send_request("/gradio_api/queue/join", b"[" * 100_000)[0] == 400
