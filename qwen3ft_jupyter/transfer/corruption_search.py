"""Finds out whose bytes are wrong when a whole file does not have its digest. Pure.

A digest says that a file is wrong, not where. So one source after another is trusted: what it has brought stays, the
rest is fetched again, from it alone. If the file then has its digest, whoever brought something else has lied; if not,
the trusted one has. In all, no more travels again than what is in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from qwen3ft_jupyter.transfer.journal import Record

ANOTHER_TOOL: Final[str] = Message("another tool's partial file")
"""The source named in records of bytes that another tool had begun to download: nobody has vouched for them, so they
are suspected first."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """What is fetched again, and whom one believes meanwhile."""

    trusted: str
    """The name of the only source; "" for any that is not suspected."""
    records: tuple[Record, ...]
    """What is fetched again."""


class CorruptionSearch:
    """The search for the wrong bytes of one file."""

    def __init__(self) -> None:
        self._tried: set[str] = set()
        self.suspects: Suspects | None = None
        """What is being tried."""
        self.contradicted: set[str] = set()
        """Whose bytes turned out different in this trial."""

    def next_suspects(
        self, records: Sequence[Record], *, sources: Sequence[str], suspected: Collection[str]
    ) -> Suspects | None:
        """Return what to try next, or None when everything was tried.

        Args:
            records: What the file consists of now.
            sources: Who can bring bytes of it, the most trusted first.
            suspected: Names in records that are doubted before all others.
        """
        self.contradicted = set()
        self.suspects = self._find(tuple(records), sources, suspected)
        if self.suspects is not None:
            self._tried.add(self.suspects.trusted)
        return self.suspects

    def _find(self, records: tuple[Record, ...], sources: Sequence[str], suspected: Collection[str]) -> Suspects | None:
        doubtful = _others(records, {record.source for record in records} - set(suspected))
        if doubtful and "" not in self._tried and set(sources) - set(suspected):
            return Suspects("", doubtful)
        untried = [name for name in sources if name not in self._tried]
        for name in untried:
            if brought_by_others := _others(records, {name}):
                return Suspects(name, brought_by_others)
        return Suspects(untried[0], records) if untried else None  # it brought all of it: perhaps it errs only once

    def compare(self, start: int, old: bytes, new: bytes) -> None:
        """Note whose bytes, of those being fetched again, differ between what was there at `start` and what came."""
        if self.suspects is None or old == new:
            return
        for record in self.suspects.records:
            first, last = max(record.start, start) - start, min(record.end, start + len(new)) - start
            if first < last and old[first:last] != new[first:last]:
                self.contradicted.add(record.source)

    def drop(self) -> None:
        """Judge nobody by what comes now: the disk has changed what was there."""
        self.suspects = None
        self.contradicted = set()

    def bad_sources(self) -> set[str]:
        """Return who has brought wrong bytes, given that the file is right now."""
        return self.contradicted - ({self.suspects.trusted} if self.suspects else set())


def _others(records: tuple[Record, ...], names: Collection[str]) -> tuple[Record, ...]:
    return tuple(record for record in records if record.source not in names)
