"""The command `jstyle` and all that the tables make of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jstyle import __version__
from jstyle.cli.commands import find_command, iterate_commands
from jstyle.cli.installation import COMPLETION
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.methods.table import METHODS
from jstyle.training.teaching.table import TEACHINGS

COMMANDS = [command.words for command in iterate_commands()]
WITH_SETTINGS = [words for words in COMMANDS if words not in ("doctor", "completion")]

QUESTIONS = """
import contextlib, io, json, sys
from jstyle.cli.commands import iterate_commands
from jstyle.cli.main import main
from jstyle.errors import InputError

def ask(*words):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        try:
            end = main(words)
        except SystemExit as error:
            end = error.code
        except InputError as error:
            end = f"error: {error}"
    return {"words": words, "end": end, "shown": shown.getvalue(), "started": "jittor" in sys.modules}

answers = [ask("--version"), ask("--help"), ask("completion", "bash"), ask("stylid"), ask("train", "lroa")]
for command in iterate_commands():
    for rest in (["--help"], ["--no-such-option"], ["--config", sys.argv[1]], ["--config", "no-such-config"]):
        answers.append(ask(*command.words.split(), *rest))
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is answered, in a process that has nothing else to do, without anything being computed."""
    broken = tmp_path_factory.mktemp("configs") / "broken.yaml"
    broken.write_text("no_such_setting: 1\n")
    command = [sys.executable, "-c", QUESTIONS, str(broken)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def ends_with(answers: list[dict[str, Any]], *rest: str) -> list[dict[str, Any]]:
    return [answer for answer in answers if tuple(answer["words"][-len(rest) :]) == rest]


def test_nothing_starts_jittor_before_there_is_something_to_compute(answers: list[dict[str, Any]]) -> None:
    started = [answer["words"] for answer in answers if answer["started"]]
    assert len(answers) == 5 + 4 * len(COMMANDS)
    assert started == []


def test_every_help_says_what_the_command_does_and_lists_its_settings(answers: list[dict[str, Any]]) -> None:
    helps = ends_with(answers, "--help")
    assert len(helps) == len(COMMANDS) + 1 and all(answer["end"] == 0 for answer in helps)
    for command, answer in zip(iterate_commands(), helps[1:]):
        shown = " ".join(answer["shown"].split())
        assert f"usage: jstyle {command.words}" in shown and command.summary[1:] in shown and command.source in shown
        assert ("--config FILE" in shown) == (command.words in WITH_SETTINGS)


def test_wrong_options_and_configs_are_one_line(answers: list[dict[str, Any]]) -> None:
    wrong = [*ends_with(answers, "--no-such-option"), *ends_with(answers, "no-such-config")]
    wrong += [answer for answer in answers if str(answer["words"][-1]).endswith("broken.yaml")]
    assert len(wrong) == 3 * len(COMMANDS)
    for answer in wrong:
        line = str(answer["end"])
        assert line.startswith("error: ") and "\n" not in line and not answer["shown"], answer
        name = answer["words"][-1]
        if " ".join(answer["words"]).removesuffix(f" --config {name}") in WITH_SETTINGS:
            assert "no_such_setting" in line or "there is no config 'no-such-config'" in line


def test_the_overview_names_every_command_with_its_line(answers: list[dict[str, Any]]) -> None:
    overview = ends_with(answers, "--help")[0]["shown"]
    for command in iterate_commands():
        assert f"  {command.words} " in overview and command.summary in overview and command.source in overview
    assert {method.command for method in METHODS.values()} < set(COMMANDS)
    assert {f"train {teaching.command}" for teaching in TEACHINGS.values()} < set(COMMANDS)


def test_the_version(answers: list[dict[str, Any]]) -> None:
    assert ends_with(answers, "--version")[0]["shown"] == f"jstyle {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stylid"], "unknown command 'stylid' (did you mean styleid?)"),
        (["style_align"], "unknown command 'style_align' (did you mean style-align?)"),
        (["--versoin"], "unknown command '--versoin'"),
        (["trian", "lora"], "unknown command 'trian lora' (did you mean train lora?)"),
        (["stylid", "a.png"], "unknown command 'stylid' (did you mean styleid?)"),
        (["train", "lroa"], "unknown command 'train lroa' (did you mean train lora?)"),
        (["train"], "'train' needs another word: "),
        (["train", "--config", "x"], "'train' needs another word: "),
        (["txt2img", "--prompt", "caf\udce9"], "--prompt: item 1 must be a text in UTF-8, not 'caf\\udce9'"),
        (["txt2img", "--prompt", "a", "--output", ""], "--output: must be a path, not '' (write . for the current"),
        (["txt2img", "--prompt", "a", "--output", __file__], f"{__file__!r} is a file, not a folder for the results"),
        (["txt2img", "--prompt", "a", "--steps", "9" * 5000], "--steps: must be a whole number, not '9999"),
        (["txt2img", "--prompt", "a", "--sampler", "Eular_a"], "--sampler: must be one of ddim, ddpm"),
        (
            ["txt2img", "--prompt", "a", "--lora", "no:0.5"],
            "there is no LoRA 'no': name a safetensors file or its",
        ),
        (
            ["txt2img", "--prompt", "a", "--output", "a.jpg"],
            "'a.jpg': pictures are written as PNG: end its name in",
        ),
        (
            ["style-align", "--prompt", "a", "b", "--output", "a.png"],
            "'a.png' is named like a file, and the output",
        ),
        (["train", "lora", "--data", __file__, "--output", "a.safetensors"], "'a.safetensors' is named like a file"),
        (["completion", "fish"], "argument SHELL: invalid choice"),
        (["doctor", "now"], "unrecognized arguments: now"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        main(words)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_the_words_of_a_command_are_found() -> None:
    for words in COMMANDS:
        command, rest = find_command([*words.split(), "--output", "o"])
        assert (command.words, list(rest)) == (words, ["--output", "o"])


def test_a_group_has_an_overview_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {words} " in shown for words in COMMANDS if words.startswith("train "))
    assert "  styleid " not in shown


def test_no_words_are_wrong_but_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert not shown.out and "usage: jstyle COMMAND" in shown.err


@pytest.mark.parametrize("shell", COMPLETION.choices)
def test_completion_knows_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(part in script for words in COMMANDS for part in words.split())
    assert "temperature" in script and "ray_address" in script


def test_bash_takes_the_completion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = tmp_path / "completion.bash"
    words = "COMP_WORDS=(jstyle styleid --temp); COMP_CWORD=2; _shtab_jstyle; echo ${COMPREPLY[@]}"
    script.write_text(f"{capsys.readouterr().out}\n{words}\n")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--temperature"], done.stderr


def test_without_shtab_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(InputError, match="pip install shtab"):
        main(["completion", "bash"])


def test_the_doctor_comes_where_packages_are_missing() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(("numpy", "PIL", "pydantic", "shtab", "tqdm", "transformers", "yaml")))
import jstyle.doctor
from jstyle.cli.main import main
jstyle.doctor.report = lambda: print("looked") or 1
sys.exit(main(["doctor"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("looked\n", 1), done.stderr


def test_the_module_is_the_command(tmp_path: Path) -> None:
    wrong = [sys.executable, "-m", "jstyle", "stylid"]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown command 'stylid' (did you mean styleid?)\n"


PATHS = """
import contextlib, io, json, sys
from pathlib import Path
from jstyle.cli.command import SettingsCommand
from jstyle.cli.commands import iterate_commands
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.settings.options import list_options
from jstyle.settings.fields import join_flat, is_required, level_fields

there, folder = sys.argv[1:]
GOOD = {"data": folder, "submission": folder, "network_python": there}
NEEDED = {"submit": ["--recipe", "submission"], "txt2img": ["--prompt", "a", "--image", there]}
NEEDED["style-align"] = ["--prompt", "a", "b", "c", "--reference_prompt", "d"]
NEEDED["prompt-to-prompt"] = ["--prompt", "a", "--target", "b"]
NEEDED["imagic"] = ["--prompt", "a"]
RESULTS = ("output", "store", "styles", "trainings", "save_reference")
NEEDED["attention-distillation-text"] = ["--prompt", "a"]
answers = []
for command in iterate_commands():
    if not isinstance(command, SettingsCommand):
        continue
    fields = level_fields(join_flat(command.settings))
    paths = {name for name, (_, hint) in fields.items() if "Path" in str(hint) and name != "recipe"}
    required = {name for name in paths if is_required(fields[name][0])}
    for name in sorted(paths) + ["model"] * ("model" in fields):
        words = list(NEEDED.get(command.words, []))
        for other in sorted(required - {name}):
            words += [f"--{other}", str(Path(folder, "out")) if other == "output" else GOOD.get(other, there)]
        wrong = str(Path(there, "out")) if name in RESULTS else "no/such/path"
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                end = main([*command.words.split(), *words, f"--{name}", wrong])
        except InputError as error:
            end = f"error: {error}"
        answers.append((f"{command.words} --{name}", wrong, str(end), "jittor" in sys.modules))
json.dump(answers, sys.stdout)
"""


def test_a_wrong_path_is_told_before_anything_starts(tmp_path: Path) -> None:
    there = tmp_path / "there.png"
    Image.new("RGB", (8, 8)).save(there)
    command = [sys.executable, "-c", PATHS, str(there), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = json.loads(done.stdout)
    for asked, wrong, end, started in answers:
        assert end.startswith("error: ") and not started, (asked, end)
        assert (repr(str(there)) if wrong.startswith(str(there)) else "no/such/path") in end, (asked, end)
    assert {"styleid --store", "score --submission", "train lora --data", "inst --model"} < {one[0] for one in answers}
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["txt2img", "--prompt", "a", "--sampler", "Eular_a"], "did you mean euler_a?"),
        (["txt2img", "--prompt", "a", "--sigmas", "Karas"], "did you mean karras?"),
        (["txt2img", "--promt", "a"], "did you mean --prompt?"),
        (["txt2img", "--config", "style_aling"], "did you mean style_align?"),
        (["submit", "--preset", "basline", "--data", "{folder}"], "did you mean baseline?"),
        (
            ["styleid", "--content", "{folder}/wodcut.png", "--style", "{folder}", "--output", "o"],
            "{folder}/Woodcut.png?",
        ),
        (["txt2img", "--from", "{folder}/Woodcut.pgn"], "did you mean {folder}/Woodcut.png?"),
        (["txt2img", "--prompt", "a", "--lora", "{folder}/Woodct.png:0.5"], "did you mean {folder}/Woodcut.png?"),
        (["styleid", "--content", "{folder}", "--style", "{above}/sampels/x", "--output", "o"], ""),
        (["txt2img", "--prompt", "a", "--image", "{above}/sampels/Woodcut.png"], "did you mean {folder}/Woodcut.png?"),
    ],
)
def test_what_was_meant_is_asked(words: list[str], meant: str, tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "Woodcut.png")
    places = {"folder": folder, "above": tmp_path}
    with pytest.raises(InputError) as caught:
        main([word.format(**places) for word in words])
    assert meant.format(**places) in str(caught.value)
    assert ("did you mean" in str(caught.value)) == bool(meant)
