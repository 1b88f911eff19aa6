from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import AccessDenied, HubBusy, SourceFailed
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer.connection_limit import ConnectionLimit
from qwen3ft_jupyter.transfer.file_download import FileDownload
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.transfer.pieces import SILENT_S
from qwen3ft_jupyter.transfer.range_chooser import SPARE_FILES, RangeChooser
from qwen3ft_jupyter.transfer.scheduler import ASIDE_FAILURES, Scheduler
from qwen3ft_jupyter.transfer.source_states import SourceState
from tests.transfer.origin import Recorder, remote

if TYPE_CHECKING:
    import contextlib
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.source import ByteStream
    from qwen3ft_jupyter.transfer.source_states import RangeFetch

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
    """A scheduler with two sources, A and B, and files of 8 MB."""

    def __init__(self, folder: Path, *, files: int = 1, connections: int = 4) -> None:
        self.clock, self.told = Clock(), Recorder()
        self.downloads = []
        for number in range(files):
            file = remote(f"{number}.bin", bytes([number]) * (8 * MB))
            partial = claim(folder, object_key(file), file.size, disk=LOCAL, name=file.path)
            partial.open()
            self.downloads.append(FileDownload(file, partial))
        states = [SourceState(Named(name), POLICY, ConnectionLimit(connections)) for name in "AB"]
        chooser = RangeChooser(self.downloads, states, connections)
        self.scheduler = Scheduler(chooser, policy=POLICY, clock=self.clock, reporter=self.told)

    def take(self) -> RangeFetch:
        range_fetch = self.scheduler.take()
        assert range_fetch is not None
        return range_fetch

    def bring(self, range_fetch: RangeFetch, count: int = 1 << 40, *, seconds: float = 0.1) -> int:
        """Let `count` bytes arrive, or all, after the answer; return how many were wanted."""
        if not range_fetch.is_served:
            self.scheduler.opened(range_fetch)
        self.clock.now += seconds
        start = range_fetch.piece.position
        count = self.scheduler.claim(range_fetch, min(count, range_fetch.piece.end - start), seconds)
        if count:
            range_fetch.download.partial.record(start, start + count, 0, range_fetch.source_state.name)
            self.scheduler.advance(range_fetch, start + count)
        return count

    def give_up(self, range_fetch: RangeFetch) -> None:
        """Let the thread of a connection that was stopped for a reason come back."""
        assert range_fetch.error is not None
        self.scheduler.failed(range_fetch, range_fetch.error)
        self.scheduler.returned(range_fetch)

    def complete(self, download: FileDownload) -> set[str]:
        """Bring all of one file from whoever is asked; return their names."""
        names = set()
        while not download.pieces.is_complete:
            range_fetch = self.take()
            self.bring(range_fetch)
            self.scheduler.returned(range_fetch)
            names |= {range_fetch.source_state.name} if range_fetch.download is download else set()
        return names


@pytest.fixture
def game(tmp_path: Path) -> Iterator[Game]:
    game = Game(tmp_path)
    yield game
    for download in game.downloads:
        download.partial.close(release=False)


def test_a_liar_is_asked_no_more_for_other_files(tmp_path: Path) -> None:
    game = Game(tmp_path, files=2)
    first, second = game.downloads
    assert game.complete(first) == {"A", "B"}
    suspects = game.scheduler.next_suspects(first)
    assert suspects is not None
    assert suspects.trusted == "A"
    game.scheduler.retry(first, suspects)
    first.corruption_search.contradicted.add("B")
    game.complete(first)

    assert game.scheduler.verified(first) == {"B"}

    range_fetches = [game.take() for _ in range(4)]
    assert {range_fetch.source_state.name for range_fetch in range_fetches} == {"A"}
    assert {range_fetch.download for range_fetch in range_fetches} == {second}


def test_a_liar_is_better_than_nobody(game: Game) -> None:
    for source_state in game.scheduler._source_states:
        source_state.is_bad = True

    assert game.take() is not None


def test_a_file_is_not_judged_while_somebody_has_something_to_note_about_it(game: Game) -> None:
    """The loser of a race has brought bytes before; its thread notes them in the journal when it returns."""
    (download,) = game.downloads
    loser = game.take()
    game.bring(loser, 1000)
    while not download.pieces.is_complete:
        game.clock.now += SILENT_S * 1.1
        range_fetch = game.take()
        game.bring(range_fetch)
        game.scheduler.returned(range_fetch)

    assert not game.scheduler._wants_hashing(download)
    assert loser.stop.is_set(), "it is told to come back"
    assert game.bring(loser, 1000) == 0
    game.scheduler.returned(loser)
    assert game.scheduler._wants_hashing(download)


def test_a_silent_connection_is_raced_by_the_other_source(game: Game) -> None:
    range_fetches = [game.take() for _ in range(2)]
    for range_fetch in range_fetches:
        for _ in range(3):
            game.bring(range_fetch, 200_000)
    silent = range_fetches[0]
    while silent.download.pieces.untaken_bytes:
        range_fetch = game.take()
        game.bring(range_fetch)
        game.scheduler.returned(range_fetch)
    game.bring(range_fetches[1])
    game.scheduler.returned(range_fetches[1])
    game.clock.now += 3.0

    helper = game.take()

    assert helper.source_state.name != silent.source_state.name
    assert (helper.piece.start, helper.piece.end) == (silent.piece.claimed, silent.piece.end)


def test_a_refusal_that_is_final_leads_to_the_other_source_aloud(game: Game) -> None:
    range_fetch = game.take()
    game.scheduler.failed(range_fetch, AccessDenied("No."))
    game.scheduler.returned(range_fetch)

    assert {game.take().source_state.name for _ in range(4)} == {"B" if range_fetch.source_state.name == "A" else "A"}
    assert game.told.notices == [f"No. Going on from {'B' if range_fetch.source_state.name == 'A' else 'A'}."]


def test_when_all_sources_are_given_up_the_last_error_ends_the_work(game: Game) -> None:
    error = AccessDenied("No.")
    for _ in range(2):
        range_fetch = game.take()
        game.scheduler.failed(range_fetch, error)
        game.scheduler.returned(range_fetch)

    assert game.scheduler.error is error
    assert game.scheduler.take() is None


def test_a_source_that_asks_to_wait_is_left_alone_so_long(game: Game) -> None:
    range_fetch = game.take()
    game.scheduler.failed(range_fetch, HubBusy("Busy.", details={"retry_after_s": "30"}))
    game.scheduler.returned(range_fetch)

    names = {game.take().source_state.name for _ in range(2)}
    assert range_fetch.source_state.name not in names
    game.clock.now += 31
    assert range_fetch.source_state.name in {game.take().source_state.name for _ in range(2)}


def test_a_source_that_fails_again_and_again_is_put_aside_aloud_and_only_once(game: Game) -> None:
    told = []
    for _ in range(5):
        game.clock.now += 60
        range_fetches = [game.take() for _ in range(2)]
        assert {range_fetch.source_state.name for range_fetch in range_fetches} == {"A", "B"}
        for range_fetch in range_fetches:
            if range_fetch.source_state.name == "A":
                game.scheduler.failed(range_fetch, SourceFailed("A broke off."))
            game.scheduler.returned(range_fetch)
        told.append(list(game.told.notices))

    assert told == [[], []] + 3 * [["A broke off. Going on from B."]]


def test_a_connection_that_starves_is_given_up_for_another_one(game: Game) -> None:
    range_fetches = [game.take() for _ in range(3)]
    slow, fast = (
        range_fetches[0],
        next(
            range_fetch
            for range_fetch in range_fetches[1:]
            if range_fetch.source_state is range_fetches[0].source_state
        ),
    )
    for _ in range(110):
        game.bring(fast, 10_000)
        game.bring(slow, 100, seconds=0.0)

    game.scheduler.look()

    assert slow.stop.is_set()
    assert not fast.stop.is_set()


def test_connections_that_are_never_served_are_given_up_and_their_number_is_lowered(game: Game) -> None:
    range_fetches = [game.take() for _ in range(4)]
    served, kept_waiting = (
        range_fetch for range_fetch in range_fetches if range_fetch.source_state is range_fetches[0].source_state
    )
    for _ in range(110):
        game.bring(served, 10_000)

    game.scheduler.look()

    assert kept_waiting.stop.is_set()
    assert not served.stop.is_set()
    game.give_up(kept_waiting)
    assert served.source_state.connection_limit.limit == 1
    assert not game.told.notices, "nothing is wrong with the source"


def test_a_source_that_stalls_is_put_aside_aloud_while_another_one_brings_bytes(game: Game) -> None:
    range_fetches = [game.take() for _ in range(2)]
    game.bring(range_fetches[0], 10_000)
    for _ in range(ASIDE_FAILURES):
        for _ in range(110):
            game.bring(range_fetches[1], 1000)
        game.scheduler.look()
        assert range_fetches[0].stop.is_set()
        game.give_up(range_fetches[0])
        game.clock.now += 5
        while (range_fetch := game.take()).source_state is not range_fetches[0].source_state:
            game.bring(range_fetches[1], 1000)
            game.scheduler.returned(range_fetch)
        range_fetches[0] = range_fetch

    stalled, other = (range_fetch.source_state.name for range_fetch in range_fetches)
    assert game.told.notices == [f"{stalled} went silent. Going on from {other}."]


def test_when_nobody_brings_anything_no_connection_is_to_blame(game: Game) -> None:
    """A link that was away for a minute comes back on one connection first."""
    range_fetches = [game.take() for _ in range(4)]
    for range_fetch in range_fetches:
        game.bring(range_fetch, 1000)
    game.clock.now += 60
    game.scheduler.look()
    game.bring(range_fetches[0], 1000)

    game.scheduler.look()

    assert not any(range_fetch.stop.is_set() for range_fetch in range_fetches)


def test_an_answer_that_takes_long_is_waited_for_where_there_is_no_other(tmp_path: Path) -> None:
    """Breaking it off and asking again would begin the wait anew, for ever."""
    game = Game(tmp_path, connections=1)
    range_fetch = game.take()
    game.bring(range_fetch, MB, seconds=1.0)
    game.bring(range_fetch, seconds=1.0)
    game.scheduler.returned(range_fetch)
    range_fetch = game.take()
    while range_fetch.source_state.speed is None:
        game.bring(range_fetch, seconds=1.0)
        game.scheduler.returned(range_fetch)
        range_fetch = game.take()

    game.clock.now += 25
    game.scheduler.look()

    assert not range_fetch.stop.is_set()


@pytest.mark.parametrize("have_bytes_come", [True, False])
def test_one_refusal_beside_connections_that_are_served_leaves_these_alone(
    game: Game, *, have_bytes_come: bool
) -> None:
    range_fetches = [game.take() for _ in range(4)]
    served, refused = (
        range_fetch for range_fetch in range_fetches if range_fetch.source_state is range_fetches[0].source_state
    )
    game.scheduler.opened(served)
    if have_bytes_come:
        game.bring(served, 1000)

    game.scheduler.failed(refused, HubBusy("Too many.", details={"status": "429", "retry_after_s": "7200"}))
    game.scheduler.returned(refused)

    game.bring(served)
    game.scheduler.returned(served)
    assert game.take().source_state is served.source_state
    assert served.source_state.connection_limit.limit == 1
    assert not game.told.notices


def test_a_short_wait_is_kept_though_other_connections_are_served(game: Game) -> None:
    range_fetches = [game.take() for _ in range(4)]
    served, refused = (
        range_fetch for range_fetch in range_fetches if range_fetch.source_state is range_fetches[0].source_state
    )
    game.bring(served, 1000)

    game.scheduler.failed(refused, HubBusy("Too many.", details={"status": "429", "retry_after_s": "30"}))
    game.scheduler.returned(refused)

    assert game.take().source_state is not served.source_state
    assert not served.stop.is_set(), "what is under way goes on"
    game.clock.now += 31
    game.bring(served)
    game.scheduler.returned(served)
    assert game.take().source_state is served.source_state


def test_who_loses_a_race_is_called_back_at_once(game: Game) -> None:
    (download,) = game.downloads
    slow = game.take()
    game.bring(slow, 1000)
    while download.pieces.untaken_bytes:
        range_fetch = game.take()
        game.bring(range_fetch)
        game.scheduler.returned(range_fetch)
    game.clock.now += SILENT_S * 2
    fast = game.take()
    assert fast.piece.start == slow.piece.claimed

    game.bring(fast, 1000)

    assert slow.stop.is_set()
    assert not fast.stop.is_set()


def test_a_connection_that_we_hold_back_is_not_silent(game: Game) -> None:
    range_fetch = game.take()
    game.bring(range_fetch, 1000)
    range_fetch.is_held = True
    game.clock.now += 60

    assert not range_fetch.is_silent(game.clock.now)
    assert range_fetch.waited_s(game.clock.now) == 0


def test_the_distance_of_a_source_is_the_time_to_its_answer_however_late_the_bytes_are_taken(game: Game) -> None:
    range_fetch = game.take()
    game.clock.now += 0.5
    game.scheduler.opened(range_fetch)
    game.clock.now += 7.0
    game.bring(range_fetch, 1000)

    assert range_fetch.source_state.latency_s == pytest.approx(0.5)


def test_what_comes_with_the_answer_says_nothing_of_the_speed(game: Game) -> None:
    for count, says in ((1000, False), (500_000, True)):
        range_fetch = game.take()
        game.bring(range_fetch, count, seconds=0.1)

        assert (range_fetch.rate.per_s() is not None) == says


def test_a_pause_calls_every_connection_back(game: Game) -> None:
    range_fetches = [game.take() for _ in range(3)]

    game.scheduler.pause(is_paused=True)

    assert all(range_fetch.stop.is_set() for range_fetch in range_fetches)


def test_for_how_long_nothing_has_come_is_said(game: Game) -> None:
    range_fetch = game.take()
    assert game.scheduler.describe() == "connections: 1 from A"

    game.clock.now += 12
    assert game.scheduler.describe() == "nothing for 12 seconds; connections: 1 from A"

    game.bring(range_fetch, 1000)
    assert game.scheduler.describe() == "connections: 1 from A"


def test_a_pause_of_the_work_is_not_time_without_bytes(game: Game) -> None:
    game.scheduler.pause(is_paused=True)
    game.clock.now += 600
    game.scheduler.pause(is_paused=False)

    assert "nothing for" not in game.scheduler.describe()


def test_a_status_about_one_file_says_nothing_of_the_others(tmp_path: Path) -> None:
    game = Game(tmp_path, files=2)
    state = game.scheduler._source_states[0]
    for _ in range(2):
        range_fetch = next(one for one in iter(game.take, None) if one.source_state is state)
        error = SourceFailed("HTTP 418", details={"cause": "status"})
        game.scheduler.failed(range_fetch, error)
        game.scheduler.returned(range_fetch)
        game.clock.now += 10

    assert state.is_exhausted(id(range_fetch.download))
    assert not state.trouble.is_exhausted


def test_a_source_is_charged_with_no_more_failures_in_a_row_than_one_of_its_files_has_seen(tmp_path: Path) -> None:
    """Files that fail one after the other, each once, do not add up to a source that fails again and again."""
    game = Game(tmp_path, files=ASIDE_FAILURES + 2)
    taken = game.take()
    state = taken.source_state

    def fail(download: FileDownload) -> int:
        """Let an attempt begin after all earlier ones have failed, and fail as well; return the source's failures."""
        game.clock.now += 60
        attempt = state.fetch(download, taken.piece, game.clock.now)
        game.clock.now += 1
        game.scheduler._blame(attempt, SourceFailed("It broke off."), 0.0, game.clock.now)
        return state.trouble.failures

    assert [fail(download) for download in game.downloads] == [1] * len(game.downloads)
    assert [fail(game.downloads[0]) for _ in range(2)] == [2, 3]
    assert fail(game.downloads[1]) == 3
    state.trouble.gained()
    assert [fail(game.downloads[2]), fail(game.downloads[2])] == [1, 2]


def test_a_break_after_minutes_of_bytes_costs_no_patience(game: Game) -> None:
    """A connection is counted by the time for which it brought nothing, not by its age."""
    range_fetch = game.take()
    for _ in range(300):
        game.bring(range_fetch, 1000, seconds=1.0)

    game.scheduler.failed(range_fetch, SourceFailed("A broke off."))
    game.scheduler.returned(range_fetch)

    state = range_fetch.source_state
    assert not state.is_exhausted(id(range_fetch.download))
    assert game.scheduler.error is None


def test_time_for_which_we_made_it_wait_costs_no_patience(game: Game) -> None:
    range_fetch = game.take()
    range_fetch.is_held = True
    game.clock.now += 300

    game.scheduler.failed(range_fetch, SourceFailed("A broke off."))
    game.scheduler.returned(range_fetch)

    assert not range_fetch.source_state.is_exhausted(id(range_fetch.download))


def test_files_that_have_arrived_and_wait_for_their_digest_are_few(tmp_path: Path) -> None:
    """Else small files that arrive faster than they are hashed would exhaust the descriptors."""
    game = Game(tmp_path, files=12, connections=4)
    while (range_fetch := game.scheduler.take(waits=False)) is not None:
        game.bring(range_fetch)
        game.scheduler.returned(range_fetch)
    arrived = [download for download in game.downloads if download.pieces.is_complete]
    assert arrived == game.downloads[: 4 + SPARE_FILES]

    game.scheduler.verified(arrived[0])

    range_fetch = game.take()
    assert range_fetch.download is game.downloads[len(arrived)]
