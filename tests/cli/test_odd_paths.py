"""Paths that no file can have are one line of every option that takes a path, before anything is started."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from jstyle.cli.command import SettingsCommand
from jstyle.cli.commands import iterate_commands
from jstyle.errors import InputError
from jstyle.settings.fields import MISSING, join_flat, without_null
from jstyle.settings.options import Option, list_options

LONG = "a" * 300
HERE = str(Path(__file__).parents[2] / "samples" / "style")
TEXTS = ("model", "vae_weights", "base_model", "image_encoder", "lora", "words")
COMMANDS = {command.words: command for command in iterate_commands() if isinstance(command, SettingsCommand)}


def takes_path(option: Option) -> bool:
    inner = without_null(option.hint)
    return Path in (inner, *option.items) or option.name[2:] in TEXTS


CASES = [
    (words, option.name)
    for words, command in COMMANDS.items()
    for option in list_options(join_flat(command.settings), {})
    if takes_path(option)
]


def list_needed(words: str) -> list[str]:
    """Words without which the command says first that something is missing, or that folders need one as output."""
    needed = ["--preset", "baseline"] if words == "submit" else []
    for option in list_options(join_flat(COMMANDS[words].settings), {}):
        if option.default is MISSING or option.default == Path("output.png"):
            value = {"output": "out", "model": __file__, "image": f"{HERE}/woodcut.png"}.get(option.path[-1], HERE)
            texts = ["a", "b"] if option.items else ["a"]
            needed += [option.name, *([value] if Path in (option.inner, *option.items) else texts)]
    return needed


def complaint(words: str, *argv: str) -> str:
    """The line with which the command refuses its words, or nothing where it would run."""
    command = dataclasses.replace(COMMANDS[words], run=lambda *settings: 0)
    try:
        command.main([*list_needed(words), *argv], "jstyle")
    except InputError as error:
        return str(error)
    return ""


def test_there_are_such_options() -> None:
    assert len(CASES) > 60 and {words for words, _ in CASES} == set(COMMANDS)


@pytest.mark.parametrize(("words", "option"), CASES)
def test_what_no_file_can_be_called_is_one_line(
    words: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (LONG, f"{LONG}.png", f"{LONG}/x", f"x/{LONG}", "x/" * 3000):
        line = complaint(words, option, path)
        assert "must be a path that a file can have, not a text of" in line or "there is no" in line, (path, line)
        assert line.isprintable() and len(line) <= 500
    assert "'~nobody-of-that-name/x' names no user" in complaint(words, option, "~nobody-of-that-name/x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [words for words in COMMANDS if words != "convert"])
def test_outputs_have_names_that_can_be_shown(words: str, tmp_path: Path) -> None:
    for name in ("a\nb", "a\x1b[31mb"):
        line = complaint(words, "--output", str(tmp_path / name / "c"))
        assert line.endswith("has line ends or control characters; choose another output") and line.isprintable()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves it alone in `--output=~/x`, and YAML has it as a text."""
    monkeypatch.setenv("HOME", str(tmp_path))
    given = []
    command = dataclasses.replace(COMMANDS["txt2img"], run=lambda *settings: given.append(settings) or 0)
    (tmp_path / "a.yaml").write_text("output: ~/pictures\nprompt: [a]\n")
    command.main(["--config=~/a.yaml"], "jstyle")
    command.main(["--prompt", "a", "--output=~/pictures"], "jstyle")
    command.main(["--prompt", "a", "--output=./~/pictures"], "jstyle")
    assert [inputs.output for inputs, *_ in given] == [tmp_path / "pictures"] * 2 + [Path("~/pictures")]


@pytest.mark.parametrize("option", ["--lora", "--words"])
def test_what_is_no_adapter_is_told_before_anything_starts(option: str, tmp_path: Path) -> None:
    for name, content, said in (
        ("a.safetensors", b"", "is not a whole safetensors file (it ends within its header); fetch it again"),
        ("b.safetensors", b"\x10" + bytes(7) + b'{"a": 1}', "is not a whole safetensors file"),
        (
            "c.pt",
            b"PK\x03\x04" + bytes(60),
            "is a pickle, which could run any code and is not read; convert it: jstyle",
        ),
    ):
        (tmp_path / name).write_bytes(content)
        for text in (str(tmp_path / name), f"{tmp_path / name}:0.5"):
            line = complaint("txt2img", option, text)
            assert line.startswith(str(tmp_path / name)) and said in line
