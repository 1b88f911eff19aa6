from __future__ import annotations

import pytest

from qwen3ft_jupyter.errors import HubBusy, HubUnreachable, ModelNotFound
from qwen3ft_jupyter.hubs.retry import QUESTIONS, busy, parse_retry_after, pause_s


def middle() -> float:
    return 0.5


def test_a_permanent_refusal_is_not_tried_again() -> None:
    assert pause_s(1, ModelNotFound("no"), chance=middle) is None


def test_pauses_grow_until_the_tries_are_used_up() -> None:
    error = HubBusy("busy")
    pauses = [pause_s(attempt, error, chance=middle) for attempt in range(1, QUESTIONS.attempts + 1)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, None]


def test_jitter_spreads_a_pause_around_its_length() -> None:
    assert pause_s(2, HubBusy("busy"), chance=lambda: 0.0) == 0.5
    assert pause_s(2, HubBusy("busy"), chance=lambda: 0.99) == pytest.approx(1.49)


def test_no_pause_is_longer_than_the_limit() -> None:
    longest = pause_s(QUESTIONS.attempts - 1, HubBusy("busy"), chance=lambda: 0.99)

    assert longest is not None
    assert longest < 1.5 * QUESTIONS.max_delay_s


@pytest.mark.parametrize("cause", ["tls", "proxy", "address"])
def test_what_only_the_user_can_change_is_not_tried_again(cause: str) -> None:
    assert pause_s(1, HubUnreachable("no", details={"cause": cause}), chance=middle) is None


@pytest.mark.parametrize("cause", ["name-lookup", "refused", "timeout", "silent"])
def test_a_hub_that_cannot_be_reached_is_given_up_early(cause: str) -> None:
    error = HubUnreachable("no", details={"cause": cause})

    assert QUESTIONS.connect_attempts is not None
    assert pause_s(QUESTIONS.connect_attempts - 1, error, chance=middle) is not None
    assert pause_s(QUESTIONS.connect_attempts, error, chance=middle) is None


def test_a_broken_connection_has_all_the_tries() -> None:
    assert pause_s(QUESTIONS.attempts - 1, HubUnreachable("no", details={"cause": "reset"}), chance=middle) is not None


def test_the_hub_decides_the_pause_up_to_a_minute() -> None:
    assert pause_s(1, busy("hub.example", 429, "60"), chance=lambda: 0.0) == 60.0


@pytest.mark.parametrize(
    ("header", "said"), [("61", "61 seconds"), ("600", "10 minutes"), ("86400", "24 hours"), ("9" * 40, "days")]
)
def test_a_longer_pause_is_said_and_left_to_the_user(header: str, said: str) -> None:
    error = busy("hub.example", 429, header)

    assert pause_s(1, error, chance=middle) is None
    assert said in error.hint


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), (" 7 ", 7.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0), ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0)],
)
def test_retry_after_is_a_number_or_a_date(header: str, seconds: float) -> None:
    assert parse_retry_after(header, now=10.0) == seconds


@pytest.mark.parametrize("header", ["", "soon", "-5", "1.5", "\u0667", "Thu, 99 Foo 1970"])
def test_a_retry_after_that_is_neither_is_ignored(header: str) -> None:
    assert parse_retry_after(header) is None
