"""Numbers as people read them, as far as the rooms below the faces say them. Pure."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def size(number: float | None) -> str:
    """Return bytes in decimal units, as disks and hubs count.

    >>> size(0), size(999), size(1_503_300_328), size(None)
    ('0 B', '999 B', '1.5 GB', '')
    """
    if number is None:
        return ""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" and value < 99.95 else f"{value:.0f} {units[0]}"


def duration(seconds: float | None) -> str:
    """Return a span of time.

    >>> duration(0.4), duration(75), duration(3 * 3600 + 120), duration(None)
    ('0.4 s', '1 min 15 s', '3 h 2 min', '')
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def first_names(names: Sequence[str]) -> str:
    """Return a list that stays short: of more than three names, only the first three and how many follow.

    >>> first_names(["a"]), first_names(["a", "b", "c", "d"])
    ('a', 'a, b, c and 1 more')
    """
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def moment(unix_s: float | None) -> str:
    """Return a point in time on this machine's clock, to the minute."""
    return "" if unix_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))
