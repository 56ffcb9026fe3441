"""Prompts that become file names: which can, and which two would fall on one file."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 240  # bytes of UTF-8; file systems take 255, and the temporary names need some
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
# Names that Windows keeps for devices, with any ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def find_objection(prompt: str) -> str:
    """Why a prompt cannot be a picture's file name, as "it ..."; empty where it can.

    What passes names a file directly in its folder, on every file system that people unpack a submission on.
    """
    forbidden = _FORBIDDEN.search(prompt)
    if not prompt.strip():
        return "it is empty"
    if forbidden:
        return f"it holds {forbidden[0]!r}"
    if prompt != prompt.strip():
        return "it starts or ends with a space"
    if prompt.startswith(".") or prompt.endswith("."):
        return "it starts or ends with a dot"
    if _DEVICES.fullmatch(prompt):
        return "Windows keeps that name for a device"
    try:
        length = len(prompt.encode("utf-8"))
    except UnicodeEncodeError:
        return "it holds half a character (a lone surrogate)"
    if length > _LONGEST:
        return f"it takes {length} bytes, and a name may take {_LONGEST}"
    return ""


def fold_case(name: str) -> str:
    """What a file system that ignores case and Unicode composition makes of a name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
