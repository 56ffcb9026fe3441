#!/usr/bin/env bash
# jittor 1.3.11.0, numpy 1.26.4
#
# Guess: Jittor is lazy, so `x.sync()` computes x and what x is made of, and a network whose weights are about to be
# replaced never makes those that it begins with.
#
# Seen: it computes every Var that is alive and pending, whatever x is made of. Two networks that are built side by side
# hold all their first weights as soon as anything is read into one of them; a network that is only asked for its shape
# does too. What is pending and was let go before is not made.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jittor==1.3.11.0 numpy==1.26.4
cat > "$folder/pending.py" <<'PYTHON'
import re

import jittor as jt


def megabytes() -> float:
    """What the process holds, without mapped files."""
    return int(re.search(r"RssAnon:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024


jt.rand((8, 8)).sync()
before = megabytes()
layer = jt.nn.Linear(6000, 6000)  # 144 MB of weights, which nobody asks for
built = megabytes()
jt.array([1.0]).sync()
read = megabytes()
del layer
other = jt.nn.Linear(6000, 6000)
del other
jt.array([2.0]).sync()
print(built - before > 100, read - before > 100, megabytes() - read > 100)
PYTHON
export JITTOR_HOME="$folder" nvcc_path="" use_mkl=0
seen=$("$folder/venv/bin/python" "$folder/pending.py" 2> /dev/null | tail -1)
echo "made when built, when another Var is synced, when it was let go before: $seen"
[ "$seen" = "False True False" ]
