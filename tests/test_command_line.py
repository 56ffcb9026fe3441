"""The scripts' shared layer: settings from words and YAML, failures as one line and an exit code."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Literal, Optional

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from command_line import parse, run  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Inner:
    """A group of settings."""

    width: int = 3


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of every supported kind."""

    content: tuple[Path, ...]
    """Pictures, 100% of them,
    from files or folders."""
    layers: tuple[int, ...] = (6, 7)
    """Which layers."""
    size: tuple[int, int] = (512, 512)
    """Width and height in pixels."""
    gamma: float = 0.75
    """How much of the content is kept."""
    features: Literal["memory", "disk"] = "memory"
    """Where features are kept."""
    mask: Optional[Path] = None
    """A mask."""
    seed: Optional[int] = None
    """A seed."""
    adain: bool = True
    """Adjust the statistics."""
    prompt: str = ""
    """Words."""
    inner: Inner = Inner()
    """A group."""

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ValueError(f"gamma is {self.gamma}:\nit must be at least 0")


@dataclasses.dataclass(frozen=True)
class Job:
    """What a script adds."""

    output: Path = Path("out")
    """Where the pictures go."""


def settings(*words: str) -> Settings:
    return parse(Settings, "a script", ["--content", "a.png", *words])


def test_defaults_are_the_dataclasses_own() -> None:
    assert settings() == Settings(content=(Path("a.png"),))


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--content", "a b.png", "12", "null", "[é:"], "content", ["a b.png", "12", "null", "[é:"]),
        (["--layers", "3", "4", "5"], "layers", (3, 4, 5)),
        (["--size", "64", "32"], "size", (64, 32)),
        (["--gamma", "3e-1"], "gamma", 0.3),
        (["--gamma", "1"], "gamma", 1.0),
        (["--features", "disk"], "features", "disk"),
        (["--mask", "12"], "mask", Path("12")),
        (["--mask", "null"], "mask", None),
        (["--seed", "22"], "seed", 22),
        (["--no_adain"], "adain", False),
        (["--adain"], "adain", True),
        (["--prompt", "12"], "prompt", "12"),
        (["--prompt", "a: {b"], "prompt", "a: {b"),
        (["--prompt", "null"], "prompt", "null"),
        (["--prompt=--x"], "prompt", "--x"),
        (["--inner.width", "8"], "inner", Inner(8)),
    ],
)  # fmt: skip
def test_an_option_is_typed_as_its_field(words: list[str], field: str, value: object) -> None:
    expected = tuple(map(Path, value)) if isinstance(value, list) else value
    found = getattr(settings(*words), field)
    assert found == expected and type(found) is type(expected)


def test_the_command_line_wins_over_the_config(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text("content: [b.png]\nlayers: [1]\ngamma: 0.3\nadain: false\ninner: {width: 5}\n")
    found = parse(Settings, "a script", ["--config", str(config), "--layers", "9"])
    assert found == Settings((Path("b.png"),), layers=(9,), gamma=0.3, adain=False, inner=Inner(5))


def test_a_second_dataclass_stands_beside_the_first(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text("content: [b.png]\noutput: there\n")
    first, second = parse(Settings, "a script", ["--config", str(config)], extra=Job)
    assert first == Settings((Path("b.png"),)) and second == Job(Path("there"))


def test_print_config_can_be_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--gamma", "0.3", "--size", "8", "16", "--prompt", "yes", "--inner.width", "4"]
    with pytest.raises(SystemExit) as caught:
        settings(*words, "--print_config")
    assert caught.value.code == 0
    config = tmp_path / "a.yaml"
    config.write_text(capsys.readouterr().out)
    assert parse(Settings, "a script", ["--config", str(config)]) == settings(*words)


def test_help_tells_the_fields_strings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings("--help")
    assert caught.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for phrase in ("a script", "Pictures, 100% of them, from files or folders.", "A seed.", "{memory,disk}"):
        assert phrase in told


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line on stderr with which `words` are refused."""
    with pytest.raises(SystemExit) as caught:
        parse(Settings, "a script", words)
    assert caught.value.code == 2
    told = capsys.readouterr()
    assert not told.out and told.err.startswith("error: ") and told.err.count("\n") == 1
    return told.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "required: content"),
        (["--content"], "argument --content: expected at least one argument"),
        (["--content", "a", "--gama", "1"], "unrecognized arguments: --gama 1 (did you mean gamma?)"),
        (["--content", "a", "--gam", "1"], "unrecognized arguments: --gam 1"),
        (["stray", "--content", "a"], "unrecognized arguments: stray"),
        (["--content", "a", "--gamma", "much"], "--gamma: Expected float. Got value: much"),
        (["--content", "a", "--gamma", "-1"], "gamma is -1.0: it must be at least 0"),
        (["--content", "a", "--layers", "1", "x"], "--layers: Expected int. Got value: x"),
        (["--content", "a", "--size", "1"], "argument --size: expected 2 arguments"),
        (["--content", "a", "--seed", "1.5"], "--seed: Expected one of int, null. Got value: 1.5"),
        (["--content", "a", "--features", "ram"], "--features: Expected a Literal['memory', 'disk']"),
        (["--content", "a", "--inner.width", "x"], "--inner.width: Expected int. Got value: x"),
        (["--config", "/no/such.yaml"], "--config: File does not exist: '/no/such.yaml'"),
        (["--config", "/"], "--config: Path is not a file"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in complaint(capsys, *words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"content: [a]\ngama: 1", "unrecognized setting: gama (did you mean gamma?)"),
        (b"content: [a]\ninner: {height: 1}", "height"),
        (b"content: a.png", "--content: Expected a list"),
        (b"content: [a]\nlayers: 5", "Expected a list"),
        (b"content: [a]\nlayers: [1, x]", "--layers: Expected int. Got value: x"),
        (b"content: [a]\nsize: [1, 2, 3]", "--size: Expected 2 values. Got 3"),
        (b"content: [a]\nprompt: 12", "--prompt: Expected str. Got value: 12"),
        (b"content: [a]\nadain: 3", "Value not boolean: 3"),
        (b"content: [a]\ngamma: -2", "gamma is -2.0: it must be at least 0"),
        (b"gamma: 1", "required: content"),
        (b"gamma: [", "the config is not YAML"),
        (b"a: b: c\n\t- d", "the config is not YAML"),
        (b"just words", "the config is not a mapping"),
        (b"[1, 2]", "the config is not a mapping"),
        (b"", "the config is not a mapping"),
        (b"\xff\xfe\x00", "the config is not UTF-8 text"),
        (b"content: !!python/object/apply:os.mkdir ['%s']", "the config is not YAML"),
    ],
)
def test_a_wrong_config_is_one_line(
    text: bytes, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "a.yaml"
    config.write_bytes(text.replace(b"%s", bytes(tmp_path / "made")))
    assert expected in complaint(capsys, "--config", str(config))
    assert not (tmp_path / "made").exists()


def exit_of(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    def main() -> int:
        raise error

    with pytest.raises(SystemExit) as caught:
        run(main)
    return caught.value.code, capsys.readouterr().err


def test_expected_failures_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from jstyle.errors import InputError

    start_error = type("StartError", (RuntimeError,), {"__module__": "jstyle.runtime.start_error"})
    no_compiler = type("NoCompiler", (start_error,), {})
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.png")
    assert exit_of(InputError("a.png is\nempty"), capsys) == (2, "error: a.png is empty\n")
    assert exit_of(start_error("no compiler"), capsys) == (1, "error: no compiler\n")
    assert exit_of(no_compiler("no compiler"), capsys) == (1, "error: no compiler\n")
    assert exit_of(KeyboardInterrupt(), capsys) == (130, "error: interrupted\n")
    assert exit_of(full, capsys) == (1, "error: No space left on device (a.png): free some space\n")


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.EIO, "input/output"), KeyError("x")])
def test_a_defect_keeps_its_traceback(error: Exception) -> None:
    def main() -> int:
        raise error

    with pytest.raises(type(error)) as caught:
        run(main)
    assert caught.value is error


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (1, 1)])
def test_the_exit_code_is_mains(answer: Optional[int], code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        run(lambda: answer)
    assert caught.value.code == code


def script(tmp_path: Path, body: str) -> list[str]:
    """A script as this project writes them; its engine cannot be imported."""
    (tmp_path / "jstyle").mkdir()
    (tmp_path / "jstyle" / "__init__.py").write_text("raise SystemExit('the engine was started')")
    path = tmp_path / "script.py"
    header = f"""
        import dataclasses, sys
        sys.path[:0] = [{str(tmp_path)!r}, {str(SCRIPTS)!r}]
        from command_line import parse, run
        @dataclasses.dataclass(frozen=True)
        class Settings:
            steps: int = 50
    """
    path.write_text(textwrap.dedent(header) + textwrap.dedent(body))
    return [sys.executable, str(path)]


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["--stepz", "1"], 2), (["--steps", "x"], 2)])
def test_help_and_wrong_options_do_not_start_the_engine(words: list[str], code: int, tmp_path: Path) -> None:
    command = script(tmp_path, "run(lambda: parse(Settings, 'a script').steps)")
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code and "engine" not in done.stderr and "Traceback" not in done.stderr


def test_a_closed_pipe_is_silent(tmp_path: Path) -> None:
    command = script(tmp_path, "run(lambda: print('line\\n' * 100_000))")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141
