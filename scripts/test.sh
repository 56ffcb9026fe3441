#!/usr/bin/env bash
# The whole check: style, types, tests. Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup_env.sh

set_up requirements-dev.txt
export PYRIGHT_PYTHON_IGNORE_WARNINGS=1 # it would look for its own newer version
status=0
.venv/bin/python -m ruff check . || status=1
.venv/bin/python -m ruff format --check . || status=1
.venv/bin/python -m pyright --pythonpath .venv/bin/python || status=1
# last, so that the run ends with pytest's own summary; a file's tests share what they prepare, so they stay together;
# a worker that a hanging test ended (pyproject.toml) would meet it again
.venv/bin/python -m pytest -n logical --maxprocesses 4 --dist loadfile --max-worker-restart 0 "$@" || status=1
exit $status
