"""Two numbers that tell how a loss went do not mislead: they are averages and say over how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.averages import AVERAGED, Averages, read_averages
from qwen3ft_jupyter.jobs.reporter import JobReporter

if TYPE_CHECKING:
    from pathlib import Path


def after(losses: list[float]) -> dict[str, float]:
    averages = Averages()
    for loss in losses:
        averages.add({"step": 1, "loss": loss})
    return dict(averages.to_json()["loss"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("losses", "first", "last", "over"),
    [
        ([4.0], 4.0, 4.0, 1),
        ([4.0, 2.0], 4.0, 2.0, 1),
        ([4.0, 3.0, 2.0], 4.0, 2.0, 1),
        ([4.0, 3.0, 2.0, 1.0], 3.5, 1.5, 2),
        ([5.0] * 30 + [1.0] * 10, 5.0, 1.0, AVERAGED),
        ([5.0] * 10 + [1.0] * 10, 5.0, 1.0, AVERAGED),
    ],
)
def test_no_value_is_in_both_averages(losses: list[float], first: float, last: float, over: int) -> None:
    assert after(losses) == {"first": first, "last": last, "over": over}


def test_one_lucky_batch_at_the_end_does_not_decide() -> None:
    assert after([5.0] * 50 + [3.4] * 9 + [2.6])["last"] == pytest.approx(3.32)


def test_what_is_no_number_does_not_spoil_an_average() -> None:
    assert after([4.0, float("nan"), float("inf"), 2.0]) == {"first": 4.0, "last": 2.0, "over": 1}


def test_only_losses_are_averaged_each_by_itself() -> None:
    averages = Averages()
    averages.add({"step": 1, "loss": 4.0, "eval_loss": 5.0, "learning_rate": 1e-4})

    assert list(averages.to_json()) == ["loss", "eval_loss"]


def test_a_resumed_job_goes_on_averaging_where_it_was(tmp_path: Path) -> None:
    first = JobReporter(tmp_path, 1)
    first.metrics({"step": 1, "loss": 8.0})
    first.end("stopped")
    second = JobReporter(tmp_path, 2)
    second.metrics({"step": 2, "loss": 2.0})
    second.end("succeeded")

    assert supervisor.read_status(tmp_path)["averages"] == {"loss": {"first": 8.0, "last": 2.0, "over": 1}}


@pytest.mark.parametrize("written", [None, [], "x", {"loss": 3}, {"loss": {"first": 1}}, {"loss": {"first": "a"}}])
def test_what_another_version_wrote_is_left_out(written: object) -> None:
    assert read_averages(written) == {}
