from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import AccessDenied, HubBusy, SourceFailed
from qwen3ft_jupyter.transfer.board import Board
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.transfer.patience import RetryPolicy
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
    assert served.supplier.allowance.limit == 1


def test_a_pause_calls_every_connection_back(game: Game) -> None:
    flights = [game.take() for _ in range(3)]

    game.board.pause(is_paused=True)

    assert all(flight.stop.is_set() for flight in flights)
