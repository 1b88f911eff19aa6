"""Lists that browsers ask for again and again: made off the event loop, and kept while nothing in them changes."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from qwen3ft_jupyter.cache.own.layout import INCOMING_FOLDER
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.server.events import cache_stamps, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.messages import Speaker

T = TypeVar("T")

SUMMARY_S = 10.0
"""How full the cache is takes a walk through all of its folders; between two walks lie so many seconds, unless a model
has come or gone."""


def finite(value: object) -> object:
    """Return `value` with NaN and infinities as None: a browser refuses the whole answer for one diverged loss.

    >>> finite({"loss": float("nan"), "step": 3})
    {'loss': None, 'step': 3}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def to_json(value: Mapping[str, object]) -> str:
    """Return `value` as browsers get it, in UTF-8 also where a path in it is not."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace").decode()


class JobTexts:
    """The list of jobs; one that has ended is said and written once for each language, however often asked for."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, tuple[JobSnapshot, str]]] = {}

    def to_json(self, jobs: Sequence[JobSnapshot], speaker: Speaker) -> str:
        """Return the answer for `jobs`, which are all there are. Safe to use from several threads."""
        before = self._texts.get(speaker.language, {})
        texts = {}
        for job in jobs:
            known = before.get(job.id)
            # The same object, not an equal one: that is what a listing gives for a job that has not changed.
            texts[job.id] = known if known and known[0] is job else (job, to_json(say.answer(job, speaker)))
        self._texts[speaker.language] = texts
        return f'{{"jobs": [{", ".join(text for _, text in texts.values())}]}}'


class Kept:
    """The JSON made of a value, for each language; made anew when the value is another one."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[Any, str]] = {}  # Any: whatever it was made of

    def to_json(self, value: T, speaker: Speaker, tell: Callable[[T], Mapping[str, object]]) -> str:
        """Return `tell(value)` as JSON. Safe to use from several threads."""
        known = self._texts.get(speaker.language)
        if known is None or known[0] != value:
            known = value, to_json(tell(value))
            self._texts[speaker.language] = known
        return known[1]


class _Reckoned(NamedTuple):
    stamps: Mapping[str, int]
    until: float
    summary: Mapping[str, object]


class CacheSummaries:
    """How full the cache is, reckoned when a model has come or gone, else from time to time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: _Reckoned | None = None

    def read(self, manager: ModelManager) -> Mapping[str, object]:
        """Return what `ModelManager.cache_summary` does. Blocks; safe to use from several threads."""
        now, cache_dir = self._clock(), manager.settings.cache_dir
        stamps = {**cache_stamps(cache_dir), INCOMING_FOLDER: stamp_of(cache_dir / INCOMING_FOLDER)}
        known = self._known
        if known is None or known.stamps != stamps or now >= known.until:
            known = self._known = _Reckoned(stamps, now + SUMMARY_S, manager.cache_summary())
        return known.summary


class Answers(NamedTuple):
    """What is kept between requests."""

    jobs: JobTexts
    models: Kept
    cache: Kept
    summaries: CacheSummaries

    @classmethod
    def none_yet(cls) -> Answers:
        """Return the start."""
        return cls(JobTexts(), Kept(), Kept(), CacheSummaries())
