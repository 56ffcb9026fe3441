"""Score a submission as the organisers' program does, and as it was meant to."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional

from command_line import parse, run


@dataclass(frozen=True)
class Settings:
    """What to score, and where the networks are."""

    data: Path
    """The competition's data: NN/images and NN/prompt.json."""

    submission: Path
    """The folder with NN/<Prompt>.png."""

    output: Path = Path("outputs/score")
    """Folder for score.json and score.png; made where it is missing."""

    styles: Optional[tuple[str, ...]] = None
    """Score these styles alone, such as 00 07."""

    network_python: Optional[Path] = None
    """A Python with requirements-score.txt, for DINO, LPIPS, FID, CLIP-IQA and CLIP-R; without it there is no total."""

    dino: str = "facebook/dinov2-base"
    """A hub id, or a local folder with that model."""

    clip: str = "openai/clip-vit-large-patch14"
    """A hub id, or a local folder with that model."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run."""


def main() -> int:
    settings = parse(Settings, "Score a submission to the Jittor challenge's style track.")
    from tqdm import tqdm

    from jstyle.competition import submission
    from jstyle.competition.dataset import survey
    from jstyle.competition.score import report
    from jstyle.competition.score.scoring import score
    from jstyle.metrics import networks

    dataset, findings = survey(settings.data, settings.styles)
    if not findings.errors:
        folder_findings = submission.check(settings.submission, dataset, partial=settings.styles is not None)
        findings.errors += folder_findings.errors
    for line in findings.lines():
        print(line, file=sys.stderr)
    if findings.errors:
        return 2
    answer = networks.unasked()
    if settings.network_python is not None:
        answer = networks.ask(
            settings.network_python,
            settings.submission,
            dataset,
            dino=settings.dino,
            clip=settings.clip,
            device=settings.device,
        )
    with tqdm(total=len(dataset.styles), unit="style", desc="Hist") as bar:
        done = score(settings.submission, dataset, answer, on_style=lambda _: bar.update())
    print(report.table(done))
    report.save_json(done, settings.output / "score.json")
    report.save_picture(done, settings.submission, dataset, settings.output / "score.png")
    print(f"{settings.output} holds score.json and score.png")
    return 0


if __name__ == "__main__":
    run(main)
