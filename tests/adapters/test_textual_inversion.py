"""Learnt words: spelled and read as in diffusers, seen by nobody else, and gone without a trace."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jstyle import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from jstyle.adapters import textual_inversion, words
from jstyle.diffusion import prompts
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.weights.tensors import FileTensors, write_tensors
from tests.golden import tiny
from tests.parity.networks import GOLDEN, golden, relative_error

WIDTH = 16


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def vectors(token: str, count: int) -> np.ndarray:
    return tiny.seeded_tensor(f"{token}_embedding.weight", (count, WIDTH))


def saved(folder: Path) -> dict[str, Path]:
    return {
        token: textual_inversion.write(token, vectors(token, count), folder / token.strip("<>"))
        for token, count in (("<ink>", 1), ("<pond>", 3))
    }


def test_several_words_are_read_as_in_diffusers(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    recorded = golden("adapters")
    texts = json.loads(str(recorded["words_prompts"]))
    files = saved(tmp_path)
    pipe.load_textual_inversion([files["<ink>"], files["<pond>"].parent])
    try:
        assert np.array_equal(prompts.token_ids(pipe.tokenizer, texts), recorded["words_ids"])
        assert relative_error(pipe.encode_texts(texts), recorded["words_hidden"]) < 1e-5
    finally:
        pipe.unload_textual_inversion()


def test_one_vector_of_a_word_can_be_written_alone(pipe: StableDiffusionPipeline) -> None:
    with words(pipe.tokenizer, pipe.text_encoder, {"<pond>": jt.array(vectors("<pond>", 3))}) as spelling:
        whole, one = (prompts.token_ids(spelling, [text])[0] for text in ("a <pond>", "a <pond>_1"))
    assert one[2] == whole[3] and one[3] == whole[5]


def test_the_file_is_diffusers(tmp_path: Path) -> None:
    file = saved(tmp_path)["<pond>"]
    assert file.name == "learned_embeds.safetensors"
    assert dict(FileTensors([file]).shapes()) == {"<pond>": (3, WIDTH)}
    token, array = textual_inversion.read(file)
    assert token == "<pond>" and np.array_equal(array, vectors("<pond>", 3))


def test_unloading_leaves_the_pipeline_as_it_was(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    tokenizer, vocabulary, table = pipe.tokenizer, len(pipe.tokenizer), pipe.text_encoder.text_model.embeddings
    own = table.token_embedding
    text, fingerprint = np.array(pipe.encode_texts("a <pond>").numpy()), pipe.model_hash
    files = saved(tmp_path)
    pipe.load_textual_inversion(list(files.values()))
    changed = pipe.encode_texts("a <pond>").numpy()
    assert not np.array_equal(changed, text) and pipe.model_hash != fingerprint
    assert StableDiffusionImg2ImgPipeline.from_pipe(pipe).tokenizer is pipe.tokenizer
    assert len(tokenizer) == vocabulary  # nobody else's tokenizer has changed
    pipe.unload_textual_inversion("<ink>")
    assert np.array_equal(pipe.encode_texts("a <pond>").numpy(), changed)
    pipe.unload_textual_inversion()
    assert pipe.tokenizer is tokenizer and table.token_embedding is own and pipe.model_hash == fingerprint
    assert np.array_equal(pipe.encode_texts("a <pond>").numpy(), text)


def test_only_the_new_rows_have_gradients(pipe: StableDiffusionPipeline) -> None:
    """In float64 differences: the loss is a smooth function of the rows."""
    rows = jt.array(vectors("<pond>", 3))
    with words(pipe.tokenizer, pipe.text_encoder, {"<pond>": rows}) as spelling:
        ids = jt.array(prompts.token_ids(spelling, ["<pond> a <pond>"]))
        embedding = pipe.text_encoder.text_model.embeddings.token_embedding
        weight = np.random.default_rng(0).standard_normal((1, 77, WIDTH)).astype(np.float32)
        found = jt.grad((embedding(ids) * jt.array(weight)).sum(), rows).numpy()
    known = len(pipe.tokenizer)
    wanted = np.stack([weight[0, np.array(ids.numpy()[0]) == known + i].sum(axis=0) for i in range(3)])
    assert np.allclose(found, wanted, atol=1e-6) and np.abs(wanted).min() > 0


def test_what_cannot_be_is_said_and_changes_nothing(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    own = pipe.tokenizer
    file = saved(tmp_path)["<ink>"]
    write_tensors({"<wide>": np.zeros((2, 24), np.float32)}, tmp_path / "wide.safetensors")
    write_tensors({"a": np.zeros(3, np.float32), "b": np.zeros(3, np.float32)}, tmp_path / "two.safetensors")
    write_tensors({"emb_params": vectors("<ink>", 2)}, tmp_path / "nameless.safetensors")
    for source, token, said in (
        (tmp_path / "none", None, "there is no file"),
        (tmp_path / "two.safetensors", None, "holds 2 arrays"),
        (tmp_path / "wide.safetensors", None, r"\[2, 24\], this text encoder's words \[any number, 16\]"),
        (tmp_path / "nameless.safetensors", None, "does not say its word"),
        (file, "the", "knows the word 'the' already"),
        (file, "two words", "without spaces"),
    ):
        with pytest.raises(InputError, match=said):
            pipe.load_textual_inversion(source, token)
    with pytest.raises(InputError, match="'<ink>' is not loaded; loaded are none"):
        pipe.unload_textual_inversion("<ink>")
    assert pipe.tokenizer is own
    pipe.load_textual_inversion(tmp_path / "nameless.safetensors", "<dots>")
    with pytest.raises(InputError, match="'<dots>' is loaded already"):
        pipe.load_textual_inversion(file, "<dots>")
    assert list(pipe.vocabulary.vectors) == ["<dots>"]
    pipe.unload_textual_inversion()


def test_an_initial_word_fills_all_vectors(pipe: StableDiffusionPipeline) -> None:
    table = pipe.text_encoder.text_model.embeddings.token_embedding.weight.numpy()
    ids = pipe.tokenizer("lighthouse", add_special_tokens=False).input_ids
    found = textual_inversion.from_word(pipe.tokenizer, pipe.text_encoder, "lighthouse", 2 * len(ids) + 1)
    assert len(ids) > 1 and len(found) == 2 * len(ids) + 1
    assert np.array_equal(found, table[[*ids, *ids, ids[0]]])
    with pytest.raises(InputError, match="has no tokens"):
        textual_inversion.from_word(pipe.tokenizer, pipe.text_encoder, " ", 1)


def test_a_word_that_begins_another_is_not_read_in_it(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    """In whichever order they were loaded; ids are counted from the files."""
    sizes = {"EasyNegative": 2, "EasyNegativeV2": 3, "NegativeV2": 1}
    files = {token: textual_inversion.write(token, vectors(token, n), tmp_path / token) for token, n in sizes.items()}
    for order in (list(sizes), list(sizes)[::-1]):
        pipe.load_textual_inversion([files[token] for token in order])
        for text in ("an EasyNegativeV2 river", "an easynegativeV2, river", "EasyNegative EasyNegativeV2"):
            found = prompts.token_ids(pipe.tokenizer, [text])[0]
            spelled = [
                name for name in pipe.tokenizer.convert_ids_to_tokens(found.tolist()) if "negative" in name.lower()
            ]
            wanted = ["easynegativev2", "easynegativev2_1", "easynegativev2_2"]
            if text.startswith("EasyNegative "):
                wanted = ["easynegative", "easynegative_1", *wanted]
            assert [name.lower() for name in spelled] == wanted
        pipe.unload_textual_inversion()


def test_the_rows_of_a_word_are_its_vectors_in_any_case(pipe: StableDiffusionPipeline) -> None:
    rows = vectors("InkWash", 3)
    table = pipe.text_encoder.text_model.embeddings
    with words(pipe.tokenizer, pipe.text_encoder, {"InkWash": jt.array(rows)}) as spelling:
        for text in ("InkWash", "inkwash", "INKWASH"):
            ids = prompts.token_ids(spelling, [text])
            assert np.array_equal(table.token_embedding(jt.array(ids)).numpy()[0, 1:4], rows)


def test_a_word_named_like_a_number_of_another_stays_apart(pipe: StableDiffusionPipeline) -> None:
    known = len(pipe.tokenizer)
    both = {"mystyle": jt.array(vectors("a", 1)), "mystyle_1": jt.array(vectors("b", 1))}
    with words(pipe.tokenizer, pipe.text_encoder, both) as spelling:
        ids = prompts.token_ids(spelling, ["mystyle", "mystyle_1", "mystyle_2"])
        assert ids[:2, 1].tolist() == [known, known + 1] and (ids[:2, 2] == spelling.eos_token_id).all()
        assert ids[2, 1] == known and ids[2, 2] < known
    for clash in ({"a_style": 2, "a_style_1": 1}, {"a_style_1": 1, "a_style": 2}):
        taken = {token: jt.array(vectors(token, n)) for token, n in clash.items()}
        with (
            pytest.raises(InputError, match="knows the word 'a_style(_1)?' already"),
            words(pipe.tokenizer, pipe.text_encoder, taken),
        ):
            pass


@pytest.mark.parametrize("pair", [("inkish", "Inkish"), ("Inkish_1", "INKISH")])
def test_words_that_differ_in_case_alone_are_refused(pipe: StableDiffusionPipeline, pair: tuple[str, str]) -> None:
    taken = {token: jt.array(vectors(token, 2)) for token in pair}
    with pytest.raises(InputError, match="differ in case alone"), words(pipe.tokenizer, pipe.text_encoder, taken):
        pass


@pytest.mark.parametrize(
    ("token", "said"),
    [("é", "knows the word 'é' already"), ("the", "knows the word 'the' already"), ("!", "knows the word '!' already")],
)
def test_a_word_that_prompts_are_not_read_with_is_refused(pipe: StableDiffusionPipeline, token: str, said: str) -> None:
    """CLIP's table has names of single bytes, "é" among them, and its text is cleaned before it is read."""
    taken = {token: jt.array(vectors("x", 1))}
    with pytest.raises(InputError, match=said), words(pipe.tokenizer, pipe.text_encoder, taken):
        pass


def test_a_word_cut_at_a_prompts_end_is_told(pipe: StableDiffusionPipeline) -> None:
    with words(pipe.tokenizer, pipe.text_encoder, {"<pond>": jt.array(vectors("<pond>", 75))}) as spelling:
        with pytest.warns(UserWarning, match="more than 77 tokens; this part is not read: '<pond>_74'"):
            ids = prompts.token_ids(spelling, ["a <pond>"])[0]
        assert len(ids) == 77 and ids[-1] == spelling.eos_token_id and ids[75] == len(pipe.tokenizer) + 73
    with (
        pytest.raises(InputError, match="has 76 vectors, a prompt only 75 places"),
        words(pipe.tokenizer, pipe.text_encoder, {"<pond>": jt.array(vectors("<pond>", 76))}),
    ):
        pass


def test_a_tokenizer_saved_with_words_keeps_them(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    """As diffusers leaves them in a model's folder: names, and nothing that says which belong together."""
    with words(pipe.tokenizer, pipe.text_encoder, {"<pond>": jt.array(vectors("<pond>", 3))}) as spelling:
        spelling.save_pretrained(tmp_path)
        again = load_tokenizer(tmp_path)
        assert np.array_equal(prompts.token_ids(again, ["a <pond> b"]), prompts.token_ids(spelling, ["a <pond> b"]))


def test_numbers_that_are_not_finite_and_pickles_are_named(tmp_path: Path) -> None:
    rows = vectors("<ink>", 2)
    rows[1, 3] = np.inf
    write_tensors({"<ink>": rows}, tmp_path / "learned_embeds.safetensors")
    with pytest.raises(InputError, match=r"learned_embeds.safetensors: <ink> holds numbers that are not finite"):
        textual_inversion.read(tmp_path)
    (tmp_path / "learned_embeds.safetensors").rename(tmp_path / "ink.pt")
    with pytest.raises(InputError, match="ink.pt is a pickle"):
        textual_inversion.read(tmp_path)
