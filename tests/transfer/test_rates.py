from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer import pieces, rates
from qwen3ft_jupyter.transfer.pieces import (
    LEAST_PIECE_BYTES,
    MAX_PIECE_BYTES,
    SAVED_S,
    least_piece,
    piece_length,
    tail_length,
)
from qwen3ft_jupyter.transfer.rates import MinimumRate, Speed

MB = 1 << 20
SPEEDS = st.floats(100, 1e9)


def test_the_examples_in_the_docstrings_are_right() -> None:
    assert doctest.testmod(rates).failed == doctest.testmod(pieces).failed == 0


@given(st.integers(0, 1 << 40), SPEEDS, st.floats(0, 1e10), st.integers(1, 64), st.floats(0, 2))
def test_pieces_shrink_towards_the_end_within_limits(
    untaken: int, speed: float, others: float, connections: int, latency_s: float
) -> None:
    for known in (speed, None):
        options = {"speed": known, "total_speed": others, "connections": connections, "latency_s": latency_s}
        length = piece_length(untaken, **options)  # type: ignore[arg-type]

        assert LEAST_PIECE_BYTES <= length <= MAX_PIECE_BYTES
        assert length >= piece_length(untaken // 2, **options)  # type: ignore[arg-type]


def test_a_fast_source_gets_larger_pieces() -> None:
    lengths = [
        piece_length(512 * MB, speed=speed, total_speed=100e6, connections=16) for speed in (1e6, 4e6, 10e6, 50e6)
    ]

    assert lengths == sorted(set(lengths))


def test_the_smallest_piece_grows_with_the_distance_of_the_source() -> None:
    assert least_piece(10e6, 0.001) < MB < least_piece(10e6, 0.2)


@given(st.lists(st.tuples(st.integers(1, 1 << 20), st.floats(0.001, 5)), min_size=1, max_size=50))
def test_a_speed_lies_between_the_slowest_and_the_fastest_part(parts: list[tuple[int, float]]) -> None:
    speed = Speed(window_s=4.0)
    for count, seconds in parts:
        speed.add(count, seconds)

    measured = speed.per_s()

    if measured is not None:
        each = [count / seconds for count, seconds in parts]
        assert min(each) * 0.999 <= measured <= max(each) * 1.001


def test_a_speed_forgets_what_was_long_ago() -> None:
    speed = Speed(window_s=4.0)
    speed.add(10_000_000, 10.0)
    for _ in range(40):
        speed.add(1000, 1.0)

    assert speed.per_s() == pytest.approx(1000, rel=0.2)


def test_waiting_lowers_a_speed() -> None:
    speed = Speed(window_s=4.0)
    speed.add(1000, 1.0)

    assert speed.per_s(waiting_s=9.0) == 100


def test_one_burst_from_a_buffer_is_no_measure() -> None:
    speed = Speed(window_s=4.0)
    speed.add(256 << 10, 0.0001)

    assert speed.per_s() is None


def test_a_trickle_misses_the_minimum_after_a_whole_period_only() -> None:
    trickle, steady = MinimumRate(1000, 60), MinimumRate(1000, 60)

    assert [trickle.is_missed(500, 1.0) for _ in range(60)] == [False] * 59 + [True]
    assert not any(steady.is_missed(1001, 1.0) for _ in range(600))


def test_a_slow_second_is_forgiven() -> None:
    rate = MinimumRate(1000, 60)
    rate.is_missed(60_000, 1.0)

    assert not any(rate.is_missed(1, 1.0) for _ in range(59))


@given(st.integers(1, 1 << 30), SPEEDS, st.floats(0, 100), SPEEDS, st.floats(0, 2))
def test_a_second_request_is_made_only_if_it_saves_time(
    left: int, speed: float, silent_s: float, other_speed: float, latency_s: float
) -> None:
    tail = tail_length(left, speed=speed, silent_s=silent_s, other_speed=other_speed, other_latency_s=latency_s)

    assert 0 <= tail <= left
    if 0 < tail < left:
        assert silent_s + left / speed >= latency_s + tail / other_speed + SAVED_S * 0.99


def test_a_silent_piece_is_asked_for_again_as_a_whole() -> None:
    assert tail_length(10 * MB, speed=20e6, silent_s=5, other_speed=20e6, other_latency_s=0.05) == 10 * MB


def test_a_piece_that_is_nearly_there_is_left_alone() -> None:
    assert tail_length(MB, speed=20e6, silent_s=0, other_speed=20e6, other_latency_s=0.01) == 0
