"""What the file of a set's picture gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalling import Recalled


def recall_set(subject: Mapping[str, Any]) -> Recalled:
    """The picture's own text, and the text and seed of the reference where that was generated.

    Targets count on from the reference's seed, so one of a larger set is the first of another.
    """
    lines: list[str] = []
    values: dict[str, Any] = {"prompt": [subject.get("prompt")]}
    references = subject.get("references") or []
    generated = [one for one in references if isinstance(one, dict) and one.get("seed") is not None]
    if len(references) == len(generated) == 1:
        seed = generated[0]["seed"]
        values.update(reference_prompt=[generated[0].get("prompt")], seed=seed)
        if isinstance(seed, int) and subject.get("seed") != seed + 1:
            lines.append("it stood later in its set, whose pictures count on from the reference's seed: it will differ")
    elif references:
        lines.append("its references are files: give --reference_image and --reference_prompt, or --reference")
    return values, lines
