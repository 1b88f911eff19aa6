from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer.connection_limit import EPOCH_S, AdaptiveConcurrency

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 16


def watch(rate_of: Callable[[int, float], float], seconds: float, *, limit: int = MOST) -> list[int]:
    """Return the limit at each look while a link brings `rate_of(connections, now)` bytes a second."""
    concurrency, brought, limits = AdaptiveConcurrency(), 0.0, []
    for step in range(int(seconds * 5)):
        now = step / 5
        limit = concurrency.look(int(brought), connections=limit, limit=limit, most=MOST, now=now)
        limits.append(limit)
        brought += rate_of(limit, now) / 5
    return limits


def test_where_every_connection_adds_as_many_as_allowed_are_kept() -> None:
    limits = watch(lambda connections, _: connections * 20e6, 600)

    assert sum(limits) / len(limits) > 0.98 * MOST


def test_a_link_that_a_few_connections_fill_gets_a_few() -> None:
    limits = watch(lambda connections, _: min(100e6, connections * 30e6), 120)

    assert limits[-1] in {3, 4, 5}


def test_a_server_that_many_connections_slow_down_gets_as_many_as_it_serves_best() -> None:
    limits = watch(lambda connections, _: 10e6 * connections * (1 - connections / 16), 120)

    assert 6 <= limits[-1] <= 10


def test_when_the_link_grows_connections_are_added_again() -> None:
    limits = watch(lambda connections, now: min(20e6 if now < 100 else 1e9, connections * 10e6), 1000)

    assert limits[499] <= 4
    assert limits[-1] >= 12


def test_a_short_download_is_left_alone() -> None:
    assert set(watch(lambda _connections, _now: 1e6, 10)) == {MOST}


def test_a_limit_that_others_changed_is_taken_as_it_is() -> None:
    concurrency = AdaptiveConcurrency()
    concurrency.look(0, connections=16, limit=16, most=16, now=0)

    assert concurrency.look(100, connections=16, limit=4, most=16, now=50) == 4


def test_a_source_that_refuses_more_is_not_asked_for_more_again_and_again() -> None:
    """Whatever is tried above four is refused at once, and others lower the limit."""
    concurrency, brought, limit, refused = AdaptiveConcurrency(), 0.0, 4, 0
    for step in range(600 * 5):
        limit = concurrency.look(int(brought), connections=limit, limit=limit, most=MOST, now=step / 5)
        refused += limit > 4
        limit = min(limit, 4)
        brought += limit * 200_000

    assert refused <= 5


def test_a_pause_is_no_measure() -> None:
    """Every connection adds; the time in which nobody looked must not make fewer seem as good."""
    concurrency, brought, limits = AdaptiveConcurrency(), 0, [MOST]
    for step in range(200):
        now = step / 5 + (300 if step >= 45 else 0)
        limits.append(concurrency.look(brought, connections=limits[-1], limit=limits[-1], most=MOST, now=now))
        brought += limits[-1] * 200_000

    assert limits[-1] == MOST
    assert sum(limit < MOST for limit in limits) <= 2 * EPOCH_S * 5


@pytest.mark.parametrize("limit", [1, 2])
def test_one_connection_is_always_kept(limit: int) -> None:
    assert min(watch(lambda _connections, _now: 1e6, 300, limit=limit)) >= 1


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 16)), max_size=200), st.integers(1, 16))
def test_whatever_is_measured_the_limit_stays_within_bounds(looks: list[tuple[int, int]], limit: int) -> None:
    concurrency, brought = AdaptiveConcurrency(), 0
    for step, (count, connections) in enumerate(looks):
        brought += count
        limit = concurrency.look(brought, connections=connections, limit=limit, most=16, now=float(step))
        assert 1 <= limit <= 16
