"""Several connections, several sources: who brings how much, what is done about the slow, the busy and the lying."""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import LOCAL, LocalDisk
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer.corruption_search import ANOTHER_TOOL
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.journal import Record, parse_journal
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.work import Work
from tests.servers import Reply, Seen, Stall, file_reply
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of
from tests.transfer.playing import MB, NAME, Crowded, LateSource, SlowLink, paced, partly, range_of, run, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.http import HttpClient


def test_a_source_ten_times_as_fast_brings_most_of_a_file(client: HttpClient, tmp_path: Path) -> None:
    data = bytes_of(24 * MB)
    with (
        Origin({NAME: data}, fault=lambda seen, _n: paced(seen, data, pause_s=0.002)) as fast,
        Origin({NAME: data}, fault=lambda seen, _n: paced(seen, data, pause_s=0.04), name="huggingface") as slow,
    ):
        sources = [source_of(fast, client), source_of(slow, client)]

        (fetched,) = run(sources, fast.listing(REPO).files, tmp_path, connections=8)

    assert fetched.path.read_bytes() == data
    assert sum(fetched.shares.values()) == fetched.bytes_fetched == len(data)
    assert fetched.shares["ModelScope"] > 3 * fetched.shares["Hugging Face"] > 0


def test_sources_share_in_proportion_to_what_they_give_over_all_connections(client: HttpClient, tmp_path: Path) -> None:
    """One gives 12 MB a second and the other 4, over however many connections."""
    data = bytes_of(24 * MB)
    with (
        Origin({NAME: data}, fault=SlowLink(data, bytes_per_s=12e6)) as fast,
        Origin({NAME: data}, fault=SlowLink(data, bytes_per_s=4e6), name="huggingface") as slow,
    ):
        sources = [source_of(fast, client), source_of(slow, client)]

        (fetched,) = run(sources, fast.listing(REPO).files, tmp_path, connections=16)

    assert fetched.path.read_bytes() == data
    assert 1.5 < fetched.shares["ModelScope"] / fetched.shares["Hugging Face"] < 6


def test_what_was_there_is_no_share_of_this_time(client: HttpClient, tmp_path: Path) -> None:
    data = bytes_of(4 * MB)
    with Origin({NAME: data}) as origin:
        files = origin.listing(REPO).files
        (fetched,) = run([source_of(origin, client)], files, tmp_path)
        fetched.release()

        (again,) = run([source_of(origin, client)], files, tmp_path)

    assert fetched.shares == {"ModelScope": len(data)}
    assert again.shares == {}
    assert again.bytes_fetched == 0


def test_a_tail_that_does_not_come_is_asked_for_once_more(client: HttpClient, tmp_path: Path) -> None:
    """One request brings a little and then nothing. It is not waited for until the connection counts as dead."""
    data = bytes_of(8 * MB)
    stalled: list[Seen] = []

    def fault(seen: Seen, _count: int) -> Reply | None:
        start, end = range_of(seen, data)
        if end < len(data) or stalled:
            return None
        stalled.append(seen)
        return partly(seen, data, [data[start : start + 10_000], Stall()])

    told = Recorder()
    with Origin({NAME: data}, fault=fault) as origin:
        (fetched,) = run([source_of(origin, client)], origin.listing(REPO).files, tmp_path, reporter=told)

        assert fetched.path.read_bytes() == data
        assert stalled
        assert not told.notices
        first, end = range_of(stalled[0], data)
        again = [start for start, _ in origin.ranges(NAME)[origin.ranges(NAME).index((first, end)) + 1 :]]
        assert first + 10_000 in again
        assert not [start for start in again if first <= start < first + 10_000], "what it had brought is kept"


def test_the_end_of_a_slow_piece_is_given_to_those_who_have_nothing_left_to_do(
    client: HttpClient, tmp_path: Path
) -> None:
    """One connection brings 160 kB a second: alone, it would need many seconds for its piece."""
    data = bytes_of(16 * MB)
    slow: list[Seen] = []

    def fault(seen: Seen, _count: int) -> Reply | None:
        if range_of(seen, data)[0] or slow:
            return None
        slow.append(seen)
        return paced(seen, data, pause_s=0.05, step=8 << 10)

    with Origin({NAME: data}, fault=fault) as origin:
        (fetched,) = run([source_of(origin, client)], origin.listing(REPO).files, tmp_path)

        start, end = range_of(slow[0], data)
        helped = [other for other, _ in origin.ranges(NAME) if start < other < end]

    assert fetched.path.read_bytes() == data
    assert helped
    assert end - start > MB


def test_a_source_that_gets_to_know_its_files_later_is_used_from_then_on(client: HttpClient, tmp_path: Path) -> None:
    """The first source holds back the end until the other one was asked."""
    data = bytes_of(16 * MB)
    hold = Stall()

    def hold_the_end(seen: Seen, _count: int) -> Reply | None:
        start, end = range_of(seen, data)
        if end < len(data):
            return None
        late.is_there.set()
        return partly(seen, data, [hold, data[start:end]])

    def let_go(_seen: Seen, _count: int) -> Reply | None:
        hold.event.set()
        return None

    with (
        Origin({NAME: data}, fault=hold_the_end) as first,
        Origin({NAME: data}, fault=let_go, name="huggingface") as other,
    ):
        late = LateSource(source_of(other, client))

        (fetched,) = run([source_of(first, client), late], first.listing(REPO).files, tmp_path)

    assert fetched.path.read_bytes() == data
    assert hold.event.is_set()


def test_a_limit_on_connections_is_found_and_kept(client: HttpClient, tmp_path: Path) -> None:
    data = bytes_of(32 * MB)
    crowded, told = Crowded(data, 4), Recorder()
    with Origin({NAME: data}, fault=crowded) as origin:
        (fetched,) = run(
            [source_of(origin, client)], origin.listing(REPO).files, tmp_path, connections=16, reporter=told
        )

        assert fetched.path.read_bytes() == data
        assert 0 < crowded.refused < len(origin.ranges(NAME)) / 2
    assert "connections: 4 from ModelScope" in {event.detail for event in told.events}


def test_a_connection_that_brings_next_to_nothing_is_given_up_but_not_its_bytes(
    client: HttpClient, tmp_path: Path
) -> None:
    data = bytes_of(MB)
    policy = RetryPolicy(attempts=4, first_delay_s=0.01, least_bytes_per_s=1000, least_rate_s=0.3)

    def fault(seen: Seen, count: int) -> Reply | None:
        return paced(seen, data, pause_s=0.02, step=1) if count == 0 else None

    with Origin({NAME: data}, fault=fault) as origin:
        (fetched,) = run(
            [source_of(origin, client)], origin.listing(REPO).files, tmp_path, connections=1, policy=policy
        )

        assert fetched.path.read_bytes() == data
        assert 0 < origin.ranges(NAME)[1][0] < 100


class Listener(Recorder):
    """Keeps what the journal knew, and how much had been asked, when something was said first."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        super().__init__()
        self.folder = folder
        self.origin = origin
        self.kept: tuple[Record, ...] | None = None
        self.asked = 0

    def notice(self, message: str) -> None:
        if self.kept is None:
            journals = [parse_journal(path.read_bytes()) for path in self.folder.glob("*.journal")]
            self.kept = tuple(record for journal in journals if journal is not None for record in journal.records)
            self.asked = len(self.origin.ranges(NAME))
        super().notice(message)


def overlap(ranges: Sequence[tuple[int, int]], records: Sequence[Record]) -> bool:
    return any(start < record.end and record.start < end for start, end in ranges for record in records)


def test_of_two_sources_the_liar_is_put_aside_and_innocent_ranges_are_not_fetched_again(
    client: HttpClient, tmp_path: Path
) -> None:
    data = bytes_of(16 * MB)
    together = threading.Barrier(2)

    def wait_for_the_other(_seen: Seen, count: int) -> None:
        if count == 0:
            together.wait(120)

    def lie(seen: Seen, count: int) -> Reply:
        wait_for_the_other(seen, count)
        start, _ = range_of(seen, data)
        return file_reply(seen, data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :])

    with (
        Origin({NAME: data}, fault=wait_for_the_other) as honest,
        Origin({NAME: data}, fault=lie, name="huggingface") as bad_source,
    ):
        told = Listener(tmp_path, honest)
        sources = [source_of(honest, client), source_of(bad_source, client)]
        (fetched,) = run(sources, honest.listing(REPO).files, tmp_path, connections=2, reporter=told)
        asked_after = honest.ranges(NAME)[told.asked :]

    assert fetched.path.read_bytes() == data
    assert fetched.shares == {"ModelScope": len(data)}
    assert [notice for notice in told.notices if "Hugging Face sent wrong bytes" in notice]
    assert told.kept
    assert asked_after
    assert not overlap(asked_after, told.kept)


def test_wrong_bytes_that_another_tool_left_are_fetched_again_and_nothing_else(
    client: HttpClient, tmp_path: Path
) -> None:
    data = bytes_of(4 * MB)
    with Origin({NAME: data}) as origin:
        (file,) = origin.listing(REPO).files
        partial = claim(tmp_path, object_key(file), file.size, disk=LOCAL, name=file.path)
        partial.open()
        for start, part, source in ((0, b"?" * MB, ANOTHER_TOOL), (MB, data[MB : 2 * MB], "ModelScope")):
            partial.write(memoryview(part), start)
            partial.record(start, start + MB, zlib.crc32(part), source)
        partial.close(release=True)
        told = Listener(tmp_path, origin)

        (fetched,) = run([source_of(origin, client)], [file], tmp_path, reporter=told)
        asked_after = origin.ranges(NAME)[told.asked :]

    assert fetched.path.read_bytes() == data
    assert fetched.bytes_fetched == 3 * MB
    assert {start for start, _ in asked_after} <= set(range(MB))
    assert all(end <= MB for _, end in asked_after)


class NotingDisk(LocalDisk):
    """Tells when it was asked to write down what it has."""

    def __init__(self) -> None:
        super().__init__()
        self.was_asked = threading.Event()

    def fsync(self, descriptor: int) -> None:
        super().fsync(descriptor)
        self.was_asked.set()


def test_the_disk_begins_to_write_down_while_bytes_still_arrive(client: HttpClient, tmp_path: Path) -> None:
    """The end of the file does not come before that."""
    data, disk = bytes_of(4 * MB), NotingDisk()

    def fault(seen: Seen, _count: int) -> Reply | None:
        start, end = range_of(seen, data)
        return None if end < len(data) else partly(seen, data, [Stall(disk.was_asked), data[start:end]])

    with Origin({NAME: data}, fault=fault) as origin:
        files, sources = origin.listing(REPO).files, [source_of(origin, client)]

        (fetched,) = fetch(files, sources=sources, folder=tmp_path, max_connections=2, disk=disk, work=Work())

    assert fetched.path.read_bytes() == data
