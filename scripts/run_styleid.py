"""Stylise pictures with StyleID: every content in every style, one PNG a pair and a contact sheet."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from command_line import parse, run
from model_options import ModelOptions

from styleid.settings import StyleIDSettings


@dataclass(frozen=True)
class Run:
    """What to work on."""

    content: Tuple[Path, ...]
    """Pictures, or folders of pictures, that keep their layout."""

    style: Tuple[Path, ...]
    """Pictures, or folders of pictures, whose style is taken."""

    output: Path
    """Folder for the results; made where it is missing."""

    store: Optional[Path] = None
    """Where disk features are kept; by default features/ in the output folder."""

    overwrite: bool = False
    """Make finished pairs again."""


def main() -> int:
    about = "Stylise pictures with StyleID (arXiv 2312.09008)."
    settings, options, model = parse(StyleIDSettings, about, extra=(Run, ModelOptions))
    from tqdm import tqdm

    from jstyle.methods.pairs import open_all
    from styleid.files import Job
    from styleid.transfer import Transfer

    contents, broken_contents = open_all(options.content)
    styles, broken_styles = open_all(options.style)
    failures: List[str] = broken_contents + broken_styles
    for line in failures:
        print("error:", line, file=sys.stderr)
    pipe = model.pipeline()
    metadata = {**asdict(settings), **model.recorded(pipe.model_hash)}
    job = Job(options.output, list(contents), list(styles), metadata)
    wanted = job.unfinished(overwrite=options.overwrite)
    print(f"{len(job.pairs)} pairs, {len(job.pairs) - len(wanted)} of them finished before")
    store = options.store or options.output / "features"

    def progress(stage: str, pictures: int) -> None:
        bar.set_description(stage, refresh=False)
        bar.update(pictures)

    transfer = Transfer(pipe, settings, store=store, progress=progress)
    with tqdm(total=transfer.evaluations_planned(wanted), unit="evaluation", disable=not wanted) as bar:
        for done in transfer.run(list(contents.values()), list(styles.values()), wanted) if wanted else ():
            failure = job.save(done)
            if failure:
                failures.append(failure)
                bar.write(f"error: {failure}", file=sys.stderr)
    if job.pairs:
        job.save_contact_sheet(list(contents.values()), list(styles.values()))
    if wanted:
        print(transfer.costs.report())
    print(f"pictures are in {options.output}")
    return 1 if failures else 0


if __name__ == "__main__":
    run(main)
