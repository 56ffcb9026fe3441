"""What the tests of the recipe share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recipes.tiny import recipe


@pytest.fixture(scope="package", autouse=True)
def short() -> Iterator[None]:
    """Sheets of a few steps and few captions, whatever runs the recipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "_SHEET_STEPS", 2)
        patch.setattr(recipe, "_CAPTIONS", 2000)
        yield
