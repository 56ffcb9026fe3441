"""Fine-tune the whole UNet on pictures; `configs/dreambooth.yaml` says how: `jstyle train dreambooth`."""

from __future__ import annotations

from checkout import run_command

if __name__ == "__main__":
    run_command("train dreambooth")
