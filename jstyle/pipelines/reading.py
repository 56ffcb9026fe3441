"""From a pipeline's texts to what its UNet reads."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Optional

from jstyle.diffusion import prompt_reading
from jstyle.diffusion.control import Steering
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.weighted_text import PLAIN, read_text
from jstyle.errors import InputError, InputWarning
from jstyle.pipelines.loaded_model import LoadedModel
from jstyle.pipelines.texts import Prompt, choose_prompt, count_prompts, list_texts, repeat_rows, require_prompt
from jstyle.runtime import jt
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.vocabulary import is_guided
from jstyle.weights.known_words import describe_unknown_words

UNUSED_NEGATIVE = "the negative prompt is not used: at a guidance of 1 or less the prompt's prediction stands alone"


class TextReading(LoadedModel):
    """A loaded model that reads texts."""

    def encode_texts(self, prompt: Prompt, copies: int = 1, skip: int = 0, reading: PromptSettings = PLAIN) -> jt.Var:
        """(prompts * copies, tokens, hidden_size), the copies of one prompt side by side.

        The last ``skip`` layers of the text encoder do not run. Raises InputError for texts that cannot be read so.
        """
        if isinstance(prompt, jt.Var):
            return repeat_rows(prompt, copies)
        texts = [text for text in list_texts(prompt) for _ in range(copies)]
        return prompt_reading.encode(self.tokenizer, self.text_encoder, texts, reading, skip)

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
        text = require_prompt(prompt, prompt_embeds)
        negative = choose_prompt(negative_prompt, negative_prompt_embeds, "negative_prompt")
        guidance = math.inf if do_classifier_free_guidance else 1.0
        with self.loras.scaled(1.0 if lora_scale is None else lora_scale):
            return self._encode_halves(text, negative, guidance, num_images_per_prompt, clip_skip or 0, PLAIN)

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
        steering: Optional[Steering] = None,
    ) -> GuidedDenoiser:
        """The UNet under a text, as samplers take it. ``negative_prompt`` is one for all prompts or one each.

        ``skip`` is that of `encode_texts`, for the prompt alone; ``rescale`` and ``steering`` are `GuidedDenoiser`'s.
        """
        text, negative = self._encode_halves(prompt, negative_prompt, guidance_scale, copies, skip, reading)
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
    ) -> tuple[jt.Var, Optional[jt.Var]]:
        """The text, and under guidance what stands against it, each (images, tokens, hidden_size)."""
        text = self.encode_texts(prompt, copies, skip, reading)
        self.tell_unknown_words([read_text(one, reading) for one in list_texts(prompt)])
        if not is_guided(guidance):
            if isinstance(negative_prompt, jt.Var) or negative_prompt:
                warnings.warn(UNUSED_NEGATIVE, InputWarning, stacklevel=3)
            return text, None
        against: Prompt = "" if negative_prompt is None else negative_prompt
        count, given = count_prompts(prompt), count_prompts(against)
        if given not in (1, count):
            raise InputError(f"{given} negative prompts for {count} prompts; give one, or one each")
        negative = self.encode_texts(against, copies * (count if given == 1 else 1), reading=reading)
        if reading.long_prompts == "chunk":
            text, negative = prompt_reading.match_lengths([text, negative])
        if negative.shape[1:] != text.shape[1:]:
            shown = f"(tokens, width) {tuple(negative.shape[1:])} and {tuple(text.shape[1:])}"
            raise InputError(f"negative_prompt_embeds and prompt_embeds must have the same shape, not {shown}")
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
