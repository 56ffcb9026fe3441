#!/usr/bin/env bash
# Teach a model the styles of a folder: makes .venv where it is missing, then runs scripts/train_style.py.
#   scripts/train_style.sh --data DIR --method lora --output DIR [--styles 00-27] [--jobs N]
# Without --data: the sample styles on the embedded model.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh

set_up requirements.txt
python=$PWD/.venv/bin/python script=$PWD/scripts/train_style.py
cd "$here" # paths are meant from where the command was given
exec "$python" "$script" "$@"
