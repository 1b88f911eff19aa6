"""How a loss went, in little room: what a run of any length shows is a few points and two averages."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.messages import tr

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_POINTS = 200
"""A small chart has no more pixels, and every point is sent, and saved in the notebook."""
_AVERAGED = 10
"""Losses at either end that are averaged: a single batch says little."""


class Losses:
    """The losses of a run so far.

    >>> losses = Losses([4.0, 3.0, 1.0])
    >>> losses.points(), losses.words()
    ([4.0, 3.0, 1.0], 'loss 4 → 1')
    """

    def __init__(self, losses: Iterable[float] = ()) -> None:
        self._points: list[float] = []
        self._stride = 1
        self._count = 0
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=_AVERAGED)
        for loss in losses:
            self.add(loss)

    def __len__(self) -> int:
        return self._count

    def add(self, loss: float) -> None:
        """Add the next one; of a long run every second, every fourth … is kept."""
        if self._count % self._stride == 0:
            self._points.append(loss)
        self._count += 1
        if len(self._first) < _AVERAGED:
            self._first.append(loss)
        self._last.append(loss)
        if len(self._points) > MOST_POINTS:
            self._points = self._points[::2]
            self._stride *= 2

    def points(self) -> list[float]:
        """Return the losses that are kept, and always the last."""
        is_last_kept = not self._count or (self._count - 1) % self._stride == 0
        return [*self._points] if is_last_kept else [*self._points, self._last[-1]]

    def words(self) -> str:
        """Return where the loss came from and where it is, as averages once there are enough of them.

        >>> Losses(range(100, 0, -1)).words()
        'loss 95.5 → 5.5 (averages of 10)'
        """
        if not self._count:
            return ""
        if self._count < 2 * _AVERAGED:
            return tr("loss {first} → {last}", first=fmt.loss(self._first[0]), last=fmt.loss(self._last[-1]))
        first, last = (fmt.loss(_mean([*some])) for some in (self._first, self._last))
        return tr("loss {first} → {last} (averages of {count})", first=first, last=last, count=_AVERAGED)


def _mean(losses: list[float]) -> float:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if len(finite) == len(losses) else math.nan
