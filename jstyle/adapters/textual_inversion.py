"""Textual inversion (arXiv 2208.01618): words that a text encoder did not know, each with its own vectors.

The table of known words is neither touched nor copied, and the tokenizer does not change: a copy of the tokenizer
learns to spell the new words, and an embedding in the table's place looks up their ids beside the table.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.adapters.sources import BUNDLED, WORD_FILE, Place, find_word, list_bundled_words, to_arrays
from jstyle.diffusion.prompts import find_words, note_words
from jstyle.errors import InputError
from jstyle.files import make_folder
from jstyle.networks import CLIPTextModel
from jstyle.networks.editing import swapped
from jstyle.networks.entry import check_ids
from jstyle.networks.layers import Embedding
from jstyle.runtime import jt
from jstyle.weights.tensors import ArrayTensors, FileTensors, Tensors, read_numbers, write_tensors

ENCODERS = ("clip_l", "clip_g")
"""The keys of a word's vectors for SDXL's two text encoders, as all of its trainers name them."""

_TOKEN = "token"  # in the metadata of a file for SDXL, whose keys do not say the word
TABLE = "text_model.embeddings.token_embedding"
_NAMELESS = "emb_params"  # the key of the vectors in AUTOMATIC1111's files, which name the word only by their own name


Source = Union[str, Path, Mapping[str, Any]]


class ExtendedEmbedding(Embedding):
    """A table of ``known`` rows, continued by ``rows``, each (n, channels), which alone can be trained."""

    def __init__(self, table: Embedding, rows: Sequence[jt.Var], known: int) -> None:
        self.weight = table.weight
        self._rows = tuple(rows)
        self._known = known

    def own_rows(self) -> jt.Var:
        """All new rows together, (n, channels)."""
        return self._rows[0] if len(self._rows) == 1 else jt.concat(list(self._rows), dim=0)

    def execute(self, ids: jt.Var) -> jt.Var:
        """Integer ids of any shape -> (..., channels). Raises InputError for ids that neither table has."""
        rows = self.own_rows()
        check_ids("embedding", ids, self._known + rows.shape[0])
        is_new = (ids >= self._known).unsqueeze(-1)
        known = self.weight[jt.minimum(ids, self._known - 1)]
        new = rows[jt.maximum(ids - self._known, 0)]
        return jt.ternary(is_new.broadcast(new.shape), new, known)


@contextmanager
def words(tokenizer: Any, text_encoder: CLIPTextModel, vectors: Mapping[str, jt.Var]) -> Iterator[Any]:
    """Until the end of the ``with``, the text encoder knows the words ``vectors``: token -> (n, hidden_size).

    Gives the tokenizer that spells them, for ``prompts.token_ids``. Raises InputError for a token that is known
    already or cannot be one, and for vectors of another width.
    """
    for token, rows in vectors.items():
        check_width(token, tuple(rows.shape), text_encoder)
    longer = _extend_tokenizer(tokenizer, {token: rows.shape[0] for token, rows in vectors.items()})
    holder = text_encoder.text_model.embeddings
    table = ExtendedEmbedding(holder.token_embedding, list(vectors.values()), len(tokenizer))
    with swapped(text_encoder, {TABLE: table}):
        yield longer


class Vocabulary:
    """The words that a pipeline has learnt, and the ``tokenizer`` that spells them."""

    def __init__(self, tokenizer: Any, text_encoder: CLIPTextModel) -> None:
        self.tokenizer = tokenizer
        self.vectors: dict[str, jt.Var] = {}
        self._original = tokenizer
        self.text_encoder = text_encoder
        self._words = ExitStack()

    def add(self, vectors: Mapping[str, jt.Var]) -> None:
        """Learn words: token -> (n, hidden_size), which is not copied. Raises InputError as ``words`` does."""
        loaded = sorted(set(vectors) & set(self.vectors))
        if loaded:
            raise InputError(f"the word {loaded[0]!r} is loaded already; unload it first, or give another token")
        self._set({**self.vectors, **vectors})

    def remove(self, tokens: Optional[Iterable[str]] = None) -> None:
        """Forget these words, by default all. Raises InputError for one that is not loaded."""
        forgotten = list(self.vectors) if tokens is None else list(tokens)
        for token in forgotten:
            if token not in self.vectors:
                raise InputError(f"the word {token!r} is not loaded; loaded are {', '.join(self.vectors) or 'none'}")
        self._set({token: rows for token, rows in self.vectors.items() if token not in forgotten})

    def load(self, source: Source, token: Optional[str] = None, place: Optional[Place] = None) -> None:
        """Learn the word of a file, folder or hub id, or of named arrays, under its name there or ``token``.

        ``place`` is where in a folder or repository it lies. Raises InputError as ``read``.
        """
        self.learn(*read(source, token, place))

    def learn(self, token: str, array: np.ndarray) -> None:
        """Learn a word with its vectors (n, hidden_size). Raises InputError as ``words`` does."""
        check_width(token, array.shape, self.text_encoder)
        with jt.no_grad():
            self.add({token: jt.array(array).stop_grad()})

    def is_of(self, tokenizer: Any, text_encoder: Any) -> bool:
        """Whether these, where they are not None, are the ones that the words are learnt with."""
        known = (None, self.tokenizer, self._original)
        return any(tokenizer is each for each in known) and text_encoder in (None, self.text_encoder)

    def fingerprint(self) -> str:
        """SHA-256 over the words and their vectors, "" where there are no words."""
        if not self.vectors:
            return ""
        digest = hashlib.sha256()
        for token, rows in self.vectors.items():
            digest.update(token.encode() + b"\0" + np.ascontiguousarray(rows.numpy()).tobytes())
        return digest.hexdigest()

    def _set(self, vectors: dict[str, jt.Var]) -> None:
        before = self.vectors
        self._words.close()
        self.tokenizer, self.vectors = self._original, {}
        try:
            if vectors:
                self.tokenizer = self._words.enter_context(words(self._original, self.text_encoder, vectors))
                self.vectors = vectors
        except InputError:
            self._set(before)
            raise


def learn_word(
    source: Source,
    token: Optional[str],
    place: Optional[Place],
    vocabularies: Sequence[Vocabulary],
    every: Sequence[Vocabulary],
) -> None:
    """Learn a file's word with these of a model's vocabularies: with both where it has vectors for both of SDXL's text
    encoders, else with the first whose width it has.

    Raises InputError, and nothing is learnt, as `read` and `Vocabulary.learn`.
    """
    word, arrays = read_each(source, token, place)
    if len(arrays) > 1:
        if len(every) == 1:
            raise InputError(f"{word!r} has vectors for SDXL's two text encoders; this model has one")
        pairs = [(own, array) for own, array in zip(every, arrays) if any(own is one for one in vocabularies)]
    else:
        fitting = (own for own in vocabularies if own.text_encoder.config.hidden_size == arrays[0].shape[-1])
        pairs = [(next(fitting, vocabularies[0]), arrays[0])]
    learnt: list[Vocabulary] = []
    try:
        for vocabulary, array in pairs:
            vocabulary.learn(word, array)
            learnt.append(vocabulary)
    except InputError:
        for vocabulary in learnt:
            vocabulary.remove([word])
        raise


def check_width(token: str, shape: Sequence[int], text_encoder: CLIPTextModel) -> None:
    """Raise InputError unless a word's vectors are (n, hidden_size)."""
    width = text_encoder.config.hidden_size
    if len(shape) != 2 or shape[0] < 1 or shape[1] != width:
        raise InputError(
            f"the vectors of {token!r} are {list(shape)}, this text encoder's words [any number, {width}]; "
            "they were made for another model"
        )


def spell_word(token: str, vectors: int) -> list[str]:
    """The tokens of a word of so many vectors, as diffusers names them: "<a>", "<a>_1", "<a>_2"."""
    return [token] + [f"{token}_{i}" for i in range(1, vectors)]


def read_each(
    source: Source, token: Optional[str] = None, place: Optional[Place] = None
) -> tuple[str, list[np.ndarray]]:
    """As `read`, with the vectors (n, width) for each of SDXL's text encoders where the word has them for both."""
    if isinstance(source, Mapping):
        stored: Tensors = ArrayTensors(to_arrays(source) if set(source) == set(ENCODERS) else {})
        file: Any = "the word"
    else:
        file = find_word(source, place)
        stored = FileTensors([file])
    if set(stored.shapes()) != set(ENCODERS):
        word, array = read(source, token, place)
        bundled = list_bundled_words(stored.shapes())
        own = word if word in bundled else next(iter(bundled), "")
        second = f"{BUNDLED}{own}.{ENCODERS[1]}"
        return word, [array, _read_vectors(stored, second, file)] if second in stored.shapes() else [array]
    token = token or getattr(stored, "metadata", {}).get(_TOKEN)
    if token is None:
        raise InputError(f"{file} does not say its word; give one, such as token='<style>'")
    arrays = [_read_vectors(stored, name, file) for name in ENCODERS]
    if len(arrays[0]) != len(arrays[1]):
        raise InputError(f"{file} has {len(arrays[0])} vectors for one text encoder and {len(arrays[1])} for the other")
    return token, arrays


def read(source: Source, token: Optional[str] = None, place: Optional[Place] = None) -> tuple[str, np.ndarray]:
    """The word in a safetensors file, in a folder's or a hub's ``learned_embeds.safetensors``, or in named arrays.

    Gives the token and the vectors (n, width). Reads diffusers' files, {token: vectors}, and AUTOMATIC1111's, which
    need ``token``; what PyTorch reads of the latter's pickles is taken too. Raises InputError where there is no such
    file, or it does not hold one word.
    """
    stored: Tensors
    if isinstance(source, Mapping):
        pickled, file = source.get("string_to_param"), "the word"
        token = token or (source.get("name") if pickled else None)
        stored = ArrayTensors(to_arrays({_NAMELESS: pickled["*"]} if pickled else source))
    else:
        file = find_word(source, place)
        stored = FileTensors([file])
    bundled = list_bundled_words(stored.shapes())
    if bundled:
        return _read_bundled(stored, bundled, token, file)
    names = [name for name in stored.shapes() if name == _NAMELESS] or list(stored.shapes())
    if len(names) != 1:
        listed = ", ".join(name[:80] for name in names[:3])
        raise InputError(f"{file} holds {len(names)} arrays ({listed}), not the one of a word; is it something else?")
    if names[0] == _NAMELESS and token is None:
        raise InputError(f"{file} does not say its word; give --words FILE:<style> (token='<style>' in Python)")
    return token or names[0], _read_vectors(stored, names[0], file)


def _read_vectors(stored: Tensors, name: str, file: Any) -> np.ndarray:
    try:
        array = read_numbers(stored, name)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return array[None] if array.ndim == 1 else array


def _read_bundled(stored: Tensors, bundled: Mapping[str, str], token: Optional[str], file: Any) -> tuple:
    """One of the words that OneTrainer puts into a LoRA's file; ``token`` says which, where there are several."""
    if token is None and len(bundled) > 1:
        first = next(iter(bundled))
        raise InputError(
            f"{file} holds the words {', '.join(bundled)}; say which: --words FILE:{first} (token= in Python)"
        )
    word = token if token is not None and token in bundled else next(iter(bundled))
    if token != word and len(bundled) > 1:
        raise InputError(f"{file} holds the words {', '.join(bundled)}, and no {token!r}")
    return token or word, read_numbers(stored, bundled[word])


def write(token: str, vectors: np.ndarray, folder: Path, second: Optional[np.ndarray] = None) -> Path:
    """Write ``learned_embeds.safetensors`` and return the file; ``second`` are those for SDXL's second text encoder.

    Without them it is diffusers' file, {token: (n, width)}; with them that of SDXL's trainers, {clip_l, clip_g}, with
    the word in its metadata, where only this project looks. Raises InputError when it cannot be written.
    """
    arrays = [np.ascontiguousarray(one, np.float32) for one in (vectors, second) if one is not None]
    make_folder(folder)
    if second is None:
        write_tensors({token: arrays[0]}, folder / WORD_FILE)
    else:
        write_tensors(dict(zip(ENCODERS, arrays)), folder / WORD_FILE, {"format": "pt", _TOKEN: token})
    return folder / WORD_FILE


def from_word(tokenizer: Any, text_encoder: CLIPTextModel, word: str, count: int) -> np.ndarray:
    """The vectors of a known word's tokens, repeated in turn, (count, hidden_size). Raises InputError for no word."""
    ids = tokenizer(word, add_special_tokens=False).input_ids
    if not ids:
        raise InputError(f"the initial word {word!r} has no tokens; give a word that the model knows")
    table = text_encoder.text_model.embeddings.token_embedding
    with jt.no_grad():
        rows = table(jt.array(np.asarray(ids, np.int32)))
    return np.array(rows.numpy())[np.arange(count) % len(ids)]


def _extend_tokenizer(tokenizer: Any, vectors: Mapping[str, int]) -> Any:
    """A copy of the tokenizer that knows these words, each of so many vectors."""
    longer, words = copy.deepcopy(tokenizer), dict(find_words(tokenizer))
    most = tokenizer.model_max_length - 2
    for token, number in vectors.items():
        if not token or token != token.strip() or len(token.split()) != 1:
            raise InputError(f"{token!r} cannot be a word: give one without spaces, such as <style>")
        if number > most:
            raise InputError(
                f"the word {token!r} has {number} vectors, a prompt only {most} places; is it something else?"
            )
        names = spell_word(token, number)
        _refuse_known(names, tokenizer, longer)
        ids = list(range(len(longer), len(longer) + number))
        longer.add_tokens(names)
        _check_spelling(longer, names, ids)
        words[ids[0]] = ids
    note_words(longer, words)
    return longer


def _refuse_known(names: Sequence[str], tokenizer: Any, longer: Any) -> None:
    """Raise InputError for a word that the model knows, or that a prompt would not tell from one that was learnt."""
    learnt = {name.lower(): name for name in longer.get_added_vocab()}
    for name in names:
        other = learnt.get(name.lower(), name)
        if other != name:
            raise InputError(f"the words {name!r} and {other!r} differ in case alone, which prompts do not; rename one")
    is_known = len(tokenizer(names[0], add_special_tokens=False).input_ids) == 1
    if is_known or any(name.lower() in learnt for name in names):
        raise _known(names[0])


def _known(token: str) -> InputError:
    return InputError(f"the model knows the word {token!r} already; give one of your own, such as <style>")


def _check_spelling(tokenizer: Any, names: Sequence[str], ids: Sequence[int]) -> None:
    """Raise InputError unless the tokenizer, which was given these names, reads each as its own new id."""
    if tokenizer.convert_tokens_to_ids(list(names)) != list(ids):  # "é" and others name bytes in CLIP's table
        raise _known(names[0])
    for name, new in zip(names, ids):
        if tokenizer(name, add_special_tokens=False).input_ids != [new]:
            raise InputError(f"{name!r} cannot be a word: prompts are read without some of its characters; rename it")
