"""What each way of teaching a style comes to, on styles and a thing that the embedded model never saw.

    python -m benchmarks.style_training [--methods lora inst ...] [--seeds 0 1 2] [--data DATA]
        [--subjects style_06 ...] [--at 30 60 100 300] [--set loop.steps=200 ...] [--work runs/teaching]

Every subject is trained by `configs/train_style.yaml` as it is, or with ``--set`` over it, with each seed. Before and
after, on pictures kept from the training: the denoising loss for the same noise, and pictures of the same prompts and
seeds, compared with the references and read by the judge of `benchmarks.tiny_quality`: a style that has come nearer
has lost its objects where they are read no more. ``--data`` adds the styles of a competition's dataset, whose prompts
are the embedded model's objects. ``--at`` measures one training at several numbers of updates, at a constant rate, each
time made longer. Finished trainings and results are kept. The figure shows, for the drawn subjects, what was
taught, what the model draws before, and what it draws after each method with the first seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image

from benchmarks import machine
from benchmarks.options import ROOT
from benchmarks.quality import judge, likeness, unseen
from benchmarks.quality.unseen import Subject
from jstyle.events import exhaust
from jstyle.files import write_text
from jstyle.jobs.engine import Engine
from jstyle.pictures import images, png_texts
from jstyle.pictures.sheets import draw_grid
from jstyle.pictures.spec import AdapterSpec
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.reader import merged
from jstyle.training import LossSettings, ask, diffusion_loss
from jstyle.training.many_styles.folders import StylePictures
from jstyle.training.many_styles.job import TrainingJob
from jstyle.training.many_styles.recipe import parse_changes, plan_trainings, read_recipe
from jstyle.training.many_styles.spec import StyleTraining
from jstyle.training.teaching import examples, tuning
from jstyle.training.teaching.attaching import attach_all
from jstyle.training.teaching.table import TEACHINGS
from jstyle.training.teaching.textual_inversion.train import INITIAL
from jstyle.weights.description import describe_checkpoint
from recipes.tiny.drawings import Scene

ROUNDS, NOISE_SEED = 8, 4711  # draws of noise and level for each picture of the loss
STEPS = 30
SHOWN = 3  # pictures of a subject in a row of the figure
OF_A_THING = {
    "textual_inversion": {"kind": "object", "prompt": "a {token} {name}", "initial": "mushroom"},
    "lora": {"prompt": "a thing_{style} {name}"},
    "dreambooth": {"prompt": "a thing_{style} {name}", "class_prompt": "a thing", "loop": {"rate": 5e-5}},
    "fine_tuning": {"prompt": "a thing_{style} {name}", "loop": {"rate": 5e-5}},
}
"""The recipe is one for styles; a thing is taught with these settings over it. At a style's rate a whole UNet learns
its pictures by heart."""

STYLED = "{article} {name} in {token} style"
"""What is asked of a word that was taught without names."""


def main() -> None:
    """Train and measure every subject by every method with every seed; results are written after each method."""
    options = _options()
    recipe = read_recipe(ROOT / "configs" / "train_style.yaml", None, {"model": options.model})
    pipe = StableDiffusionPipeline.from_pretrained(options.model)
    recipe = replace(recipe, styles={"umbrella": OF_A_THING})
    study = Study(pipe, judge.train(options.work.parent / "quality"), options.work)
    drawn = [*(unseen.style(name, pipe.size) for name in unseen.STYLES), unseen.thing(pipe.size)]
    subjects = [*drawn, *(unseen.real(options.data) if options.data else [])]
    subjects = [one for one in subjects if not options.subjects or one.name in options.subjects]
    pictures = [
        StylePictures(subject.name, unseen.write(subject, options.work / "data" / subject.name)) for subject in subjects
    ]
    for seed, method in itertools.product(options.seeds, options.methods):
        taught = [one for one in subjects if one.kind == "style" or method in OF_A_THING]
        shown = [one for one in pictures if one.name in [subject.name for subject in taught]]
        for steps in options.at or [None]:
            asked = {} if steps is None else {"steps": steps, "schedule": "constant"}
            changes = merged(parse_changes(options.set), {"loop": {"seed": seed, **asked}})
            checkpoint = describe_checkpoint(recipe.model, recipe.width, recipe.height)
            trainings = plan_trainings(recipe, shown, TEACHINGS[method], checkpoint, changes)
            job = TrainingJob(trainings, options.work / method / str(seed), checkpoint)
            unknown = [one for one in job.read_progress(overwrite=True).todo if study.read(one, seed) is None]
            failed = exhaust(job.run(Engine(), unknown))
            assert not failed, [training.place for training in failed]
            for subject, training in zip(taught, trainings):
                study.measure(subject, training, job.root, seed)
            study.write(options.output)
    if not options.subjects and not options.at:
        draw_figure(drawn, options.methods, options.work, str(options.seeds[0]), options.figure)


class Study:
    """Measures trainings; results are kept by what they are of."""

    def __init__(self, pipe: StableDiffusionPipeline, reader: judge.Judge, work: Path) -> None:
        self._pipe = pipe
        self._reader = reader
        self._work = work
        self._results: list[dict[str, Any]] = []
        self._before: dict[tuple[str, ...], tuple[dict[str, float], list[Image.Image]]] = {}
        self._drawn: dict[str, dict[str, float]] = {}

    def measure(self, subject: Subject, training: StyleTraining, root: Path, seed: int) -> None:
        """Before and after this training."""
        known = self.read(training, seed)
        if known is None:
            known = {
                "identity": training.identity,
                "method": training.teaching.name,
                "subject": subject.name,
                "steps": training.steps,
                "seed": seed,
            }
            adapter = AdapterSpec(training.teaching.name, training.identity)
            known["before"], drawn = self._untaught(subject, training)
            _save(drawn, root / training.place / "before")
            with attach_all(self._pipe, [adapter], {training.identity: root / training.result}):
                known["after"], drawn = self._side(subject, training, True)
            _save(drawn, root / training.place / "after")
            write_text(self._find_file(training, seed), json.dumps(known, indent=1) + "\n")
        self._results.append(known)
        if subject.name not in self._drawn:
            kept = [one.picture for one in subject.kept], [one.scene for one in subject.kept]
            self._drawn[subject.name] = self._likeness(subject, *kept)

    def read(self, training: StyleTraining, seed: int) -> Optional[dict[str, Any]]:
        """What was measured of this very training before, if it was: a longer one may be in its place by now."""
        file = self._find_file(training, seed)
        known = json.loads(file.read_text()) if file.exists() else {}
        return known if known.get("identity") == training.identity else None

    def _find_file(self, training: StyleTraining, seed: int) -> Path:
        name = f"{training.teaching.name}-{seed}-{training.style}-{training.steps}.json"
        return self._work / "measured" / name

    def write(self, file: Path) -> None:
        """All results with means and spreads over seeds, a table for people, and what the kept pictures measure."""
        found = {}
        for one in self._results:
            found.setdefault(f"{one['method']}, {one['subject']}, {one['steps']} updates", []).append(one)
        rows = {name: _summary(several) for name, several in found.items()}
        told = {"machine": machine.describe(), "summary": rows, "kept": self._drawn, "results": self._results}
        write_text(file, json.dumps(told, indent=1) + "\n")
        for name, row in rows.items():
            print(f"{name:32}", "  ".join(f"{key} {value}" for key, value in row.items()))

    def _untaught(self, subject: Subject, training: StyleTraining) -> tuple[dict[str, float], list[Image.Image]]:
        """What the model does before, which is the same for every training of the same words."""
        words = (subject.name, *(caption(training, name, False) for name, _ in subject.asked))
        if words not in self._before:
            self._before[words] = self._side(subject, training, False)
        return self._before[words]

    def _side(
        self, subject: Subject, training: StyleTraining, known: bool
    ) -> tuple[dict[str, float], list[Image.Image]]:
        """Measures, and the pictures that they are of."""
        kept = [example.name for example in subject.kept]
        found = {"loss": self._loss(subject, [caption(training, name, known) for name in kept])}
        prompts = [caption(training, name, known) for name, _ in subject.asked]
        guidance, seeds = training.settings.guidance, list(range(len(prompts)))
        made = self._pipe(prompts, num_inference_steps=STEPS, guidance_scale=guidance, seed=seeds).images
        return {**found, **self._likeness(subject, made, [scene for _, scene in subject.asked])}, made

    def _likeness(
        self, subject: Subject, pictures: Sequence[Image.Image], shown: Sequence[Optional[Scene]]
    ) -> dict[str, float]:
        """To the taught pictures, and how often the judge reads the objects of the scenes, where all are known."""
        found = likeness.to_references(self._pipe, pictures, [example.picture for example in subject.taught])
        scenes = [scene for scene in shown if scene is not None]
        if len(scenes) == len(shown):
            right = judge.hits(self._reader, np.stack([np.asarray(one) for one in pictures]), scenes)
            found["object read"] = float(right["object"].mean())
        return found

    def _loss(self, subject: Subject, captions: Sequence[str]) -> float:
        """The mean over pictures, levels and noise, which are the same each time."""
        pipe, lost = self._pipe, []
        size = pipe.size
        pictures: list[Image.Image] = [example.picture for example in subject.kept]
        latents = examples.encode_moments(pipe, [images.fit(one, size, size) for one in pictures], flip=False).mean
        with jt.no_grad():
            context = tuning.make_constant_reader(pipe)(captions)
            for index in range(ROUNDS):
                question = ask(latents, pipe.schedule, LossSettings(), NOISE_SEED, index)
                output = pipe.unet(question.x, question.times.tolist(), context).sample
                lost.append(float(diffusion_loss(output, question).item()))
        return float(np.mean(lost))


def caption(training: StyleTraining, name: str, known: bool) -> str:
    """What the training says of a picture; before it, a word that is learnt stands for the one it begins with."""
    settings, words = training.settings, {"name": name, "article": examples.find_article(name)}
    if training.teaching.name not in ("textual_inversion", "inst"):
        return examples.fill_template(settings.prompt, **words)
    initial = getattr(settings, "initial", None) or INITIAL[getattr(settings, "kind", "style")]
    named = settings.prompt if training.teaching.name == "textual_inversion" else STYLED
    return examples.fill_template(named, **words, token=settings.token if known else initial)


def draw_figure(subjects: Sequence[Subject], methods: Sequence[str], work: Path, seed: str, file: Path) -> None:
    """A column of pictures a subject: taught ones, before, and after each method, none where it was not trained."""
    rows: dict[str, list[Optional[Image.Image]]] = {name: [] for name in ("taught", "before", *methods)}
    for subject in subjects:
        rows["taught"] += [example.picture for example in subject.taught[:SHOWN]]
        trained = {method: work / method / seed / subject.name for method in methods}
        first = next(folder for folder in trained.values() if folder.is_dir())
        rows["before"] += _opened(first / "before")
        for method, folder in trained.items():
            rows[method] += _opened(folder / "after")
    labels = [name.replace("_", " ") for name in rows]
    png_texts.save_png(draw_grid(list(rows.values()), labels), file)


def _save(pictures: Sequence[Image.Image], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        png_texts.save_png(picture, folder / f"{i}.png")


def _opened(folder: Path) -> list[Optional[Image.Image]]:
    files = [folder / f"{i}.png" for i in range(SHOWN)]
    return [images.open_image(file) if file.exists() else None for file in files]


def _summary(several: Sequence[dict[str, Any]]) -> dict[str, str]:
    told = {}
    for key in several[0]["before"]:
        before = np.array([one["before"][key] for one in several])
        after = np.array([one["after"][key] for one in several])
        told[key] = f"{before.mean():.3f} -> {after.mean():.3f} (+-{after.std():.3f})"
    ratios = [one["after"]["loss"] / one["before"]["loss"] for one in several]
    told["loss ratio"] = f"{np.mean(ratios):.3f} (+-{np.std(ratios):.3f})"
    return told


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--methods", nargs="+", choices=list(TEACHINGS), default=list(TEACHINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--data", type=Path, help="a competition's dataset, whose styles are taught too")
    parser.add_argument("--subjects", nargs="+", help="teach these alone: blueprint, halftone, umbrella, style_NN")
    parser.add_argument("--at", nargs="+", type=int, help="numbers of updates, rising, to measure each training at")
    parser.add_argument(
        "--set", nargs="+", default=[], help="settings in the place of the recipe's, as train_style.sh has"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "teaching")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "quality" / "style_training.json")
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "images" / "style_training.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
