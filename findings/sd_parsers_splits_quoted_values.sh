#!/usr/bin/env bash
# sd-parsers 0.6, pillow 12.0.0
#
# Guess: values that A1111's web UI writes in quotes because they hold a comma, as "Lora hashes" does for every picture made with
# two LoRAs, come back whole, as the web UI reads them itself.
#
# Seen: the line is cut at every comma, in quotes or not. A model whose name holds one comes back as its first half behind an open
# quote, "Lora hashes" is not there at all, and the second LoRA is a setting of its own whose hash ends in a quote.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet sd-parsers==0.6 pillow==12.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sd_parsers import ParserManager

texts = PngInfo()
texts.add_text(
    "parameters",
    "a boat\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 8x8, "
    'Model: "sea, calm", Lora hashes: "ink: 1a2b3c, oil: 4d5e6f", Version: v1.10.1',
)
Image.new("RGB", (8, 8)).save("boat.png", pnginfo=texts)
read = ParserManager().parse("boat.png")
print(read.samplers[0].model.name, dict(read.metadata))
assert [prompt.value for prompt in read.prompts] == ["a boat"]
assert read.samplers[0].model.name == '"sea'
assert "Lora hashes" not in read.metadata
assert read.metadata["oil"] == '4d5e6f"'
PYTHON
