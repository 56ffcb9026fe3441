"""This project."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.sides import Call, Case, Job, inputs, jstyle_updates
from jstyle import StableDiffusionPipeline, ops
from jstyle.methods.pairs import Stylised
from jstyle.runtime import jt
from styleid.run import StyleID
from styleid.settings import StyleIDSettings


class JstyleSide:
    """The networks of a pipeline, and attention by itself where the job names no model."""

    def __init__(self, job: Job) -> None:
        self._job = job
        options = {} if job["precision"] == "fp32" else {"precision": job["precision"]}
        self._pipe: Any = StableDiffusionPipeline.from_pretrained(job["model"], **options) if job["model"] else None
        self._training = ExitStack()
        self._works = {
            "unet": self._unet,
            "encode": self._encode,
            "decode": self._decode,
            "training_step": self._training_step,
            "attention": self._attention,
            "styleid": self._styleid,
            "update": self._update,
        }

    def describe(self) -> dict[str, str]:
        """Versions, and the settings that decide about speed."""
        versions = {name: metadata.version(name) for name in ("jstyle", "jittor", "numpy")}
        return {"python": platform.python_version(), **versions}

    def variants(self, case: Case) -> Sequence[str]:
        """The settings worth trying for a case."""
        return [""]

    def prepare(self, case: Case, variant: str) -> Call:
        """What will be timed, made ready."""
        return self._works[case["work"]](case)

    def arrays(self, result: dict[str, Any]) -> dict[str, np.ndarray]:
        """A call's result as NumPy arrays."""
        return {
            name: one if isinstance(one, np.ndarray) else np.array(one.float32().numpy())
            for name, one in result.items()
        }

    def _unet(self, case: Case) -> Call:
        given = inputs(case)

        def call() -> dict[str, Any]:
            with jt.no_grad():
                out = self._pipe.unet(jt.array(given["sample"]), case["time"], jt.array(given["text"])).sample
                out.sync()
            return {"output": out}

        return call

    def _encode(self, case: Case) -> Call:
        given = inputs(case)

        def call() -> dict[str, Any]:
            with jt.no_grad():
                out = self._pipe.vae.encode(jt.array(given["image"])).latent_dist.mode()
                out.sync()
            return {"latent": out}

        return call

    def _decode(self, case: Case) -> Call:
        given = inputs(case)

        def call() -> dict[str, Any]:
            with jt.no_grad():
                out = self._pipe.vae.decode(jt.array(given["latent"])).sample
                out.sync()
            return {"image": out}

        return call

    def _training_step(self, case: Case) -> Call:
        given = inputs(case)
        for parameter in self._pipe.unet.parameters():
            parameter.stop_grad()

        def call() -> dict[str, Any]:
            text = jt.array(given["text"])
            text.start_grad()
            out = self._pipe.unet(jt.array(given["sample"]), case["time"], text).sample
            loss = jt.sqr(out.float32() - jt.array(given["target"])).mean()
            gradient = jt.grad(loss, text)
            jt.sync([gradient, loss])
            return {"gradient": gradient, "loss": loss}

        return call

    def _attention(self, case: Case) -> Call:
        given = inputs(case)
        dtype = "float32" if self._job["precision"] == "fp32" else "bfloat16"
        q, k, v = (jt.array(given[name]).cast(dtype) for name in "qkv")
        weight = jt.array(given["weight"])
        jt.sync([q, k, v, weight])

        def forward() -> dict[str, Any]:
            with jt.no_grad():
                out = ops.attention(q, k, v)
                out.sync()
            return {"output": out}

        def both() -> dict[str, Any]:
            for one in (q, k, v):
                one.start_grad()
            out = ops.attention(q, k, v)
            gradients = jt.grad((out.float32() * weight).sum(), [q, k, v])
            jt.sync([out, *gradients])
            return {"output": out, **dict(zip(("dq", "dk", "dv"), gradients))}

        return both if case["backward"] else forward

    def _styleid(self, case: Case) -> Call:
        given = inputs(case)
        contents, styles = ([Image.fromarray(one) for one in given[name]] for name in ("contents", "styles"))
        size = given["contents"].shape[1]
        settings = StyleIDSettings(
            steps=case["steps"], width=size, height=size, features="memory", feature_dtype=case["feature_dtype"]
        )

        def call() -> dict[str, Any]:
            latents: list[np.ndarray] = []
            decode = self._pipe.decode_latents

            def decoding(x: Any) -> np.ndarray:
                latents.append(np.array(x.float32().numpy()))
                return decode(x)

            self._pipe.decode_latents = decoding
            try:
                events = StyleID(self._pipe, settings).stylise_pairs(contents, styles)
                errors = [event.error for event in events if isinstance(event, Stylised) and event.error]
            finally:
                del self._pipe.decode_latents
            if errors:
                raise ValueError(errors[0])
            return {"latents": np.concatenate(latents)}  # pictures are rounded to 8 bits, and compare less sharply

        return call

    def _update(self, case: Case) -> Call:
        self._training.close()
        return jstyle_updates.prepared(self._pipe, case, self._training)


def open_side(job: Job) -> JstyleSide:
    """Load what the job names."""
    return JstyleSide(job)
