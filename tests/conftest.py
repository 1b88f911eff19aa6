"""What every test shares."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

# hypothesis otherwise keeps its examples in the checkout, where pytest warns of the folder
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "qwen3ft-hypothesis")
# a busy machine is no reason to fail
settings.register_profile("qwen3ft", deadline=None)
settings.load_profile("qwen3ft")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 in a folder; tests must not change it."""
    from tests.loading.tiny_qwen3 import make_model

    return make_model(tmp_path_factory.mktemp("models") / "Tiny-Qwen3")
