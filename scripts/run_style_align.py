"""Make pictures in one style with Style Aligned: from a text, a picture or a saved reference; panoramas too."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from command_line import parse, run
from model_options import ModelOptions

from style_align.settings import StyleAlignSettings


@dataclass(frozen=True)
class Run:
    """What to make, beside what."""

    prompt: Tuple[str, ...]
    """Texts, one a picture; without another reference the first one's picture is the reference."""

    output: Path
    """Folder for the results; made where it is missing."""

    style: str = ""
    """A phrase that is put behind every text, such as "macro photo, 3d game asset"."""

    reference_prompt: Tuple[str, ...] = ()
    """Text of a reference to generate, or what a reference picture shows; several are mixed."""

    reference_image: Tuple[Path, ...] = ()
    """Pictures as references; each needs its --reference_prompt."""

    reference: Tuple[Path, ...] = ()
    """References that an earlier run has saved."""

    reference_weights: Optional[Tuple[float, ...]] = None
    """How much each reference counts, saved ones first; by default all the same."""

    save_reference: Optional[Path] = None
    """File to keep the reference in for later runs."""

    image: Tuple[Path, ...] = ()
    """Pictures to start from (image-to-image): one for all texts, or one each."""

    overwrite: bool = False
    """Make finished pictures again."""

    def __post_init__(self) -> None:
        if not self.own_reference and len(self.prompt) < 2:
            raise ValueError("a set needs two texts at least, the first for the reference; or give --reference_prompt")
        if self.reference_image and len(self.reference_prompt) != len(self.reference_image):
            raise ValueError("give a --reference_prompt for each --reference_image: what it shows")
        if self.save_reference is not None and self.references != 1:
            raise ValueError("save_reference keeps one reference: make several one after another")
        if self.reference_weights is not None and len(self.reference_weights) != self.references:
            raise ValueError(f"{len(self.reference_weights)} reference_weights for {self.references} references")
        if len(self.image) not in (0, 1, len(self.targets)):
            raise ValueError(f"{len(self.image)} pictures to start {len(self.targets)} from: give one, or one each")

    @property
    def own_reference(self) -> bool:
        """Whether a reference was given beside the texts."""
        return bool(self.reference_prompt or self.reference)

    @property
    def references(self) -> int:
        return len(self.reference) + len(self.reference_prompt) if self.own_reference else 1

    @property
    def targets(self) -> Tuple[str, ...]:
        return self.prompt if self.own_reference else self.prompt[1:]

    def styled(self, text: str) -> str:
        return f"{text}, {self.style}" if self.style else text


def main() -> int:
    about = "Make pictures in one style (arXiv 2312.02133)."
    settings, options, model = parse(StyleAlignSettings, about, extra=(Run, ModelOptions))
    from tqdm import tqdm

    from jstyle.files import hash_files
    from jstyle.pictures.images import open_image
    from style_align.files import Job, described_settings, save_reference
    from style_align.request import Target
    from style_align.transfer import StyleAlign

    given, described = references(settings, options)
    starts = [open_image(path) for path in options.image]
    pipe = model.pipeline()
    count = len(options.targets)
    starts = starts * count if len(starts) == 1 else starts
    targets = [
        Target(options.styled(text), settings.seed + 1 + i, starts[i] if starts else None)
        for i, text in enumerate(options.targets)
    ]

    def progress(stage: str, pictures: int) -> None:
        bar.set_description(stage, refresh=False)
        bar.update(pictures)

    method = StyleAlign(pipe, settings, given, options.reference_weights, progress)
    metadata = {
        **described_settings(settings, image=method.from_picture),
        "reference_weights": options.reference_weights,
        **model.recorded(pipe.model_hash),
    }
    hashes = [hash_files([path]) for path in options.image]
    job = Job(options.output, targets, described, metadata, hashes * count if len(hashes) == 1 else hashes)
    wanted = job.unfinished(overwrite=options.overwrite, whole=method.sharing.full_attention_share)
    print(f"{len(targets)} pictures, {len(targets) - len(wanted)} of them finished before")
    failures: List[str] = []
    chosen = [targets[i] for i in wanted]
    with tqdm(total=method.planned(chosen), unit="step", disable=not wanted) as bar:
        for done in method.run(chosen):
            failures += filter(None, [job.save(wanted[done.target], done)])
        if wanted or not all(path.is_file() for path in job.reference_paths()):
            job.save_references(method.reference_images())
        if options.save_reference is not None and (wanted or not options.save_reference.exists()):
            save_reference(method.trajectory(), options.save_reference, overwrite=options.overwrite)
    for line in failures:
        print("error:", line, file=sys.stderr)
    job.save_contact_sheet()
    print(f"pictures are in {options.output}")
    return 1 if failures else 0


def references(settings: StyleAlignSettings, options: Run) -> Tuple[List[Any], List[Dict[str, object]]]:
    """The references, and what the pictures' metadata says of them."""
    from jstyle.files import hash_files
    from jstyle.pictures.images import open_image
    from style_align.request import ImageReference, TextReference
    from style_align.trajectory import load_trajectory

    saved = [load_trajectory(file) for file in options.reference]
    given: List[Any] = list(saved)
    described: List[Dict[str, object]] = [
        {"prompt": one.prompt, "hash": hash_files([file])} for one, file in zip(saved, options.reference)
    ]
    texts = options.reference_prompt if options.own_reference else options.prompt[:1]
    for number, text in enumerate(map(options.styled, texts)):
        if options.reference_image:
            path = options.reference_image[number]
            given.append(ImageReference(text, open_image(path)))
            described.append({"prompt": text, "hash": hash_files([path])})
        else:
            given.append(TextReference(text, settings.seed + number))
            described.append({"prompt": text, "seed": settings.seed + number})
    return given, described


if __name__ == "__main__":
    run(main)
