"""Many threads keep to one speed together; whoever reads waits through a pause."""

from __future__ import annotations

import doctest
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter import work
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.work import BURST_S, SILENT, Controls, RateLimiter, Reporter, Work
from tests.transfer.origin import Recorder


def test_the_examples_in_the_docstrings_are_right() -> None:
    assert doctest.testmod(work).failed == 0


@given(
    st.floats(1, 1e9),
    st.lists(st.tuples(st.integers(1, 1 << 18), st.floats(0, 3)), min_size=1, max_size=100),
)
def test_no_more_passes_than_the_rate_and_one_burst(rate: float, asks: list[tuple[int, float]]) -> None:
    bucket, now, passed, largest = RateLimiter(), 0.0, 0, 0
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
    bucket = RateLimiter()
    bucket.take(1000, rate=1000, now=0)

    assert bucket.take(1000, rate=1000, now=0) == 1
    assert bucket.take(1000, rate=10, now=0) == 100
    assert bucket.take(1000, rate=100_000, now=0.01) == 0


def test_what_was_not_read_is_given_back() -> None:
    bucket = RateLimiter()
    bucket.take(1000, rate=1000, now=0)
    bucket.put_back(600)

    assert bucket.take(600, rate=1000, now=0) == 0


def test_without_a_limit_nobody_waits() -> None:
    assert Work().allowance(1 << 18, threading.Event()) == 1 << 18


def test_a_low_limit_is_read_in_small_portions() -> None:
    assert Work(controls=Controls(max_speed=100_000)).allowance(1 << 18, threading.Event()) <= 2000


def test_whoever_waits_goes_on_when_the_limit_is_lifted() -> None:
    controls = Controls(max_speed=1)
    limited, waits = Work(controls=controls), threading.Event()
    limited.allowance(1 << 18, waits)
    allowed: list[int] = []

    thread = threading.Thread(target=lambda: allowed.append(limited.allowance(1 << 18, waits)))
    thread.start()
    controls.max_speed = None
    thread.join(120)

    assert allowed == [1 << 18]


def test_whoever_waits_is_stopped() -> None:
    limited, stop = Work(controls=Controls(max_speed=1)), threading.Event()
    limited.allowance(1 << 18, stop)
    allowed: list[int] = []

    thread = threading.Thread(target=lambda: allowed.append(limited.allowance(1 << 18, stop)))
    thread.start()
    stop.set()
    thread.join(120)

    assert allowed == [0]


class PlayedTime(threading.Event):
    """A stop signal whose waiting moves the clock, and does something at a given time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.at: dict[float, object] = {}

    def clock(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert timeout <= 0.25, "a change of the controls would be noticed too late"
        self.now += timeout
        for moment in [moment for moment in self.at if moment <= self.now]:
            action = self.at.pop(moment)
            assert callable(action)
            action()
        return self.is_set()


def played(signal: PlayedTime, controls: Controls, reporter: Reporter = SILENT) -> Work:
    return Work(reporter, signal, controls, RateLimiter(signal.clock))


def test_reading_keeps_to_the_speed() -> None:
    signal = PlayedTime()
    reader = played(signal, Controls(max_speed=10.0))

    for _ in range(5):
        reader.pace(20)

    assert signal.now == pytest.approx(10.0)


def test_time_that_passes_anyway_is_not_waited_for() -> None:
    signal = PlayedTime()
    reader = played(signal, Controls(max_speed=10.0))
    reader.pace(10)

    signal.now += 100  # a slow disk; that does not allow a burst afterwards
    reader.pace(10)
    before = signal.now
    reader.pace(10)

    assert signal.now - before == pytest.approx(1.0)


def test_a_limit_lifted_while_waiting_ends_the_wait() -> None:
    signal = PlayedTime()
    controls = Controls(max_speed=1.0)
    signal.at[2.0] = lambda: setattr(controls, "max_speed", None)

    played(signal, controls).pace(1000)

    assert signal.now < 2.3


def test_a_pause_lasts_until_it_ends_and_is_said_once() -> None:
    signal = PlayedTime()
    controls = Controls(is_paused=True)
    signal.at[5.0] = lambda: setattr(controls, "is_paused", False)
    recorder = Recorder()

    played(signal, controls, recorder).pace(10)

    assert 5.0 <= signal.now < 5.3
    assert recorder.phases() == ["paused"]
    assert len(recorder.events) == 1


def test_a_pause_pays_nothing_off() -> None:
    signal = PlayedTime()
    controls = Controls(is_paused=True, max_speed=10.0)
    signal.at[5.0] = lambda: setattr(controls, "is_paused", False)

    played(signal, controls).pace(20)

    assert signal.now == pytest.approx(7.0, abs=0.3)


@pytest.mark.parametrize("controls", [Controls(is_paused=True), Controls(max_speed=1.0)])
def test_a_stop_ends_every_wait(controls: Controls) -> None:
    signal = PlayedTime()
    signal.at[1.0] = signal.set

    with pytest.raises(Stopped):
        played(signal, controls).pace(1000)

    assert signal.now < 1.3
