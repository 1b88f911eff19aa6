"""When to try a question to a hub again, and after how long.

Transfer has a patience of its own, which progress renews.
"""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import HubBusy, HubUnreachable, Qwen3ftError

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 5
"""Attempts against a hub that answers badly or breaks off: with the pauses below, about eight seconds."""
CONNECT_TRIES = 2
"""Attempts against a hub that cannot be reached at all: the user waits for the error, or for the other hub."""
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 8.0
MAX_RETRY_AFTER_S = 60.0
"""Longest wait a hub may ask for; beyond it the user is told the time and decides."""
TRANSIENT_STATUSES = frozenset({408, 425, 429, *range(500, 600)})
"""HTTP answers that another try may change."""
_FINAL_CAUSES = frozenset({"tls", "proxy", "address"})
_CONNECT_CAUSES = frozenset({"name-lookup", "refused", "timeout", "silent", "handshake", "garbled"})


def pause_s(attempt: int, error: Qwen3ftError, *, chance: Callable[[], float]) -> float | None:
    """Return the seconds to wait after failed attempt number `attempt` (from 1), or None to give up.

    Args:
        attempt: How many attempts have failed.
        error: How the last one failed.
        chance: Returns a number in [0, 1): several processes must not come back at the same moment.
    """
    if not error.is_transient or attempt >= _tries(error):
        return None
    asked_s = retry_after_s(error)
    if asked_s is not None:
        return None if asked_s > MAX_RETRY_AFTER_S else asked_s + chance()
    pause = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
    return pause * (0.5 + chance())


def _tries(error: Qwen3ftError) -> int:
    cause = error.details.get("cause", "")
    if not isinstance(error, HubUnreachable):
        return TRIES
    if cause in _FINAL_CAUSES:
        return 1
    return CONNECT_TRIES if cause in _CONNECT_CAUSES else TRIES


def retry_after_s(error: Qwen3ftError) -> float | None:
    """Return the seconds a busy hub asked to wait, or None if it named no time."""
    value = error.details.get("retry_after_s", "")
    return float(value) if value else None


def parse_retry_after(value: str, *, now: float | None = None) -> float | None:
    """Return a Retry-After header in seconds; it holds a number or a date. None if it holds neither.

    >>> parse_retry_after("120")
    120.0
    >>> parse_retry_after("soon")
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])  # absurd ones stay finite
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def busy(host: str, status: int, retry_after: str | None) -> HubBusy:
    """Return the error for a transient HTTP status of `host`."""
    seconds = parse_retry_after(retry_after) if retry_after else None
    details = {"status": str(status)} | ({} if seconds is None else {"retry_after_s": f"{seconds:.0f}"})
    if seconds is not None and seconds > MAX_RETRY_AFTER_S:
        hint = f"It asks to come back in {_span(seconds)}. Try again then, or use the other hub."
    else:
        hint = "Try again in a few minutes, or use the other hub."
    what = "has too many requests from this address" if status == 429 else f"is failing (HTTP {status})"
    return HubBusy(f"{host} {what}.", hint=hint, details=details)


def _span(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.0f} hours"
    if seconds >= 120:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} seconds"
