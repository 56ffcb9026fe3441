"""Fine-tune the whole UNet on captioned pictures; `configs/fine_tuning.yaml` says how: `jstyle train fine-tuning`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("train fine-tuning")
