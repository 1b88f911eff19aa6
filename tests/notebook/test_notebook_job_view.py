"""A job in a cell: three forms of one truth, renewed while it is followed, and honest about the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qwen3ft_jupyter.errors import JobFailed, JobNotFound, NoSpace, Stopped
from qwen3ft_jupyter.faces.job_views import job_text
from qwen3ft_jupyter.faces.losses import MOST_POINTS, Losses
from qwen3ft_jupyter.finetune.results import Outcome
from qwen3ft_jupyter.notebook.job_view import JOB_MIME_TYPE, JobView, NoLongerFollowed, job_html
from qwen3ft_jupyter.work import Progress
from tests.server.standin import DONE, FAILED, HALFWAY, QUEUED, StandInJob


class Wall:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []

    def show(self, bundle: dict[str, Any]) -> None:
        self.shown.append(bundle)


def view_of(job: StandInJob) -> JobView:
    return JobView(job.real)


def test_following_shows_each_step_and_the_end() -> None:
    job, wall = StandInJob("a", script=[QUEUED, HALFWAY, HALFWAY, DONE]), Wall()

    view = view_of(job)

    assert view.follow(wall) is view
    assert [bundle["text/plain"].splitlines()[0].split(" · ")[1] for bundle in wall.shown] == [
        "queued",
        "running",
        "succeeded",
    ]
    assert all(bundle[JOB_MIME_TYPE] == {"id": "a"} for bundle in wall.shown)


def test_following_in_a_terminal_writes_to_stderr_and_shows_the_end_as_a_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = view_of(StandInJob("a", script=[QUEUED, HALFWAY, DONE]))

    assert view.follow() is view
    assert capsys.readouterr().out == ""
    assert "succeeded" in view.text()

    with pytest.raises(NoLongerFollowed):
        view_of(StandInJob("b", script=[HALFWAY], is_interrupting=True)).follow()


def test_a_job_that_fails_fails_the_cell_with_its_own_error() -> None:
    job, wall = StandInJob("a", script=[HALFWAY, FAILED]), Wall()

    with pytest.raises(NoSpace) as caught:
        view_of(job).follow(wall)

    assert caught.value.to_dict() == FAILED.error
    assert "no-space" in wall.shown[-1]["text/html"]


def test_a_job_that_fails_without_a_word_fails_all_the_same() -> None:
    with pytest.raises(JobFailed):
        view_of(StandInJob("a", script=[HALFWAY, replace(FAILED, error=None)])).follow(Wall())


@pytest.mark.parametrize("state", ["stopped", "interrupted"])
def test_a_job_that_was_stopped_says_how_to_go_on(state: Any) -> None:
    job = StandInJob("a", script=[HALFWAY, replace(HALFWAY, state=state)])

    with pytest.raises(Stopped) as caught:
        view_of(job).follow(Wall())

    assert "%qwen3ft jobs resume a" in caught.value.hint


def test_interrupting_leaves_the_job_at_work_and_says_how_to_stop_it() -> None:
    job = StandInJob("a", script=[HALFWAY], is_interrupting=True)

    with pytest.raises(NoLongerFollowed) as caught:
        view_of(job).follow(Wall())

    assert isinstance(caught.value, KeyboardInterrupt)
    assert "%qwen3ft jobs stop a" in caught.value._render_traceback_()[-1]
    assert job.status().is_active


def test_losses_are_read_once_and_drawn() -> None:
    job = StandInJob("a", script=[HALFWAY], metrics=[{"step": 1, "loss": 3.0}, {"step": 2, "loss": 1.5}])
    view = view_of(job)

    view.bundle()
    job.metrics.append({"step": 3, "eval_loss": 1.0})
    job.metrics.append({"step": 4, "loss": 0.5})
    bundle = view.bundle()

    assert "polyline" in bundle["text/html"]
    assert "loss 3 → 0.5" in bundle["text/plain"]
    assert view._losses.points() == [3.0, 1.5, 0.5]


def test_a_running_job_shows_numbers_and_an_ended_one_results() -> None:
    running = job_text(StandInJob("a", script=[HALFWAY]).snapshot())
    ended = job_text(StandInJob("a", script=[DONE]).snapshot())

    assert "downloading · 500 MB of 1.0 GB · 50.0 MB/s · 10 s left · 8 connections" in running
    assert "taken from Hugging Face" in running
    assert "%qwen3ft jobs stop a" in running
    assert "fetched: 1.0 GB" in ended
    assert "/cache/Qwen_Qwen3-0.6B" in ended
    assert "stop" not in ended


def test_a_finished_download_says_where_its_bytes_came_from() -> None:
    shares = [{"name": "Hugging Face", "bytes": 3 * 10**8}, {"name": "ModelScope", "bytes": 7 * 10**8}]
    result = {"folder": "/cache/x", "bytes": 10**9, "sources": shares, "adopted": 5 * 10**8, "evicted": ["a/old"]}

    text = job_text(StandInJob("a", script=[replace(DONE, result=result)]).snapshot())

    assert "fetched: 1.0 GB (70 % ModelScope, 30 % Hugging Face)" in text
    assert "from this disk: 500 MB" in text
    assert "deleted to make room: a/old" in text


def test_a_paused_job_says_so_at_once_and_how_to_go_on() -> None:
    job = StandInJob("a", script=[HALFWAY], controls={"paused": True, "max_speed": 20_000_000}).snapshot()

    assert "· paused (at most 20.0 MB/s) ·" in job_text(job)
    assert "‖ paused" in job_html(job)
    assert "Go on with it: %qwen3ft jobs resume a" in job_text(job)


def test_a_limit_that_no_longer_matters_is_not_told() -> None:
    job = StandInJob("a", script=[DONE], controls={"paused": False, "max_speed": 20_000_000}).snapshot()

    assert "at most" not in job_text(job)


def test_a_finished_fine_tune_says_how_to_talk_to_it() -> None:
    came_to = Outcome("/w/runs/a", "lora", 60, 3.2, 0.25, 75.0, 10**6, 10**4, dtype="float32", device="cpu", tokens=99)
    job = StandInJob("a", "finetune", script=[replace(DONE, result=came_to.to_dict())]).snapshot()

    text = job_text(job)

    assert "loss: 3.2 → 0.25" in text
    assert "time: 1 min 15 s" in text
    assert '%qwen3ft chat a "…"' in text


def test_only_a_bar_that_stands_still_is_saved() -> None:
    """One of unknown length would move for ever in a notebook whose kernel has gone."""
    resolving = replace(HALFWAY, progress=Progress("resolving"))

    assert "<progress" not in job_html(StandInJob("a", script=[QUEUED]).snapshot())
    assert "<progress" not in job_html(StandInJob("a", script=[resolving]).snapshot())
    assert 'value="50.0"' in job_html(StandInJob("a", script=[HALFWAY]).snapshot())
    assert "<progress" not in job_html(StandInJob("a", script=[DONE]).snapshot())


def test_what_is_saved_of_a_job_at_work_says_of_which_moment_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3ft_jupyter.faces.job_views.moment", lambda seconds: f"moment {seconds:.0f}")

    for shown in (job_html, job_text):
        assert "as of moment 2" in shown(StandInJob("a", script=[HALFWAY]).snapshot())
        assert "%qwen3ft jobs follow a" in shown(StandInJob("a", script=[HALFWAY]).snapshot())
        assert "as of moment" not in shown(StandInJob("a", script=[DONE]).snapshot())


@pytest.mark.parametrize("state", ["stopped", "interrupted", "failed"])
def test_a_job_that_ended_early_says_how_far_it_came(state: Any) -> None:
    job = StandInJob("a", script=[replace(HALFWAY, state=state)]).snapshot()

    for shown in (job_html, job_text):
        assert "It came as far as: downloading · 500 MB of 1.0 GB · 8 connections" in shown(job)
        assert "<progress" not in shown(job)


@pytest.mark.parametrize(
    ("code", "is_offered"),
    [
        ("bad-data", False),
        ("bad-config", False),
        ("unknown-model", False),
        ("model-not-found", False),
        ("unsafe-model", False),
        ("no-space", True),
        ("hub-unreachable", True),
        ("missing-package", True),
        ("does-not-fit", True),
        ("job-failed", True),
        ("of-another-version", True),
    ],
)
def test_only_what_may_end_otherwise_is_offered_to_go_on(code: str, is_offered: bool) -> None:  # noqa: FBT001
    failed = replace(FAILED, error={"code": code, "message": "No.", "hint": ""})

    for shown in (job_html, job_text):
        assert ("jobs resume" in shown(StandInJob("a", script=[failed]).snapshot())) is is_offered


def test_a_long_run_costs_no_more_than_a_short_one() -> None:
    def sizes(steps: int) -> tuple[int, int]:
        losses = Losses(5 - index / steps for index in range(steps))
        job = StandInJob("a", script=[HALFWAY]).snapshot()
        return len(job_html(job, losses)), len(job_text(job, losses))

    (short_html, short_text), (long_html, long_text) = sizes(200), sizes(100_000)

    assert long_html < 1.2 * short_html
    assert long_text < 1.2 * short_text
    assert len(Losses(range(100_000)).points()) <= MOST_POINTS + 1


def test_a_curve_begins_and_ends_where_the_run_did() -> None:
    for count in (1, 2, MOST_POINTS, MOST_POINTS + 1, 1234):
        points = Losses(range(count)).points()
        assert (points[0], points[-1]) == (0, count - 1)


def test_an_old_cell_still_shows_a_job_that_is_forgotten() -> None:
    job = StandInJob("a", script=[DONE])
    view = view_of(job)
    view.bundle()
    job.forget()

    assert "succeeded" in view.text()
    with pytest.raises(JobNotFound):
        view_of(job).bundle()


def test_a_job_is_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh_CN")

    text = job_text(StandInJob("a", script=[HALFWAY]).snapshot())

    assert "下载 · 500 MB / 1.0 GB · 50.0 MB/s · 剩余 10 s" in text
