"""Which styles a folder holds, and which of them words choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.training.many_styles.folders import StylePictures, check_pictures, find_styles, select_styles
from tests.competition.folders import picture, write_data

NUMBERS = [StylePictures(f"{number:02d}", ()) for number in (0, 2, 3, 9, 27)] + [StylePictures("ink-2", ())]


def test_the_competitions_layout(tmp_path: Path) -> None:
    found = find_styles(write_data(tmp_path / "data"))
    assert [(style.name, len(style.pictures)) for style in found] == [("00", 2), ("02", 2)]
    assert found[0].pictures[0] == tmp_path / "data" / "00" / "images" / "object_0.png"


def test_folders_of_pictures_and_a_folder_of_pictures(tmp_path: Path) -> None:
    for name in ("ink", "oil"):
        (tmp_path / "data" / name).mkdir(parents=True)
        picture(1).save(tmp_path / "data" / name / "b.png")
        picture(2).save(tmp_path / "data" / name / "a.jpg")
    (tmp_path / "data" / "notes").mkdir()
    (tmp_path / "data" / ".cache").mkdir()
    (tmp_path / "data" / "ink" / "a.txt").write_text("a boat")
    assert [(style.name, [path.name for path in style.pictures]) for style in find_styles(tmp_path / "data")] == [
        ("ink", ["a.jpg", "b.png"]),
        ("oil", ["a.jpg", "b.png"]),
    ]
    (one,) = find_styles(tmp_path / "data" / "ink")
    assert (one.name, len(one.pictures)) == ("ink", 2)
    assert [style.name for style in find_styles(tmp_path / "data" / "ink", one_per_picture=True)] == ["a", "b"]


def test_folders_that_hold_no_styles(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read .*none"):
        find_styles(tmp_path / "none")
    with pytest.raises(InputError, match="holds no style"):
        find_styles(tmp_path)
    (tmp_path / "a").mkdir()
    picture(1).save(tmp_path / "a" / "x.png")
    picture(1).save(tmp_path / "y.png")
    with pytest.raises(InputError, match="pictures and folders of pictures"):
        find_styles(tmp_path)
    picture(1).save(tmp_path / "a" / "x.jpg")
    with pytest.raises(InputError, match="would both be the style 'x'"):
        find_styles(tmp_path / "a", one_per_picture=True)
    (tmp_path / "a" / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="no readable picture"):
        check_pictures(find_styles(tmp_path / "a"))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["00-27"], ["00", "02", "03", "09", "27"]),
        (["2-3"], ["02", "03"]),
        (["09", "02"], ["02", "09"]),
        (["00,03,ink-2"], ["00", "03", "ink-2"]),
        (["00-02", "27"], ["00", "02", "27"]),
    ],
)
def test_words_choose_styles(words: list, names: list) -> None:
    assert [style.name for style in select_styles(NUMBERS, words)] == names


def test_a_name_of_other_digits_is_no_number() -> None:
    styles = [StylePictures(name, ()) for name in ("²", "٣", "3")]
    assert [style.name for style in select_styles(styles, ["0-9"])] == ["3"]


@pytest.mark.parametrize("word", ["04", "4-8", "oil", "00,oil", "9-2", "0-" + "9" * 5000, "\x1b[31m"])
def test_words_that_choose_nothing(word: str) -> None:
    with pytest.raises(InputError, match="there is no style .*there are: 00, 02, 03, 09, 27, ink-2"):
        select_styles(NUMBERS, [word])
