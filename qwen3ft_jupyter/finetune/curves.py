"""The curves of a run as charts draw them: however long it was, few points, and every spike and every evaluation."""

from __future__ import annotations

import contextlib
import json
import math
import secrets
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

POINTS = 600
"""Of a curve, where nobody asks for another number: a chart of a thousand pixels shows no more."""
MOST_POINTS = 4000


_TRIES = 5
_TAIL = 256
"""Bytes before the place read to that tell whether it is still the same file: on some mounts an inode tells nothing."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A curve, or a part of one: a point for each `stride` values."""

    stride: int
    start: int
    """How many points of the whole range come before these."""
    steps: list[int]
    """Of the last value of each point."""
    means: list[float]
    lows: list[float]
    """Empty where each point is a single value."""
    highs: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; six digits are more than a chart shows."""
        values = {name: _short(getattr(self, name)) for name in ("means", "lows", "highs")}
        return {"stride": self.stride, "start": self.start, "steps": self.steps, **values}


@dataclass(frozen=True, slots=True)
class Part:
    """What is drawn of a curve."""

    first: int = 0
    """The first step; the point that it is in is whole."""
    last: float = math.inf
    """The last step."""
    points: int = POINTS
    """The most of them; as many values as it takes become one point, always a power of two."""
    after: int = 0
    """Points that end before this step are left out: whoever asks has them."""


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one metric in the order of their steps; 16 bytes each."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def put(self, step: int, value: float) -> None:
        """Add a value; one of an earlier step takes that one's place and those after it: they were computed again."""
        place = bisect_left(self.steps, step)
        del self.steps[place:], self.values[place:]
        self.steps.append(step)
        self.values.append(value)

    def draw(self, part: Part) -> Drawn:
        """Return a part of the curve.

        >>> series = Series()
        >>> for step in range(1, 9): series.put(step, step / 2)
        >>> series.draw(Part(points=2))
        Drawn(stride=4, start=0, steps=[4, 8], means=[1.25, 3.25], lows=[0.5, 2.5], highs=[2.0, 4.0])
        >>> series.draw(Part(first=3, last=6, after=5))
        Drawn(stride=1, start=2, steps=[5, 6], means=[2.5, 3.0], lows=[], highs=[])
        """
        begin, end = bisect_left(self.steps, part.first), bisect_right(self.steps, part.last)
        stride = 1
        while end - begin > part.points * stride:
            stride *= 2
        begin -= begin % stride
        start = max(begin, bisect_left(self.steps, part.after))
        start -= start % stride
        before = (start - begin) // stride
        if stride == 1:
            return Drawn(1, before, list(self.steps[start:end]), list(self.values[start:end]), [], [])
        ends = [min(place + stride, end) for place in range(start, end, stride)]
        groups = [self.values[place:stop] for place, stop in zip(range(start, end, stride), ends, strict=True)]
        means = [sum(group) / len(group) for group in groups]
        steps = [self.steps[stop - 1] for stop in ends]
        return Drawn(stride, before, steps, means, [min(group) for group in groups], [max(group) for group in groups])


class RunCurves:
    """What a run's metrics.jsonl and its segments say, read on from the last time; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self.series: dict[str, Series] = {}
        """By the names of the metrics."""
        self.version = secrets.token_hex(4)
        """Another one where the file is another one, so that what was drawn of it holds no more."""
        self._offset, self._tail = 0, b""
        self._taken: set[str] = set()
        """Names of segments that are whole, which never change."""

    def read_on(self) -> None:
        """Take in what is new. A file that was replaced, as resuming does, is read from its beginning.

        So is all where segments are gone: they were put together, or dropped by a run that was resumed.
        """
        for _ in range(_TRIES):
            parts = segments.parts_of(self._path)
            if not self._taken <= {part.name for part in parts}:
                self._forget()
            self._read_file()
            if all(map(self._has_read, parts)):
                return

    def _has_read(self, part: Path) -> bool:
        """Take in a segment unless it was; return False if it is gone."""
        if part.name in self._taken:
            return True
        data = segments.read_part(part)
        if data is None:
            return False
        if data:
            self._take(_rows(data))
            self._taken.add(part.name)
        return True

    def _read_file(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset - len(self._tail))
                if file.read(len(self._tail)) != self._tail:
                    self._forget()
                    file.seek(0)
                whole, end, _ = file.read().rpartition(b"\n")  # what follows the last line end is still being written
        except FileNotFoundError:
            if self._offset:
                self._forget()
            return
        self._offset += len(whole) + len(end)
        self._tail = (self._tail + whole + end)[-_TAIL:]
        self._take(_rows(whole))

    def to_dict(self, part: Part) -> dict[str, Any]:
        """Return a part of every metric."""
        ends = [one.steps[-1] for one in self.series.values()]
        drawn = {name: one.draw(part).to_dict() for name, one in self.series.items()}
        return {"version": self.version, "last_step": max(ends, default=0), "series": drawn}

    def _take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            for name, value in row.items():
                if name != "step" and isinstance(value, int | float) and math.isfinite(value):
                    self.series.setdefault(name, Series()).put(row["step"], float(value))


def _rows(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("step"), int) and 0 <= row["step"] < 1 << 53:
                yield row


def _short(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
