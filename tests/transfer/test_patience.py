from __future__ import annotations

from qwen3ft_jupyter.errors import AccessDenied, SourceFailed, WrongBytes
from qwen3ft_jupyter.transfer.patience import Patience, RetryPolicy

POLICY = RetryPolicy(attempts=3, wrong_attempts=2, refused_attempts=1, first_delay_s=1, max_delay_s=4)
FAILED = SourceFailed("reset")


def test_the_first_failure_is_tried_again_at_once_and_then_later_and_later() -> None:
    patience = Patience(RetryPolicy(first_delay_s=1, max_delay_s=4))
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
    patience = Patience(POLICY)
    for now in (0.0, 10.0):
        patience.failed(FAILED, began=now, now=now)
    assert not patience.is_exhausted

    patience.failed(FAILED, began=20, now=20)

    assert patience.is_exhausted


def test_a_byte_gained_renews_patience() -> None:
    patience = Patience(POLICY)
    for now in range(100):
        patience.failed(FAILED, began=now, now=now)
        patience.gained()

    assert not patience.is_exhausted


def test_connections_that_fail_together_count_once() -> None:
    patience = Patience(POLICY)
    for _ in range(16):
        patience.failed(FAILED, began=0, now=5)

    assert not patience.is_exhausted


def test_refusals_and_wrong_bytes_have_limits_of_their_own() -> None:
    refused, wrong = Patience(POLICY), Patience(POLICY)

    refused.failed(AccessDenied("no"), began=0, now=0)
    wrong.failed(WrongBytes("other"), began=0, now=0)

    assert refused.is_exhausted
    assert not wrong.is_exhausted


def test_the_wait_a_source_asks_for_is_kept_up_to_a_minute() -> None:
    patience, impatient = Patience(POLICY), Patience(POLICY)

    patience.failed(FAILED, began=0, now=0, wait_s=60)
    impatient.failed(FAILED, began=0, now=0, wait_s=61)

    assert patience.not_before == 60
    assert not patience.is_exhausted
    assert impatient.is_exhausted
