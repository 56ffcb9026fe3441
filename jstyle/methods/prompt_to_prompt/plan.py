"""What of a picture is edited at which call of the UNet, and in which of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jstyle.errors import InputError
from jstyle.methods.prompt_to_prompt.blend import find_map_sites
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings, choose_layout_calls, choose_word_calls
from jstyle.networks.editing import Site
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

MOST_SIDE = 24
"""Places that the maps have at most on a side, where the layout is read: 16 in Stable Diffusion at 512 px, as in the
paper's code, and 24 at 768 px.
"""


def fill_levels(settings: PromptToPromptSettings, pipe: StableDiffusionPipeline) -> PromptToPromptSettings:
    """The settings with the levels set: the first whose maps have at most `MOST_SIDE` a side at the model's size."""
    levels = sorted({site.level for site in pipe.unet.sites})
    side = pipe.unet.config.sample_size
    level = next((level for level in levels if side / 2**level <= MOST_SIDE), levels[-1])
    return replace(
        settings,
        self_level=level if settings.self_level is None else settings.self_level,
        blend_level=level if settings.blend_level is None else settings.blend_level,
    )


class EditPlan:
    """``settings`` whose levels are set, on a network with these layers, over so many calls of it.

    ``map_paths`` are the layers in which it is read where the blend words look. Raises InputError for layers that the
    network does not have.
    """

    def __init__(self, settings: PromptToPromptSettings, sites: Sequence[Site], calls: int) -> None:
        assert settings.self_level is not None and settings.blend_level is not None
        require_layout(sites, settings.self_level)
        self.calls = calls
        self._sites = sites
        self._level = settings.self_level
        windows = (settings.cross_replace_steps, *settings.word_steps.values())
        self._word_calls = frozenset(call for window in windows for call in choose_word_calls(window, calls))
        self._layout_calls = choose_layout_calls(settings.self_replace_steps, calls)
        self._blend_calls = range(int(settings.blend_start * calls), calls) if settings.blend_words else range(0)
        self.map_paths = find_map_sites(sites, settings.blend_level) if settings.blend_words else frozenset[str]()

    def choose_paths(self, call: int) -> frozenset[str]:
        """The layers in which edits take anything from the source at a call."""
        words, layout = self.edits_words(call), call in self._layout_calls
        edited = (
            site.path for site in self._sites if (words if site.is_cross else layout and site.level >= self._level)
        )
        return self.map_paths.union(edited)

    def edits_words(self, call: int) -> bool:
        """Whether any word follows the source at a call."""
        return call in self._word_calls

    def blends(self, call: int) -> bool:
        """Whether what no blend word looks at is put back after a call."""
        return call in self._blend_calls


def require_layout(sites: Sequence[Site], level: int) -> None:
    """Raise InputError where no map of the network is halved so often: no layout would be taken, without a word."""
    deepest = max(site.level for site in sites if not site.is_cross)
    if level > deepest:
        raise InputError(
            f"self_level {level}: this model's maps are halved {deepest} times at most; "
            "no layout is taken with self_replace_steps 0 0"
        )
