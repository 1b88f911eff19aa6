"""When to try again, and after how long: one policy, with one set of limits for questions and one for bytes."""

from __future__ import annotations

import contextlib
import email.utils
import math
import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import HubBusy, HubUnreachable, Qwen3ftError, WrongBytes
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

TRANSIENT_STATUSES: Final = frozenset({408, 425, 429, *range(500, 600)} - {501, 505, 506, 510, 511})
"""HTTP answers that another try may change; not those of servers that cannot do it, or of a network's login page."""
BUSY_HINT: Final = Message("Try again in a few minutes, or use the other hub.")
_CONNECT_CAUSES: Final = frozenset({"name-lookup", "refused", "timeout", "silent", "handshake", "garbled"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of patience. There is no total deadline: every byte gained renews it."""

    attempts: int = 10
    """Transient failures in a row, without a byte gained between them, after which a source is counted on no more.

    With the pauses between them that is about a minute of outage; a longer one is for the job's resume.
    """
    patience_s: float = 55.0
    """The same for failures that take their time: after so many seconds without a byte, pauses counted."""
    connect_attempts: int | None = None
    """The same for a source that cannot be reached at all; `attempts` if left out."""
    wrong_attempts: int = 3
    """The same for answers that belong to another object: a CDN's glitch passes, a changed file does not."""
    refused_attempts: int = 2
    """The same for refusals, after which it is given up for good.

    Signed addresses expire and one hub refuses at random, but a real no stays a no.
    """
    first_delay_s: float = 0.5
    max_delay_s: float = 20.0
    max_wait_s: float = 60.0
    """The longest wait a source may ask for (Retry-After); beyond it the source is given up and says so."""
    least_bytes_per_s: float = 1000.0
    least_rate_s: float = 60.0
    """A connection that is slower than `least_bytes_per_s` over so many seconds is given up for another one.

    Silence is the HTTP client's business; this is for those who send a byte now and then.
    """
    final_causes: frozenset[str] = frozenset({"tls", "address", "status"})
    """Why a source could not be reached or did not answer, where another try would not do any better."""

    def may_pass(self, error: Qwen3ftError) -> bool:
        """Return whether the same request may succeed a little later."""
        return error.is_transient and error.details.get("cause") not in self.final_causes

    def limit(self, error: Qwen3ftError) -> int:
        """Return how many failures like `error` in a row are one too many."""
        if not self.may_pass(error):
            return self.wrong_attempts if isinstance(error, WrongBytes) else self.refused_attempts
        is_away = isinstance(error, HubUnreachable) and error.details.get("cause") in _CONNECT_CAUSES
        return self.connect_attempts or self.attempts if is_away else self.attempts

    def after_an_outage(self) -> RetryPolicy:
        """Return the limits for whom one turns to after the usual patience: all in all it is to be about a minute."""
        return replace(self, attempts=min(self.attempts, 3), patience_s=min(self.patience_s, 20.0))

    def delay_s(self, failures: int) -> float:
        """Return the usual pause after so many failures in a row, before it is spread: doubling up to a limit."""
        return min(self.max_delay_s, self.first_delay_s * 2.0 ** min(failures - 1, 30))


DEFAULT_POLICY: Final = RetryPolicy()
"""For bytes."""

QUESTIONS: Final = RetryPolicy(
    attempts=5,  # about eight seconds
    connect_attempts=2,  # the user waits for the error, or for the other hub
    wrong_attempts=1,
    refused_attempts=1,
    max_delay_s=8.0,
    final_causes=frozenset({"tls", "proxy", "address"}),
)
"""For what a hub is asked."""


class RetryState:
    """How often one source has failed over one file, and when it may be asked again."""

    __slots__ = ("_failures", "_last_counted", "_policy", "_refusals", "_spent_s", "is_exhausted", "not_before")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._refusals = 0
        self._spent_s = 0.0
        self._last_counted = float("-inf")
        self.not_before = float("-inf")
        """The source is not asked again for this file before this time of the engine's clock, or ever if it said no."""
        self.is_exhausted = False
        """Whether it is counted on no more. It may be asked now and then all the same: a byte gained ends that."""

    @property
    def failures(self) -> int:
        """Return how many attempts in a row have failed."""
        return self._failures

    def gained(self) -> None:
        """Renew: a byte has arrived."""
        self._failures = self._refusals = 0
        self._spent_s = 0.0
        self.is_exhausted = self.not_before == math.inf

    def wait(self, until: float) -> None:
        """Ask no more before `until`: the source wishes it."""
        self.not_before = max(self.not_before, until)

    def failed(
        self, error: Qwen3ftError, *, began: float, now: float, wait_s: float = 0.0, waited_s: float | None = None
    ) -> None:
        """Count the failure of an attempt.

        Connections that fail together count once: an attempt begun before the last failure that was counted brings no
        news. The first failure is tried again at once.

        Args:
            error: How it ended.
            began: When it began, by the engine's clock.
            now: The time by the same.
            wait_s: What the source asked for.
            waited_s: For how long it had brought nothing before it ended; all the time if left out.
        """
        quiet_s = max(0.0, now - began if waited_s is None else waited_s)
        policy, is_passing = self._policy, self._policy.may_pass(error)
        if began >= self._last_counted or self._failures == 0:
            self._failures += 1
            self._refusals += not is_passing
            self._spent_s += quiet_s
            self._last_counted = now
        self._spent_s = max(self._spent_s, quiet_s)
        is_final = not is_passing and self._refusals >= policy.limit(error)
        is_last = (
            is_final
            or self._spent_s >= policy.patience_s
            or self._failures >= policy.attempts
            or wait_s > policy.max_wait_s
        )
        self.is_exhausted = self.is_exhausted or is_last
        usual_s = policy.delay_s(self._failures - 1) if self._failures > 1 else 0.0
        usual_s *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        pause_s = max(wait_s, usual_s)
        self._spent_s += pause_s
        self.wait(now + (math.inf if is_final else pause_s))


_TOLD: Final[ContextVar[Callable[[str], None] | None]] = ContextVar("told", default=None)


@contextlib.contextmanager
def telling(tell: Callable[[str], None]) -> Iterator[None]:
    """Have `tell` called with why, before each pause between two questions that this thread asks in the block."""
    token = _TOLD.set(tell)
    try:
        yield
    finally:
        _TOLD.reset(token)


def tell_why(error: Qwen3ftError) -> None:
    """Say why a question is about to be asked again, to whoever has asked to be told."""
    tell = _TOLD.get()
    if tell is not None:
        tell(trying_again(error))


def trying_again(error: Qwen3ftError) -> Message:
    """Return the words of progress for a pause after `error`."""
    return Message("trying again: {problem}", problem=error.message)


def pause_s(
    attempt: int, error: Qwen3ftError, *, chance: Callable[[], float], policy: RetryPolicy = QUESTIONS
) -> float | None:
    """Return the seconds to wait after failed attempt number `attempt` (from 1), or None to give up.

    Args:
        attempt: How many attempts have failed.
        error: How the last one failed.
        chance: Returns a number in [0, 1): several processes must not come back at the same moment.
        policy: The limits.
    """
    if not error.is_transient or attempt >= policy.limit(error):
        return None
    asked_s = retry_after_s(error)
    if asked_s is not None:
        return None if asked_s > policy.max_wait_s else asked_s + chance()
    return policy.delay_s(attempt) * (0.5 + chance())


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
    if seconds is not None and seconds > QUESTIONS.max_wait_s:
        hint = Message("It asks to come back in {span}. Try again then, or use the other hub.", span=_span(seconds))
    else:
        hint = BUSY_HINT
    return HubBusy(
        "{host} has too many requests from this address." if status == 429 else "{host} is failing (HTTP {status}).",
        hint=hint,
        details=details,
        host=host,
        status=status,
    )


def _span(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return Message("{count} days", count=round(seconds / 86_400))
    if seconds >= 2 * 3600:
        return Message("{count} hours", count=round(seconds / 3600))
    if seconds >= 120:
        return Message("{count} minutes", count=round(seconds / 60))
    return Message("{count} seconds", count=round(seconds))
