"""A curve stays short however long a training runs, and keeps its shape."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.server.curves import MAX_CURVES, MAX_POINTS, Curve, Curves
from tests.server.standin import StandInJob

if TYPE_CHECKING:
    from collections.abc import Iterable


def metrics(steps: Iterable[int]) -> list[dict[str, Any]]:
    return [{"n": step + 1, "t": 1.0, "type": "metrics", "values": {"step": step}} for step in steps]


@pytest.mark.parametrize("length", [0, 1, 2, 199, 200, 201, 400, 401, 402, 5000, 100_000])
def test_a_curve_is_evenly_spread_from_the_first_to_the_last(length: int) -> None:
    curve = Curve()
    for start in range(0, length, 7):  # as it comes, a few at a time
        curve.extend(metrics(range(start, min(start + 7, length))))

    steps = [int(point["step"]) for point in curve.points()]

    assert len(steps) == min(length, MAX_POINTS)
    assert steps[:1] == list(range(length))[:1]
    assert steps[-1:] == list(range(length))[-1:]
    widest = max((after - before for before, after in pairwise(steps)), default=0)
    assert widest <= 1 + 2 * length / MAX_POINTS
    assert curve.after == length


def test_events_that_are_held_already_or_tell_no_metrics_add_nothing() -> None:
    curve = Curve()
    curve.extend(metrics(range(3)))

    curve.extend([*metrics(range(3)), {"n": 4, "t": 1.0, "type": "notice", "message": "hm"}])

    assert [point["step"] for point in curve.points()] == [0, 1, 2]
    assert curve.after == 4


def test_the_curve_asked_for_longest_ago_goes_first() -> None:
    curves = Curves()
    jobs = [StandInJob(f"job-{number}", metrics=[{"step": 1.0}]) for number in range(MAX_CURVES + 1)]

    for job in jobs:
        assert curves.read(job.real) == ([{"step": 1.0}], 1)

    assert list(curves._curves) == [job.id for job in jobs[1:]]
