"""What the pictures of a recipe cost: the evaluations of each, found by making them where nothing is computed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace

from jstyle.competition.making import PictureMaker, set_of, take_picture
from jstyle.competition.spec import SubmissionPicture
from jstyle.competition.tasks import PictureTask
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.settings.identity import digest
from jstyle.weights.description import Checkpoint


def count_pictures(tasks: Iterable[PictureTask], checkpoint: Checkpoint) -> dict[str, int]:
    """The latents that each picture, by its file's name, sends through the UNet; under guidance each counts twice.

    What is done once a set is counted with the set's first picture.
    Of the checkpoint the configurations alone are read.
    """
    pipe = CountingPipeline.of_checkpoint(checkpoint)
    known: dict[Hashable, int] = {}
    begun: set[str] = set()
    counts = {}
    for task in tasks:
        is_first = task.spec.set is not None and digest(set_of(task.spec)) not in begun
        key = digest(_forget_content(task.spec)), is_first
        if key not in known:
            known[key] = _count_picture(task, pipe, is_first=is_first)
        if task.spec.set is not None:
            begun.add(digest(set_of(task.spec)))
        counts[task.name] = known[key]
    return counts


def _count_picture(task: PictureTask, pipe: CountingPipeline, *, is_first: bool) -> int:
    """Of a set's picture that is not its first, what it costs a worker that has the set already."""
    maker = PictureMaker(pipe)
    if task.spec.set is not None and not is_first:
        take_picture(maker.make(task.spec, task.files))
    return count_evaluations(lambda _: maker.make(task.spec, task.files), pipe)


def _forget_content(spec: SubmissionPicture) -> SubmissionPicture:
    """The spec without what decides how a picture looks and not how often the UNet is asked."""
    spec = replace(spec, prompt="", seed=0, adapters=())
    if spec.start is not None:
        spec = replace(spec, start=replace(spec.start, mean_of=()))
    if spec.set is not None:
        seed = None if spec.set.seed is None else 0
        picture = None if spec.set.picture is None else ""
        spec = replace(spec, set=replace(spec.set, prompt="", seed=seed, picture=picture))
    if spec.finish is not None:
        spec = replace(spec, finish=replace(spec.finish, references=()))
    return spec
