from __future__ import annotations

import math

import pytest

from qwen3ft_jupyter.errors import AccessDenied, HubBusy, HubUnreachable, SourceFailed, WrongBytes
from qwen3ft_jupyter.hubs.retry import DEFAULT_POLICY, RetryPolicy, RetryState

POLICY = RetryPolicy(attempts=3, wrong_attempts=2, refused_attempts=1, first_delay_s=1, max_delay_s=4)
FAILED = SourceFailed("reset")


def test_the_first_failure_is_tried_again_at_once_and_then_later_and_later() -> None:
    patience = RetryState(RetryPolicy(first_delay_s=1, max_delay_s=4))
    delays = []
    for now in (0.0, 100.0, 200.0, 300.0, 400.0):
        patience.failed(FAILED, began=now, now=now)
        delays.append(patience.not_before - now)

    assert delays[0] == 0
    assert 0.5 <= delays[1] <= 1
    assert 1 <= delays[2] <= 2
    assert 2 <= delays[3] <= 4
    assert 2 <= delays[4] <= 4


def test_failures_in_a_row_exhaust_patience() -> None:
    patience = RetryState(POLICY)
    for now in (0.0, 10.0):
        patience.failed(FAILED, began=now, now=now)
    assert not patience.is_exhausted

    patience.failed(FAILED, began=20, now=20)

    assert patience.is_exhausted


def test_a_byte_gained_renews_patience() -> None:
    patience = RetryState(POLICY)
    for now in range(100):
        patience.failed(FAILED, began=now, now=now)
        patience.gained()

    assert not patience.is_exhausted


def test_connections_that_fail_together_count_once() -> None:
    patience = RetryState(POLICY)
    for _ in range(16):
        patience.failed(FAILED, began=0, now=5)

    assert not patience.is_exhausted


def test_connections_that_fail_in_turns_exhaust_patience_too() -> None:
    """Each of the two was begun before the other one has failed."""
    patience = RetryState(POLICY)
    for failure in range(8):
        patience.failed(FAILED, began=2.5 * failure, now=2.5 * failure + 5)

    assert patience.is_exhausted


def test_a_failure_of_another_kind_gives_no_patience_back() -> None:
    impatient = RetryState(POLICY)
    impatient.failed(HubBusy("for two hours"), began=0, now=0, wait_s=7200)

    impatient.failed(FAILED, began=0, now=1)

    assert impatient.is_exhausted
    assert impatient.not_before == 7200


def test_one_refusal_after_a_failure_that_passes_is_no_second_refusal() -> None:
    patience = RetryState(RetryPolicy(attempts=5, refused_attempts=2))
    patience.failed(FAILED, began=0, now=0)
    patience.failed(AccessDenied("perhaps"), began=1, now=1)
    assert not patience.is_exhausted

    patience.failed(AccessDenied("no"), began=2, now=2)

    assert patience.is_exhausted


def test_after_an_outage_a_source_is_counted_on_again_once_it_brings_something() -> None:
    patience = RetryState(POLICY)
    for now in range(3):
        patience.failed(FAILED, began=now, now=now)
    assert patience.is_exhausted
    assert patience.not_before < 10, "it may be asked now and then"

    patience.gained()

    assert not patience.is_exhausted


def test_a_source_that_said_no_is_asked_no_more() -> None:
    patience = RetryState(POLICY)
    patience.failed(AccessDenied("no"), began=0, now=0)

    patience.gained()  # over a connection from before

    assert patience.is_exhausted
    assert patience.not_before == math.inf


@pytest.mark.parametrize(("cause", "passes"), [("tls", False), ("address", False), ("refused", True), ("proxy", True)])
def test_a_wrong_certificate_does_not_pass(cause: str, passes: bool) -> None:  # noqa: FBT001
    error = HubUnreachable("x", details={"cause": cause})

    assert POLICY.may_pass(error) == passes
    assert POLICY.limit(error) == (POLICY.attempts if passes else POLICY.refused_attempts)


def test_refusals_and_wrong_bytes_have_limits_of_their_own() -> None:
    refused, wrong = RetryState(POLICY), RetryState(POLICY)

    refused.failed(AccessDenied("no"), began=0, now=0)
    wrong.failed(WrongBytes("other"), began=0, now=0)

    assert refused.is_exhausted
    assert not wrong.is_exhausted


def test_the_wait_a_source_asks_for_is_kept_up_to_a_minute() -> None:
    patience, impatient = RetryState(POLICY), RetryState(POLICY)

    patience.failed(FAILED, began=0, now=0, wait_s=60)
    impatient.failed(FAILED, began=0, now=0, wait_s=61)

    assert patience.not_before == 60
    assert not patience.is_exhausted
    assert impatient.is_exhausted


def test_failures_that_take_their_time_exhaust_patience_by_time() -> None:
    """A server that takes the connection and says nothing costs half a minute each time."""
    patience = RetryState(RetryPolicy(first_delay_s=0))
    patience.failed(FAILED, began=0, now=30)
    assert not patience.is_exhausted

    patience.failed(FAILED, began=30, now=60)

    assert patience.is_exhausted


def test_a_pause_of_the_work_costs_no_patience() -> None:
    patience = RetryState(RetryPolicy())
    patience.failed(FAILED, began=0, now=1)

    patience.failed(FAILED, began=10_000, now=10_001)

    assert not patience.is_exhausted


def test_a_byte_gained_renews_the_time() -> None:
    patience = RetryState(RetryPolicy())
    for round_ in range(10):
        patience.failed(FAILED, began=100 * round_, now=100 * round_ + 30)
        patience.gained()

    assert not patience.is_exhausted


@pytest.mark.parametrize(
    "error", [HubBusy("busy"), SourceFailed("reset"), HubUnreachable("away", details={"cause": "refused"})]
)
def test_what_may_get_better_is_waited_for_about_a_minute(error: HubBusy | SourceFailed | HubUnreachable) -> None:
    patience, now, policy = RetryState(DEFAULT_POLICY), 0.0, DEFAULT_POLICY
    while not patience.is_exhausted:
        patience.failed(error, began=now, now=now)
        now = now if patience.is_exhausted else max(now, patience.not_before)

    assert 25 <= now <= 75
    assert policy.after_an_outage().attempts < policy.attempts


@pytest.mark.parametrize(
    "error",
    [
        WrongBytes("compressed"),
        AccessDenied("no"),
        SourceFailed("HTTP 418", details={"cause": "status"}),
        HubUnreachable("certificate", details={"cause": "tls"}),
        HubUnreachable("malformed", details={"cause": "address"}),
    ],
)
def test_what_cannot_get_better_ends_within_seconds(error: WrongBytes | AccessDenied | SourceFailed) -> None:
    patience, now = RetryState(DEFAULT_POLICY), 0.0
    while not patience.is_exhausted:
        patience.failed(error, began=now, now=now)
        now = now if patience.is_exhausted else max(now, patience.not_before)

    assert now <= 2
    assert patience.not_before == math.inf


def test_the_longest_of_several_attempts_at_once_counts() -> None:
    patience = RetryState(RetryPolicy(first_delay_s=0))
    patience.failed(FAILED, began=0, now=1)
    patience.failed(FAILED, began=0, now=30)

    patience.failed(FAILED, began=30, now=60)

    assert patience.is_exhausted


def test_an_attempt_is_counted_by_the_time_for_which_it_brought_nothing() -> None:
    patience = RetryState(DEFAULT_POLICY)

    patience.failed(FAILED, began=0, now=3600, waited_s=1)

    assert not patience.is_exhausted
