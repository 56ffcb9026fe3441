"""Settings from words and configs: typed as their fields, words over the config, one line for every mistake."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.settings.reader import plain
from jstyle.settings.words import make_parser, parse_words
from tests.settings.samples import SAMPLES, Everything, Inner, Job, Loop, Picture, Training, Whole

ROOT = Path(__file__).parents[2]


def parse(kind: type, *words: str) -> Any:
    return parse_words((kind,), words, "command", "a command")[0]


def read(*words: str) -> Everything:
    return parse(Everything, "--content", "a.png", *words)


def complaint(kind: type, *words: str) -> str:
    """The one line with which `words` are refused."""
    with pytest.raises(InputError) as caught:
        parse(kind, *words)
    line = str(caught.value)
    assert line.isprintable() and len(line) <= 500 and "usage" not in line
    return line


def spell(value: object) -> str:
    """The word for a value: a text as it is, all else as YAML has it, which JSON is too."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def printed(capsys: pytest.CaptureFixture[str], kinds: tuple[type, ...], *words: str) -> str:
    """What is printed before the command leaves with 0."""
    with pytest.raises(SystemExit) as caught:
        parse_words(kinds, words, "command", "a command")
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_defaults_are_the_dataclasses_own() -> None:
    assert read() == Everything(content=(Path("a.png"),))
    assert parse(Training) == Training()


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--content", "a b.png", "12", "null", "[é:"], "content", ["a b.png", "12", "null", "[é:"]),
        (["--layers", "3", "4", "5"], "layers", (3, 4, 5)),
        (["--size", "64", "32"], "size", (64, 32)),
        (["--gamma", "3e-1"], "gamma", 0.3),
        (["--gamma", "1"], "gamma", 1.0),
        (["--gamma", ".5"], "gamma", 0.5),
        (["--features", "disk"], "features", "disk"),
        (["--mask", "12"], "mask", Path("12")),
        (["--mask", "null"], "mask", None),
        (["--seed", "22"], "seed", 22),
        (["--seed", "-3"], "seed", -3),
        (["--seed", "null"], "seed", None),
        (["--no_adain"], "adain", False),
        (["--no-adain"], "adain", False),
        (["--no_adain", "--adain"], "adain", True),
        (["--share", "true"], "share", True),
        (["--share", "false"], "share", False),
        (["--share", "null"], "share", None),
        (["--prompt", "12"], "prompt", "12"),
        (["--prompt", "a: {b"], "prompt", "a: {b"),
        (["--prompt", "null"], "prompt", "null"),
        (["--prompt=--x-y"], "prompt", "--x-y"),
        (["--prompt", ""], "prompt", ""),
        (["--prompt", "a\nb"], "prompt", "a\nb"),
        (["--prompt", "a", "--prompt", "b"], "prompt", "b"),
        (["--inner.width", "8"], "inner", Inner(8)),
        (["--inner", "{width: 8}"], "inner", Inner(8)),
        (["--inner.width", "9", "--inner", "{width: 8}"], "inner", Inner(9)),
    ],
)  # fmt: skip
def test_an_option_is_typed_as_its_field(words: list[str], field: str, value: object) -> None:
    expected = tuple(map(Path, value)) if isinstance(value, list) else value
    found = getattr(read(*words), field)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--start.width", "5"], Picture(start=Inner(5))),
        (["--start", "{}"], Picture(start=Inner())),
        (["--start", "null"], Picture()),
        (["--seed", "[1, 2]"], Picture(seed=(1, 2))),
        (["--seed", "3"], Picture(seed=3)),
        (["--sampler", "null"], Picture()),
        (["--sampler", "euler"], Picture(sampler="euler")),
        (["--shift", "2", "null"], Picture(shift=(2, None))),
        (["--layers", "1", "2"], Picture(layers=(1, 2))),
        (["--layers", "3"], Picture(layers=(3,))),
        (["--layers", "null"], Picture()),
        (["--factor", "2"], Picture(factor=2)),
        (["--weights", "{a: 1e-3}"], Picture(weights={"a": 1e-3})),
    ],
)
def test_what_no_single_word_can_say_is_yaml(words: list[str], value: Picture) -> None:
    assert parse(Picture, *words) == value


def test_hyphens_are_as_good_as_underscores() -> None:
    assert parse(Training, "--loop.checkpoint-every", "3", "--vae-tiling").loop.checkpoint_every == 3
    assert parse(Training, "--loop.checkpoint-every=3").loop.checkpoint_every == 3
    assert parse(Training, "--loop.rate", "-1e-3").loop.rate == -1e-3


def test_nested_options_start_from_the_holders_default() -> None:
    assert parse(Training, "--loop.steps", "5", "--precision", "fp32").loop == Loop(5, 1e-4)
    assert parse(Training).model.precision == "bf16"
    found = parse(Whole, "--content", "a", "--loop", "{steps: 9, clip: null}", "--loop.steps", "7", "--model", "x")
    assert found.training.loop == Loop(7, 1e-4, None)
    assert found.everything.gamma == 0.5 and found.training.model.model == "x"


def test_words_win_over_the_config(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text("content: [b.png]\nlayers: [1]\ngamma: 0.3\nadain: false\ninner: {width: 5}\n")
    for words in (["--config", str(config), "--layers", "9"], ["--layers", "9", "--config", str(config)]):
        found = parse(Everything, *words)
        assert found == Everything((Path("b.png"),), layers=(9,), gamma=0.3, adain=False, inner=Inner(5))


def test_several_dataclasses_stand_beside_each_other(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text("content: [b.png]\noutput: there\nloop: {rate: 2}\n")

    def find(word: str) -> Path:
        return tmp_path / f"{word}.yaml"

    words = ["--config", "a", "--loop.steps", "3"]
    found = parse_words((Everything, Training), words, "command", "", find)
    assert found == (Everything((Path("b.png"),)), Training(Path("there"), loop=Loop(3, 2.0)))


@pytest.mark.parametrize("sample", SAMPLES)
def test_print_config_can_be_read_back(sample: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From words to YAML to settings: the words are made from what JSON holds of the settings."""
    words = []
    for name, value in plain(sample).items():
        if isinstance(value, bool) and name != "share":
            words.append(f"--{name}" if value else f"--no_{name}")
        elif isinstance(value, list) and name != "seed":
            words += [f"--{name}", *map(spell, value)] if value else []  # an empty list has no words
        else:
            words.append(f"--{name}={spell(value)}")
    if isinstance(sample, (Everything, Picture)) and not sample.layers:
        sample = dataclasses.replace(sample, layers=type(sample).layers)
    assert parse(type(sample), *words) == sample
    config = tmp_path / "a.yaml"
    config.write_text(printed(capsys, (type(sample),), *words, "--print_config"), "utf-8")
    assert parse(type(sample), "--config", str(config)) == sample


def test_print_config_shows_what_is_given_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, (Training,), "--print_config", "--loop.steps", "3") == "loop:\n  steps: 3\n"


def test_help_tells_the_fields_strings_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(capsys, (Everything, Training), "--help").split())
    for phrase in (
        "a command",
        "Pictures, 100% of them, from files or folders. (required)",
        "Which layers. (default: 6 7)",
        "A seed. --adain",
        "--features {memory,disk}",
        "--adain, --no_adain Adjust the statistics. (default: true)",
        "--loop.steps N Updates. (default: 500)",
        "Settings of every kind of value: --content PATH [PATH ...]",
        "loop: How often and how fast: --loop.steps",
    ):
        assert phrase in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--content is missing: give it here or in a --config"),
        (["--content"], "--content: expected at least one argument"),
        (["--content", "a", "--gama", "1"], "unknown option --gama (did you mean --gamma?)"),
        (["--content", "a", "--gam", "1"], "unknown option --gam (did you mean --gamma?)"),
        (["--content", "a", "--qqq=1"], "unknown option --qqq (--help lists all there are)"),
        (["stray", "--content", "a"], "the word 'stray' belongs to no option"),
        (["--content", "a", "--gamma", "much"], "--gamma: must be a number, not 'much'"),
        (["--content", "a", "--gamma", "-1"], "--gamma is -1.0: it must be at least 0"),
        (["--content", "a", "--gamma", "nan"], "--gamma: must be a finite number, not nan"),
        (["--content", "a", "--gamma", "-inf"], "--gamma: must be a finite number, not -inf"),
        (["--content", "a", "--gamma", "1e400"], "--gamma: must be a finite number, not inf"),
        (["--content", "a", "--gamma", "1_0"], "--gamma: must be a number, not '1_0'"),
        (["--content", "a", "--layers", "1", "x"], "--layers: item 2 must be a whole number, not 'x'"),
        (["--content", "a", "--size", "1"], "--size: expected 2 arguments"),
        (["--content", "a", "--seed", "1.5"], "--seed: must be a whole number, not '1.5'"),
        (["--content", "a", "--seed", "9" * 5000], "--seed: must be a whole number, not '999"),
        (["--content", "a", "--seed", "9" * 30], "--seed: must be a whole number of 64 bits, not 999"),
        (["--content", "a", "--features", "ram"], "--features: must be one of memory, disk, not 'ram'"),
        (["--content", "a", "--share", "yes"], "--share: must be true or false, not 'yes'"),
        (["--content", "a", "--adain=1"], "--adain: ignored explicit argument '1'"),
        (["--content", "a", "--inner.width", "x"], "--inner.width: must be a whole number, not 'x'"),
        (["--content", "a", "--inner.widht", "1"], "unknown option --inner.widht (did you mean --inner.width?)"),
        (["--content", "a", "--inner", "{widht: 1}"], "--inner: unknown setting 'widht' (did you mean width?)"),
        (["--content", "a", "--inner", "{width: x}"], "--inner: width must be a whole number, not 'x'"),
        (["--content", "a", "--inner", "{a"], "--inner is not YAML: "),
        (["--config", "/no/such.yaml"], "cannot read the config '/no/such.yaml': No such file"),
        (["--config", "/"], "cannot read the config '/': Is a directory"),
        (["--config"], "--config: expected one argument"),
        (["--config", "a", "--config", "b"], "--config: one file can be given"),
        (["--\x1b[31m"], "unknown option --\\x1b[31m"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], message: str) -> None:
    assert complaint(Everything, *words).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("content: [a]\ngama: 1", "unknown setting 'gama' (did you mean gamma?)"),
        ("content: [a]\ninner: {height: 1}", "inner: unknown setting 'height' (there are: width)"),
        ("content: a.png", "content must be a list, not 'a.png'"),
        ("content: [a]\nlayers: 5", "layers must be a list, not 5"),
        ("content: [a]\nlayers: [1, x]", "layers[1] must be a whole number, not 'x'"),
        ("content: [a]\nsize: [1, 2, 3]", "size must be a list of 2 values, not [1, 2, 3]"),
        ("content: [a]\nprompt: 12", "prompt must be a text, not 12"),
        ("content: [a]\nadain: 3", "adain must be true or false, not 3"),
        ("content: [a]\nadain: null", "adain must be true or false, not null (leave the line out for the default)"),
        ("content: [a]\ngamma: .nan", "gamma must be a finite number, not nan"),
        ("content: [a]\ngamma: 1e400", "gamma must be a finite number, not inf"),
        ("content: [a]\ncontent: [b]", "the key 'content' stands there twice"),
        ("just words", "is not a mapping of settings (name: value)"),
    ],
)
def test_a_wrong_config_is_named(text: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(text)
    line = complaint(Everything, "--config", str(config))
    assert line.startswith(f"the config {str(config)!r}") and message in line


@pytest.mark.parametrize(
    ("text", "message"), [("content: [a]\ngamma: -2", "--gamma is -2.0: it must"), ("", "--content is missing")]
)
def test_what_words_could_have_mended_is_asked_of_the_whole(text: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(text)
    assert complaint(Everything, "--config", str(config)).startswith(message)
    assert parse(Everything, "--config", str(config), "--gamma", "1", "--content", "b").gamma == 1


def test_the_parser_lists_every_option_for_completion() -> None:
    parser = make_parser((Everything, Job), "command", "100% of it")
    actions = {name: action for action in parser._actions for name in action.option_strings}
    assert list(actions["--features"].choices or ()) == ["memory", "disk"]
    assert "--output" in actions and "--inner.width" in actions and "100% of it" in parser.format_help()
    for name in ("--config", "--content", "--output", "--mask"):
        assert getattr(actions[name], "complete", None), name
    with pytest.raises(InputError, match="unrecognized arguments: --nothing"):
        parser.parse_args(["--nothing"])


def test_help_needs_neither_the_engine_nor_pydantic() -> None:
    code = (
        "import sys; sys.argv = ['-m']; import jstyle; from jstyle.settings.words import parse_words\n"
        "from jstyle.settings.model import ModelSettings\n"
        "try: parse_words((ModelSettings,), ['--help'], 'command', '')\n"
        "except SystemExit: print(sorted({'pydantic', 'jittor', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--precision" in done.stdout and done.stderr == "[]\n"
