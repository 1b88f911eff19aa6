"""How fast sources have been in downloads: remembered in the state folder, so that forgetting a job forgets none."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RATES_NAME: Final = "rates.json"
"""In the state folder."""
LEAST_BYTES: Final = 1_000_000
"""Less says nothing of a speed: the time went into asking."""
MOST_SOURCES: Final = 32
"""Mirrors come and go; those that were used last are remembered."""


@dataclass(frozen=True, slots=True)
class SourceRate:
    """What a source gave in the latest download that it had a part in."""

    name: str
    bytes: int
    seconds: float
    """What the whole download took."""
    ended: float
    """When it ended: Unix seconds."""

    @property
    def rate(self) -> float:
        """Return the bytes a second."""
        return self.bytes / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**asdict(self), "rate": self.rate}


def read_rates(state_dir: Path) -> list[SourceRate]:
    """Return what is remembered, the fastest first; nothing where the file is none of ours."""
    return sorted(_read(state_dir / RATES_NAME).values(), key=lambda one: one.rate, reverse=True)


def note_rates(state_dir: Path, shares: Mapping[str, int], seconds: float) -> None:
    """Remember what each source gave in a download that has just ended; what cannot be written is not remembered.

    Of two downloads that end in the same moment one may be lost, which the next one makes up for.
    """
    from qwen3ft_jupyter.disk import write_json

    told = [name for name, count in shares.items() if count >= LEAST_BYTES]
    if not told or seconds <= 0:
        return
    path, now = state_dir / RATES_NAME, time.time()
    known = {**_read(path), **{name: SourceRate(name, shares[name], seconds, now) for name in told}}
    latest = sorted(known.values(), key=lambda one: one.ended, reverse=True)[:MOST_SOURCES]
    with contextlib.suppress(OSError):
        state_dir.mkdir(parents=True, exist_ok=True)
        write_json(path, {one.name: [one.bytes, one.seconds, one.ended] for one in latest})


def _read(path: Path) -> dict[str, SourceRate]:
    from qwen3ft_jupyter.disk import read_json

    try:
        stored = read_json(path)
    except (OSError, ValueError):
        return {}
    found: dict[str, SourceRate] = {}
    for name, value in stored.items() if isinstance(stored, dict) else ():
        is_whole = isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))
        if is_whole and value[0] >= LEAST_BYTES and value[1] > 0:
            found[name] = SourceRate(name, int(value[0]), float(value[1]), float(value[2]))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
