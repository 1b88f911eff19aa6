"""Progress reaches a cell at most four times a second, whole, and never by printing."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from typing import Any

import pytest

from qwen3ft_jupyter.errors import NoSpace, Stopped
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.notebook import display
from qwen3ft_jupyter.notebook.display import CellReporter, default_reporter
from qwen3ft_jupyter.work import SILENT, Progress
from tests.server.standin import HOSTILE


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Wall:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []

    def show(self, bundle: dict[str, Any]) -> None:
        self.shown.append(bundle)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at(done: int, phase: str = "transferring") -> Progress:
    return Progress(phase, done, 1000)


def test_a_cell_is_renewed_at_most_four_times_a_second() -> None:
    wall, clock = Wall(), Clock()
    reporter = CellReporter(wall, clock)

    for done in range(100):
        reporter.progress(at(done))
        clock.now += 0.01

    assert len(wall.shown) == 4


def test_a_new_phase_and_the_end_of_one_are_always_shown() -> None:
    wall, clock = Wall(), Clock()
    reporter = CellReporter(wall, clock)

    reporter.progress(at(1))
    reporter.progress(at(1000))
    reporter.progress(at(1, "verifying"))

    assert [bundle["text/plain"].split(" · ")[0] for bundle in wall.shown] == [
        "downloading",
        "downloading",
        "verifying",
    ]


def test_a_cell_that_waits_is_renewed_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved of work says of which moment it tells: the kernel may be gone before it ends."""
    minutes = [f"12:{number // 60:02}" for number in range(120)]
    monkeypatch.setattr(display, "moment", lambda _now: minutes.pop(0))
    wall, clock = Wall(), Clock()
    reporter = CellReporter(wall, clock)

    while len(minutes) >= 2:  # one for the HTML, one for the text
        reporter.progress(Progress("waiting"))
        clock.now += 1
    reporter.finished(None)

    assert [bundle["text/plain"].rpartition(" ")[2] for bundle in wall.shown[:-1]] == ["12:00", "12:01"]
    assert "as of" not in wall.shown[-1]["text/plain"]


def test_notices_stay_and_are_escaped() -> None:
    wall = Wall()
    reporter = CellReporter(wall, Clock())

    reporter.notice(HOSTILE)
    reporter.progress(at(1))

    assert HOSTILE not in wall.shown[-1]["text/html"]
    assert "&lt;img" in wall.shown[-1]["text/html"]


def test_losses_become_a_curve() -> None:
    wall, clock = Wall(), Clock()
    reporter = CellReporter(wall, clock)

    for step in range(3):
        clock.now += 1
        reporter.metrics({"step": step, "loss": 3.0 - step})
    reporter.metrics({"step": 4, "learning_rate": 1e-4})

    assert "polyline" in wall.shown[-1]["text/html"]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, "✓ downloading · 500 B of 1.0 kB"),
        (NoSpace("No."), "✗ failed (no-space) · downloading · 500 B of 1.0 kB"),
        (ZeroDivisionError(), "✗ failed (ZeroDivisionError) · downloading · 500 B of 1.0 kB"),
        (KeyboardInterrupt(), "■ interrupted · downloading · 500 B of 1.0 kB"),
        (Stopped("Stopped."), "■ interrupted · downloading · 500 B of 1.0 kB"),
    ],
)
def test_work_that_is_over_shows_how_it_ended_and_no_bar(error: BaseException | None, end: str) -> None:
    wall = Wall()
    reporter = CellReporter(wall, Clock())

    reporter.progress(Progress("transferring", 500, 1000, rate=5e7, eta_s=3))
    reporter.finished(error)
    reporter.finished(None)  # of the call around it

    assert wall.shown[-1]["text/plain"] == end
    assert end in wall.shown[-1]["text/html"]
    assert "<progress" not in wall.shown[-1]["text/html"]


def test_work_that_showed_nothing_ends_without_a_word() -> None:
    wall = Wall()

    CellReporter(wall, Clock()).finished(None)

    assert wall.shown == []


def test_work_that_goes_on_after_a_part_of_it_has_a_bar_again() -> None:
    wall = Wall()
    reporter = CellReporter(wall, Clock())

    reporter.progress(at(1000))
    reporter.finished(None)
    reporter.progress(at(1, "verifying"))

    assert "<progress" in wall.shown[-1]["text/html"]
    assert wall.shown[-1]["text/plain"].startswith("verifying")


def test_a_line_of_a_terminal_is_taken_away_at_the_end() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)

    line.progress(at(1))
    line.finished(ZeroDivisionError())

    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_reporter_may_be_called_from_many_threads(capsys: pytest.CaptureFixture[str]) -> None:
    wall = Wall()
    reporter = CellReporter(wall)

    def work() -> None:
        for done in range(200):
            reporter.progress(at(done))

    threads = [threading.Thread(target=work) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert wall.shown
    assert capsys.readouterr() == ("", "")


def test_a_script_that_nobody_watches_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert default_reporter() is SILENT

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(default_reporter(), ProgressLine)

    monkeypatch.setattr(sys, "stderr", None)  # pythonw on Windows
    assert default_reporter() is SILENT


def test_asking_for_a_reporter_does_not_import_ipython() -> None:
    code = (
        "import sys; from qwen3ft_jupyter.notebook.display import default_reporter; default_reporter();"
        "print([name for name in ('IPython', 'ipywidgets', 'torch') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
