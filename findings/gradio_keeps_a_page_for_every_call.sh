#!/usr/bin/env bash
# gradio 6.31.0
#
# Guess: a call of a page's HTTP API that names no session leaves nothing behind once it is answered.
#
# Seen: each such call is a session of its own, and of each of the last 10000 sessions the page keeps what it looks like:
# a value for every component that it has, whether or not the call's function touches it. With 400 text boxes a call of
# a function without inputs or outputs costs over half a megabyte, so a page of forms that is used by programs grows by
# gigabytes. `Blocks.state_session_capacity` bounds it, also where the page is mounted in another application.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet gradio==6.31.0
cat > "$folder/calls.py" <<'PYTHON'
import re
import sys

import fastapi
import gradio as gr
from fastapi.testclient import TestClient

CALLS = 100


def megabytes() -> float:
    return int(re.search(r"RssAnon:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024


def call_often(capacity: int | None) -> tuple[int, float]:
    """(sessions that are kept, megabytes that were taken) by calls after the first ten."""
    with gr.Blocks() as page:
        for number in range(400):
            gr.Textbox(label=f"setting {number}", info="what it does")
        gr.Button().click(lambda: None, api_name="nothing")
    if capacity is not None:
        page.state_session_capacity = capacity
    with TestClient(gr.mount_gradio_app(fastapi.FastAPI(), page, path="")) as client:
        before = 0.0
        for number in range(CALLS):
            if number == 10:
                before = megabytes()
            event = client.post("/gradio_api/call/nothing", json={"data": []}).json()["event_id"]
            assert "complete" in client.get(f"/gradio_api/call/nothing/{event}").text
        return len(page.state_holder.session_data), megabytes() - before


kept, taken = call_often(None)
bounded, _ = call_often(4)
print(f"{taken:.0f} MB taken by {CALLS - 10} calls", file=sys.stderr)
print(kept == CALLS, taken > 45, bounded <= 5)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
seen=$("$folder/venv/bin/python" "$folder/calls.py" | tail -1)
echo "a session kept for every call, over half a megabyte each, bounded by the capacity: $seen"
[ "$seen" = "True True True" ]
