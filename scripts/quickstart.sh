#!/usr/bin/env bash
# From nothing to the first stylised pictures: makes .venv, then runs StyleID on the sample pictures.
# Options are passed on to scripts/run_styleid.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh

set_up requirements.txt
.venv/bin/python scripts/run_styleid.py --config configs/styleid.yaml --steps 20 \
    --content samples/content --style samples/style --output outputs/quickstart "$@"
echo "All pictures on one sheet: $PWD/outputs/quickstart/contact_sheet.png"
