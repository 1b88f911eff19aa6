"""What long work is given by whoever asked for it: `Work`, which is where to report, when to stop, what may change.

Work calls a `Reporter`; a face decides what to do with it (a bar in a cell, a line on a terminal, a job's folder).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.messages import Message, as_message, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOOK_S: Final = 0.1
"""Seconds between two looks at the controls while waiting: a change is felt well within one."""

BURST_S: Final = 0.1
"""What was not used within this time is lost: a pause is not made up for."""

READS_PER_S: Final = 50
"""Under a limit all connections together read so often: in small portions, so that a low limit is even, too."""

LEAST_READ_BYTES: Final = 512
"""Smaller reads cost more than they even out."""

LONGEST_S: Final = 100 * 3600.0
"""What would take longer does not go on at all, or its speed is about to change: no time left is said."""

LEAST_WAIT_S: Final = 1e-6
"""A shorter wait is left to the next one."""


class Controls:
    """What may be changed about work while it runs; work looks at it at least four times a second."""

    __slots__ = ("is_paused", "max_speed")

    def __init__(self, *, is_paused: bool = False, max_speed: float | None = None) -> None:
        self.is_paused = is_paused
        self.max_speed = max_speed
        """Bytes a second; None for no limit."""

    def within(self, max_speed: float | None) -> Controls:
        """Return a view of these controls: what is paused here is paused there, and where no speed is set, this is."""
        return _Within(self, max_speed)


class _Within(Controls):
    __slots__ = ("_controls", "_max_speed")

    def __init__(self, controls: Controls, max_speed: float | None) -> None:
        self._controls = controls
        self._max_speed = max_speed

    @property
    def is_paused(self) -> bool:  # type: ignore[override] # the controls it is a view of are set, never this
        return self._controls.is_paused

    @property
    def max_speed(self) -> float | None:  # type: ignore[override]
        speed = self._controls.max_speed
        return self._max_speed if speed is None else speed


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of long work, as people are told of it."""

    word: str
    is_final: bool = False
    """Nothing of the same work comes after it, so its end is marked."""


PHASES: Final[Mapping[str, Phase]] = {
    "queued": Phase(Message("waiting for its turn")),
    "resolving": Phase(Message("asking the hub")),
    "waiting": Phase(Message("waiting for another process")),
    "checking": Phase(Message("checking what is there")),
    "probing": Phase(Message("measuring the speed")),
    "adopting": Phase(Message("taking what is on this disk")),
    "transferring": Phase(Message("downloading")),
    "paused": Phase(Message("paused")),
    "verifying": Phase(Message("verifying")),
    "committing": Phase(Message("putting into the cache"), is_final=True),
    "moving": Phase(Message("moving the cache")),
    "loading": Phase(Message("loading the model"), is_final=True),
    "preparing": Phase(Message("preparing")),
    "training": Phase(Message("training")),
    "evaluating": Phase(Message("asking and measuring")),
    "merging": Phase(Message("merging the adapter into the model")),
    "comparing": Phase(Message("comparing with base and adapter")),
    "saving": Phase(Message("saving"), is_final=True),
    "exporting": Phase(Message("exporting"), is_final=True),
    "uploading": Phase(Message("uploading"), is_final=True),
}
"""Every phase. A new one is a row here and its translation."""

UNITS: Final[Mapping[str, str]] = {
    "bytes": "",
    "files": Message("files"),
    "rows": Message("rows"),
    "steps": Message("steps"),
    "answers": Message("answers"),
}
"""What is counted within a phase, and the word after the number; bytes have units of their own."""


Health = Literal["starting", "running", "waiting", "late", "gone", "done"]
HEALTHS: Final[Mapping[Health, str]] = {
    "starting": Message("starting"),
    "running": Message("running"),
    "waiting": Message("waiting for the others"),
    "late": Message("late: the others wait"),
    "gone": Message("gone"),
    "done": Message("done"),
}
"""How one of several processes is that work together, and how that is said."""


class RankJson(TypedDict):
    """One of several processes that work together."""

    rank: int
    host: str
    """Empty where there is but one."""
    device: str
    health: Health
    work: float | None
    """Its share of the tokens of the latest step; None while nobody knows."""
    busy: float | None
    """The share of the latest step's time in which it computed."""


class RanksJson(TypedDict):
    """The processes that work together."""

    metrics: Mapping[str, float]
    """Of the latest step, by the names that they have in metrics.jsonl."""
    ranks: list[RankJson]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the work stands. `done` and `total` count `unit` within `phase`; `total` is None while unknown."""

    phase: str
    """One of `PHASES`."""
    done: int = 0
    total: int | None = None
    unit: str = "bytes"
    """One of `UNITS`."""
    rate: float | None = None
    """Units per second, smoothed over the last seconds."""
    eta_s: float | None = None
    """Seconds left in this phase."""
    detail: str = ""
    """A few words for a person, for example "8 connections to ModelScope"; a `Message` where it has values."""

    @property
    def fraction(self) -> float | None:
        """Return 0 to 1, or None while the total is unknown."""
        if not self.total:
            return None
        return min(1.0, self.done / self.total)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for faces, which still say the detail in their reader's language."""
        return {name: getattr(self, name) for name in self.__slots__}

    def to_json(self) -> dict[str, Any]:
        """Return what another process may read: the detail is not yet in any language."""
        return {**self.to_dict(), "detail": to_json(self.detail)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Progress:
        """Rebuild from `to_dict` or `to_json`; unknown keys of newer versions are ignored."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        return cls(**{**known, "detail": from_json(data.get("detail"))})


def seconds_left(count: int, rate: float | None) -> float | None:
    """Return how long `count` units take at `rate` units a second; None where nobody would reckon with it.

    >>> seconds_left(1000, 10.0), seconds_left(10**9, 3.0), seconds_left(1000, None)
    (100.0, None, None)
    """
    return count / rate if rate and count <= rate * LONGEST_S else None


class Reporter:
    """Receives what long work has to say. Every method may be called from any thread and must return at once."""

    def progress(self, progress: Progress) -> None:
        """Receive the state of the current phase; called at most a few times a second per phase."""

    def notice(self, message: str) -> None:
        """Receive something a person should know although the work goes on, for example a change of hub."""

    def metrics(self, values: Mapping[str, float]) -> None:
        """Receive one line of training metrics; `step` is always among the values."""

    def ranks(self, told: RanksJson) -> None:
        """Receive how the processes are that work together; called when that changes, else every few seconds."""

    def finished(self, error: BaseException | None) -> None:
        """Learn that the work of one call is over, and what it failed with; more work may follow."""


class RateLimiter:
    """Says how long to wait so that many threads together keep to one rate, which may change at any time.

    >>> limiter = RateLimiter()
    >>> limiter.take(10, rate=100.0, now=0.0)
    0.0
    >>> limiter.take(10, rate=100.0, now=0.0)
    0.1
    """

    __slots__ = ("_last", "_lock", "_tokens", "clock")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._tokens = 0.0
        """Bytes that may pass at once; below zero, bytes that passed too early."""
        self._last: float | None = None
        self._lock = threading.Lock()

    def take(self, count: int, *, rate: float, now: float) -> float:
        """Take `count` bytes and return 0, or take nothing and return the seconds after which to ask again."""
        with self._lock:
            full = max(rate * BURST_S, count)
            if self._last is None:
                self._tokens, self._last = full, now
            self._refill(rate, now, full)
            if self._tokens >= count:
                self._tokens -= count
                return 0.0
            return (count - self._tokens) / rate

    def put_back(self, count: int) -> None:
        """Return bytes that were taken and not read."""
        with self._lock:
            self._tokens += count

    def owe(self, count: int, *, rate: float | None, now: float) -> None:
        """Note that `count` bytes have passed already; `rate` is None while there is no limit."""
        with self._lock:
            self._refill(rate, now, (rate or 0.0) * BURST_S)
            self._tokens -= count

    def owed_s(self, *, rate: float | None, now: float) -> float:
        """Return the seconds until what passed too early is made up for."""
        with self._lock:
            self._refill(rate, now, (rate or 0.0) * BURST_S)
            owed_s = -self._tokens / rate if rate else 0.0
        return owed_s if owed_s > LEAST_WAIT_S else 0.0

    def rest(self, *, now: float) -> None:
        """Note that the time until now was a pause, in which nothing could pass."""
        with self._lock:
            self._last = now

    def _refill(self, rate: float | None, now: float, full: float) -> None:
        if rate is None:
            self._tokens = max(0.0, self._tokens)
        elif self._last is not None:
            self._tokens = min(full, self._tokens + rate * max(0.0, now - self._last))
        self._last = now


SILENT = Reporter()
"""The reporter for those who do not listen."""


class Patience(threading.Event):
    """A request to stop that comes with another one, or by itself after so many seconds."""

    def __init__(self, stop: threading.Event, seconds: float) -> None:
        super().__init__()
        self._stop = stop
        self._until = time.monotonic() + seconds

    def is_set(self) -> bool:
        """Return whether the other one has come, or the time is over."""
        return super().is_set() or self._stop.is_set() or time.monotonic() >= self._until

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, at most so many seconds."""
        until = float("inf") if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left := min(until, self._until) - time.monotonic()) > 0:
            self._stop.wait(min(LOOK_S, left))
        return self.is_set()


class Watch(TypedDict):
    """The values of a `Work`, as keyword arguments of what users call."""

    reporter: Reporter
    stop: threading.Event
    controls: Controls


@dataclass(frozen=True, slots=True)
class Work:
    """The three values that accompany everything that takes long, from a face down to the loop that moves bytes.

    >>> Work().check()
    """

    reporter: Reporter = SILENT
    """Is told of phases, progress, and everything a person should know."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set by someone who wants the work to stop; work looks at it at least four times a second."""
    controls: Controls = field(default_factory=Controls)
    """Pause the work or limit its speed, also while it runs."""
    limiter: RateLimiter = field(default_factory=RateLimiter, repr=False, compare=False)
    """Holds everything that reads bytes for this work together to the speed."""

    def parts(self) -> Watch:
        """Return its values, for what takes them one by one."""
        return {"reporter": self.reporter, "stop": self.stop, "controls": self.controls}

    def progress(self, progress: Progress) -> None:
        """Say where the work stands."""
        self.reporter.progress(progress)

    def notice(self, message: str, **values: object) -> None:
        """Say something a person should know although the work goes on: a template and its values, as in errors."""
        self.reporter.notice(as_message(message, values))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Report one line of training metrics; `step` is always among the values."""
        self.reporter.metrics(values)

    def check(self) -> None:
        """Raise Stopped if someone wants the work to stop."""
        if self.stop.is_set():
            raise Stopped("Stopped.")

    def pace(self, count: int, *, paused: Progress | None = None) -> None:
        """Wait until `count` bytes that were just read are within the speed, and until the end of a pause.

        Args:
            count: Bytes.
            paused: What to report once when a pause begins.

        Raises:
            Stopped: Someone wants the work to stop.
        """
        self.check()
        limiter, was_paused = self.limiter, False
        limiter.owe(count, rate=self.controls.max_speed, now=limiter.clock())
        while (delay_s := self._delay_s()) > 0:
            is_paused = self.controls.is_paused
            if is_paused and not was_paused:
                self.progress(paused or Progress("paused"))
            was_paused = is_paused
            if self.stop.wait(min(LOOK_S, delay_s)):
                self.check()

    def _delay_s(self) -> float:
        now = self.limiter.clock()
        if self.controls.is_paused:
            self.limiter.rest(now=now)
            return LOOK_S
        return self.limiter.owed_s(rate=self.controls.max_speed, now=now)

    @property
    def is_limited(self) -> bool:
        """Return whether there is a limit of speed at present."""
        return self.controls.max_speed is not None

    def allowance(self, limit: int, stop: threading.Event) -> int:
        """Return how many bytes, at most `limit`, may be read now, waiting until it is at least one; 0 if stopped.

        Args:
            limit: Bytes.
            stop: Ends the waiting of one of several connections when set.
        """
        while not stop.is_set():
            if self.controls.max_speed is None:
                return limit
            rate = max(1.0, self.controls.max_speed)
            count = min(limit, max(LEAST_READ_BYTES, int(rate / READS_PER_S)))
            wait_s = self.limiter.take(count, rate=rate, now=self.limiter.clock())
            if not wait_s:
                return count
            stop.wait(min(LOOK_S, wait_s))
        return 0

    def put_back(self, count: int) -> None:
        """Return bytes that were allowed and did not come."""
        if count and self.is_limited:
            self.limiter.put_back(count)
