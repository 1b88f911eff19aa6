from __future__ import annotations

import io

import pytest

from qwen3ft_jupyter.reporting import Progress
from qwen3ft_jupyter.terminal import ProgressLine, columns, describe, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_pipe_gets_notices_and_no_progress() -> None:
    pipe = io.StringIO()
    with ProgressLine(pipe) as line:
        line.progress(Progress("transferring", 1, 2))
        line.notice("taking the other hub")
    assert pipe.getvalue() == "taking the other hub\n"


def test_terminal_gets_one_line_that_is_cleared_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    with ProgressLine(terminal) as line:
        line.progress(Progress("transferring", 450, 1000, rate=10.0, eta_s=55.0, detail="8 connections"))
    assert terminal.getvalue() == "\r\x1b[Ktransferring  45%  450 B of 10"[:33] + "\r\x1b[K"
    assert "\n" not in terminal.getvalue()


def test_line_is_not_redrawn_more_than_ten_times_a_second_but_for_a_new_phase() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    for done in range(1000):
        line.progress(Progress("transferring", done, 1000))
    line.progress(Progress("verifying"))
    assert terminal.getvalue().count("\r") < 20
    assert terminal.getvalue().endswith("verifying")


def test_loss_is_shown_beside_the_steps() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.metrics({"step": 3, "loss": 1.23456})
    line.progress(Progress("training", 3, 60, "steps", rate=2.5))
    assert terminal.getvalue().endswith("training  5%  3 of 60 steps  2.5/s  loss 1.2346")


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("resolving"), "resolving"),
        (Progress("transferring", 1_200_000_000, 2_600_000_000, rate=85.3e6, eta_s=16.4),
         "transferring  46%  1.2 GB of 2.6 GB  85.3 MB/s  0:16 left"),
        (Progress("checking", 3, None, "files"), "checking  3 files"),
        (Progress("waiting", detail="another process downloads it"), "waiting  another process downloads it"),
    ],
)  # fmt: skip
def test_progress_in_words(progress: Progress, line: str) -> None:
    assert describe(progress) == line


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (2e15, "2000.0 TB")]
)
def test_size_rounds_into_the_next_unit(size_bytes: float, text: str) -> None:
    assert size(size_bytes) == text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns(["A", "B"], [["long", "x"], ["s", ""]]) == "A     B\nlong  x\ns"
