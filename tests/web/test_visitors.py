"""A visitor's folder: what is kept, under which name, and what another visitor cannot reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.web.visitors import Visitors


def save(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path, "PNG")
    return path


def test_a_token_is_known_where_it_was_given_out(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path / "web")
    one = visitors.welcome()
    assert visitors.welcome(one.token).token == one.token
    for token in ("", None, 7, "0" * 32, "../web", f"../web/{one.token}", one.token.upper() + "x", "uploads"):
        assert visitors.find(token) is None
        assert visitors.welcome(token).token != token


def test_pictures_are_kept_by_content(tmp_path: Path) -> None:
    visitor = Visitors(tmp_path / "web").welcome()
    first = visitor.admit(save(tmp_path / "a" / "my picture!.png"))
    again = visitor.admit(save(tmp_path / "b" / "my picture!.png"))
    other = visitor.admit(save(tmp_path / "c" / "my picture!.png", "blue"))
    assert first == again != other and first.name == "my_picture.png"
    assert visitor.admit(save(tmp_path / "..png")).name == "picture.png"
    assert visitor.admit(save(tmp_path / "x.exe")).suffix == ".png"
    assert len(visitor.admit(save(tmp_path / ("n" * 200 + ".png"))).name) < 70


def test_what_is_no_picture_is_named_without_its_folder(tmp_path: Path) -> None:
    visitor = Visitors(tmp_path / "web").welcome()
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"^'notes\.txt'") as caught:
        visitor.admit(tmp_path / "notes.txt")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(InputError):
        visitor.admit(tmp_path / "missing.png")


def test_every_request_has_a_folder_and_the_gallery_shows_the_last_first(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path / "web")
    visitor, other = visitors.welcome(), visitors.welcome()
    first, second = visitor.new_folder("styleid"), visitor.new_folder("txt2img")
    assert (first.name, second.name) == ("0001-styleid", "0002-txt2img")
    old, new = save(first / "old.png"), save(second / "new.png")
    visitor.admit(save(tmp_path / "given.png"))
    assert visitor.list_pictures() == [new, old]
    assert other.list_pictures() == []
