"""A byte-pair tokenizer in CLIP's format, learnt from captions (arXiv 2103.00020, section 2.4)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.files import replacing

START, END, PAD = "<|startoftext|>", "<|endoftext|>", "!"
LENGTH = 77
_END_OF_WORD = "</w>"
_WORD = "[a-z]+"  # the plain words of captions, the only ones that further merges are learnt from
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train(texts: Iterable[str], size: int, folder: Path) -> None:
    """Write the files of a tokenizer with ``size`` tokens, or fewer where the texts have no more to merge.

    Raises InputError when they cannot be written.
    """
    alphabet = _list_letters()
    _write(_learn_merges(texts, size - 2 * len(alphabet) - 2, alphabet), folder)


def extend(known: Path, texts: Iterable[str], size: int, folder: Path) -> None:
    """The tokenizer in ``known`` with further merges, learnt from the texts: ``size`` tokens in all, or fewer.

    It splits what the known one has one token a word for as that does. Raises InputError when files cannot be read or
    written.
    """
    tokenizer = load_tokenizer(known)
    counts = Counter(word for text in texts for word in re.findall(_WORD, text.lower()))
    split = {word: tuple(tokenizer.tokenize(word)) for word in sorted(counts)}
    lines = (known / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines) if right and left[0] != "#"]
    while len(_list_tokens(merges)) < size:
        pairs: Counter = Counter()
        for word, tokens in split.items():
            for pair in zip(tokens, tokens[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            break
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        split = {word: _merge(tokens, merges[-1]) for word, tokens in split.items()}
    _write(merges, folder)


def _merge(tokens: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for token in tokens:
        if merged and (merged[-1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return tuple(merged)


def _list_tokens(merges: Sequence[tuple[str, str]]) -> list[str]:
    """All tokens in the order of their ids: letters, merges, the marks of a text's start and end."""
    alphabet = _list_letters()
    letters = [*alphabet, *(letter + _END_OF_WORD for letter in alphabet)]
    return list(dict.fromkeys([*letters, *("".join(pair) for pair in merges), START, END]))


def _write(merges: Sequence[tuple[str, str]], folder: Path) -> None:
    vocabulary = {token: i for i, token in enumerate(_list_tokens(merges))}
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": PAD}
    config = {**special, "do_lower_case": True, "model_max_length": LENGTH, "tokenizer_class": "CLIPTokenizer"}
    with replacing(folder) as part:
        part.mkdir(parents=True)
        (part / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        (part / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (part / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
        (part / "tokenizer_config.json").write_text(json.dumps({**config, "add_prefix_space": False}, indent=2) + "\n")


def _learn_merges(texts: Iterable[str], count: int, alphabet: list) -> list:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=_END_OF_WORD))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    # the trainer also counts the letters that it meets at the end of a word; surplus merges are cut below
    most = count + 2 * len(alphabet)
    trainer = trainers.BpeTrainer(
        vocab_size=most, initial_alphabet=alphabet, end_of_word_suffix=_END_OF_WORD, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in merges][:count]


def _list_letters() -> list:
    """The visible character that stands for each byte, in CLIP's order: first those that are visible themselves."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + i) for i in range(len(others))]
