"""How often and how fast one source is asked again for one file. Pure but for the jitter."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from qwen3ft_jupyter.errors import Qwen3ftError, WrongBytes

_FINAL_CAUSES: Final = frozenset({"tls", "address"})
"""Why a source could not be reached, where another try would not reach it either."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of patience. There is no total deadline: every byte gained renews it."""

    attempts: int = 10
    """Transient failures in a row, without a byte gained between them, after which a source is counted on no more.

    With the pauses between them that is a good minute of outage; a longer one is for the job's resume.
    """
    wrong_attempts: int = 3
    """The same for answers that belong to another object: a CDN's glitch passes, a changed file does not."""
    refused_attempts: int = 2
    """The same for refusals, after which it is given up for good.

    Signed addresses expire and one hub refuses at random, but a real no stays a no.
    """
    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    max_wait_s: float = 60.0
    """The longest wait a source may ask for (Retry-After); beyond it the source is given up and says so."""
    least_bytes_per_s: float = 1000.0
    least_rate_s: float = 60.0
    """A connection that is slower than `least_bytes_per_s` over so many seconds is given up for another one.

    Silence is the HTTP client's business; this is for those who send a byte now and then.
    """

    def limit(self, error: Qwen3ftError) -> int:
        """Return how many failures like `error` in a row are one too many."""
        if may_pass(error):
            return self.attempts
        return self.wrong_attempts if isinstance(error, WrongBytes) else self.refused_attempts

    def delay_s(self, failures: int) -> float:
        """Return the pause after the given number of failures in a row: none after the first, then doubling."""
        if failures <= 1:
            return 0.0
        longest = min(self.max_delay_s, self.first_delay_s * 2.0 ** min(failures - 2, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing


DEFAULT_POLICY = RetryPolicy()


def may_pass(error: Qwen3ftError) -> bool:
    """Return whether the same request may succeed a little later."""
    return error.is_transient and error.details.get("cause") not in _FINAL_CAUSES


class Patience:
    """What is left of the patience with one source over one file."""

    __slots__ = ("_failures", "_last_counted", "_policy", "_refusals", "is_exhausted", "not_before")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._refusals = 0
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
        self.is_exhausted = self.not_before == math.inf

    def wait(self, until: float) -> None:
        """Ask no more before `until`: the source wishes it."""
        self.not_before = max(self.not_before, until)

    def failed(self, error: Qwen3ftError, *, began: float, now: float, wait_s: float = 0.0) -> None:
        """Count the failure of an attempt that `began` at that time; `wait_s` is what the source asked for.

        Connections that fail together count once: an attempt begun before the last failure that was counted brings no
        news.
        """
        is_passing = may_pass(error)
        if began >= self._last_counted or self._failures == 0:
            self._failures += 1
            self._refusals += not is_passing
            self._last_counted = now
        is_final = not is_passing and self._refusals >= self._policy.limit(error)
        is_last = is_final or self._failures >= self._policy.attempts or wait_s > self._policy.max_wait_s
        self.is_exhausted = self.is_exhausted or is_last
        delay_s = math.inf if is_final else max(wait_s, self._policy.delay_s(self._failures))
        self.wait(now + delay_s)
