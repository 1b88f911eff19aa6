from __future__ import annotations

import doctest

import pytest

from qwen3ft_jupyter import messages
from qwen3ft_jupyter.messages import size
from qwen3ft_jupyter.mirror import addresses
from qwen3ft_jupyter.settings import kinds


@pytest.mark.parametrize("module", [addresses, kinds, messages], ids=lambda module: module.__name__)
def test_the_examples_are_true(module: object) -> None:
    done = doctest.testmod(module)  # type: ignore[arg-type]
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (999_499, "999 kB"), (999_500, "1.0 MB"), (2e15, "2000 TB"), (None, "")]
)
def test_size_rounds_into_the_next_unit(size_bytes: float | None, text: str) -> None:
    assert size(size_bytes) == text
