from __future__ import annotations

import io

import pytest

from qwen3ft_jupyter.faces.terminal import ProgressLine, follow, in_a_line
from qwen3ft_jupyter.work import Progress
from tests.server.standin import DONE, HALFWAY, QUEUED, StandInJob


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "en")


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
    assert terminal.getvalue() == "\r\x1b[Kdownloading · 45% · 450 B of " + "\r\x1b[K"
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
    assert terminal.getvalue().endswith("training · 5% · 3 of 60 steps · 2.5 steps/s · loss 1.235")


def test_a_complete_phase_leaves_nothing_behind() -> None:
    """Nobody ends the line for work that a script or a Python prompt starts."""
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.progress(Progress("loading", 1, 2, "files"))
    line.progress(Progress("loading", 2, 2, "files"))
    assert terminal.getvalue().endswith("1 of 2 files\r\x1b[K")


def test_a_terminal_obeys_nothing_that_a_hub_says() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.notice("\x1b]0;owned\x07")
    line.progress(Progress("transferring", detail="\x1b[31mred"))
    assert "\x1b" not in terminal.getvalue().replace("\x1b[K", "")


def test_a_line_of_chinese_fits_into_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "11")
    monkeypatch.setenv("QWEN3FT_LANG", "zh")
    terminal = Terminal()
    ProgressLine(terminal).progress(Progress("waiting", detail="x"))
    assert terminal.getvalue() == "\r\x1b[K等待另一进"


def test_a_stream_that_was_closed_is_no_error() -> None:
    stream = Terminal()
    line = ProgressLine(stream)
    stream.close()
    line.progress(Progress("loading"))
    line.notice("too late")


def test_a_job_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    terminal = Terminal()
    job = StandInJob("a", script=[QUEUED, QUEUED, HALFWAY, HALFWAY, DONE], metrics=[{"step": 1, "loss": 2.5}])
    with ProgressLine(terminal) as line:
        assert follow(job.real, line) == DONE
    assert "downloading · 50%" in terminal.getvalue()
    assert "loss 2.5" in terminal.getvalue()


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("resolving"), "asking the hub"),
        (Progress("transferring", 1_200_000_000, 2_600_000_000, rate=85.3e6, eta_s=16.4),
         "downloading · 46% · 1.2 GB of 2.6 GB · 85.3 MB/s · 16 s left"),
        (Progress("checking", 3, None, "files"), "checking what is there · 3 files"),
        (Progress("waiting", detail="another process: downloading"),
         "waiting for another process · another process: downloading"),
    ],
)  # fmt: skip
def test_progress_in_words(progress: Progress, line: str) -> None:
    assert in_a_line(progress) == line


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence in CI or under nohup looks like a hang; a line for each percent would be a flood."""
    now = [0.0]
    monkeypatch.setattr("qwen3ft_jupyter.faces.terminal.time.monotonic", lambda: now[0])
    log = io.StringIO()
    line = ProgressLine(log)

    for second in range(25):
        now[0] = float(second)
        line.progress(Progress("transferring", second, 100))

    assert log.getvalue().splitlines() == ["downloading · 10% · 10 B of 100 B", "downloading · 20% · 20 B of 100 B"]
