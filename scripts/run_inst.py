"""Stylise pictures with InST: learn each style from its picture, then put every content into it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import List, Optional, Tuple

from command_line import parse, run
from model_options import ModelOptions

from jstyle.methods.inst.settings import InstSettings
from jstyle.training.teaching.settings import InstTraining, InstTrainSettings


@dataclass(frozen=True)
class Run:
    """What to work on."""

    style: Tuple[Path, ...]
    """Pictures whose style is learnt, or folders of trainings that are finished."""

    output: Path
    """Folder for the results; made where it is missing."""

    content: Tuple[Path, ...] = ()
    """Pictures, or folders of pictures, that keep their layout; without any, the styles are learnt and that is all."""

    styles: Optional[Path] = None
    """Where the trainings of style pictures are kept, for later runs too; by default styles/ in the output folder."""

    image_encoder: Optional[str] = None
    """A model or folder whose CLIP image encoder looks at the style; by default the model's own."""

    compat: bool = False
    """Show the image encoder what the paper's code shows it, a nearly black picture whatever the style."""

    overwrite: bool = False
    """Make finished pairs again; a finished training is kept."""

    training: InstTraining = field(default_factory=InstTraining)
    """How a style is learnt."""


def main() -> int:
    about = "Stylise pictures with InST (arXiv 2211.13203)."
    settings, options, model = parse(InstSettings, about, extra=(Run, ModelOptions))
    from tqdm import tqdm

    from jstyle.methods.inst.styles import prepared
    from jstyle.methods.inst.training import train
    from jstyle.methods.inst.transfer import Transfer
    from jstyle.methods.pairs import Job, open_all

    contents, failures = open_all(options.content) if options.content else ({}, [])
    for line in failures:
        print("error:", line, file=sys.stderr)
    pipe = model.pipeline()
    transfer = Transfer(pipe, settings, lambda stage, pictures: progress(stage, pictures))
    kept = options.styles or options.output / "styles"
    styles = prepared(
        options.style,
        kept,
        lambda picture, folder: training(settings, options, model, picture, folder),
        lambda wanted: train(wanted, pipe),
        pipe.model_hash,
    )
    if not contents:
        print(f"{len(styles)} styles are learnt; those of pictures are in {kept}")
        return 0
    metadata = {"method": "InST", **asdict(settings), **model.recorded(pipe.model_hash)}
    digests = {style.path: style.digest for style in styles}
    job = Job(options.output, list(contents), list(digests), metadata, ["batch_size"], digests)
    wanted = job.unfinished(overwrite=options.overwrite)
    print(f"{len(job.pairs)} pairs, {len(job.pairs) - len(wanted)} of them finished before")

    def progress(stage: str, pictures: int) -> None:
        bar.set_description(stage, refresh=False)
        bar.update(pictures)

    failed: List[str] = []
    with tqdm(total=transfer.calls_planned(wanted), unit="step", disable=not wanted) as bar:
        for done in transfer.run(list(contents.values()), styles, wanted):
            failed += filter(None, [job.save(done)])
    for line in failed:
        print("error:", line, file=sys.stderr)
    job.save_contact_sheet(list(contents.values()), [style.picture for style in styles])
    print(f"pictures are in {options.output}")
    return 1 if failures + failed else 0


def training(
    settings: InstSettings, options: Run, model: ModelOptions, picture: Path, folder: Path
) -> InstTrainSettings:
    """The training of a style picture, at the size of the transfer."""
    return InstTrainSettings(
        data=(picture,),
        output=folder,
        model=model.model,
        revision=model.revision,
        variant=model.variant,
        width=settings.width,
        height=settings.height,
        image_encoder=options.image_encoder,
        compat=options.compat,
        **{one.name: getattr(options.training, one.name) for one in fields(InstTraining)},
    )


if __name__ == "__main__":
    run(main)
