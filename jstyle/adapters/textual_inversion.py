"""Textual inversion (arXiv 2208.01618): words that a text encoder did not know, each with vectors of its own.

The table of known words is never touched or copied, and nobody else's tokenizer changes: a longer copy of it spells
the new words, and an embedding in the table's place looks their ids up beside it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.errors import InputError
from jstyle.networks import CLIPTextModel
from jstyle.networks.editing import swapped
from jstyle.networks.layers import Embedding
from jstyle.runtime import jt
from jstyle.weights.tensors import FileTensors, write_tensors

FILE = "learned_embeds.safetensors"
TABLE = "text_model.embeddings.token_embedding"
_NAMELESS = "emb_params"  # under which AUTOMATIC1111's files keep a word that only their own name tells


class ExtendedEmbedding(Embedding):
    """A table with more rows behind its first ``known``: ``rows``, each (n, channels), which alone can be trained."""

    def __init__(self, table: Embedding, rows: Sequence[jt.Var], known: int) -> None:
        self.weight = table.weight
        self._rows = tuple(rows)
        self._known = known

    def own_rows(self) -> jt.Var:
        """All new rows, (n, channels)."""
        return self._rows[0] if len(self._rows) == 1 else jt.concat(list(self._rows), dim=0)

    def execute(self, ids: jt.Var) -> jt.Var:
        rows = self.own_rows()
        new = (ids >= self._known).unsqueeze(-1)
        known = self.weight[jt.minimum(ids, self._known - 1)]
        own = rows[jt.maximum(ids - self._known, 0)]
        return jt.ternary(new.broadcast(own.shape), own, known)


@contextmanager
def words(tokenizer: Any, text_encoder: CLIPTextModel, vectors: Mapping[str, jt.Var]) -> Iterator[Any]:
    """While this is open the text encoder knows ``vectors``, each (n, hidden_size), by the tokens that are their keys.

    Gives the tokenizer that spells them, for ``prompts.token_ids``. Raises InputError for a token that is known
    already or cannot be one, and for vectors of another width.
    """
    for token, own in vectors.items():
        check_width(token, tuple(own.shape), text_encoder)
    longer = _spelling(tokenizer, {token: own.shape[0] for token, own in vectors.items()})
    holder = text_encoder.text_model.embeddings
    table = ExtendedEmbedding(holder.token_embedding, list(vectors.values()), len(tokenizer))
    with swapped(text_encoder, {TABLE: table}):
        yield longer


class Vocabulary:
    """The words that a pipeline has learnt, and the ``tokenizer`` that spells them."""

    def __init__(self, tokenizer: Any, text_encoder: CLIPTextModel) -> None:
        self.tokenizer = tokenizer
        self.vectors: dict[str, jt.Var] = {}
        self._own = tokenizer
        self._text_encoder = text_encoder
        self._open = ExitStack()

    def add(self, vectors: Mapping[str, jt.Var]) -> None:
        """Learn words: token -> (n, hidden_size), kept as they are given. Raises InputError as ``words`` does."""
        again = sorted(set(vectors) & set(self.vectors))
        if again:
            raise InputError(f"the word {again[0]!r} is loaded already; unload it first, or give another token")
        self._set({**self.vectors, **vectors})

    def remove(self, tokens: Optional[Iterable[str]] = None) -> None:
        """Forget these words, by default all. Raises InputError for one that is not loaded."""
        gone = list(self.vectors) if tokens is None else list(tokens)
        for token in gone:
            if token not in self.vectors:
                raise InputError(f"the word {token!r} is not loaded; loaded are {', '.join(self.vectors) or 'none'}")
        self._set({token: own for token, own in self.vectors.items() if token not in gone})

    def load(self, source: Union[str, Path], token: Optional[str] = None) -> None:
        """Add the word of a file or folder, under its own name or ``token``."""
        self.learn(*read(source, token))

    def learn(self, token: str, array: np.ndarray) -> None:
        """Add a word with its vectors (n, hidden_size)."""
        check_width(token, array.shape, self._text_encoder)
        with jt.no_grad():
            self.add({token: jt.array(array).stop_grad()})

    def fingerprint(self) -> str:
        """SHA-256 over the words and their vectors, "" where there are none."""
        if not self.vectors:
            return ""
        digest = hashlib.sha256()
        for token, own in self.vectors.items():
            digest.update(token.encode() + b"\0" + np.ascontiguousarray(own.numpy()).tobytes())
        return digest.hexdigest()

    def _set(self, vectors: dict[str, jt.Var]) -> None:
        before = self.vectors
        self._open.close()
        self.tokenizer, self.vectors = self._own, {}
        try:
            if vectors:
                self.tokenizer = self._open.enter_context(words(self._own, self._text_encoder, vectors))
                self.vectors = vectors
        except InputError:
            self._set(before)
            raise


def check_width(token: str, shape: Sequence[int], text_encoder: CLIPTextModel) -> None:
    """Raise InputError unless a word's vectors are (n, hidden_size)."""
    width = text_encoder.config.hidden_size
    if len(shape) != 2 or shape[0] < 1 or shape[1] != width:
        raise InputError(
            f"the vectors of {token!r} are {list(shape)}, this text encoder's words [any number, {width}]; "
            "they were made for another model"
        )


def spelled(token: str, vectors: int) -> list[str]:
    """The tokens of a word, as diffusers names them: "<a>", "<a>_1", "<a>_2"."""
    return [token] + [f"{token}_{i}" for i in range(1, vectors)]


def read(source: Union[str, Path], token: Optional[str] = None) -> tuple:
    """The word in a safetensors file, or in a folder's ``learned_embeds.safetensors``: its token and (n, width).

    Reads diffusers' files, {token: vectors}, and AUTOMATIC1111's, which need ``token``. Raises InputError.
    """
    file = Path(source) / FILE if Path(source).is_dir() else Path(source)
    if not file.is_file():
        raise InputError(f"there is no file {file}; give a textual inversion's safetensors file or its folder")
    stored = FileTensors([file])
    names = [name for name in stored.shapes() if name == _NAMELESS] or list(stored.shapes())
    if len(names) != 1:
        listed = ", ".join(names[:3])
        raise InputError(f"{file} holds {len(names)} arrays ({listed}), not the one of a word; is it something else?")
    if names[0] == _NAMELESS and token is None:
        raise InputError(f"{file} does not say its word; give one, such as token='<style>'")
    array = np.ascontiguousarray(stored.read(names[0]), np.float32)
    return token or names[0], array[None] if array.ndim == 1 else array


def write(token: str, vectors: np.ndarray, folder: Path) -> Path:
    """Write ``learned_embeds.safetensors`` as diffusers does: {token: (n, width)}."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors({token: np.ascontiguousarray(vectors, np.float32)}, folder / FILE)
    return folder / FILE


def from_word(tokenizer: Any, text_encoder: CLIPTextModel, word: str, count: int) -> np.ndarray:
    """(count, hidden_size): the vectors of a known word's tokens, over and over. InputError for an empty word."""
    ids = tokenizer(word, add_special_tokens=False).input_ids
    if not ids:
        raise InputError(f"the initial word {word!r} has no tokens; give a word that the model knows")
    table = text_encoder.text_model.embeddings.token_embedding
    with jt.no_grad():
        rows = table(jt.array(np.asarray(ids, np.int32)))
    return np.array(rows.numpy())[np.arange(count) % len(ids)]


def _spelling(tokenizer: Any, vectors: Mapping[str, int]) -> Any:
    """A copy of the tokenizer that knows these words, of so many vectors each."""
    longer = copy.deepcopy(tokenizer)
    for token, count in vectors.items():
        if not token or token != token.strip() or len(token.split()) != 1:
            raise InputError(f"{token!r} cannot be a word: give one without spaces, such as <style>")
        names = spelled(token, count)
        known = len(tokenizer(token, add_special_tokens=False).input_ids) == 1
        if known or longer.add_tokens(names) != len(names):
            raise InputError(f"the model knows the word {token!r} already; give one of your own, such as <style>")
    return longer
