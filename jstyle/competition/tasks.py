"""The pictures of a recipe become tasks: what each picture is, and where files lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jstyle.competition.archive import picture_name
from jstyle.competition.methods import Size, identify_nets, name_nets
from jstyle.competition.recipe import RecipePicture
from jstyle.competition.references import RULES, describe_set_file, find_finish_files, find_set_file, find_start_files
from jstyle.competition.spec import FinishSpec, SetSpec, StartSpec, SubmissionPicture
from jstyle.competition.trainings import Trainings
from jstyle.files import hash_files
from jstyle.jobs.task import Task
from jstyle.pictures.spec import AdapterSpec, ModelIdentity
from jstyle.settings.reader import plain
from jstyle.settings.vocabulary import is_guided

KnownNets = dict[tuple[str, ...], tuple[str, ...]]
"""The digests of ControlNets by their names."""


@dataclass(frozen=True)
class PictureTask:
    """A picture to be made; ``name`` is its file below the submission's pictures."""

    name: str
    spec: SubmissionPicture
    files: Mapping[str, Path]
    """Where the files lie that the spec names by their content."""

    output: Path

    def to_task(self) -> Task:
        """Plain data for a worker (`jstyle.workers.pictures`)."""
        files = {name: str(path.resolve()) for name, path in self.files.items()}
        data = {"spec": plain(self.spec), "files": files, "output": str(self.output.resolve())}
        return Task(self.name, data, _describe_kernels(self.spec))


def plan_tasks(
    pictures: Sequence[RecipePicture], model: ModelIdentity, size: Size, folder: Path, trainings: Trainings
) -> list[PictureTask]:
    """A task for each picture, to be written under ``folder``."""
    firsts = {picture.style.number: picture for picture in reversed(pictures)}
    hashes: dict[Path, str] = {}
    nets: KnownNets = {}
    tasks = []
    for picture in pictures:
        maker = _SpecMaker(picture, trainings, hashes, nets)
        spec = maker.make(model, size, firsts[picture.style.number])
        name = picture_name(picture.style.number, picture.prompt)
        tasks.append(PictureTask(name, spec, maker.files, folder / name))
    return tasks


class _SpecMaker:
    """Makes the spec of a picture, and keeps which files it names; ``hashes`` and ``nets`` are what was read before."""

    def __init__(self, picture: RecipePicture, trainings: Trainings, hashes: dict[Path, str], nets: KnownNets) -> None:
        self.files: dict[str, Path] = {}
        self._picture = picture
        self._trainings = trainings
        self._hashes = hashes
        self._nets = nets

    def make(self, model: ModelIdentity, size: Size, first: RecipePicture) -> SubmissionPicture:
        """``first`` is the picture of the style's first prompt."""
        settings = self._picture.settings
        assert isinstance(settings.seed, int), "a picture has one seed"
        return SubmissionPicture(
            model=model,
            width=size[0],
            height=size[1],
            prompt=self._picture.text,
            negative_prompt=settings.negative_prompt,
            reading=settings.reading,
            sampler=settings.sampler,
            sigmas=settings.sigmas,
            steps=settings.steps,
            guidance=settings.guidance,
            eta=settings.eta,
            seed=settings.seed,
            start=None if settings.start is None else self._make_start(),
            adapters=self._make_adapters(),
            set=None if settings.set is None else self._make_set(first),
            finish=None if settings.finish is None else self._make_finish(),
        )

    def _make_start(self) -> StartSpec:
        start = self._picture.settings.start
        assert start is not None
        return StartSpec(start.strength, self._name(find_start_files(start, self._picture.style, "start")))

    def _make_adapters(self) -> tuple[AdapterSpec, ...]:
        adapters = []
        for adapter in self._picture.settings.adapters:
            if adapter.train is None:
                (name,) = self._name([Path((adapter.file or "").format(style=self._picture.style.number))])
            else:
                name, file = self._trainings.find(self._picture.style, adapter)
                self.files[name] = file
            adapters.append(AdapterSpec(adapter.kind, name, adapter.weight))
        return tuple(adapters)

    def _make_set(self, first: RecipePicture) -> SetSpec:
        settings, style = self._picture.settings.set, self._picture.style
        assert settings is not None
        path = find_set_file(settings, style, "set")
        if path is None:
            seed = first.settings.seed
            assert isinstance(seed, int), "a picture has one seed"
            is_reference = first is self._picture
            return SetSpec(settings.method, self._picture.set, first.text, seed=seed, is_reference=is_reference)
        (name,) = self._name([path])
        return SetSpec(settings.method, self._picture.set, describe_set_file(settings, style, path), picture=name)

    def _make_finish(self) -> FinishSpec:
        finish = self._picture.settings.finish
        assert finish is not None
        rule = finish.reference if finish.reference in RULES else "first"
        references = self._name(find_finish_files(finish, self._picture.style, "finish"))
        settings = self._picture.finish
        named = name_nets(settings)
        if named not in self._nets:
            self._nets[named] = identify_nets(settings)
        return FinishSpec(finish.method, settings, rule, references, self._nets[named])

    def _name(self, paths: Iterable[Path]) -> tuple[str, ...]:
        """The hashes of files."""
        names = []
        for path in paths:
            if path not in self._hashes:
                self._hashes[path] = hash_files([path])
            names.append(self._hashes[path])
            self.files[names[-1]] = path
        return tuple(names)


def _describe_kernels(spec: SubmissionPicture) -> str:
    """What decides which kernels are compiled: sizes and methods, no numbers."""
    parts: list[Any] = [plain(spec.model), spec.width, spec.height, spec.sampler]
    parts += [is_guided(spec.guidance), spec.start is not None, [adapter.kind for adapter in spec.adapters]]
    parts += [spec.finish and [spec.finish.method, plain(spec.finish.settings)]]
    parts += [spec.set and [spec.set.method, plain(spec.set.settings)]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
