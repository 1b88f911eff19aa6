from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import AccessDenied, HubBusy, SourceFailed
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer.board import ASIDE_FAILURES, Board
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.transfer.plan import object_key
from qwen3ft_jupyter.transfer.rates import SILENT_S
from qwen3ft_jupyter.transfer.transit import Transit
from tests.transfer.origin import Recorder, remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.flight import Flight
    from qwen3ft_jupyter.transfer.source import ByteStream

MB = 1 << 20
POLICY = RetryPolicy(attempts=6, refused_attempts=1, first_delay_s=1, max_delay_s=4)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Named:
    """A source that is only talked about."""

    def __init__(self, name: str) -> None:
        self.name = name

    def has(self, _file: RemoteFile) -> bool:
        return True

    def open(
        self, file: RemoteFile, start: int, end: int, *, stop: threading.Event
    ) -> contextlib.AbstractContextManager[ByteStream]:
        raise NotImplementedError


class Game:
    """A board with two sources, A and B, and files of 8 MB."""

    def __init__(self, folder: Path, *, files: int = 1, connections: int = 4) -> None:
        self.clock, self.told = Clock(), Recorder()
        self.transits = []
        for number in range(files):
            file = remote(f"{number}.bin", bytes([number]) * (8 * MB))
            partial = claim(folder, object_key(file), file.size, disk=LOCAL, name=file.path)
            partial.open()
            self.transits.append(Transit(file, partial))
        self.board = Board(
            self.transits,
            [Named("A"), Named("B")],
            connections=connections,
            policy=POLICY,
            clock=self.clock,
            reporter=self.told,
        )

    def take(self) -> Flight:
        flight = self.board.take()
        assert flight is not None
        return flight

    def bring(self, flight: Flight, count: int = 1 << 40, *, seconds: float = 0.1) -> int:
        """Let `count` bytes arrive, or all; return how many were wanted."""
        self.clock.now += seconds
        start = flight.piece.position
        count = self.board.claim(flight, min(count, flight.piece.end - start), seconds)
        if count:
            flight.transit.partial.record(start, start + count, 0, flight.supplier.name)
            self.board.advance(flight, start + count)
        return count

    def give_up(self, flight: Flight) -> None:
        """Let the thread of a connection that was stopped for a reason come back."""
        assert flight.error is not None
        self.board.failed(flight, flight.error)
        self.board.returned(flight)

    def complete(self, transit: Transit) -> set[str]:
        """Bring all of one file from whoever is asked; return their names."""
        names = set()
        while not transit.pieces.is_complete:
            flight = self.take()
            self.bring(flight)
            self.board.returned(flight)
            names |= {flight.supplier.name} if flight.transit is transit else set()
        return names


@pytest.fixture
def game(tmp_path: Path) -> Iterator[Game]:
    game = Game(tmp_path)
    yield game
    for transit in game.transits:
        transit.partial.close(release=False)


def test_a_liar_is_asked_no_more_for_other_files(tmp_path: Path) -> None:
    game = Game(tmp_path, files=2)
    first, second = game.transits
    assert game.complete(first) == {"A", "B"}
    trial = game.board.doubt(first)
    assert trial is not None
    assert trial.believed == "A"
    game.board.retry(first, trial)
    first.doubt.contradicted.add("B")
    game.complete(first)

    assert game.board.verified(first) == {"B"}

    flights = [game.take() for _ in range(4)]
    assert {flight.supplier.name for flight in flights} == {"A"}
    assert {flight.transit for flight in flights} == {second}


def test_a_liar_is_better_than_nobody(game: Game) -> None:
    for supplier in game.board._suppliers:
        supplier.is_liar = True

    assert game.take() is not None


def test_a_file_is_not_judged_while_somebody_has_something_to_note_about_it(game: Game) -> None:
    """The loser of a race has brought bytes before; its thread notes them in the journal when it returns."""
    (transit,) = game.transits
    loser = game.take()
    game.bring(loser, 1000)
    while not transit.pieces.is_complete:
        game.clock.now += SILENT_S * 1.1
        flight = game.take()
        game.bring(flight)
        game.board.returned(flight)

    assert not game.board._wants_hashing(transit)
    assert loser.stop.is_set(), "it is told to come back"
    assert game.bring(loser, 1000) == 0
    game.board.returned(loser)
    assert game.board._wants_hashing(transit)


def test_a_silent_connection_is_raced_by_the_other_source(game: Game) -> None:
    flights = [game.take() for _ in range(2)]
    for flight in flights:
        for _ in range(3):
            game.bring(flight, 200_000)
    silent = flights[0]
    while silent.transit.pieces.untaken_bytes:
        flight = game.take()
        game.bring(flight)
        game.board.returned(flight)
    game.bring(flights[1])
    game.board.returned(flights[1])
    game.clock.now += 3.0

    helper = game.take()

    assert helper.supplier.name != silent.supplier.name
    assert (helper.piece.start, helper.piece.end) == (silent.piece.claimed, silent.piece.end)


def test_a_refusal_that_is_final_leads_to_the_other_source_aloud(game: Game) -> None:
    flight = game.take()
    game.board.failed(flight, AccessDenied("No."))
    game.board.returned(flight)

    assert {game.take().supplier.name for _ in range(4)} == {"B" if flight.supplier.name == "A" else "A"}
    assert game.told.notices == [f"No. Going on from {'B' if flight.supplier.name == 'A' else 'A'}."]


def test_when_all_sources_are_given_up_the_last_error_ends_the_work(game: Game) -> None:
    error = AccessDenied("No.")
    for _ in range(2):
        flight = game.take()
        game.board.failed(flight, error)
        game.board.returned(flight)

    assert game.board.error is error
    assert game.board.take() is None


def test_a_source_that_asks_to_wait_is_left_alone_so_long(game: Game) -> None:
    flight = game.take()
    game.board.failed(flight, HubBusy("Busy.", details={"retry_after_s": "30"}))
    game.board.returned(flight)

    names = {game.take().supplier.name for _ in range(2)}
    assert flight.supplier.name not in names
    game.clock.now += 31
    assert flight.supplier.name in {game.take().supplier.name for _ in range(2)}


def test_a_source_that_fails_again_and_again_is_put_aside_aloud_and_only_once(game: Game) -> None:
    told = []
    for _ in range(5):
        game.clock.now += 60
        flights = [game.take() for _ in range(2)]
        assert {flight.supplier.name for flight in flights} == {"A", "B"}
        for flight in flights:
            if flight.supplier.name == "A":
                game.board.failed(flight, SourceFailed("A broke off."))
            game.board.returned(flight)
        told.append(list(game.told.notices))

    assert told == [[], []] + 3 * [["A broke off. Going on from B."]]


def test_a_connection_that_starves_is_given_up_for_another_one(game: Game) -> None:
    flights = [game.take() for _ in range(3)]
    slow, fast = flights[0], next(flight for flight in flights[1:] if flight.supplier is flights[0].supplier)
    for _ in range(110):
        game.bring(fast, 10_000)
        game.bring(slow, 100, seconds=0.0)

    game.board.look()

    assert slow.stop.is_set()
    assert not fast.stop.is_set()


def test_connections_that_are_never_served_are_given_up_and_their_number_is_lowered(game: Game) -> None:
    flights = [game.take() for _ in range(4)]
    served, kept_waiting = (flight for flight in flights if flight.supplier is flights[0].supplier)
    for _ in range(110):
        game.bring(served, 10_000)

    game.board.look()

    assert kept_waiting.stop.is_set()
    assert not served.stop.is_set()
    game.give_up(kept_waiting)
    assert served.supplier.allowance.limit == 1
    assert not game.told.notices, "nothing is wrong with the source"


def test_a_source_that_stalls_is_put_aside_aloud_while_another_one_brings_bytes(game: Game) -> None:
    flights = [game.take() for _ in range(2)]
    game.bring(flights[0], 10_000)
    for _ in range(ASIDE_FAILURES):
        for _ in range(110):
            game.bring(flights[1], 1000)
        game.board.look()
        assert flights[0].stop.is_set()
        game.give_up(flights[0])
        game.clock.now += 5
        while (flight := game.take()).supplier is not flights[0].supplier:
            game.bring(flights[1], 1000)
            game.board.returned(flight)
        flights[0] = flight

    stalled, other = (flight.supplier.name for flight in flights)
    assert game.told.notices == [f"{stalled} went silent. Going on from {other}."]


def test_when_nobody_brings_anything_no_connection_is_to_blame(game: Game) -> None:
    """A link that was away for a minute comes back on one connection first."""
    flights = [game.take() for _ in range(4)]
    for flight in flights:
        game.bring(flight, 1000)
    game.clock.now += 60
    game.board.look()
    game.bring(flights[0], 1000)

    game.board.look()

    assert not any(flight.stop.is_set() for flight in flights)


def test_an_answer_that_takes_long_is_waited_for_where_there_is_no_other(tmp_path: Path) -> None:
    """Breaking it off and asking again would begin the wait anew, for ever."""
    game = Game(tmp_path, connections=1)
    flight = game.take()
    game.bring(flight, MB, seconds=1.0)
    game.bring(flight, seconds=1.0)
    game.board.returned(flight)
    flight = game.take()
    while flight.supplier.speed is None:
        game.bring(flight, seconds=1.0)
        game.board.returned(flight)
        flight = game.take()

    game.clock.now += 25
    game.board.look()

    assert not flight.stop.is_set()


def test_one_refusal_beside_connections_that_are_served_leaves_these_alone(game: Game) -> None:
    flights = [game.take() for _ in range(4)]
    served, refused = (flight for flight in flights if flight.supplier is flights[0].supplier)
    game.bring(served, 1000)

    game.board.failed(refused, HubBusy("Too many.", details={"status": "429", "retry_after_s": "7200"}))
    game.board.returned(refused)

    game.bring(served)
    game.board.returned(served)
    assert game.take().supplier is served.supplier
    assert served.supplier.allowance.limit == 1
    assert not game.told.notices


def test_a_short_wait_is_kept_though_other_connections_are_served(game: Game) -> None:
    flights = [game.take() for _ in range(4)]
    served, refused = (flight for flight in flights if flight.supplier is flights[0].supplier)
    game.bring(served, 1000)

    game.board.failed(refused, HubBusy("Too many.", details={"status": "429", "retry_after_s": "30"}))
    game.board.returned(refused)

    assert game.take().supplier is not served.supplier
    assert not served.stop.is_set(), "what is under way goes on"
    game.clock.now += 31
    game.bring(served)
    game.board.returned(served)
    assert game.take().supplier is served.supplier


def test_who_loses_a_race_is_called_back_at_once(game: Game) -> None:
    (transit,) = game.transits
    slow = game.take()
    game.bring(slow, 1000)
    while transit.pieces.untaken_bytes:
        flight = game.take()
        game.bring(flight)
        game.board.returned(flight)
    game.clock.now += SILENT_S * 2
    fast = game.take()
    assert fast.piece.start == slow.piece.claimed

    game.bring(fast, 1000)

    assert slow.stop.is_set()
    assert not fast.stop.is_set()


def test_a_connection_that_we_hold_back_is_not_silent(game: Game) -> None:
    flight = game.take()
    game.bring(flight, 1000)
    flight.is_held = True
    game.clock.now += 60

    assert not flight.is_silent(game.clock.now)
    assert flight.waited_s(game.clock.now) == 0


def test_time_for_which_we_held_it_back_is_no_distance_of_a_source(game: Game) -> None:
    flight = game.take()
    flight.held_s = 7.0
    game.bring(flight, 1000, seconds=7.5)

    assert flight.supplier.latency_s == pytest.approx(0.5)


def test_a_pause_calls_every_connection_back(game: Game) -> None:
    flights = [game.take() for _ in range(3)]

    game.board.pause(is_paused=True)

    assert all(flight.stop.is_set() for flight in flights)
