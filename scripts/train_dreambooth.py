"""Fine-tune the whole UNet on pictures; `configs/dreambooth.yaml` says how."""

from __future__ import annotations

from command_line import parse, run

from jstyle.training.teaching.settings import DreamBoothSettings


def main() -> int:
    settings = parse(DreamBoothSettings, "Teach the whole UNet (DreamBooth, arXiv 2208.12242).")
    from jstyle.training.teaching.dreambooth import train

    print(f"the result is in {train(settings)}")
    return 0


if __name__ == "__main__":
    run(main)
