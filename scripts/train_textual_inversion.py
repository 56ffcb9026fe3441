"""Learn a new word from pictures; `configs/textual_inversion.yaml` says how."""

from __future__ import annotations

from command_line import parse, run

from jstyle.training.teaching.settings import TextualInversionSettings


def main() -> int:
    settings = parse(TextualInversionSettings, "Teach a model a new word (textual inversion, arXiv 2208.01618).")
    from jstyle.training.teaching.textual_inversion import train

    print(f"the result is in {train(settings)}")
    return 0


if __name__ == "__main__":
    run(main)
