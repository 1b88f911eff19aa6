"""How often and how fast one source is asked again for one file. Pure but for the jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass

from qwen3ft_jupyter.errors import Qwen3ftError, WrongBytes


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of patience. There is no total deadline: every byte gained renews it."""

    attempts: int = 10
    """Transient failures in a row, without a byte gained between them, after which a source is given up.

    With the pauses between them that is a good minute of outage; a longer one is for the job's resume.
    """
    wrong_attempts: int = 3
    """The same for answers that belong to another object: a CDN's glitch passes, a changed file does not."""
    refused_attempts: int = 2
    """The same for refusals: signed addresses expire and one hub refuses at random, but a real no stays a no."""
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
        if error.is_transient:
            return self.attempts
        return self.wrong_attempts if isinstance(error, WrongBytes) else self.refused_attempts

    def delay_s(self, failures: int) -> float:
        """Return the pause after the given number of failures in a row: none after the first, then doubling."""
        if failures <= 1:
            return 0.0
        longest = min(self.max_delay_s, self.first_delay_s * 2.0 ** min(failures - 2, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing


DEFAULT_POLICY = RetryPolicy()


class Patience:
    """What is left of the patience with one source over one file."""

    __slots__ = ("_failures", "_last_failure", "_policy", "is_exhausted", "not_before")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._last_failure = float("-inf")
        self.not_before = float("-inf")
        """The source is not asked again for this file before this time of the engine's clock."""
        self.is_exhausted = False

    @property
    def failures(self) -> int:
        """Return how many attempts in a row have failed."""
        return self._failures

    def gained(self) -> None:
        """Renew: a byte has arrived."""
        self._failures = 0

    def failed(self, error: Qwen3ftError, *, began: float, now: float, wait_s: float = 0.0) -> None:
        """Count the failure of an attempt that `began` at that time; `wait_s` is what the source asked for.

        Connections that fail together count once: an attempt begun before the last failure brings no news.
        """
        if began >= self._last_failure or self._failures == 0:
            self._failures += 1
        self._last_failure = now
        self.not_before = max(self.not_before, now + max(wait_s, self._policy.delay_s(self._failures)))
        self.is_exhausted = self._failures >= self._policy.limit(error) or wait_s > self._policy.max_wait_s
