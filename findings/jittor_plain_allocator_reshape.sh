#!/usr/bin/env bash
# jittor 1.3.11.0, numpy 1.26.4
#
# Guess: use_sfrl_allocator=0, Jittor's own switch, takes every tensor's memory from the system and changes no result.
#
# Seen: a reshape of what has just been computed is memory that nobody has written: its values are whatever the
# system's allocator left there. (glibc's MALLOC_PERTURB_ fills new memory, which makes it visible each time.) With the
# default allocator, and without the reshape, the numbers are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jittor==1.3.11.0 numpy==1.26.4
cat > "$folder/reshape.py" <<'PYTHON'
import jittor as jt
import numpy as np

doubled = jt.array(np.arange(6, dtype=np.float32)) * 2
print(np.array_equal(doubled.reshape(2, 3).numpy().ravel(), np.arange(6) * 2))
PYTHON
export JITTOR_HOME="$folder" nvcc_path="" use_mkl=0 MALLOC_PERTURB_=128
seen=()
for allocator in 1 0; do
    seen+=("$(use_sfrl_allocator=$allocator "$folder/venv/bin/python" "$folder/reshape.py" 2> /dev/null | tail -1)")
done
echo "with Jittor's allocator right: ${seen[0]}; with the system's: ${seen[1]}"
[ "${seen[*]}" = "True False" ]
