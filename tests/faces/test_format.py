from __future__ import annotations

import pytest

from qwen3ft_jupyter.faces.format import columns, cut, progress_parts, width
from qwen3ft_jupyter.work import Progress


def test_columns_are_as_wide_as_their_widest_cell_on_the_screen() -> None:
    assert columns(["A", "B"], [["模型", "x"], ["s", ""]]) == "A     B\n模型  x\ns"


def test_a_cell_holds_nothing_a_terminal_obeys() -> None:
    assert "\x1b" not in columns(["A"], [["\x1b[31mred"]])


@pytest.mark.parametrize("columns_there", range(8))
def test_what_is_cut_fits(columns_there: int) -> None:
    assert width(cut("a模b型c", columns_there)) <= columns_there
    assert cut("a模b型c", 7) == "a模b型c"


def test_one_of_one_is_not_counted() -> None:
    assert progress_parts(Progress("loading", 1, 1, "steps", detail="on cpu")) == ["loading the model ✓", "on cpu"]
