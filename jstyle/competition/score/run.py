"""Scoring a submission, from its folder to the table, as a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional

from jstyle.competition.archive import check_pictures
from jstyle.competition.dataset import Dataset, survey_dataset
from jstyle.events import Event, PictureWritten, Remark
from jstyle.metrics.networks import CLIP, DINO, Answer, StylePictures, ask_networks, give_no_answer
from jstyle.settings.paths import ReadFile, ReadFolder, ResultsFolder


@dataclass(frozen=True)
class ScoreInputs:
    """What to score, and where the networks are."""

    data: ReadFolder
    """The competition's data: NN/images and NN/prompt.json."""

    submission: ReadFolder
    """The folder with NN/<Prompt>.png."""

    output: ResultsFolder = Path("outputs/score")
    """Folder for score.json and score.png; made where it is missing."""

    styles: Optional[tuple[str, ...]] = None
    """Score these styles alone, such as 00 07."""

    network_python: Optional[ReadFile] = None
    """A Python that has 'jstyle[score]', for DINO, LPIPS, FID, CLIP-IQA and CLIP-R; without it there is no total."""

    dino: str = DINO
    """A hub id, or a local folder with that model."""

    clip: str = CLIP
    """A hub id, or a local folder with that model."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run."""


def run_scoring(inputs: ScoreInputs) -> Iterator[Event]:
    """Score a submission as the organisers' program does, and as it was meant to; writes score.json and score.png.

    Raises InputError, after a failure for each other error, where data or submission are not whole.
    """
    from jstyle.competition.score import report
    from jstyle.competition.score.scoring import score_submission

    dataset, findings = survey_dataset(inputs.data, inputs.styles)
    if not findings.errors:
        findings.add(check_pictures(inputs.submission, dataset, partial=inputs.styles is not None))
    yield from findings.report()
    scores = score_submission(inputs.submission, dataset, _ask_networks(inputs, dataset))
    for line in report.write_table(scores).splitlines():
        yield Remark(line)
    report.save_json(scores, inputs.output / "score.json")
    report.save_picture(scores, inputs.submission, dataset, inputs.output / "score.png")
    yield PictureWritten(inputs.output / "score.png")
    yield Remark(f"{inputs.output} holds score.json and score.png")


def _ask_networks(inputs: ScoreInputs, dataset: Dataset) -> Answer:
    if inputs.network_python is None:
        return give_no_answer()
    pictures = list_style_pictures(inputs.submission, dataset)
    return ask_networks(inputs.network_python, pictures, dino=inputs.dino, clip=inputs.clip, device=inputs.device)


def list_style_pictures(root: Path, dataset: Dataset) -> dict[str, StylePictures]:
    """The pictures of a submission under ``root``, beside their references."""
    return {
        style.number: StylePictures(
            {prompt: root / style.number / f"{prompt}.png" for prompt in style.prompts}, style.references
        )
        for style in dataset.styles
    }
