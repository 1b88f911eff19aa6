"""How a loss went, in two numbers that say over how much: those of single steps jump about."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

AVERAGED: Final = 10
"""Values at each end that an average is over, where there are twice as many; else half of those there are."""


class AverageJson(TypedDict):
    """The averages of one metric."""

    first: float
    last: float
    over: int
    """How many values each of them is over; they have none in common but where there is only one."""


class Averages:
    """The averages of what a job measures; keeps a few numbers of it, however long it runs.

    >>> averages = Averages()
    >>> for loss in (5.0, 4.0, 3.0, 2.0): averages.add({"loss": loss})
    >>> averages.to_json()
    {'loss': {'first': 4.5, 'last': 2.5, 'over': 2}}
    """

    def __init__(self) -> None:
        self._first: dict[str, list[float]] = {}
        self._last: dict[str, deque[float]] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, object]) -> None:
        """Take in the losses among the values of one step."""
        for name, value in values.items():
            if name.endswith("loss") and isinstance(value, int | float) and math.isfinite(value):
                self._counts[name] = self._counts.get(name, 0) + 1
                first = self._first.setdefault(name, [])
                if len(first) < AVERAGED:
                    first.append(float(value))
                self._last.setdefault(name, deque(maxlen=AVERAGED)).append(float(value))

    def to_json(self) -> dict[str, AverageJson]:
        """Return the averages by metric."""
        return {name: self._average(name) for name in self._counts}

    def _average(self, name: str) -> AverageJson:
        over = max(1, min(AVERAGED, self._counts[name] // 2))
        first, last = self._first[name][:over], list(self._last[name])[-over:]
        return {"first": sum(first) / over, "last": sum(last) / over, "over": over}


def read_averages(written: object) -> dict[str, AverageJson]:
    """Return what `Averages.to_json` has written; what is not of that form is left out."""
    return {name: one for name, one in written.items() if _is_average(one)} if isinstance(written, dict) else {}


def _is_average(written: Any) -> bool:  # Any: JSON of whatever version
    names = AverageJson.__annotations__
    return isinstance(written, dict) and all(isinstance(written.get(name), int | float) for name in names)
