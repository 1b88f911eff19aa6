"""Reads what a job's status says of the processes that work together for it."""

from __future__ import annotations

from typing import Any

from qwen3ft_jupyter.work import HEALTHS, RanksJson


def read_ranks(written: object) -> RanksJson | None:
    """Return what a `Reporter` was told; None if nothing was, or something of another version.

    >>> row = {"rank": 0, "host": "", "device": "cuda:0", "health": "running", "work": 0.5, "busy": None}
    >>> read_ranks({"metrics": {"tokens_per_s": 10.0}, "ranks": [row]})["ranks"][0]["device"]
    'cuda:0'
    >>> read_ranks({"metrics": {}, "ranks": [{"rank": 0}]}), read_ranks(None)
    (None, None)
    """
    if not isinstance(written, dict) or not isinstance(written.get("metrics"), dict):
        return None
    rows = written.get("ranks")
    if not isinstance(rows, list) or not rows or not all(map(_is_row, rows)):
        return None
    metrics = {str(name): value for name, value in written["metrics"].items() if isinstance(value, int | float)}
    return {"metrics": metrics, "ranks": rows}


def _is_row(row: Any) -> bool:  # Any: JSON of whatever version
    return (
        isinstance(row, dict)
        and isinstance(row.get("rank"), int)
        and all(isinstance(row.get(name), str) for name in ("host", "device"))
        and row.get("health") in HEALTHS
        and all(row.get(name, "") is None or isinstance(row[name], int | float) for name in ("work", "busy"))
    )
