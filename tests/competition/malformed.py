"""Ways to get data and recipes wrong, each with what the one error line says of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.competition.folders import write_style

Break = Callable[[Path], Any]


def prompts(content: Any) -> Break:
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda root: (root / "00" / "prompt.json").write_text(text, encoding="utf-8")


def prompt(text: str) -> Break:
    return prompts({"0": "Dolphin", "1": text})


def write(name: str, content: bytes = b"") -> Break:
    def do(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return do


def _in_place_of(path: Path) -> Path:
    path.unlink()
    return path


def remove_all(pattern: str) -> Break:
    return lambda root: [path.unlink() for path in root.glob(pattern)]


# What is done to good data, and what the one error line says.
DATASETS: list[tuple[str, Break, str]] = [
    ("no json", remove_all("00/prompt.json"), "style 00 has no prompts"),
    ("json is broken", prompts('{"0": "Dolphin"'), "is not JSON"),
    ("json is a list", prompts(["Dolphin"]), "is no object of prompts"),
    ("json is no text", lambda root: write("00/prompt.json", b"\xff\xfe\x00")(root), "is not UTF-8 text"),
    ("json is empty", prompts({}), "lists no prompt"),
    ("json is an empty file", prompts(""), "is not JSON"),
    ("json is UTF-16", write("00/prompt.json", '{"0": "Lion"}'.encode("utf-16")), "is not UTF-8 text"),
    ("json is a folder", lambda root: _in_place_of(root / "00" / "prompt.json").mkdir(), "this is not a file"),
    ("json is a pipe", lambda root: os.mkfifo(_in_place_of(root / "00" / "prompt.json")), "this is not a file"),
    ("json is large", prompts("{" + " " * (1 << 20) + "}"), "this is larger than 1024 KiB"),
    ("json is deep", prompts("[" * 200 + "]" * 200), "this nests over 100 deep"),
    ("json is deeper", prompts("[" * 100_000), "this nests over 100 deep"),
    ("not a number", prompts('{"0": NaN}'), "is not JSON: it has no NaN"),
    ("long number", prompts('{"0": ' + "9" * 5000 + "}"), "is not JSON: it holds a number of 5000 digits"),
    ("json nests", prompts({"0": {"0": "Dolphin"}}), "prompt '0' is no text"),
    ("number", prompts({"0": 7}), "prompt '0' is no text"),
    ("null", prompts({"0": None}), "prompt '0' is no text"),
    ("key is no number", prompts({"first": "Dolphin"}), "the key 'first' is no number"),
    ("key of ten digits", prompts({"0": "Dolphin", "9999999999": "Lion"}), "the key '9999999999' is no number"),
    ("key of 5000 digits", prompts({"9" * 5000: "Lion"}), "9... is no number (0, 1, 2, ...)"),
    ("key of other digits", prompts({"\u0663": "Lion"}), "is no number"),
    ("key with a sign", prompts({"+1": "Lion"}), "the key '+1' is no number"),
    ("key twice", prompts('{"0": "Dolphin", "0": "Lion"}'), "the key '0' stands there twice"),
    ("key twice, spelt apart", prompts({"0": "Dolphin", "00": "Lion"}), "two prompts have the number 0"),
    ("prompt twice", prompt("Dolphin"), "'Dolphin' is listed twice"),
    ("letter twice", prompts({"0": "A", "1": "A"}), "'A' is listed twice"),
    ("same but for case", prompt("dolphin"), "'Dolphin' and 'dolphin' are one file where case is ignored"),
    ("same but for composition", prompts({"0": "Caf\u00e9", "1": "Cafe\u0301"}), "are one file"),
    ("empty prompt", prompt(""), "cannot be a file name: it is empty"),
    ("blank prompt", prompt("  "), "cannot be a file name: it is empty"),
    ("up", prompt("../../etc/passwd"), "cannot be a file name: it holds '/'"),
    ("absolute", prompt("/tmp/x"), "cannot be a file name: it holds '/'"),
    ("backslash", prompt("..\\x"), "cannot be a file name: it holds '\\\\'"),
    ("drive", prompt("C:x"), "cannot be a file name: it holds ':'"),
    ("dots", prompt(".."), "cannot be a file name: it starts or ends with a dot"),
    ("hidden", prompt(".Dolphin"), "cannot be a file name: it starts or ends with a dot"),
    ("end of line", prompt("Ice\ncream"), "cannot be a file name: it holds '\\n'"),
    ("null byte", prompt("Ice\x00cream"), "cannot be a file name: it holds '\\x00'"),
    ("space at the end", prompt("Lion "), "cannot be a file name: it starts or ends with a space"),
    ("too long", prompt("x" * 300), "cannot be a file name: it takes 300 bytes"),
    ("device", prompt("Con"), "cannot be a file name: Windows keeps that name"),
    ("surrogate", prompts('{"0": "\\ud800"}'), "cannot be a file name: it holds half a character"),
    ("no pictures", remove_all("00/images/*"), "style 00 has no pictures"),
    ("no folder of pictures", lambda root: (root / "00" / "images").rename(root / "pictures"), "cannot read"),
    ("a picture is empty", write("00/images/object_0.png"), "is empty (0 bytes)"),
    ("a picture is no picture", write("00/images/new.png", b"no picture"), "is no readable picture"),
    ("one digit", lambda root: (root / "02").rename(root / "2"), "rename it to 02"),
    ("a style twice", lambda root: write_style(root, "002", ["Lion"]), "'002' and '02' are the same style"),
]  # fmt: skip


RECIPES: list[tuple[str, str, str]] = [
    ("no YAML", "picture: {steps: 4", "is not YAML"),
    ("a list", "- steps: 4", "is not a mapping of settings"),
    ("a key twice", "picture: {steps: 4, steps: 5}", "the key 'steps' stands there twice"),
    ("unknown at the top", "modle: tiny", "recipe: unknown setting 'modle' (did you mean model?)"),
    ("unknown in picture", "picture: {step: 4}", "picture: unknown setting 'step' (did you mean steps?)"),
    ("text for a number", "picture: {steps: many}", "picture: steps must be a whole number, not 'many'"),
    ("half a step", "picture: {steps: 4.5}", "picture: steps must be a whole number, not 4.5"),
    ("true for a number", "picture: {steps: true}", "picture: steps must be a whole number, not true"),
    ("no steps", "picture: {steps: 0}", "picture: steps must be from 1 to 1000, not 0"),
    ("guidance", "picture: {guidance: .inf}", "picture: guidance must be a finite number"),
    ("sampler", "picture: {sampler: magic}", "picture: sampler must be one of ddim"),
    ("eta without ddim", "picture: {eta: 0.5}", "eta is a setting of ddim"),
    ("negative seed", "picture: {seed: -1}", "picture: seed must not be negative"),
    ("too few seeds", 'styles: {"02": {seed: [1, 2]}}', "styles.02: 2 seeds for 3 prompts"),
    ("seeds for a prompt", 'styles: {"02": {prompts: {Lion: {seed: [1]}}}}', "a prompt has one seed, not a list"),
    ("template", 'picture: {prompt: "{object} in red"}', "asks for {object}, and there is {prompt} and {style}"),
    ("open brace", 'picture: {prompt: "a {prompt"}', "is no template"),
    ("no start to keep", "picture: {start: {strength: 0.0}}", "picture: start.strength must lie above 0"),
    ("no step left", "picture: {steps: 4, start: {strength: 0.1}}", "leave no step to run"),
    ("start from nothing", 'styles: {"02": {start: {image: nowhere}}}', "style 02 has no reference 'nowhere'"),
    (
        "seed of a finish drawn",
        "picture: {finish: {method: styleid, settings: {seed: -1}}}",
        "must be a number, not -1",
    ),
    (
        "weights",
        "picture: {prompt: '{prompt} [a:b:3]', prompt_weights: a1111}",
        "picture: '[a:b:3]' in a prompt",
    ),
    ("finish unknown", "picture: {finish: {method: magic}}", "no finishing method 'magic' (there are: styleid"),
    ("finish unnamed", "picture: {finish: {reference: first}}", "picture: finish.method is missing"),
    ("finish setting", "picture: {finish: {method: styleid, settings: {gama: 1}}}", "'gama' (did you mean gamma?)"),
    (
        "finish range",
        "picture: {finish: {method: styleid, settings: {gamma: 2.0}}}",
        "picture: finish.settings: gamma must",
    ),
    ("finish size", "picture: {finish: {method: styleid, settings: {width: 64}}}", "width is the job's own"),
    (
        "finish on disk",
        "picture: {finish: {method: styleid, settings: {features: disk}}}",
        "memory or recompute, not disk",
    ),
    (
        "finish with a net",
        "picture: {finish: {method: styleid, settings: {controlnet: [tiny]}}}",
        "picture: finish.settings: a finish makes the maps of controlnet: give preprocess",
    ),
    ("finish reference", 'styles: {"02": {finish: {method: styleid, reference: boat}}}', "has no reference 'boat'"),
    ("adapter kind", "picture: {adapters: [{kind: magic, file: x}]}", "no adapter kind 'magic'"),
    ("adapters no list", "picture: {adapters: {kind: lora}}", "picture: adapters must be a list"),
    ("adapter of nothing", "picture: {adapters: [{kind: lora}]}", "an adapter has either a file or train (settings)"),
    ("adapter of both", "picture: {adapters: [{kind: lora, file: x, train: {}}]}", "either a file or train"),
    ("train unknown", "picture: {adapters: [{kind: magic, train: {}}]}", "no training method 'magic'"),
    ("train setting", "picture: {adapters: [{kind: lora, train: {rnak: 3}}]}", "unknown setting 'rnak' (did you mean"),
    ("train range", "picture: {adapters: [{kind: lora, train: {rank: 0}}]}", "train: rank must be from 1 to"),
    ("train loop", "picture: {adapters: [{kind: lora, train: {loop: {steps: 0}}}]}", "loop.steps must be from 1 to"),
    ("train size", "picture: {adapters: [{kind: lora, train: {width: 64}}]}", "train: width is the job's own"),
    ("train data", "picture: {adapters: [{kind: lora, train: {data: [x]}}]}", "train: data is the job's own"),
    ("set unknown", "picture: {set: {method: magic}}", "no set method 'magic' (there are: style_align)"),
    ("set reference", 'styles: {"02": {set: {reference: boat}}}', "has no reference 'boat'"),
    ("set text", 'picture: {set: {text: "{prompt}"}}', "asks for {prompt}, and there is {name} and {style}"),
    ("set setting", "picture: {set: {settings: {peset: sd}}}", "unknown setting 'peset' (did you mean preset?)"),
    ("set steps", "picture: {set: {settings: {steps: 5}}}", "set.settings: steps is the picture's own"),
    ("set panorama", "picture: {set: {settings: {panorama: true}}}", "panorama is nothing that a set in a recipe has"),
    ("set features", "picture: {set: {settings: {features: auto}}}", "features must be memory or recompute, not auto"),
    ("set joint", "picture: {set: {settings: {preset: full_attention}}}", "makes a set depend on all its pictures"),
    ("set start", "picture: {set: {reference: prompt}, start: {}}", "starts from noise: start: null"),
    ("set offset", "picture: {set: {settings: {offset: 99}}}", "offset must be from 0"),
    ("bases no mapping", "bases: [sd21]", "bases: a mapping"),
    ("style as a number", "styles: {2: {steps: 4}}", 'styles: write style numbers in quotes, such as "07", not 2'),
    ("style of null", "styles: {~: {steps: 4}}", 'such as "07", not null'),
    ("styles no mapping", "styles: [02]", "styles: settings (name: value) are needed, not [2]"),
    ("styles false", "styles: false", "styles: settings (name: value) are needed, not false"),
    ("picture no mapping", "picture: []", "picture: settings (name: value) are needed, not []"),
    ("a style no mapping", 'styles: {"02": 4}', "styles.02: settings (name: value) are needed"),
    ("prompts no mapping", 'styles: {"02": {prompts: [Lion]}}', "styles.02.prompts: settings (name: value) are needed"),
    ("prompts false", 'styles: {"02": {prompts: 0}}', "styles.02.prompts: settings (name: value) are needed, not 0"),
    ("no such prompt", 'styles: {"02": {prompts: {Tiger: {seed: 1}}}}', "the style has no prompt 'Tiger'"),
    (
        "unknown in a prompt",
        'styles: {"02": {prompts: {Lion: {sed: 1}}}}',
        "prompts.Lion: unknown setting 'sed'",
    ),
    ("no model", "model: nowhere", "no model 'nowhere'"),
    ("size", "width: -8", "recipe: width must be from 1 to 16384, not -8"),
    ("precision", "precision: fp8", "recipe: precision must be one of fp32, bf16"),
]
