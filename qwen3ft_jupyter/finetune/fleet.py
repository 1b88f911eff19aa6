"""Tells whoever follows a fine-tune on several processes how each of them is, and what each does of the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from qwen3ft_jupyter.finetune.pace import NAMES, Pace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from qwen3ft_jupyter.work import Health, RankJson, Work

SHOW_S = 2.0
"""Between two times that the work is told of anew; who is late or gone is told of at once."""
_SHOWN = ("tokens_per_s", "tokens_per_s_per_device", *NAMES)


class Watched(Protocol):
    """Knows how processes are, as `launch.Lateness` does."""

    def health(self, rank: int, now: float) -> Health:
        """Return how a process is."""


class Fleet:
    """The processes of a fine-tune, from one start of all of them to the next."""

    def __init__(self, work: Work, devices: Sequence[str], hosts: Sequence[str] = ()) -> None:
        """Take who is told, and of each process its device and, where there are several, its host."""
        self._work, self._devices, self._hosts = work, devices, hosts
        self._metrics: dict[str, float] = {}
        self._paces: list[Pace] = []
        self._done: set[int] = set()
        self._told: list[Health] = []
        self._told_at = 0.0
        self._has_news = False

    def hear(self, rank: int, message: Mapping[str, Any]) -> None:
        """Note what a process tells of the work."""
        if "paces" in message:
            self._paces, self._has_news = [Pace(*one) for one in message["paces"]], True
        elif "loss" in message.get("metrics", ()):
            self._metrics = {name: message["metrics"][name] for name in _SHOWN if name in message["metrics"]}
            self._has_news = True
        elif "done" in message:
            self._done.add(rank)

    def show(self, watched: Watched, now: float, gone: Collection[int | None] = ()) -> None:
        """Tell of all processes if there is news; those that are `gone` have ended before the work has."""
        count = range(len(self._devices))
        healths: list[Health] = [
            "done" if rank in self._done else "gone" if rank in gone else watched.health(rank, now) for rank in count
        ]
        if healths == self._told and not (self._has_news and now - self._told_at >= SHOW_S):
            return
        self._told, self._told_at, self._has_news = healths, now, False
        rows = [self._row(rank, health) for rank, health in enumerate(healths)]
        self._work.reporter.ranks({"metrics": dict(self._metrics), "ranks": rows})

    def _row(self, rank: int, health: Health) -> RankJson:
        work = busy = None
        if len(self._paces) == len(self._devices):
            pace, tokens = self._paces[rank], sum(one.tokens for one in self._paces)
            whole = pace.computed_s + pace.exchanged_s
            work = round(pace.tokens / tokens, 4) if tokens else None
            busy = round(pace.computed_s / whole, 4) if whole else None
        host = self._hosts[rank] if self._hosts else ""
        return {
            "rank": rank,
            "host": host,
            "device": self._devices[rank],
            "health": health,
            "work": work,
            "busy": busy,
        }
