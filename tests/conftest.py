"""What the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jstyle.ops.kernels import operator


@pytest.fixture(params=["fused", "reference"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Which arithmetic is under test."""
    if request.param == "reference":
        monkeypatch.setattr(operator, "unavailable", lambda: "switched off by a test")
    elif operator.unavailable() is not None:
        pytest.skip(str(operator.unavailable()))
    yield request.param
