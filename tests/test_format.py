from __future__ import annotations

import doctest

import pytest

from qwen3ft_jupyter import format as fmt
from qwen3ft_jupyter import job_lists, words
from qwen3ft_jupyter.format import columns, cut, progress_parts, size, width
from qwen3ft_jupyter.mirror import addresses
from qwen3ft_jupyter.settings import kinds
from qwen3ft_jupyter.work import Progress


@pytest.mark.parametrize("module", [addresses, fmt, job_lists, kinds, words], ids=lambda module: module.__name__)
def test_the_examples_are_true(module: object) -> None:
    done = doctest.testmod(module)  # type: ignore[arg-type]
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (999_499, "999 kB"), (999_500, "1.0 MB"), (2e15, "2000 TB"), (None, "")]
)
def test_size_rounds_into_the_next_unit(size_bytes: float | None, text: str) -> None:
    assert size(size_bytes) == text


def test_columns_are_as_wide_as_their_widest_cell_on_the_screen() -> None:
    assert columns(["A", "B"], [["模型", "x"], ["s", ""]]) == "A     B\n模型  x\ns"


def test_a_cell_holds_nothing_a_terminal_obeys() -> None:
    assert "\x1b" not in columns(["A"], [["\x1b[31mred"]])


@pytest.mark.parametrize("columns_there", range(8))
def test_what_is_cut_fits(columns_there: int) -> None:
    assert width(cut("a模b型c", columns_there)) <= columns_there
    assert cut("a模b型c", 7) == "a模b型c"


def test_one_of_one_is_not_counted() -> None:
    assert progress_parts(Progress("loading", 1, 1, "steps", detail="on cpu")) == ["loading ✓", "on cpu"]
