"""The run's metrics.jsonl: one line a step, no step twice, whatever was killed and resumed.

On a mount that cannot add to a file it is written at the end, and what is there until then is in `segments`.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from qwen3ft_jupyter import segments
from qwen3ft_jupyter.disk import write_atomic
from qwen3ft_jupyter.mounts import can_append

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from typing_extensions import Self


Row = dict[str, float]
"""The values of a step by name; "step" is always among them."""


class MetricsFile:
    """Appends lines, flushed one by one so that others can follow; a context manager."""

    def __init__(self, path: Path, *, last_step: int) -> None:
        """Keep what the file holds up to `last_step` (0: a new run) and drop the rest, which will be computed again.

        Where the file cannot be added to, what is added is seen after a few seconds, or once it is flushed.
        """
        self._path = path
        self.rows: list[Row] = [row for row in _read(path) if row["step"] <= last_step]
        self._file: BinaryIO | segments.Segments
        self._is_flushed = can_append(path.parent)
        if self._is_flushed:
            write_atomic(path, _lines(self.rows))
            segments.clear(path)
            self._file = path.open("ab")
        else:
            self._file = segments.Segments(path)
            self._file.begin(_lines(self.rows), len(self.rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        write_atomic(self._path, _lines(merge(self.rows)))  # evaluation has lines of its own
        segments.clear(self._path)

    def add(self, row: Row) -> None:
        """Write one line; values of a step already written are added to its row in memory, the reader merges them."""
        self.rows.append(dict(row))
        self._file.write(_line(row))
        if self._is_flushed:
            self._file.flush()

    def flush(self) -> None:
        """Make sure that others see all lines, and that a kill costs none of them."""
        self._file.flush()

    @property
    def losses(self) -> list[float]:
        """Return the training losses in the order of their steps."""
        return [row["loss"] for row in merge(self.rows) if "loss" in row]


def read_metrics(path: Path) -> list[Row]:
    """Return the lines of a metrics file and its segments, one dict a step, later values over earlier.

    What is torn is left out.
    """
    try:
        return _read(path)
    except OSError:
        return []


def _read(path: Path) -> list[Row]:
    """Return what `read_metrics` does; nothing if there is no file. Raises OSError."""
    rows: list[Row] = []
    raw = b""
    with contextlib.suppress(FileNotFoundError):
        raw = segments.read_lines(path)
    for line in raw.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append({str(name): value for name, value in row.items() if isinstance(value, int | float)})
    return merge(rows)


def merge(rows: list[Row]) -> list[Row]:
    """Return one dict a step, in the order of the steps."""
    by_step: dict[float, Row] = {}
    for row in rows:
        by_step.setdefault(row["step"], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]


def evaluations(rows: list[Row]) -> dict[int, float]:
    """Return the loss on held-out rows by the step after which it was measured, in order; not that of the beginning.

    >>> evaluations([{"step": 0, "eval_loss": 3.0}, {"step": 4, "loss": 2.0}, {"step": 4, "eval_loss": 1.0}])
    {4: 1.0}
    """
    return {int(row["step"]): row["eval_loss"] for row in merge(rows) if "eval_loss" in row and row["step"] > 0}


def best_step(rows: list[Row]) -> int | None:
    """Return the first step with the least loss on held-out rows; None if nothing was measured."""
    measured = evaluations(rows)
    return min(measured, key=lambda step: measured[step], default=None)


def without_better(rows: list[Row]) -> int:
    """Return how many measurements have followed the best one.

    >>> without_better([{"step": 2, "eval_loss": 1.0}, {"step": 4, "eval_loss": 1.5}, {"step": 6, "eval_loss": 1.0}])
    2
    """
    best = best_step(rows)
    return sum(step > best for step in evaluations(rows)) if best is not None else 0


def _lines(rows: list[Row]) -> bytes:
    return b"".join(map(_line, rows))


def _line(row: Row) -> bytes:
    return (json.dumps(row) + "\n").encode()
