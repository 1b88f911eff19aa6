"""What every face does with the jobs there are: find the one that is meant, and show those still there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from qwen3ft_jupyter.errors import JobNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HINT = "List them: %qwen3ft jobs in a notebook, qwen3ft jobs in a terminal."


class Shown(Protocol):
    """A job, as far as it is needed here."""

    def to_dict(self) -> dict[str, Any]:
        """Return what faces show of it. Raises JobNotFound."""


def match_id(ids: Sequence[str], text: str) -> str:
    """Return the id that is `text`, or the only one that begins or ends with it.

    >>> match_id(["20260102-030405-download-abcd", "20260102-030405-verify-0123"], "abcd")
    '20260102-030405-download-abcd'

    Raises:
        JobNotFound: there is none, or more than one.
    """
    if text in ids:
        return text
    near = [known for known in ids if text and (known.startswith(text) or known.endswith(text))]
    if len(near) == 1:
        return near[0]
    if near:
        raise JobNotFound(f"{len(near)} jobs are called like {text!r}.", hint=f"Give more of the id. {_HINT}")
    raise JobNotFound(f"There is no job {text!r}.", hint=_HINT)


def shown_state(job: Mapping[str, Any]) -> str:
    """Return what to call the state of a job, of which `job` is what `Job.to_dict` gives: its state, or "paused".

    >>> shown_state({"state": "running", "controls": {"paused": True, "max_speed": None}})
    'paused'
    """
    is_paused = job["state"] in ("queued", "running") and bool(job["controls"]) and job["controls"]["paused"]
    return "paused" if is_paused else str(job["state"])


def job_rows(jobs: Iterable[Shown]) -> list[dict[str, Any]]:
    """Return what to show of each; one that has been forgotten meanwhile is left out."""
    rows = []
    for job in jobs:
        with contextlib.suppress(JobNotFound):
            rows.append(job.to_dict())
    return rows
