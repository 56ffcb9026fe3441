"""StyleID from pictures to pictures: N contents in M styles for N + M inversions."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Collection, Dict, Iterator, List, Optional, Sequence

import numpy as np
from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.methods.pairs import Pair, Stylised, all_pairs, batches
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from styleid.bank import PARTS, DiskBank, DiskWriter, MemoryBank, Role
from styleid.method import Inverted, StyleID
from styleid.settings import StyleIDSettings

# Settings that change what an inversion leaves behind, and so belong to the key of its features.
_INVERSION_SETTINGS = ("steps", "inversion", "vae", "seed", "feature_dtype")

Progress = Callable[[str, int], None]


@dataclass
class Costs:
    """What a run took: seconds per stage, latents through the UNet, inversions, and the most feature bytes held."""

    seconds: Dict[str, float] = field(default_factory=dict)
    evaluations: int = 0
    inversions: int = 0
    reused: int = 0
    peak_feature_bytes: int = 0

    def report(self) -> str:
        """The figures as lines of text."""
        stages = [f"{stage:<18}{seconds:8.1f} s" for stage, seconds in self.seconds.items()]
        return "\n".join(
            [
                *stages,
                f"{'inversions':<18}{self.inversions:8}   ({self.reused} more were reused)",
                f"{'UNet evaluations':<18}{self.evaluations:8}",
                f"{'peak features':<18}{self.peak_feature_bytes / 1e6:8.1f} MB in memory",
            ]
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


class Transfer:
    """A run of StyleID over pictures.

    ``store`` is the folder of disk features. ``progress`` is told (stage, images) after every UNet step.
    Raises InputError for a size the model cannot take and layers it does not have.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleIDSettings,
        *,
        store: Optional[Path] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        _, height, width = pipe.latent_shape(settings.height, settings.width)
        self.size = width * pipe.vae.config.factor, height * pipe.vae.config.factor
        self.costs = Costs()
        self._pipe = pipe
        self._settings = settings
        self._store = store
        self._progress = progress
        self._method = StyleID(pipe.unet, pipe.encode_prompt(""), pipe.schedule, settings)

    def run(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        wanted: Optional[Collection[Pair]] = None,
    ) -> Iterator[Stylised]:
        """Yield every wanted (content, style) pair, all pairs by default, as it is done, style by style.

        The contents' features stay for the whole run, a style's only until its pairs are done.
        """
        pairs = sorted(wanted if wanted is not None else all_pairs(len(contents), len(styles)), key=lambda p: p[::-1])
        used = sorted({content for content, _ in pairs})
        inverted = dict(zip(used, self._invert([contents[i] for i in used], "content")))
        held = sum(_nbytes(one) for one in inverted.values())
        for style in dict.fromkeys(style for _, style in pairs):
            reference = self._invert([styles[style]], "style")[0]
            self.costs.peak_feature_bytes = max(self.costs.peak_feature_bytes, held + _nbytes(reference))
            own = [content for content, one in pairs if one == style]
            for batch in batches(own, self._settings.batch_size):
                yield from self._stylise(batch, [inverted[i] for i in batch], style, reference)

    def evaluations_planned(self, pairs: Collection[Pair]) -> int:
        """The latents that will go through the UNet if nothing is reused from disk."""
        settings = self._settings
        inversions = len({c for c, _ in pairs}) + len({s for _, s in pairs})
        return inversions * settings.steps + len(pairs) * self._sampling_steps

    @property
    def _sampling_steps(self) -> int:
        return self._settings.steps - int(self._settings.skip_first_step)

    def _invert(self, pictures: Sequence[Image.Image], role: Role) -> List[Inverted]:
        stage = f"{role} inversion"
        arrays = [images.to_array([images.fit(picture, *self.size)]) for picture in pictures]
        done: List[Optional[Inverted]] = [self._stored(array, role) for array in arrays]
        missing = [i for i, one in enumerate(done) if one is None]
        self.costs.reused += len(pictures) - len(missing)
        for batch in batches(missing, self._settings.batch_size):
            latents = self._encode(np.concatenate([arrays[i] for i in batch]))
            with self.costs.timed(stage):
                fresh = self._invert_batch([arrays[i] for i in batch], latents, role, stage)
            for i, one in zip(batch, fresh):
                done[i] = one
        return [one for one in done if one is not None]

    def _invert_batch(self, arrays: Sequence[np.ndarray], latents: jt.Var, role: Role, stage: str) -> List[Inverted]:
        self.costs.inversions += len(arrays)
        on_step = self._announcer(stage, len(arrays))
        before = self._method.evaluations
        try:
            if not self._settings.injection:
                return [Inverted(one.latent) for one in self._method.trace(latents, on_step)]
            if self._settings.features == "recompute":
                return self._method.trace(latents, on_step)
            if self._settings.features == "memory":
                banks = [MemoryBank() for _ in arrays]
                ends = self._method.invert(latents, role, banks, on_step)
                return [Inverted(end, bank) for end, bank in zip(ends, banks)]
            return self._invert_to_disk(arrays, latents, role, on_step)
        finally:
            self.costs.evaluations += self._method.evaluations - before

    def _invert_to_disk(
        self, arrays: Sequence[np.ndarray], latents: jt.Var, role: Role, on_step: Callable[[], None]
    ) -> List[Inverted]:
        writers = [DiskWriter(self._folder(array, role)) for array in arrays]
        try:
            ends = self._method.invert(latents, role, writers, on_step)
            return [Inverted(end, writer.finish(end)) for end, writer in zip(ends, writers)]
        finally:
            for writer in writers:
                writer.discard()

    def _stylise(
        self, batch: Sequence[int], contents: Sequence[Inverted], style: int, reference: Inverted
    ) -> Iterator[Stylised]:
        before = self._method.evaluations
        with self.costs.timed("stylisation"):
            x = self._method.stylise(contents, reference, self._announcer("stylisation", len(batch)))
        self.costs.evaluations += self._method.evaluations - before
        for row, content in enumerate(batch):
            with self.costs.timed("decoding"):
                decoded = self._pipe.decode_latents(x[row : row + 1])
            yield Stylised.decoded(content, style, decoded)

    def _encode(self, pictures: np.ndarray) -> jt.Var:
        noise = None
        if self._settings.vae == "sample":
            shape = self._pipe.latent_shape(*pictures.shape[2:])
            noise = NoiseSource([self._settings.seed] * len(pictures)).normal("posterior", shape)
        with self.costs.timed("encoding"):
            return self._pipe.encode_images(jt.array(pictures), noise)

    def _stored(self, array: np.ndarray, role: Role) -> Optional[Inverted]:
        if self._settings.features != "disk" or not self._settings.injection:
            return None
        bank = DiskBank(self._folder(array, role))
        return Inverted(bank.latent(), bank) if bank.folder.is_dir() else None

    def _folder(self, array: np.ndarray, role: Role) -> Path:
        """Where an image's features belong: named by everything they depend on, so that none is ever stale."""
        assert self._store is not None, "disk features need a store"
        settings = asdict(self._settings)
        key = {
            "model": self._pipe.model_hash,
            "dtype": self._pipe.unet.dtype,
            "schedule": self._pipe.schedule.config.to_dict(),
            "image": hashlib.sha256(array.tobytes()).hexdigest(),
            "size": array.shape[2:],
            "sites": sorted(self._method.paths),
            "parts": PARTS[role],
            **{name: settings[name] for name in _INVERSION_SETTINGS},
        }
        return self._store / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]

    def _announcer(self, stage: str, count: int) -> Callable[[], None]:
        def announce() -> None:
            if self._progress is not None:
                self._progress(stage, count)

        return announce


def _nbytes(one: Inverted) -> int:
    trajectory = 0 if one.trajectory is None else one.trajectory.nbytes
    return trajectory + (one.bank.nbytes if isinstance(one.bank, MemoryBank) else 0)
