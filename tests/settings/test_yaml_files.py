"""YAML from users: data alone, bounded, no key twice, one line for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.settings import yaml_files
from jstyle.settings.yaml_files import choose_base, dump_yaml, parse_yaml, read_yaml

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
MERGES = "a0: &a0 {k: 1, l: 2}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60))


def complaint(path: Path, content: bytes) -> str:
    """The one line with which a file is refused."""
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    line = str(caught.value)
    assert line.isprintable() and len(line) <= 500 and f"the config {str(path)!r}" in line
    return line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"gamma: [", "is not YAML: expected the node content, but found '<stream end>' (line 1, column 9)"),
        (b"a: b: c\n\t- d", "is not YAML: mapping values are not allowed here (line 1, column 5)"),
        (b"picture: {steps: 4, steps: 5}", "the key 'steps' stands there twice (line 1, column 21)"),
        (b"a: 1\nb: 2\na: 3", "the key 'a' stands there twice (line 3, column 1)"),
        (b"1: a\n0x1: b", "the key 1 stands there twice"),
        (b"a: &a {b: 1, b: 2}", "the key 'b' stands there twice"),
        (b"<<: {a: 1}\n<<: {b: 1}", "the key '<<' stands there twice"),
        (b"<<: {a: 1, a: 2}", "the key 'a' stands there twice"),
        (b"[a, b]: c", "a name must be a text"),
        (b"{a: b}: c", "a name must be a text"),
        (b"a: &a [*a]", "an alias stands within what it names"),
        (b"&a a: &b {c: {d: *b}}", "an alias stands within what it names"),
        (b"a: &a {<<: *a}", "an alias stands within what it names"),
        (b"a: *b", "is not YAML: found undefined alias 'b'"),
        (LAUGHS.encode(), "this holds over 100000 values"),
        (MERGES.encode(), "this holds over 100000 values"),
        (b"a: " + b"[" * 101 + b"]" * 101, "nests over 100 deep"),
        (b"a: &a " + b"[" * 60 + b"]" * 60 + b"\nb: " + b"[" * 60 + b"*a" + b"]" * 60, "nests over 100 deep"),
        (b"[" * 100_000, "nests over 100 deep"),
        (b"a: " + b"x" * (1 << 20), "larger than the 1 MiB"),
        (b"just words", "is not a mapping of settings"),
        (b"- steps: 4", "is not a mapping of settings"),
        (b"null", "is not a mapping of settings"),
        (b"0", "is not a mapping of settings"),
        (b"''", "is not a mapping of settings"),
        (b"[]", "is not a mapping of settings"),
        (b"a: 1\n---\nb: 1", "is not YAML: but found another document"),
        (b"\xff\xfe\x00", "this is not UTF-8 text"),
        (b"a: \x00", "is not YAML: unacceptable character"),
        (b"a: 1" + b"0" * 5000, "is not YAML: a number of 5001 digits (line 1, column 4)"),
        (b"0x" + b"f" * 500 + b": a", "is not YAML: a number of 502 digits"),
        (b"a: 0x_", "is not YAML: invalid literal"),
        (b"a: !!python/object/apply:os.mkdir [made]", "is not YAML: could not determine a constructor"),
        (b"a: !!python/name:os.mkdir", "is not YAML: could not determine a constructor"),
        (b"a: !!binary aGk=", "is not YAML: could not determine a constructor"),
        (b"a: !!set {b, c}", "is not YAML: could not determine a constructor"),
        (b"a: !!timestamp 2020-01-01", "is not YAML: could not determine a constructor"),
        (b"a: !mine b", "is not YAML: could not determine a constructor"),
        (b"a: !!int x", "is not YAML: invalid literal"),
    ],
)
def test_a_wrong_file_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    assert message in complaint(tmp_path / "a.yaml", content)


@pytest.mark.parametrize("content", [b"", b"\n \n\n", b"# nothing yet\n", b"\xef\xbb\xbf\n"])
def test_a_file_without_content_is_an_empty_mapping(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert read_yaml(tmp_path / "a.yaml") == {}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no/such.yaml", "cannot read the recipe 'no/such.yaml': No such file"),
        ("/", "cannot read the recipe '/': Is a"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_yaml(Path(path), "recipe")


def test_a_name_that_no_file_can_have_is_one_line() -> None:
    with pytest.raises(InputError, match="cannot read the config") as caught:
        read_yaml(Path("a\0b"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020-01-01", "2020-01-01"),
        ("2020-01-01 12:00:00", "2020-01-01 12:00:00"),
        ("12:30", "12:30"),
        ("=", "="),
        ("1e-4", 1e-4),
        ("-1E5", -1e5),
        ("2.0e-4", 2e-4),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_000", 1000),
        ("0x10", 16),
        ("-3", -3),
        ("0", 0),
        (".", "."),
        ("e5", "e5"),
        ("1.2.3", "1.2.3"),
        ("<style>", "<style>"),
        ("null", None),
        ("", None),
        ("true", True),
        ("{a: [1, x]}", {"a": [1, "x"]}),
    ],
)
def test_plain_words_have_types(text: str, value: object) -> None:
    found = parse_yaml(text, "--x")
    assert found == value and type(found) is type(value)
    assert parse_yaml(dump_yaml({"a": value}), "--x") == {"a": value}
    assert parse_yaml(dump_yaml({"a": text}, ascii_only=True), "--x") == {"a": text}  # as a text it is quoted


def test_infinities_are_numbers_for_the_reader_to_refuse() -> None:
    assert parse_yaml("[1e400, .inf, -.inf]", "") == [float("inf"), float("inf"), float("-inf")]
    assert str(parse_yaml(".nan", "")) == "nan"


def test_words_that_are_not_yaml_name_their_place() -> None:
    with pytest.raises(InputError, match=r"^--loop is not YAML: "):
        parse_yaml("{a: ", "--loop")


def test_what_is_within_the_bounds_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_files, "_MOST_NODES", 1000)
    deep = "a: " + "[" * 99 + "]" * 99 + "\nb: ["
    (tmp_path / "a.yaml").write_text(deep + "1, " * 895 + "1]")
    assert len(read_yaml(tmp_path / "a.yaml")["b"]) == 896
    assert "this holds over 1000 values" in complaint(tmp_path / "b.yaml", (deep + "1, " * 1000 + "1]").encode())


def test_aliases_and_merges_are_written_out(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\ne: [*a, *a]\n")
    found = read_yaml(tmp_path / "a.yaml")
    assert found == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": [{"b": 1, "c": 2}] * 2}
    assert "*" not in dump_yaml(found)


def test_a_base_is_laid_over_the_rest() -> None:
    content = {"model": "tiny", "p": {"a": 1, "b": 2}, "bases": {"sd21": {"model": "x", "p": {"a": 3}}, "none": {}}}
    assert choose_base(content, None, Path("r")) == {"model": "tiny", "p": {"a": 1, "b": 2}}
    assert choose_base(content, "sd21", Path("r")) == {"model": "x", "p": {"a": 3, "b": 2}}
    assert choose_base({"model": "tiny", "bases": None}, None, Path("r")) == {"model": "tiny"}
    with pytest.raises(InputError, match=r"the recipe 'r' has no base 'sd3' \(there are: sd21, none\)"):
        choose_base(content, "sd3", Path("r"))
    for wrong in (["sd21"], {"sd21": 3}, "sd21", 0, False):
        with pytest.raises(InputError, match="bases: a mapping like"):
            choose_base({"bases": wrong}, None, Path("r"))
