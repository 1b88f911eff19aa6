from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import HubBusy, HubUnreachable, SourceFailed
from qwen3ft_jupyter.hubs.retry import DEFAULT_POLICY, RetryPolicy
from qwen3ft_jupyter.transfer.connection_limit import FIRST_CONNECTIONS, FIRST_HOLD_S, ConnectionLimit
from qwen3ft_jupyter.transfer.range_chooser import PROBES, choose, total_speed
from qwen3ft_jupyter.transfer.source import is_refusal
from qwen3ft_jupyter.transfer.source_states import SourceState

if TYPE_CHECKING:
    import threading
    from contextlib import AbstractContextManager

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.source import ByteStream

MB = 1 << 20


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def has(self, file: RemoteFile) -> bool:
        raise NotImplementedError

    def open(
        self, file: RemoteFile, start: int, end: int, *, stop: threading.Event
    ) -> AbstractContextManager[ByteStream]:
        raise NotImplementedError


def source_state(
    name: str, *, speed: float | None = None, connections: int = 0, has_answered: bool = True
) -> SourceState:
    """Return a source of that speed per connection."""
    made = SourceState(Named(name), DEFAULT_POLICY, ConnectionLimit(16), connections=connections, speed=speed)
    if has_answered:
        for _ in range(16):
            made.connection_limit.answered(connections, 0.0)
    return made


def share(source_states: list[SourceState], count: int, *, untaken: int = 1000 * MB) -> dict[str, int]:
    """Hand out `count` connections one after the other; return who got how many."""
    for _ in range(count):
        chosen = choose(source_states, untaken_bytes=untaken, total=total_speed(source_states))
        if chosen is not None:
            chosen.connections += 1
    return {made.name: made.connections for made in source_states}


def test_sources_of_the_same_speed_share_evenly() -> None:
    assert share([source_state("A", speed=10e6), source_state("B", speed=11e6)], 16) == {"A": 8, "B": 8}


def test_a_faster_source_gets_the_connections_and_the_slower_keeps_one() -> None:
    assert share([source_state("A", speed=20e6), source_state("B", speed=2e6)], 16) == {"A": 15, "B": 1}


def test_sources_nobody_knows_share_evenly_at_first() -> None:
    unknown = [source_state(name, has_answered=False) for name in "AB"]

    assert share(unknown, 16) == {"A": 8, "B": 8}


def test_a_late_source_is_tried_at_once_with_a_few_connections() -> None:
    source_states = [source_state("A", speed=20e6, connections=8), source_state("late", has_answered=False)]

    assert share(source_states, 8) == {"A": 14, "late": PROBES}


def test_near_the_end_a_slow_source_is_left_alone() -> None:
    source_states = [source_state("A", speed=20e6, connections=8), source_state("B", speed=10e3)]

    assert share(source_states, 4, untaken=MB) == {"A": 12, "B": 0}


def test_the_only_source_is_never_too_slow() -> None:
    assert share([source_state("A", speed=1.0)], 3, untaken=1) == {"A": 3}


def test_every_answer_allows_one_more_connection() -> None:
    connection_limit = ConnectionLimit(16)
    assert connection_limit.limit == FIRST_CONNECTIONS

    for _ in range(20):
        connection_limit.answered(8, 0.0)

    assert connection_limit.limit == 16


def test_refusals_lower_the_number_to_those_that_are_served() -> None:
    """Of eight connections four are refused, one after the other."""
    connection_limit = ConnectionLimit(16)
    for connections in (8, 7, 6, 5):
        connection_limit.refused(connections, 0.0)

    assert connection_limit.limit == 4


def test_after_a_refusal_one_more_is_tried_after_longer_and_longer_times() -> None:
    connection_limit, now, tried = ConnectionLimit(16), 0.0, []
    connection_limit.refused(5, now)
    for _ in range(5):
        began = now
        while connection_limit.limit == 4:
            now += 0.5
            connection_limit.answered(4, now)
        tried.append(now - began)
        connection_limit.refused(5, now)

    assert tried == [FIRST_HOLD_S * 2**n for n in range(5)]
    assert connection_limit.limit == 4


def test_a_source_that_refuses_everything_keeps_one_connection() -> None:
    connection_limit = ConnectionLimit(16)
    for _ in range(20):
        connection_limit.refused(1, 0.0)

    assert connection_limit.limit == 1


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (HubBusy("x", details={"status": "429"}), True),
        (HubBusy("x", details={"status": "503"}), True),
        (HubBusy("x", details={"status": "500"}), False),
        (HubUnreachable("x", details={"cause": "refused"}), True),
        (SourceFailed("x", details={"cause": "silent"}), True),
        (SourceFailed("x", details={"cause": "reset"}), False),
    ],
    ids=["429", "503", "500", "refused", "silent", "reset"],
)
def test_only_what_tells_of_too_many_connections_lowers_their_number(error: Qwen3ftError, is_one: bool) -> None:  # noqa: FBT001
    assert is_refusal(error) == is_one


def test_a_source_that_brings_nothing_at_all_is_counted_on_no_more_for_any_file() -> None:
    state = SourceState(Named("A"), RetryPolicy(attempts=3, first_delay_s=0), ConnectionLimit(4))
    for number in range(3):  # each over another file
        state.retry_state_for(number).failed(HubBusy("busy"), began=number, now=number)
        state.trouble.failed(HubBusy("busy"), began=number, now=number)

    assert [state.is_exhausted(number) for number in range(4)] == [True] * 4

    state.trouble.gained()
    assert not any(state.is_exhausted(number) for number in range(4))
