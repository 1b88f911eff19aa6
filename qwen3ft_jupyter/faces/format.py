"""Numbers, progress and tables as faces show them. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from qwen3ft_jupyter.messages import duration, size, tr
from qwen3ft_jupyter.work import PHASES, UNITS, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.work import Progress

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that are not shown, or that turn the direction of what is."""


def count(number: int | None) -> str:
    """Return a number of parameters.

    >>> count(596_049_920), count(4_022_468_096), count(1_200), count(None)
    ('596M', '4.0B', '1.2k', '')
    """
    if number is None:
        return ""
    value, units = float(number), ["", "k", "M", "B"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f}{units[0]}" if units[0] and value < 99.95 else f"{value:.0f}{units[0]}"


def loss(value: float | None) -> str:
    """Return a loss.

    >>> loss(2.34567), loss(float("nan")), loss(None)
    ('2.346', 'nan', '–')
    """
    return "–" if value is None else f"{value:.4g}"


def progress_parts(progress: Progress, *, is_over: bool = False) -> list[str]:
    """Return what there is to say of a phase: its name, how far, how fast, how long, and a detail.

    Of work that is over, nothing is going on any more: only where it ended is said.

    >>> from qwen3ft_jupyter.work import Progress
    >>> progress_parts(Progress("transferring", 5 * 10**8, 10**9, rate=5e7, eta_s=10.0))
    ['downloading', '500 MB of 1.0 GB', '50.0 MB/s', '10 s left']
    """
    phase = PHASES.get(progress.phase) or Phase(progress.phase)  # another version may have more of them
    is_done = is_over or (progress.fraction == 1 and phase.is_final)
    parts = [tr(phase.word) + (" ✓" if is_done and not is_over else ""), _how_far(progress)]
    if progress.rate and not is_done:
        parts.append(_amount(progress.rate, progress.unit) + "/s")
    if progress.eta_s is not None and not is_done:
        parts.append(tr("{time} left", time=duration(progress.eta_s)))
    return [part for part in [*parts, tr(progress.detail)] if part]


def _how_far(progress: Progress) -> str:
    if not progress.total:
        return _amount(progress.done, progress.unit) if progress.done else ""
    if progress.total == 1:  # "1 of 1" says nothing
        return ""
    done, total = _number(progress.done, progress.unit), _amount(progress.total, progress.unit)
    return tr("{done} of {total}", done=done, total=total)


def fact(name: str, value: str) -> str:
    """Return what something is called and what it is.

    >>> fact("folder", "/models")
    'folder: /models'
    """
    return tr("{name}: {value}", name=name, value=value)


def plain(text: str) -> str:
    """Return a stranger's text without what a terminal would obey."""
    return _CONTROL.sub("\ufffd", text)


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes; a Chinese character takes two.

    >>> width("model"), width("模型")
    (5, 4)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def cut(text: str, columns: int) -> str:
    """Return as much of `text` as fits into `columns` of a terminal.

    >>> cut("下载 45%", 6)
    '下载 4'
    """
    taken = 0
    for index, character in enumerate(text):
        taken += width(character)
        if taken > columns:
            return text[:index]
    return text


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with aligned columns.

    >>> print(columns(["A", "B"], [["long", "x"], ["s", ""]]))
    A     B
    long  x
    s
    """
    table = [[plain(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(width, column)) for column in zip(*table, strict=True)]
    padded = ([cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)] for row in table)
    return "\n".join("  ".join(row).rstrip() for row in padded)


def _amount(number: float, unit: str) -> str:
    text = _number(number, unit)
    return text if unit == "bytes" else f"{text} {tr(UNITS.get(unit, unit))}"


def _number(number: float, unit: str) -> str:
    if unit == "bytes":
        return size(number)
    return f"{number:.3g}" if isinstance(number, float) else str(number)
