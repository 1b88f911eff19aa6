"""Training curves as browsers get them: few points, kept up to date by reading only what is new in a job's events."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar

from qwen3ft_jupyter.finetune.curves import RunCurves
from qwen3ft_jupyter.finetune.results import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.finetune.curves import Part
    from qwen3ft_jupyter.jobs.store import Job

T = TypeVar("T")

MAX_POINTS = 200
"""Points of a curve that a browser gets; more than a small chart has pixels for."""
MAX_CURVES = 64
"""Jobs whose curve is kept; the one asked for longest ago is read from its beginning again."""


class Curve:
    """The metrics of one job so far: of a long run every second, every fourth … point, and always the last."""

    def __init__(self) -> None:
        self.after = 0
        """Number of the last event that it holds."""
        self._points: list[Mapping[str, float]] = []
        self._stride = 1
        self._seen = 0
        self._last: list[Mapping[str, float]] = []

    def extend(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Add what the events tell, passing over those it holds already; Any as in `Job.events`."""
        for event in events:
            if event["n"] > self.after:
                self.after = event["n"]
                for point in metrics_in([event]):
                    self._add(point)

    def points(self) -> list[Mapping[str, float]]:
        """Return at most `MAX_POINTS`, evenly spread, the first and the last among them."""
        is_last_kept = (self._seen - 1) % self._stride == 0
        return thinned(self._points if is_last_kept else [*self._points, *self._last])

    def _add(self, point: Mapping[str, float]) -> None:
        if self._seen % self._stride == 0:
            self._points.append(point)
        self._seen += 1
        self._last = [point]
        if len(self._points) > 2 * MAX_POINTS:
            self._points = self._points[::2]
            self._stride *= 2


class Curves:
    """The curves of the jobs that browsers follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._curves: OrderedDict[str, Curve] = OrderedDict()

    def read(self, job: Job) -> tuple[list[Mapping[str, float]], int]:
        """Return the points of a job's curve and the number of the last event they cover. Blocks."""
        with self._lock:
            curve = self._curves.setdefault(job.id, Curve())
            self._curves.move_to_end(job.id)
            while len(self._curves) > MAX_CURVES:
                self._curves.popitem(last=False)
        news = job.events(curve.after)  # outside the lock: the disk may hang
        with self._lock:
            curve.extend(news)
            return curve.points(), curve.after


class RunCurvesOf:
    """The curves of the runs that browsers look at, by their folders; each is read on from where it was read to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._curves: OrderedDict[Path, tuple[threading.Lock, RunCurves]] = OrderedDict()

    def draw(self, folder: Path, part: Part) -> dict[str, Any]:
        """Return a part of the curves of the run in a folder. Blocks."""
        with self._lock:
            reading, curves = self._curves.setdefault(folder, (threading.Lock(), RunCurves(folder / METRICS)))
            self._curves.move_to_end(folder)
            while len(self._curves) > MAX_CURVES:
                self._curves.popitem(last=False)
        with reading:  # only who looks at this run waits for its disk
            curves.read_on()
            return curves.to_dict(part)


def read_metrics(job: Job, after: int) -> tuple[list[Mapping[str, float]], int]:
    """Return the metrics that came after event number `after`, thinned, and the number of the last event. Blocks."""
    events = job.events(after)
    return thinned(metrics_in(events)), events[-1]["n"] if events else after


def metrics_in(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, float]]:
    """Return the values of those events that tell metrics; Any as in `Job.events`."""
    return [event["values"] for event in events if event.get("type") == "metrics"]


def thinned(points: Sequence[T], limit: int = MAX_POINTS) -> list[T]:
    """Return at most `limit` of `points`, evenly spread, the first and the last among them.

    >>> thinned(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(points) <= limit:
        return list(points)
    step = (len(points) - 1) / (limit - 1)
    return [points[round(index * step)] for index in range(limit)]
