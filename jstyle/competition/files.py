"""Texts that appear under their name only when they are whole."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from jstyle.errors import InputError


def write_text(path: Path, text: str) -> None:
    """UTF-8, whole or not at all. Raises InputError where it cannot be written."""
    part = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()
