"""How well several processes compute together: what of a step is computing, and what is waiting and exchanging.

The numbers are those of POP, the European centre for the performance of parallel programs (https://pop-coe.eu,
"standard metrics for performance analysis"): parallel efficiency = load balance x communication efficiency.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NAMES = ("parallel_efficiency", "communication_share", "load_balance", "slowest_rank", "slowest_rank_excess")
"""The metrics of a step that several processes compute."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What one process did since it was last asked."""

    computed_s: float
    """Forward and backward passes of its part of the steps."""
    exchanged_s: float
    """From the end of those until it has the gradients of all: waiting for slower ones, and the exchange itself."""
    tokens: float
    """Of its part, with padding."""


def efficiency(paces: Sequence[Pace]) -> dict[str, float]:
    """Return what is told of a step, by the names in `NAMES`; nothing if it was not measured.

    With c the seconds that each process computes, and e those of the exchange itself: who comes last waits for nobody,
    so they are the least that any process spends between computing and having all gradients::

        communication_share = e / (max(c) + e)
        load_balance        = mean(c) / max(c)
        parallel_efficiency = mean(c) / (max(c) + e) = load_balance * (1 - communication_share)

    The last is the share of the devices' time in which they compute. It is an upper bound of the scaling efficiency,
    speed on n devices over n times that on one: it does not see that n smaller parts may take longer than one whole,
    nor what is done between steps, such as the optimizer's work and saving.

    >>> told = efficiency([Pace(0.8, 0.3, 100), Pace(1.0, 0.1, 110)])
    >>> {name: round(value, 3) for name, value in told.items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'parallel_efficiency': 0.818, 'communication_share': 0.091, 'load_balance': 0.9, 'slowest_rank': 1,
     'slowest_rank_excess': 0.111}
    >>> efficiency([])
    {}
    """
    computed = [pace.computed_s for pace in paces]
    slowest = max(computed, default=0.0)
    if slowest <= 0.0:
        return {}
    mean = sum(computed) / len(computed)
    exchange = min(pace.exchanged_s for pace in paces)
    values = (
        mean / (slowest + exchange),
        exchange / (slowest + exchange),
        mean / slowest,
        computed.index(slowest),
        slowest / mean - 1,
    )
    return dict(zip(NAMES, values, strict=True))


class Stopwatch:
    """Measures the steps of this process. On CUDA events are put among what is computed, and nothing waits for them."""

    def __init__(self) -> None:
        self._marks: list[tuple[Callable[[], float], Callable[[], float]]] = []
        self._last: Any = None
        self._tokens = 0.0

    @contextlib.contextmanager
    def computing(self, device: str, tokens: float) -> Iterator[None]:
        """Measure what is done while it is open; after it `exchanging` follows."""
        began = _mark(device)
        yield
        self._last = _mark(device)
        self._tokens += tokens
        self._computed = _between(began, self._last)

    @contextlib.contextmanager
    def exchanging(self, device: str) -> Iterator[None]:
        """Measure what is done while it is open."""
        yield
        self._marks.append((self._computed, _between(self._last, _mark(device))))

    def take(self) -> Pace:
        """Return what has been measured, and begin anew. What was computed has to be done: its loss has been read."""
        marks, tokens = self._marks, self._tokens
        self._marks, self._tokens = [], 0.0
        return Pace(sum(one() for one, _ in marks), sum(other() for _, other in marks), tokens)


def _mark(device: str) -> Any:
    """Return this moment: of a GPU that at which it has come so far, else that on the clock."""
    if not device.startswith("cuda"):
        return time.perf_counter()
    import torch

    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(first: Any, second: Any) -> Callable[[], float]:
    """Return what tells the seconds between two moments once both have come."""
    if isinstance(first, float):
        return lambda: float(second - first)

    def seconds() -> float:
        second.synchronize()
        return float(first.elapsed_time(second)) / 1000

    return seconds
