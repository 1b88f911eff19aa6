"""Prints what was measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.benchmarks.models import MB
from tests.benchmarks.programs import FLOOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.measuring import Run
    from tests.benchmarks.programs import Program

NAME_WIDTH = 38
_FLOOR_TITLES = ("wall/bare", "CPU/bare")


@dataclass(frozen=True, slots=True)
class Row:
    """One program in one scenario."""

    program: Program
    runs: Sequence[Run]
    """Empty if the program is not installed."""

    @property
    def problem(self) -> str:
        """Return why the program did not do what was asked, or ""."""
        if not self.runs:
            return "not installed"
        problems = [run.problem for run in self.runs if run.problem]
        return f"failed {len(problems)} of {len(self.runs)}: {problems[0]}" if problems else ""

    @property
    def median(self) -> Run:
        """Return the medians of the runs."""
        columns = zip(*((run.wall, run.cpu, run.peak, run.requests, run.wire_bytes) for run in self.runs), strict=True)
        wall, cpu, peak, requests, wire = (statistics.median(column) for column in columns)
        return replace(self.runs[0], wall=wall, cpu=cpu, peak=int(peak), requests=int(requests), wire_bytes=int(wire))


@dataclass(frozen=True, slots=True)
class Column:
    """A further column of a table."""

    title: str
    text: Callable[[Run], str]


def print_downloads(title: str, rows: Sequence[Row], size: int, *further: Column) -> None:
    """Print a table of downloads of `size` bytes: the first row is ours; ratios are to it and to the barest."""
    print(f"\n{title}")
    titles = ["wall s", "CPU s", "peak MB", "MB/s", "to ours", *_FLOOR_TITLES, *(column.title for column in further)]
    print(f"  {'':{NAME_WIDTH}}{'checks':>8}{'runs':>6}" + "".join(f"{text:>10}" for text in titles))
    our_wall = rows[0].median.wall if not rows[0].problem else 0.0
    floor = next((row.median for row in rows if row.program is FLOOR and not row.problem), None)
    for row in rows:
        cells = f"  {row.program.name:{NAME_WIDTH}}{row.program.checks:>8}{len(row.runs):>6}"
        if row.runs:
            run = row.median
            ratio = f"{run.wall / our_wall:.2f}x" if our_wall and not row.problem else "-"
            speed = f"{size / run.wall / MB:.0f}" if not row.problem else "-"
            texts = [f"{run.wall:.2f}", f"{run.cpu:.2f}", f"{run.peak / MB:.0f}", speed, ratio]
            texts += [f"{run.wall / floor.wall:.2f}x", f"{run.cpu / floor.cpu:.2f}x"] if floor else ["-", "-"]
            cells += "".join(f"{text:>10}" for text in (*texts, *(column.text(run) for column in further)))
        print(f"{cells}{f'  {row.problem}' if row.problem else ''}", flush=True)


def print_calls(title: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> None:
    """Print a table of milliseconds, the ratio of the last column to the first row's behind."""
    print(f"\n{title}")
    print(f"  {'':{NAME_WIDTH}}" + "".join(f"{head:>12}" for head in heads) + f"{'to ours':>12}")
    ours = rows[0][1][-1] if rows else None
    for name, values in rows:
        texts = ["-" if value is None else f"{value:.2f}" for value in values]
        last = values[-1]
        texts.append(f"{last / ours:.1f}x" if last is not None and ours else "-")
        print(f"  {name:{NAME_WIDTH}}" + "".join(f"{text:>12}" for text in texts), flush=True)
