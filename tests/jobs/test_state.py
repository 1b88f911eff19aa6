from __future__ import annotations

import pytest

from qwen3ft_jupyter.jobs.state import (
    ACTIVE,
    RESUMABLE,
    START_LIMIT_S,
    STATES,
    JobSnapshot,
    JobState,
    JobStatus,
    Signs,
    derive_state,
    read_out,
)
from qwen3ft_jupyter.work import Controls, Progress


def signs(
    *, owned: bool = True, alive: bool = True, asked: bool = False, age_s: float = 60.0, attempt: int = 1
) -> Signs:
    return Signs(attempt=attempt, age_s=age_s, is_owned=owned, is_alive=alive, is_asked_to_stop=asked)


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_active_job_without_a_living_process_is_interrupted(state: str) -> None:
    assert derive_state(state, signs(alive=False)) == "interrupted"


@pytest.mark.parametrize("state", sorted(set(STATES) - ACTIVE))
def test_what_has_ended_stays_as_it_ended(state: str) -> None:
    assert derive_state(state, signs(alive=False, asked=True)) == state


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_living_job_that_is_asked_to_stop_is_stopping(state: str) -> None:
    assert derive_state(state, signs(asked=True)) == "stopping"


def test_job_may_take_a_while_to_come_up_but_not_for_ever() -> None:
    assert derive_state("queued", signs(owned=False, alive=False, age_s=START_LIMIT_S - 1)) == "queued"
    assert derive_state("queued", signs(owned=False, alive=False, age_s=START_LIMIT_S + 1)) == "interrupted"


@pytest.mark.parametrize("recorded", [None, 7, "", "exploded", ["running"]])
def test_unreadable_state_of_a_dead_job_is_interrupted(recorded: object) -> None:
    assert derive_state(recorded, signs(alive=False)) == "interrupted"


def test_active_and_resumable_states_share_none() -> None:
    assert not ACTIVE & RESUMABLE
    assert set(STATES) - ACTIVE - RESUMABLE == {"succeeded"}


def test_status_of_an_earlier_attempt_says_nothing_about_the_newest() -> None:
    written = {"attempt": 1, "state": "failed", "error": {"code": "job-failed"}, "notices": ["old"], "ended": 5.0}
    status = read_out(written, signs(attempt=2, owned=False, alive=False, age_s=1.0))
    assert (status.state, status.attempt, status.error, status.notices, status.ended) == ("queued", 2, None, (), None)


def test_garbled_fields_are_left_out() -> None:
    written = {"attempt": 1, "state": "running", "progress": [1], "notices": None, "error": "x", "started": "noon"}
    status = read_out(written, signs())
    assert (status.progress, status.notices, status.error, status.started) == (None, (), None, None)


def test_interrupted_job_ended_when_it_was_last_heard_of() -> None:
    assert read_out({"attempt": 1, "state": "running", "updated": 9.0}, signs(alive=False)).ended == 9.0


@pytest.mark.parametrize(
    ("state", "phase", "is_paused", "shown"),
    [
        ("running", "transferring", False, "running"),
        ("running", "queued", False, "queued"),
        ("running", "queued", True, "paused"),
        ("stopping", "queued", False, "stopping"),
        ("stopped", "queued", False, "stopped"),
    ],
)
def test_a_job_that_waits_for_its_turn_is_called_queued(
    state: JobState, phase: str, shown: str, *, is_paused: bool
) -> None:
    status = JobStatus(state, 1, progress=Progress(phase))

    assert JobSnapshot("a", "download", "", 1.0, {}, status, Controls(is_paused=is_paused)).shown_state == shown
