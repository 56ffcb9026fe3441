"""Icons of real families as pictures for training, with captions: fetched, cut out, placed on grounds or drawn anew."""

from recipes.tiny.icons.captions import caption
from recipes.tiny.icons.cutouts import Catalogue, cut_out, read_catalogue
from recipes.tiny.icons.drawing import render
from recipes.tiny.icons.families import FAMILIES, HELD_OUT, STYLES
from recipes.tiny.icons.nouns import read_nouns
from recipes.tiny.icons.scene import GROUNDS, IconScene, is_held_out, sample_icon

__all__ = [
    "FAMILIES",
    "HELD_OUT",
    "STYLES",
    "GROUNDS",
    "Catalogue",
    "IconScene",
    "caption",
    "cut_out",
    "is_held_out",
    "read_catalogue",
    "read_nouns",
    "render",
    "sample_icon",
]
