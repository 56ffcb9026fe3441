"""Learn a LoRA from pictures; `configs/lora.yaml` says how: `jstyle train lora`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("train lora")
