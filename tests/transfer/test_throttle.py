from __future__ import annotations

import doctest
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer import throttle
from qwen3ft_jupyter.transfer.throttle import BURST_S, Throttle, TokenBucket
from qwen3ft_jupyter.work import Controls


def test_the_examples_in_the_docstrings_are_right() -> None:
    assert doctest.testmod(throttle).failed == 0


@given(
    st.floats(1, 1e9),
    st.lists(st.tuples(st.integers(1, 1 << 18), st.floats(0, 3)), min_size=1, max_size=100),
)
def test_no_more_passes_than_the_rate_and_one_burst(rate: float, asks: list[tuple[int, float]]) -> None:
    bucket, now, passed, largest = TokenBucket(), 0.0, 0, 0
    for count, pause_s in asks:
        now += pause_s
        wait_s = bucket.take(count, rate=rate, now=now)
        if wait_s:
            now += wait_s * 1.000001
            assert bucket.take(count, rate=rate, now=now) < 1e-3, "what it says is enough"
        passed += count
        largest = max(largest, count)

    assert passed <= rate * now * 1.001 + max(rate * BURST_S, largest) + 1


def test_a_changed_rate_counts_at_once() -> None:
    bucket = TokenBucket()
    bucket.take(1000, rate=1000, now=0)

    assert bucket.take(1000, rate=1000, now=0) == 1
    assert bucket.take(1000, rate=10, now=0) == 100
    assert bucket.take(1000, rate=100_000, now=0.01) == 0


def test_what_was_not_read_is_given_back() -> None:
    bucket = TokenBucket()
    bucket.take(1000, rate=1000, now=0)
    bucket.put_back(600)

    assert bucket.take(600, rate=1000, now=0) == 0


def test_without_a_limit_nobody_waits() -> None:
    assert Throttle(Controls(), time.monotonic).wait(1 << 18, threading.Event()) == 1 << 18


def test_a_low_limit_is_read_in_small_portions() -> None:
    assert Throttle(Controls(max_speed=100_000), time.monotonic).wait(1 << 18, threading.Event()) <= 2000


def test_whoever_waits_goes_on_when_the_limit_is_lifted() -> None:
    controls = Controls(max_speed=1)
    throttle, waits = Throttle(controls, time.monotonic), threading.Event()
    throttle.wait(1 << 18, waits)
    allowed: list[int] = []

    thread = threading.Thread(target=lambda: allowed.append(throttle.wait(1 << 18, waits)))
    thread.start()
    controls.max_speed = None
    thread.join(10)

    assert allowed == [1 << 18]


def test_whoever_waits_is_stopped() -> None:
    throttle, stop = Throttle(Controls(max_speed=1), time.monotonic), threading.Event()
    throttle.wait(1 << 18, stop)
    allowed: list[int] = []

    thread = threading.Thread(target=lambda: allowed.append(throttle.wait(1 << 18, stop)))
    thread.start()
    stop.set()
    thread.join(10)

    assert allowed == [0]
