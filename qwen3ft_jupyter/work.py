"""What long work is given by whoever asked for it: `Work`, which is where to report, when to stop, what may change.

Work calls a `Reporter`; a face decides what to do with it (a bar in a cell, a line on a terminal, a job's folder).
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping


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
class Progress:
    """Where the work stands. `done` and `total` count `unit` within `phase`; `total` is None while unknown."""

    phase: str
    """resolving, waiting, checking, probing, adopting, transferring, paused, verifying, committing, moving, loading,
    preparing, training or saving."""
    done: int = 0
    total: int | None = None
    unit: str = "bytes"
    """bytes, files, rows or steps."""
    rate: float | None = None
    """Units per second, smoothed over the last seconds."""
    eta_s: float | None = None
    """Seconds left in this phase."""
    detail: str = ""
    """A few words for a person, for example "8 connections to ModelScope"."""

    @property
    def fraction(self) -> float | None:
        """Return 0 to 1, or None while the total is unknown."""
        if not self.total:
            return None
        return min(1.0, self.done / self.total)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Progress:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


class Reporter:
    """Receives what long work has to say. Every method may be called from any thread and must return at once."""

    def progress(self, progress: Progress) -> None:
        """Receive the state of the current phase; called at most a few times a second per phase."""

    def notice(self, message: str) -> None:
        """Receive something a person should know although the work goes on, for example a change of hub."""

    def metrics(self, values: Mapping[str, float]) -> None:
        """Receive one line of training metrics; `step` is always among the values."""


SILENT = Reporter()
"""The reporter for those who do not listen."""


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

    def progress(self, progress: Progress) -> None:
        """Say where the work stands."""
        self.reporter.progress(progress)

    def notice(self, message: str) -> None:
        """Say something a person should know although the work goes on."""
        self.reporter.notice(message)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Report one line of training metrics; `step` is always among the values."""
        self.reporter.metrics(values)

    def check(self) -> None:
        """Raise Stopped if someone wants the work to stop."""
        if self.stop.is_set():
            raise Stopped("Stopped.")
