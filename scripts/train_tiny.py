"""Train the embedded model from nothing: `python scripts/train_tiny.py --config configs/tiny.yaml`."""

from __future__ import annotations

from checkout import leave_with

from jstyle.cli.command import SettingsCommand
from recipes.tiny.settings import TinySettings


def train(settings: TinySettings) -> int:
    """Run the stages that are not finished."""
    from recipes.tiny.recipe import Recipe

    Recipe(settings).run()
    print(f"the results are in {settings.output}")
    return 0


COMMAND = SettingsCommand(
    "train_tiny", "Train a small Stable Diffusion from nothing on drawings", (TinySettings,), train
)

if __name__ == "__main__":
    leave_with(COMMAND.main)
