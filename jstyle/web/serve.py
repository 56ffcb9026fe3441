"""Serving the page: one application on one address, until it is ended."""

from __future__ import annotations

import hmac
import os
import socket
from contextlib import closing
from typing import Any

from jstyle.errors import InputError
from jstyle.web.gate import Gate
from jstyle.web.service import Service
from jstyle.web.settings import WebSettings


def serve(settings: WebSettings) -> int:
    """Serve until Ctrl-C. Returns the exit code.

    Raises InputError where Gradio is not installed, and for an address that cannot be listened at.
    """
    service = Service(settings)
    listening = _listen(settings)
    try:
        app = make_app(service, settings)
        import uvicorn  # pyright: ignore[reportMissingImports]

        service.start()
        host, port = listening.getsockname()[:2]
        print(f"the page is at http://{host}:{port}; Ctrl-C ends it", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
        uvicorn.Server(config).run([listening])
    finally:
        listening.close()
        service.close()
    return 0


def make_app(service: Service, settings: WebSettings) -> Any:
    """The page as an ASGI application. Raises InputError where Gradio is not installed."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    uploads = service.visitors.root / "uploads"
    uploads.mkdir(exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    try:
        import fastapi  # pyright: ignore[reportMissingImports]
        import gradio as gr  # pyright: ignore[reportMissingImports]

        from jstyle.web.page import CSS, build_page, make_theme
    except ImportError as error:
        raise InputError(f"the page needs Gradio: pip install 'jstyle[web]' ({error})") from error
    app = fastapi.FastAPI(openapi_url=None)
    mounted = gr.mount_gradio_app(
        app,
        build_page(service),
        path="",
        auth=None if settings.password is None else _check_password(settings.password),
        auth_message="Any name, and the password that you were told.",
        allowed_paths=[str(service.visitors.root)],
        max_file_size=settings.largest_upload << 20,
        show_error=True,
        footer_links=["api", "settings"],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        theme=make_theme(),
        css=CSS,
    )
    return Gate(mounted, uploads, settings.largest_upload << 20, settings.most_pictures)


def _check_password(password: str) -> Any:
    return lambda name, given: hmac.compare_digest(given.encode(), password.encode())


def _listen(settings: WebSettings) -> socket.socket:
    """A socket at the address. Raises InputError where that is not to be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        with closing(listening):
            place = f"{settings.host}:{settings.port}"
            raise InputError(f"cannot listen at {place}: {error.strerror}; choose another --port") from error
    listening.listen(128)
    return listening
