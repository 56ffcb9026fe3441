"""From a pipeline's texts to what its UNet reads."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

from jstyle.diffusion import prompt_reading, prompts
from jstyle.diffusion.control import Steering
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.weighted_text import PLAIN, read_text
from jstyle.errors import InputError, InputWarning
from jstyle.networks import Condition
from jstyle.networks.condition import read_condition
from jstyle.pipelines.loaded_model import LoadedModel
from jstyle.pipelines.sizes import OWN_SIZES, PictureSizes
from jstyle.pipelines.texts import (
    Prompt,
    choose_prompt,
    count_prompts,
    is_text,
    list_texts,
    list_texts_each,
    name_pooled,
    require_prompt,
)
from jstyle.runtime import jt
from jstyle.settings.arguments import read_whole, read_yes
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.vocabulary import is_guided
from jstyle.weights.known_words import describe_unknown_words

_GUIDED_BY_ITSELF = "the negative prompt is not used: this model was distilled with the guidance as an input"
UNUSED_NEGATIVE = "the negative prompt is not used: at a guidance of 1 or less the prompt's prediction stands alone"


class TextReading(LoadedModel):
    """A loaded model that reads texts."""

    def encode_texts(self, prompt: Prompt, copies: int = 1, skip: int = 0, reading: PromptSettings = PLAIN) -> jt.Var:
        """The text of `condition_texts`, (prompts * copies, tokens, hidden_size): all that UNets but SDXL's read.

        Raises InputError for a model of SDXL besides.
        """
        if self.is_xl:
            raise InputError(
                "this reads a text alone, and SDXL's UNet a vector of it and sizes too: take a model of Stable "
                "Diffusion 1.x or 2.x (in Python, condition_texts has all of it)"
            )
        return self.condition_texts(prompt, copies, skip, reading).text

    def condition_texts(
        self, prompt: Prompt, copies: int = 1, skip: int = 0, reading: PromptSettings = PLAIN
    ) -> Condition:
        """What the UNet reads of the prompts, the copies of one side by side; of SDXL with the pictures' own sizes.

        The last ``skip`` layers of the text encoders do not run. Raises InputError for texts that cannot be read so.
        """
        if not is_text(prompt):
            return self._check_condition(read_condition(prompt).repeat(copies))  # type: ignore[arg-type]
        encoded = [
            prompt_reading.encode(
                vocabulary.tokenizer,
                vocabulary.text_encoder,
                [text for text in texts for _ in range(copies)],
                reading,
                skip,
                self.is_xl,
            )
            for vocabulary, texts in zip(self.vocabularies, list_texts_each(prompt, len(self.vocabularies)))
        ]
        return self._join_encoders(encoded)

    def learn_texts(self, texts: Sequence[str]) -> Condition:
        """As `condition_texts`, of texts read plainly, and gradients pass through the text encoders."""
        encoded = [
            prompts.encode(vocabulary.tokenizer, vocabulary.text_encoder, texts, penultimate=self.is_xl)
            for vocabulary in self.vocabularies
        ]
        return self._join_encoders(encoded)

    def _join_encoders(self, encoded: Sequence[Condition]) -> Condition:
        """What the UNet reads of what each text encoder has made of the same rows."""
        if not self.is_xl:
            return encoded[0]
        widest = prompt_reading.match_lengths([one.text for one in encoded])
        return Condition(jt.concat(widest, dim=2), encoded[-1].pooled).say(OWN_SIZES.describe(self.vae.config.factor))

    def _check_condition(self, condition: Condition) -> Condition:
        """The condition, of SDXL with sizes. Raises InputError for one of another width, and for one with, or without,
        vectors by mistake.
        """
        width = self.unet.config.cross_attention_dim
        if condition.text.shape[2] != width:
            shape = tuple(condition.text.shape)
            raise InputError(f"prompt_embeds must be (prompts, tokens, {width}) for this model's UNet, not {shape}")
        if self.is_xl == (condition.pooled is None):
            needs = "go with prompt_embeds of SDXL: give both" if self.is_xl else "are for SDXL, which this is not"
            raise InputError(f"{name_pooled('prompt')} {needs}")
        if not self.is_xl or condition.sizes:
            return condition
        return condition.say(OWN_SIZES.describe(self.vae.config.factor))

    def encode_prompt(
        self,
        prompt: Optional[Prompt],
        device: Any = None,
        num_images_per_prompt: int = 1,
        do_classifier_free_guidance: bool = True,
        negative_prompt: Optional[Prompt] = None,
        prompt_embeds: Any = None,
        negative_prompt_embeds: Any = None,
        lora_scale: Optional[float] = None,
        clip_skip: Optional[int] = None,
    ) -> tuple[jt.Var, Optional[jt.Var]]:
        """What a call makes of its texts, as diffusers has it: the prompts' half, and the negative one under guidance.

        Each is (prompts * num_images_per_prompt, tokens, hidden_size). Raises InputError for wrong texts and counts.
        """
        copies = read_whole("num_images_per_prompt", num_images_per_prompt, 1)
        skip = 0 if clip_skip is None else read_whole("clip_skip", clip_skip)
        read_yes("do_classifier_free_guidance", do_classifier_free_guidance)
        text = require_prompt(prompt, prompt_embeds)
        negative = choose_prompt(negative_prompt, negative_prompt_embeds, "negative_prompt")
        guidance = math.inf if do_classifier_free_guidance else 1.0
        with self.loras.scaled(1.0 if lora_scale is None else lora_scale):
            halves = self._encode_halves(text, negative, guidance, copies, skip, PLAIN)
        return halves[0].text, None if halves[1] is None else halves[1].text

    def denoiser(
        self,
        prompt: Prompt,
        negative_prompt: Optional[Prompt] = None,
        guidance_scale: float = 1.0,
        copies: int = 1,
        extra: Optional[jt.Var] = None,
        rescale: float = 0.0,
        skip: int = 0,
        reading: PromptSettings = PLAIN,
        sizes: PictureSizes = OWN_SIZES,
        from_noise: bool = True,
        steering: Optional[Steering] = None,
    ) -> GuidedDenoiser:
        """The UNet under a text, as samplers take it. ``negative_prompt`` is one for all prompts or one each.

        ``skip`` is that of `condition_texts`, for the prompt alone, ``sizes`` what SDXL is told of the pictures,
        ``from_noise`` whether they start from noise alone; ``rescale`` and ``steering`` are `GuidedDenoiser`'s.
        """
        text, negative = self._encode_halves(prompt, negative_prompt, guidance_scale, copies, skip, reading)
        if sizes != OWN_SIZES and not self.is_xl:
            raise InputError("sizes and scores of pictures are told to SDXL alone, which this model is not")
        if self.is_xl:
            factor = self.vae.config.factor
            text = text.say(sizes.describe(factor))
            negative = None if negative is None else negative.say(sizes.describe_negative(factor, from_noise))
        kind = self.schedule.config.prediction_type
        return GuidedDenoiser(self.unet, kind, text, negative, guidance_scale, extra, rescale, steering)

    def _encode_halves(
        self,
        prompt: Prompt,
        negative_prompt: Optional[Prompt],
        guidance: float,
        copies: int,
        skip: int,
        reading: PromptSettings,
    ) -> tuple[Condition, Optional[Condition]]:
        """The text, and under guidance what stands against it, each with a row an image."""
        text = self.condition_texts(prompt, copies, skip, reading)
        self.tell_unknown_words([read_text(one, reading) for one in list_texts(prompt)])
        if self.unet.config.reads_guidance or not is_guided(guidance):
            if negative_prompt is not None and (not is_text(negative_prompt) or negative_prompt):
                told = _GUIDED_BY_ITSELF if self.unet.config.reads_guidance else UNUSED_NEGATIVE
                warnings.warn(told, InputWarning, stacklevel=3)
            return text, None
        if negative_prompt is None and self.zeroes_no_negative:
            return text, text.zero()
        against: Prompt = "" if negative_prompt is None else negative_prompt
        count, given = count_prompts(prompt), count_prompts(against)
        if given not in (1, count):
            raise InputError(f"{given} negative prompts for {count} prompts; give one, or one each")
        negative = self.condition_texts(against, copies * (count if given == 1 else 1), reading=reading)
        if reading.long_prompts == "chunk":
            texts = prompt_reading.match_lengths([text.text, negative.text])
            text, negative = replace(text, text=texts[0]), replace(negative, text=texts[1])
        if negative.text.shape[1:] != text.text.shape[1:]:
            counts = f"{text.text.shape[1]} tokens and the text against them {negative.text.shape[1]}"
            raise InputError(f"prompt_embeds have {counts}: give negative_prompt_embeds of as many")
        return text, negative

    def tell_unknown_words(self, texts: Sequence[str]) -> None:
        """Warn (`InputWarning`) of words that the model was not taught, where it has a list of those that it was.

        With a LoRA on it nobody knows which words it was taught.
        """
        known = self.parts.words
        if known is not None and not self.loras.fingerprint():
            line = describe_unknown_words(texts, known, self.vocabulary.vectors)
            if line:
                warnings.warn(line, InputWarning, stacklevel=3)
