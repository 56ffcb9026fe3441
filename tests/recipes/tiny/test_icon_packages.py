"""Packages are read only where they are the pinned ones, and Iconify's sets as the format says."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from recipes.tiny.icons import packages
from recipes.tiny.icons.families import FAMILIES, HELD_OUT
from recipes.tiny.icons.iconify import IconSet
from recipes.tiny.icons.packages import Package, check, fetch, read_file, read_files


def pack(path: Path, **files: str) -> Package:
    """An archive as npm makes it, and the package that it is."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    sha512 = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return Package("@icons/some", "1.2.3", sha512)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A program in npm's place that packs one package."""
    package = pack(tmp_path / "packed.tgz", icons="{}")
    program = tmp_path / "npm"
    program.write_text(
        f'#!/bin/sh\n[ "$2" = "@icons/some@1.2.3" ] && cp {tmp_path}/packed.tgz "$4/icons-some-1.2.3.tgz"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(packages.shutil, "which", lambda name: str(program) if name == "npm" else None)
    return package


def test_a_package_is_fetched_once_and_checked(npm: Package, tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    path = fetch(npm, folder)
    assert path == folder / "icons-some-1.2.3.tgz" and read_file(path, "package/icons") == b"{}"
    (tmp_path / "npm").unlink()
    assert fetch(npm, folder) == path


def test_another_content_is_refused_and_not_kept(npm: Package, tmp_path: Path) -> None:
    pack(tmp_path / "packed.tgz", icons="{ }")
    with pytest.raises(InputError, match=r"is not @icons/some 1\.2\.3 as it is pinned"):
        fetch(npm, tmp_path / "packages")
    assert list((tmp_path / "packages").iterdir()) == []
    found = tmp_path / "packages" / npm.file
    found.write_bytes(b"something else")
    with pytest.raises(InputError, match="remove it and try again"):
        fetch(npm, tmp_path / "packages")


def test_what_cannot_be_fetched_is_one_line(npm: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "npm").write_text("#!/bin/sh\necho first >&2; echo 'npm error 404' >&2; exit 1\n")
    with pytest.raises(InputError, match=r"^npm cannot fetch @icons/some 1\.2\.3: npm error 404$"):
        fetch(npm, tmp_path)
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="npm is not installed"):
        fetch(npm, tmp_path)


def test_files_are_read_by_name(tmp_path: Path) -> None:
    package = pack(tmp_path / "some.tgz", one="1", two="2", three="3")
    check(package, tmp_path / "some.tgz")
    assert dict(read_files(tmp_path / "some.tgz", ["package/three", "package/one", "package/none"])) == {
        "package/one": b"1",
        "package/three": b"3",
    }
    with pytest.raises(InputError, match="holds no file package/four"):
        read_file(tmp_path / "some.tgz", "package/four")


def test_the_pins_are_whole_and_what_is_held_out_is_no_family() -> None:
    pins = [*(family.package for family in FAMILIES), *HELD_OUT]
    assert all(len(base64.b64decode(pin.sha512)) == 64 for pin in pins)
    assert len({pin.name for pin in pins}) == len(pins)


SET: dict[str, Any] = {
    "prefix": "some",
    "width": 32,
    "height": 32,
    "icons": {
        "left-hand": {"body": "<path/>", "left": 3, "width": 20},
        "cup": {"body": "<circle/>"},
        "turned": {"body": "<path/>", "rotate": 1},
    },
    "aliases": {
        "right-hand": {"parent": "left-hand", "hFlip": True},
        "left-again": {"parent": "right-hand", "hFlip": True},
        "mug": {"parent": "cup"},
    },
}
ICONS = IconSet(SET, {"270b-fe0f": "left-hand", "2615": "cup"})


def test_an_icon_is_an_svg_of_its_own_box() -> None:
    assert 'viewBox="3 0 20 32" width="20" height="32"' in ICONS.svg("left-hand")
    assert 'viewBox="0 0 32 32"' in ICONS.svg("cup") and "<circle/>" in ICONS.svg("mug")


def test_an_alias_may_be_mirrored_within_its_box() -> None:
    match = re.search(r"translate\((\S+) 0\) scale\(-1 1\)", ICONS.svg("right-hand"))
    assert match
    assert [float(match[1]) - x for x in (3, 13, 23)] == [23, 13, 3]
    assert "scale" not in ICONS.svg("left-hand") and "scale" not in ICONS.svg("left-again")


def test_what_this_reader_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="turned"):
        ICONS.svg("turned")
    with pytest.raises(InputError, match="no icon foot"):
        ICONS.svg("foot")


@pytest.mark.parametrize(
    ("name", "points", "own"),
    [
        ("hand", "270b", "left-hand"),
        ("mug", None, "mug"),
        ("cup", "1f375", "cup"),
        ("tea", "1f375", None),
        ("tea", None, None),
    ],
)
def test_names_are_found_by_code_points_first(name: str, points: str, own: str) -> None:
    assert ICONS.find_name(name, points) == own


def test_an_icon_is_drawn_with_the_ink_where_it_names_no_colour() -> None:
    pytest.importorskip("resvg_py", reason="recipes/tiny/requirements.txt")
    from PIL import Image

    from recipes.tiny.icons.cutouts import draw_svg

    body = '<path fill="currentColor" d="M0 0H16V32H0z"/><path fill="#f00" d="M16 0H24V32H16z"/>'
    icons = IconSet({"width": 32, "height": 32, "icons": {"a": {"body": body}}}, {})
    with Image.open(io.BytesIO(draw_svg(icons.svg("a")))) as image:
        assert image.size == (256, 256)
        colours = [image.convert("RGBA").getpixel((x, 100)) for x in (60, 160, 220)]
    assert colours == [(22, 22, 28, 255), (255, 0, 0, 255), (0, 0, 0, 0)]
