"""Learn a LoRA from pictures; `configs/lora.yaml` says how."""

from __future__ import annotations

from command_line import parse, run

from jstyle.training.teaching.settings import LoraSettings


def main() -> int:
    settings = parse(LoraSettings, "Teach a model by low-rank changes of its layers (LoRA, arXiv 2106.09685).")
    from jstyle.training.teaching.lora import train

    print(f"the result is in {train(settings)}")
    return 0


if __name__ == "__main__":
    run(main)
