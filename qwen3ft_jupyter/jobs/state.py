"""What state a job is in: pure functions of what its folder says and of whether its processes are alive.

queued ──► running ──► succeeded | failed
   │          │
   └──────────┴──► stopping ──► stopped          any of the three without a living process: interrupted
stopped | failed | interrupted ──resume──► queued (the next attempt)
A paused job is running: pausing is one of the things that may be changed about it (see `work.Controls`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, get_args

from qwen3ft_jupyter.jobs.averages import read_averages
from qwen3ft_jupyter.messages import Message, from_json, with_messages
from qwen3ft_jupyter.work import HEALTHS, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.jobs.averages import AverageJson
    from qwen3ft_jupyter.work import Controls, RanksJson

JobState = Literal["queued", "running", "stopping", "succeeded", "failed", "stopped", "interrupted"]
STATES: tuple[JobState, ...] = get_args(JobState)
STATE_WORDS: Final[Mapping[str, str]] = {
    "queued": Message("queued"),
    "running": Message("running"),
    "paused": Message("paused"),
    "stopping": Message("stopping"),
    "succeeded": Message("succeeded"),
    "failed": Message("failed"),
    "stopped": Message("stopped"),
    "interrupted": Message("interrupted"),
}
"""What people call the states, and a job that is running but paused."""
ACTIVE: frozenset[JobState] = frozenset({"queued", "running", "stopping"})
RESUMABLE: frozenset[JobState] = frozenset({"failed", "stopped", "interrupted"})
START_LIMIT_S = 15.0
"""A job whose processes have not come up after this long never will; a busy machine starts one in under a second."""


class StatusJson(TypedDict):
    """What is known of a job at one moment, see `JobStatus`."""

    state: JobState
    attempt: int
    progress: dict[str, Any] | None  # Any: as `Progress.to_dict` gives it
    notices: list[str]
    error: dict[str, str] | None
    result: dict[str, Any] | None  # Any: each kind of job has its own
    averages: Mapping[str, AverageJson]
    ranks: RanksJson | None
    started: float | None
    updated: float | None
    ended: float | None


class ControlsJson(TypedDict):
    """What people want changed of a job."""

    paused: bool
    max_speed: float | None


class JobJson(StatusJson):
    """A job as ``GET /qwen3ft/jobs/{id}`` answers it."""

    id: str
    kind: str
    title: str
    created: float
    params: Mapping[str, Any]  # Any: each kind has its own
    controls: ControlsJson | None
    """None for a job that takes none."""


class SaidJob(JobJson):
    """A job whose sentences are in its reader's language."""

    state_words: str
    """What the state is called."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What is known of a job at one moment. Times are unix seconds."""

    state: JobState
    attempt: int
    """1 for the first run, one more for each resume."""
    progress: Progress | None = None
    notices: tuple[str, ...] = ()
    error: Mapping[str, str] | None = None
    """`code`, `message` and `hint` of what made the job fail; the last two are said in a language by the face."""
    result: Mapping[str, Any] | None = None
    averages: Mapping[str, AverageJson] = field(default_factory=dict)
    """Of its losses, by metric: at the beginning and now."""
    ranks: RanksJson | None = None
    """The processes that work together for it; None if there is but one."""
    started: float | None = None
    updated: float | None = None
    ended: float | None = None

    @property
    def is_active(self) -> bool:
        """Say whether the job is at work or about to be."""
        return self.state in ACTIVE

    def to_dict(self) -> StatusJson:
        """Return a dict for faces, which still say its messages in their reader's language."""
        return {
            "state": self.state,
            "attempt": self.attempt,
            "progress": self.progress.to_dict() if self.progress else None,
            "notices": list(self.notices),
            "error": dict(self.error) if self.error is not None else None,
            "result": dict(self.result) if self.result is not None else None,
            "averages": self.averages,
            "ranks": self.ranks,
            "started": self.started,
            "updated": self.updated,
            "ended": self.ended,
        }


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job at one moment: what it is, where it stands, and what may be changed about it."""

    id: str
    kind: str
    title: str
    created: float
    """When it was started first, in unix seconds."""
    params: Mapping[str, Any]
    """What it was started with, as its folder has it."""
    status: JobStatus
    controls: Controls | None = None
    """None for a kind that can neither be paused nor limited."""

    @property
    def is_paused(self) -> bool:
        """Say whether it rests."""
        return self.controls is not None and self.controls.is_paused and self.status.is_active

    @property
    def shown_state(self) -> str:
        """Return its state, or "paused"; "queued" also of one whose process is there and waits for its turn."""
        if self.is_paused and self.status.state != "stopping":
            return "paused"
        is_waiting = self.status.progress is not None and self.status.progress.phase == "queued"
        return "queued" if is_waiting and self.status.state == "running" else self.status.state

    @property
    def state_word(self) -> str:
        """Return what that is called; its name if another version has given it."""
        return STATE_WORDS.get(self.shown_state, self.shown_state)

    def to_dict(self) -> JobJson:
        """Return what ``GET /qwen3ft/jobs/{id}`` answers, but for the words that its reader's language has for it."""
        changeable: ControlsJson | None = None
        if self.controls is not None:
            changeable = {"paused": self.is_paused, "max_speed": self.controls.max_speed}
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "created": self.created,
            "params": self.params,
            **self.status.to_dict(),
            "controls": changeable,
        }


@dataclass(frozen=True, slots=True)
class Signs:
    """What is seen of a job from outside."""

    attempt: int
    """The newest attempt anyone has begun."""
    age_s: float
    """Seconds since that attempt was begun."""
    is_owned: bool
    """Whether a process has signed the attempt's status."""
    is_alive: bool
    """Whether one of the processes that signed it is alive."""
    is_asked_to_stop: bool


def derive_state(recorded: object, signs: Signs) -> JobState:
    """Return the state of the newest attempt, of which `recorded` is written in its status.

    >>> derive_state("running", Signs(attempt=1, age_s=60, is_owned=True, is_alive=False, is_asked_to_stop=False))
    'interrupted'
    """
    state: JobState = next((state for state in STATES if state == recorded), "queued")
    if state not in ACTIVE:
        return state
    is_coming_up = not signs.is_owned and signs.age_s < START_LIMIT_S
    if not (signs.is_alive or is_coming_up):
        return "interrupted"
    return "stopping" if signs.is_asked_to_stop else state


def read_out(status: Mapping[str, Any], signs: Signs) -> JobStatus:
    """Return the status of the newest attempt. `status` is what `status.json` holds, perhaps of the attempt before."""
    if status.get("attempt") != signs.attempt:
        status = {}
    state = derive_state(status.get("state"), signs)
    progress = status.get("progress")
    updated = _number(status.get("updated"))
    return JobStatus(
        state=state,
        attempt=signs.attempt,
        progress=Progress.from_dict(progress) if isinstance(progress, dict) and "phase" in progress else None,
        notices=tuple(map(from_json, status.get("notices") or ())),
        error=_error(status.get("error")),
        result=with_messages(status["result"]) if isinstance(status.get("result"), dict) else None,
        averages=read_averages(status.get("averages")),
        ranks=read_ranks(status.get("ranks")),
        started=_number(status.get("started")),
        updated=updated,
        ended=updated if state == "interrupted" else _number(status.get("ended")),
    )


def _error(recorded: object) -> dict[str, str] | None:
    return {name: from_json(text) for name, text in recorded.items()} if isinstance(recorded, dict) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


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
