from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests, they read English unless they say otherwise."""
    monkeypatch.setenv("QWEN3FT_LANG", "en")
