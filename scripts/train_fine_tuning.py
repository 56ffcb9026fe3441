"""Fine-tune the whole UNet on captioned pictures; `configs/fine_tuning.yaml` says how."""

from __future__ import annotations

from command_line import parse, run

from jstyle.training.teaching.settings import FineTuningSettings


def main() -> int:
    settings = parse(FineTuningSettings, "Fine-tune the whole UNet on captioned pictures.")
    from jstyle.training.teaching.fine_tuning import train

    print(f"the result is in {train(settings)}")
    return 0


if __name__ == "__main__":
    run(main)
