"""Places with nothing in them, for the words that no icon draws: the drawings' settings by themselves, and others."""

from recipes.tiny.sceneries.scenery import SCENERIES, Scenery, caption, is_held_out, render, sample_scenery

__all__ = ["SCENERIES", "Scenery", "caption", "is_held_out", "render", "sample_scenery"]
