"""Train the embedded model from nothing: `python scripts/train_tiny.py --config configs/tiny.yaml`."""

from __future__ import annotations

from command_line import parse, run

from recipes.tiny.settings import TinySettings


def main() -> int:
    settings = parse(TinySettings, "Train a small Stable Diffusion from nothing on drawings.")
    from recipes.tiny.recipe import Recipe

    recipe = Recipe(settings)
    recipe.run()
    print(f"the results are in {settings.output}")
    return 0


if __name__ == "__main__":
    run(main)
