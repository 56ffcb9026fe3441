"""What stands before the page: what is too large, or names files or hosts that are not its own, goes no further."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Optional

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Objection = Optional[tuple[int, str]]
"""A status and a line, for what is refused."""

_LARGEST_BODY = 4 << 20
"""Bytes of a request that is no upload."""

_OUTSIDE = ("file=http:", "file=https:", "proxy=", "/gradio_api/runs")
"""Parts of paths by which Gradio would fetch from other hosts, or keep a history of runs."""

_HEADERS = {
    "content-security-policy": "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; frame-ancestors 'self'; form-action 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""With these a browser asks no other host for anything."""


class Gate:
    """ASGI around the page's application."""

    def __init__(self, app: Any, uploads: Path, largest_upload: int, most_files: int) -> None:
        """``uploads`` is where uploaded files lie, ``largest_upload`` the bytes of one; ``most_files`` come in one
        request.
        """
        self._app = app
        self._uploads = uploads.resolve()
        self._largest_upload = largest_upload * most_files + (1 << 20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer what is wrong with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        objection, receive = await self._examine(scope, receive)
        if objection is not None:
            await _refuse(send, *objection)
        else:
            await self._app(scope, receive, _add_headers(send))

    async def _examine(self, scope: Scope, receive: Receive) -> tuple[Objection, Receive]:
        """A status and a line for what is refused, and the request's body to be read again."""
        path = scope["path"]
        if any(part in path for part in _OUTSIDE):
            return (403, "other hosts are not asked from here"), receive
        is_upload = path.endswith("/upload")
        largest = self._largest_upload if is_upload else _LARGEST_BODY
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > largest:
            return (413, f"a request may have {largest >> 20} MB"), receive
        if is_upload or scope["method"] != "POST" or "json" not in headers.get("content-type", ""):
            return None, receive
        return await self._examine_json(receive, largest)

    async def _examine_json(self, receive: Receive, largest: int) -> tuple[Objection, Receive]:
        messages = await _read_all(receive, largest)
        body = b"".join(message.get("body", b"") for message in messages)
        if len(body) > largest:
            return (413, f"a request may have {largest >> 20} MB"), receive
        try:
            names_other = self._names_other_file(json.loads(body))
        except (ValueError, RecursionError):
            return (400, "the request is not JSON"), receive
        if names_other:
            return (400, "pictures are uploaded first, and then named by what that answers"), receive

        async def again() -> Any:
            return messages.pop(0) if messages else await receive()

        return None, again

    def _names_other_file(self, value: Any) -> bool:
        """Whether a file is named that was not uploaded here."""
        if isinstance(value, dict):
            path = value.get("path")
            is_other = isinstance(path, str) and bool(path) and not self._is_upload(path)
            return is_other or any(map(self._names_other_file, value.values()))
        return isinstance(value, list) and any(map(self._names_other_file, value))

    def _is_upload(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._uploads)


async def _read_all(receive: Receive, largest: int) -> list[Any]:
    """The messages of a body, or of one that is too large so many that it shows."""
    messages: list[Any] = []
    size, goes_on = 0, True
    while goes_on and size <= largest:
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
        goes_on = messages[-1]["type"] == "http.request" and messages[-1].get("more_body", False)
    return messages


def _add_headers(send: Send) -> Send:
    async def send_with_headers(message: Any) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), text.encode()) for name, text in _HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int, line: str) -> None:
    body = json.dumps({"detail": line}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
