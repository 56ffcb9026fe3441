"""Writes a LoRA and a word, and the outputs with them, for `tests/golden/check_saved_adapters.py`.

python -m tests.adapters.write_adapters FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from jstyle.adapters import lora_files, lora_writing, textual_inversion
from jstyle.runtime import jt
from jstyle.weights.tensors import ArrayTensors
from tests.golden import tiny
from tests.golden.adapter_tensors import adapter_tensor
from tests.parity.networks import golden
from tests.training.teaching.small import pipeline

PROMPT = "the <pond> at night in a <pond>"


def main() -> None:
    folder, recorded, pipe = Path(sys.argv[1]), golden("adapters"), pipeline("epsilon")
    arrays = {key: adapter_tensor(key, shape) for key, shape in json.loads(str(recorded["keys"])).items()}
    metadata = json.loads(str(recorded["metadata"]))
    lora_writing.write(lora_files.parse(ArrayTensors(arrays), pipe.unet, pipe.text_encoder, metadata), folder)
    textual_inversion.write("<pond>", tiny.seeded_tensor("pond_embedding.weight", (3, 48)), folder)
    lora = lora_files.read(folder, pipe.unet, pipe.text_encoder)
    for format, precision in (("diffusers", "fp16"), ("kohya", "fp32"), ("kohya", "bf16")):
        lora_writing.write(lora, folder / f"{format}_{precision}", format, precision, {"ss_seed": "0"})
    given = {name: recorded[f"lora_{name}"] for name in ("sample", "timestep", "context", "input_ids")}
    pipe.load_lora_weights(folder)
    with jt.no_grad():
        unet = np.array(
            pipe.unet(jt.array(given["sample"]), given["timestep"], jt.array(given["context"])).sample.numpy()
        )
        text = np.array(pipe.text_encoder(jt.array(given["input_ids"].astype(np.int32)))[0].numpy())
    pipe.unload_lora_weights()
    pipe.load_textual_inversion(folder)
    word = np.array(pipe.encode_texts(PROMPT).numpy())
    np.savez(folder / "outputs.npz", prompt=PROMPT, unet=unet, text=text, word=word, **given)


if __name__ == "__main__":
    main()
