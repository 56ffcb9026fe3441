#!/usr/bin/env bash
# transformers 5.23.0, CLIPTokenizer.add_tokens (a learnt word's way into a prompt).
#
# A token whose name is in the vocabulary already, here "é", the name of the byte 0xE9: add_tokens returns 1, "one was
# added", but the vocabulary has not grown and the id is the byte's. The text "é", two bytes before, is now that one id. So
# who counts new rows of the embedding by what add_tokens returns is off by one, and who writes the word's vector to its id
# writes over a byte's. transformers 4.57.6 returns 0. Seen:
#
#     before: 514 tokens, 'é' has the id 165, the text reads as 2 ids
#     add_tokens(['é']) returned 1; 514 tokens, 'é' has the id 165, the text reads as [165]
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0
TRANSFORMERS_VERBOSITY=error "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

from transformers import CLIPTokenizer

folder = Path(sys.argv[1])
shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
names = [chr(code) for code in shown] + [chr(256 + number) for number in range(256 - len(shown))]  # GPT-2's, of bytes
names += [f"{name}</w>" for name in names] + ["<|startoftext|>", "<|endoftext|>"]
(folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
(folder / "merges.txt").write_text("#version: 0.2\n")
tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def read() -> list:
    return tokenizer("é", add_special_tokens=False).input_ids


known, byte, before = len(tokenizer), tokenizer.convert_tokens_to_ids("é"), read()
print(f"before: {known} tokens, 'é' has the id {byte}, the text reads as {len(before)} ids")
added = tokenizer.add_tokens(["é"])
now = tokenizer.convert_tokens_to_ids("é")
print(f"add_tokens(['é']) returned {added}; {len(tokenizer)} tokens, 'é' has the id {now}, the text reads as {read()}")
as_written = (added, len(tokenizer), now, len(before), read()) == (1, known, byte, 2, [byte])
sys.exit(0 if as_written else 1)
PYTHON
