"""CLIP's tokenizer, built by one rule from a folder's files, so that every version of transformers reads a text alike.

transformers 4 and 5 build other tokenizers from the same files: they part ideographs, lower a final sigma and read
special tokens in capitals differently. The rule here is the newer one's, for the library that both stand on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.networks.config_reader import read_json
from jstyle.settings.messages import Where, show

LENGTH = 77
"""Tokens of a text in CLIP, both ends counted."""

_PIECES = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
_END_OF_WORD = "</w>"
_ENDS = "<|endoftext|>"
_SPECIAL = {"bos_token": "<|startoftext|>", "eos_token": _ENDS, "unk_token": _ENDS, "pad_token": _ENDS}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_MOST_WORDS = 1 << 20

Words = Mapping[str, int]
Added = dict[int, dict[str, Any]]
"""By their ids, the tokens that are looked for before a text is split: content and flags."""


def load_tokenizer(folder: Path, longest: int = LENGTH) -> Any:
    """transformers' fast tokenizer with the pad token and the length that the folder's files name.

    Where they name no length, or a longer one than the text encoder's ``longest``, it is that. Raises InputError, which
    names the file, when the folder is not a tokenizer's.
    """
    from jstyle.diffusion.clip_tokenizer import CLIPTokenizer  # a second of imports, which only pipelines need

    words, merges, added = _read_words(folder)
    settings = _read_settings(folder)
    added.update(_read_added(folder, settings))
    special = {name: _read_special(folder, settings, name) for name in _SPECIAL}
    texts = {name: token["content"] for name, token in special.items()}
    length = _read_length(folder, settings, longest)
    try:
        backend = _build(words, merges, texts)
        _add_tokens(backend, words, added, special.values())
        return CLIPTokenizer(tokenizer_object=backend, name_or_path=str(folder), model_max_length=length, **texts)
    except InputError:
        raise
    except Exception as error:  # the libraries raise errors of any kind for words and merges that do not fit each other
        raise _error(folder, f"the tokenizer cannot be built: {error}; fetch the model again") from error


def _build(words: Words, merges: list[tuple[str, str]], special: Mapping[str, str]) -> Any:
    """The rule: what a text is split into, and how its ends are marked."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    backend: Any = Tokenizer(
        models.BPE(
            dict(words),
            merges,
            unk_token=special["unk_token"],
            continuing_subword_prefix="",
            end_of_word_suffix=_END_OF_WORD,
        )
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_PIECES), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.Sequence(
        [decoders.ByteLevel(), decoders.Replace(_END_OF_WORD, " "), decoders.Strip(" ", 0, 1)]
    )
    ends = [(special[name], words[special[name]]) for name in ("eos_token", "bos_token") if special[name] in words]
    if len(ends) < 2:
        raise InputError(f"the vocabulary lacks {show(special['bos_token'])} or {show(special['eos_token'])}")
    backend.post_processor = processors.RobertaProcessing(*ends, trim_offsets=False, add_prefix_space=False)
    return backend


def _add_tokens(backend: Any, words: Words, added: Added, special: Any) -> None:
    """Let the tokenizer look for these first. Raises InputError where one cannot have the id that it is given."""
    named = {token["content"] for token in special}
    for number, token in sorted(added.items()):
        _add(backend, token, token.get("special", False) or token["content"] in named)
        if backend.token_to_id(token["content"]) != number:
            raise InputError(f"the tokenizer's added token {show(token['content'])} cannot have the id {number}")
    there = {token["content"] for token in added.values()}
    for token in special:
        if token["content"] not in there:
            _add(backend, token, True)


def _add(backend: Any, token: Mapping[str, Any], is_special: bool) -> None:
    from tokenizers import AddedToken

    flags = {name: value for name, value in token.items() if name != "special"}  # which tokenizers 0.13 does not know
    (backend.add_special_tokens if is_special else backend.add_tokens)([AddedToken(**flags)])


def _read_words(folder: Path) -> tuple[Words, list[tuple[str, str]], Added]:
    """The vocabulary with its ids and the merges, first to last; and what tokenizer.json, where there is one, adds."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        for name in ("vocab.json", "merges.txt"):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name} is missing; fetch the model again")
        merges = list(_read_merges(folder / "merges.txt"))
        return _check_words(read_json(folder / "vocab.json"), folder / "vocab.json"), merges, {}
    content = read_json(file)
    model = content.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("merges"), list):
        raise _error(file, "model must hold a vocabulary and merges")
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    merges = [_check_pair(pair, file, index) for index, pair in enumerate(pairs)]
    listed = content.get("added_tokens", [])
    if not isinstance(listed, list) or not all(isinstance(token, dict) for token in listed):
        raise _error(file, "added_tokens must be a list of tokens")
    added = {_check_id(token.get("id"), file): _read_token(token, file, "added_tokens") for token in listed}
    return _check_words(model.get("vocab"), file), merges, added


def _check_words(words: Any, file: Path) -> Words:
    if not isinstance(words, dict) or not words or len(words) > _MOST_WORDS:
        raise _error(file, f"the vocabulary must hold from 1 to {_MOST_WORDS} tokens with their ids")
    for number in words.values():
        _check_id(number, file)
    if len(set(words.values())) < len(words):
        raise _error(file, "two tokens of the vocabulary have one id; fetch the model again")
    return words


def _check_id(number: Any, file: Path) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _MOST_WORDS:
        raise _error(file, f"a token's id must be a whole number from 0 to {_MOST_WORDS - 1}, not {show(number)}")
    return number


def _read_merges(file: Path) -> Iterator[tuple[str, str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8
        raise _error(file, f"this cannot be read ({error}); fetch the model again") from None
    for index, line in enumerate(text.split("\n")):
        line = line.rstrip("\r")
        if line and not line.startswith("#version"):
            yield _check_pair(line.split(" "), file, index)


def _check_pair(pair: Any, file: Path, index: int) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
        raise _error(file, f"merge {index} must be two tokens, not {show(pair)}")
    return pair[0], pair[1]


def _read_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json; special_tokens_map.json goes over it unless it lists the added tokens itself."""
    files = [folder / name for name in ("tokenizer_config.json", "special_tokens_map.json")]
    config, special = (read_json(file) if file.is_file() else {} for file in files)
    return config if "added_tokens_decoder" in config else {**config, **special}


def _read_added(folder: Path, settings: Mapping[str, Any]) -> Added:
    file = folder / "tokenizer_config.json"
    if "added_tokens_decoder" in settings:
        listed = settings["added_tokens_decoder"]
        if not isinstance(listed, dict):
            raise _error(file, f"added_tokens_decoder must name tokens by their ids, not {show(listed)}")
        ids = [_check_id(int(key) if key.isdecimal() and len(key) < 9 else key, file) for key in listed]
        return dict(zip(ids, (_read_token(token, file, "added_tokens_decoder") for token in listed.values())))
    file = folder / "added_tokens.json"
    listed = read_json(file) if file.is_file() else {}
    return {_check_id(number, file): {"content": token} for token, number in listed.items()}


def _read_special(folder: Path, settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A special token: content and flags."""
    value = settings.get(name)
    return _read_token(_SPECIAL[name] if value is None else value, folder, name)


def _read_token(value: Any, file: Path, name: str) -> dict[str, Any]:
    token = {"content": value} if isinstance(value, str) else value
    if not isinstance(token, dict) or not isinstance(token.get("content"), str) or not token["content"]:
        raise _error(file, f"{name}: a token must be a text, not {show(value)}")
    flags = {flag: token[flag] for flag in _FLAGS if token.get(flag) is not None}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise _error(file, f"{name}: the flags of a token must be true or false, not {show(value)}")
    return {"content": token["content"], **flags}


def _read_length(folder: Path, settings: Mapping[str, Any], longest: int) -> int:
    value: Optional[Any] = settings.get("model_max_length")
    if value is None:
        return longest
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 3:  # transformers writes 1e30
        raise _error(folder / "tokenizer_config.json", f"model_max_length must be at least 3, not {show(value)}")
    return int(min(value, longest))


def _error(place: Path, message: str) -> InputError:
    return Where(str(place)).error(message)
