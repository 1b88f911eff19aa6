from __future__ import annotations

from qwen3ft_jupyter.transfer.meter import Meter
from tests.transfer.origin import Recorder


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_at_most_five_events_a_second() -> None:
    clock, told = Clock(), Recorder()
    meter = Meter(told, "transferring", 1000, clock=clock)
    for step in range(1000):
        clock.now = step / 100
        meter.update(step)

    assert 40 <= len(told.events) <= 51


def test_the_count_never_goes_back_nor_beyond_the_total() -> None:
    clock, told = Clock(), Recorder()
    meter = Meter(told, "transferring", 100, clock=clock)
    for done in (10, 50, 20, 60, 150):
        clock.now += 1
        meter.update(done)

    assert [event.done for event in told.events] == [10, 50, 50, 60, 100]


def test_a_steady_rate_is_told_with_the_time_left() -> None:
    clock, told = Clock(), Recorder()
    meter = Meter(told, "transferring", 10_000, done=1000, clock=clock)
    for second in range(1, 6):
        clock.now = second
        meter.update(1000 + 500 * second)

    last = told.events[-1]
    assert last.rate == 500
    assert last.eta_s == (10_000 - 3500) / 500


def test_a_stall_shows_as_a_falling_rate() -> None:
    clock, told = Clock(), Recorder()
    meter = Meter(told, "transferring", 10_000, clock=clock)
    for second, done in enumerate((1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000), 1):
        clock.now = second
        meter.update(done)

    rates = [event.rate or 0 for event in told.events]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 100


def test_when_nothing_comes_no_time_left_is_told_until_bytes_come_again() -> None:
    clock, told = Clock(), Recorder()
    meter = Meter(told, "transferring", 1 << 30, clock=clock)
    for second in range(1, 31):
        clock.now = second
        meter.update(min(second, 10) << 20 if second < 30 else 11 << 20)

    assert told.events[9].eta_s is not None
    assert {event.eta_s for event in told.events[15:29]} == {None}
    assert told.events[29].eta_s is not None


def test_a_few_bytes_a_second_are_no_rate_to_reckon_with() -> None:
    clock, told = Clock(), Recorder()
    meter = Meter(told, "transferring", 1 << 30, clock=clock)
    for second in range(1, 31):
        clock.now = second
        meter.update(3 * second)

    assert told.events[-1].rate == 3
    assert {event.eta_s for event in told.events} == {None}
