from __future__ import annotations

import hashlib
import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import HubBusy, ModelNotFound, SourceFailed, Stopped, WrongBytes
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer import engine
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.volume import LocalDisk
from qwen3ft_jupyter.work import Work
from tests.jobs.following import wait_until
from tests.lived import Lived
from tests.servers import ABORT, CLOSE, Reply, Seen, Stall, file_reply
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of, wait_until_given_back
from tests.transfer.playing import noted_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.transfer.partial import FetchedFile
    from qwen3ft_jupyter.work import Reporter

MB = 1 << 20
QUICK = RetryPolicy(attempts=4, first_delay_s=0.01, max_delay_s=0.02)


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


class Fetcher:
    def __init__(self, client: HttpClient, folder: Path) -> None:
        self.client = client
        self.folder = folder

    def source(self, origin: Origin) -> tuple[HubSource, Listing]:
        listing = origin.listing(REPO)
        return HubSource(origin, listing, self.client), listing

    def __call__(
        self,
        *origins: Origin,
        connections: int = 4,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
    ) -> list[FetchedFile]:
        sources = [self.source(origin)[0] for origin in origins]
        return fetch(
            self.source(origins[0])[1].files,
            sources=sources,
            folder=self.folder,
            max_connections=connections,
            policy=QUICK,
            work=Work(reporter=reporter or Recorder(), stop=stop or threading.Event()),
        )


@pytest.fixture
def fetcher(client: HttpClient, tmp_path: Path) -> Fetcher:
    return Fetcher(client, tmp_path / "incoming")


def contents(fetched: list[FetchedFile]) -> dict[str, bytes]:
    return {file.file.path: file.path.read_bytes() for file in fetched}


def asked(seen: Seen, data: bytes) -> tuple[int, int]:
    """Return the first and last byte that were asked for."""
    first, last = seen.range or (0, None)
    return first, len(data) - 1 if last is None else last


def test_files_arrive_whole_and_verified(fetcher: Fetcher) -> None:
    files = {"config.json": b"{}", "model.safetensors": bytes_of(9 * MB), "empty.txt": b"", "a/b.txt": b"deep"}
    with Origin(files) as origin:
        fetched = fetcher(origin)

        assert contents(fetched) == files
        assert [file.sha256 for file in fetched] == [hashlib.sha256(data).hexdigest() for data in files.values()]


def test_two_paths_with_the_same_bytes_both_arrive(fetcher: Fetcher) -> None:
    files = {"LICENSE": b"same", "b/LICENSE": b"same"}
    with Origin(files) as origin:
        assert contents(fetcher(origin)) == files


def test_files_known_by_git_digest_alone_are_checked_by_it_and_get_a_sha256(fetcher: Fetcher) -> None:
    with Origin({"config.json": b'{"a": 1}'}, by_git=True) as origin:
        (fetched,) = fetcher(origin)

        assert fetched.sha256 == hashlib.sha256(b'{"a": 1}').hexdigest()


def test_a_wrong_git_digest_is_refused(fetcher: Fetcher) -> None:
    origin = Origin({"config.json": b"right"}, by_git=True, fault=lambda _seen, _n: Reply(200, b"wrong"))
    with origin, pytest.raises(WrongBytes, match=r"config\.json"):
        fetcher(origin)


def test_a_large_file_travels_over_several_connections_at_once(fetcher: Fetcher) -> None:
    """The server holds the first connection until three others have asked."""
    together = threading.Barrier(3)

    def fault(_seen: Seen, count: int) -> Reply | None:
        if count < 3:
            together.wait(120)
        return None

    with Origin({"model.safetensors": bytes_of(8 * MB)}, fault=fault) as origin:
        fetcher(origin, connections=3)


def test_connections_are_reused(fetcher: Fetcher) -> None:
    with Origin({f"file-{number}.txt": bytes_of(100, number) for number in range(30)}) as origin:
        fetcher(origin, connections=2)

        assert len({seen.port for seen in origin.server.seen}) <= 2


def test_every_byte_is_written_once(fetcher: Fetcher) -> None:
    with Origin({"model.safetensors": bytes_of(20 * MB)}) as origin:
        (fetched,) = fetcher(origin)

    records = sorted(fetched.partial.records)
    assert [record.start for record in records] == [0, *(record.end for record in records[:-1])]
    assert records[-1].end == 20 * MB


def test_one_connection_asks_for_every_byte_once(fetcher: Fetcher) -> None:
    with Origin({"model.safetensors": bytes_of(20 * MB)}) as origin:
        fetcher(origin, connections=1)

        ranges = sorted(origin.ranges("model.safetensors"))
        assert ranges[0][0] == 0
        assert [start for start, _ in ranges[1:]] == [end for _, end in ranges[:-1]]
        assert ranges[-1][1] == 20 * MB


def test_two_sources_share_the_pieces_of_one_file(fetcher: Fetcher) -> None:
    """Each server waits until the other has been asked too."""
    together = threading.Barrier(2)

    def fault(_seen: Seen, count: int) -> Reply | None:
        if count == 0:
            together.wait(120)
        return None

    files = {"model.safetensors": bytes_of(8 * MB)}
    with Origin(files, fault=fault) as one, Origin(files, fault=fault, name="huggingface") as other:
        fetched = fetcher(one, other, connections=2)

        assert contents(fetched) == files


def test_a_source_that_refuses_is_put_aside_aloud_and_the_other_goes_on(fetcher: Fetcher) -> None:
    files = {"model.safetensors": bytes_of(8 * MB)}
    told = Recorder()
    with Origin(files, fault=lambda _seen, _n: Reply(403)) as bad, Origin(files, name="huggingface") as good:
        fetched = fetcher(bad, good, reporter=told)

    assert contents(fetched) == files
    assert any("Going on from Hugging Face" in notice for notice in told.notices)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503),
        Reply(500),
        Reply(429, headers={"Retry-After": "0"}),
        Reply(206, b"x" * 10, {"Content-Range": "bytes 5-14/3145728"}),
        Reply(206, b"x" * 10, {"Content-Range": "bytes 0-9/77"}),
        Reply(206, b"x" * 10),
        Reply(200, b""),
        Reply(200, b"<html>please log in</html>"),
        Reply(200, b"x" * (3 * MB), {"Content-Encoding": "gzip"}),
        Reply(416),
        Reply(403),
        Reply(404),
        Reply(200, [b"x" * 1000, ABORT], {"Content-Length": str(3 * MB)}),
        Reply(200, [b"", CLOSE], {"Content-Length": str(3 * MB)}),
    ],
    ids=lambda reply: f"{reply.status}-{len(reply.body)}-{','.join(reply.headers.values())}",
)
def test_a_fault_that_happens_once_is_survived(fetcher: Fetcher, reply: Reply) -> None:
    files = {"model.safetensors": bytes_of(3 * MB)}
    with Origin(files, fault=lambda _seen, count: reply if count == 0 else None) as origin:
        assert contents(fetcher(origin)) == files


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(503), HubBusy),
        (Reply(429, headers={"Retry-After": "86400"}), HubBusy),
        (Reply(206, b"x" * 10, {"Content-Range": "bytes 5-14/3145728"}), WrongBytes),
        (Reply(200, b""), WrongBytes),
        (Reply(416), WrongBytes),
        (Reply(200, [ABORT], {"Content-Length": str(3 * MB)}), SourceFailed),
    ],
    ids=["503", "429 for a day", "wrong range", "empty", "416", "reset"],
)
def test_a_fault_that_never_ends_is_an_error_of_ours_and_nothing_is_visible(
    fetcher: Fetcher, reply: Reply, error: type[Exception]
) -> None:
    origin = Origin({"model.safetensors": bytes_of(3 * MB)}, fault=lambda _seen, _n: reply)
    with origin, pytest.raises(error):
        fetcher(origin)


def test_a_wait_longer_than_a_minute_is_left_to_the_user_at_once(fetcher: Fetcher) -> None:
    with Origin({"a.txt": b"a"}, fault=lambda _seen, _n: Reply(429, headers={"Retry-After": "7200"})) as origin:
        with pytest.raises(HubBusy) as caught:
            fetcher(origin)

        assert "2 hours" in caught.value.hint
        assert len(origin.server.seen) == 1


def test_resets_without_end_are_survived_while_bytes_arrive(fetcher: Fetcher) -> None:
    """Progress renews patience: there is no limit on the number of failures, only on failures in a row."""
    data = bytes_of(2 * MB)

    def fault(seen: Seen, _count: int) -> Reply | None:
        first, last = asked(seen, data)
        part = data[first : first + 100_000]
        headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Content-Length": str(last + 1 - first)}
        return Reply(206 if seen.range else 200, [part, ABORT] if len(part) < last + 1 - first else [part], headers)

    with Origin({"model.safetensors": data}, fault=fault) as origin:
        fetched = fetcher(origin, connections=1)

        assert contents(fetched) == {"model.safetensors": data}
        assert len(origin.server.seen) > 2 * QUICK.attempts


def test_bytes_received_before_a_reset_are_not_asked_again(fetcher: Fetcher) -> None:
    data = bytes_of(4 * MB)

    def fault(seen: Seen, count: int) -> Reply | None:
        if count:
            return None
        first, last = asked(seen, data)
        headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Content-Length": str(last + 1 - first)}
        return Reply(206, [data[first : first + 500_000], CLOSE], headers)

    with Origin({"model.safetensors": data}, fault=fault) as origin:
        fetcher(origin, connections=1)

        (first, *others) = origin.ranges("model.safetensors")
        assert first[0] == 0
        assert min(start for start, _ in others) == 500_000


def test_a_server_that_ignores_ranges_is_read_from_the_front_by_one_connection(fetcher: Fetcher) -> None:
    files = {"model.safetensors": bytes_of(6 * MB)}
    with Origin(files, fault=lambda _seen, _n: Reply(200, files["model.safetensors"])) as origin:
        assert contents(fetcher(origin)) == files


def test_a_small_file_whose_range_is_ignored_continues_by_skipping(fetcher: Fetcher) -> None:
    """ModelScope answers git files with 200 and the whole body, whatever the range."""
    data = bytes_of(300_000)

    def fault(_seen: Seen, count: int) -> Reply:
        return Reply(200, [data[:100_000], CLOSE] if count == 0 else data, {"Content-Length": str(len(data))})

    with Origin({"tokenizer.json": data}, fault=fault) as origin:
        assert contents(fetcher(origin)) == {"tokenizer.json": data}


def test_an_endless_body_is_cut(fetcher: Fetcher) -> None:
    data = bytes_of(1000)

    def endless(_seen: Seen, _count: int) -> Reply:
        def body() -> Iterator[bytes]:
            yield data
            while True:
                yield b"more" * 1000

        return Reply(200, body())

    with Origin({"a.txt": data}, fault=endless) as origin:
        (fetched,) = fetcher(origin)

        assert fetched.path.stat().st_size == 1000


def test_one_flipped_byte_is_found_and_the_file_fetched_again(fetcher: Fetcher) -> None:
    data = bytes_of(3 * MB)
    flipped = bytearray(data)
    flipped[MB + 17] ^= 1
    seen_wrong = threading.Event()

    def fault(seen: Seen, _count: int) -> Reply | None:
        start, last = asked(seen, data)
        if start <= MB + 17 <= last and not seen_wrong.is_set():
            seen_wrong.set()
            return file_reply(seen, bytes(flipped))
        return None

    told = Recorder()
    with Origin({"model.safetensors": data}, fault=fault) as origin:
        fetched = fetcher(origin, reporter=told)

    assert contents(fetched) == {"model.safetensors": data}
    assert any("do not have the listed digest" in notice for notice in told.notices)


def test_a_byte_that_is_always_flipped_ends_in_wrong_bytes_and_leaves_nothing(fetcher: Fetcher) -> None:
    wrong = bytearray(bytes_of(2 * MB))
    wrong[5] ^= 1
    with Origin(
        {"model.safetensors": bytes_of(2 * MB)}, fault=lambda seen, _n: file_reply(seen, bytes(wrong))
    ) as origin:
        with pytest.raises(WrongBytes, match=r"model\.safetensors"):
            fetcher(origin)

        assert list(fetcher.folder.iterdir()) == []


def test_after_wrong_bytes_another_source_is_asked_first(fetcher: Fetcher) -> None:
    data = bytes_of(2 * MB)
    wrong = bytes([data[0] ^ 1]) + data[1:]
    with (
        Origin({"m.safetensors": data}, fault=lambda seen, _n: file_reply(seen, wrong)) as bad_source,
        Origin({"m.safetensors": data}, name="huggingface") as honest,
    ):
        assert contents(fetcher(bad_source, honest)) == {"m.safetensors": data}


def test_stop_ends_reads_that_are_blocked(fetcher: Fetcher) -> None:
    """All connections are silent when the stop comes; no handler is released before `fetch` has returned."""
    data = bytes_of(16 * MB)
    hold = Stall()

    def fault(seen: Seen, _count: int) -> Reply:
        first, last = asked(seen, data)
        headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Content-Length": str(last + 1 - first)}
        return Reply(206, [data[first : first + 1000], hold, b""], headers)

    stop = threading.Event()
    with Origin({"model.safetensors": data}, fault=fault) as origin:
        caught: list[BaseException] = []

        def run() -> None:
            try:
                fetcher(origin, connections=16, stop=stop)
            except Stopped as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        origin.server.wait_for(16)
        with Lived() as lived:
            stop.set()
            thread.join(120)

        assert caught
        assert not hold.event.is_set()
        assert lived.seconds < 1.0
        hold.event.set()


class HangingDisk(LocalDisk):
    """A disk on which one kind of call does not return until it is let, once that is due."""

    def __init__(self, hanging: str, is_due: Callable[[], bool]) -> None:
        super().__init__()
        self.hanging = hanging
        self.is_due = is_due
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        self._hang("write")
        super().write_at(descriptor, data, offset)

    def fsync(self, descriptor: int) -> None:
        self._hang("fsync")
        super().fsync(descriptor)

    def _hang(self, call: str) -> None:
        if call == self.hanging and self.is_due():
            self.entered.set()
            self.go_on.wait(120)


@pytest.mark.parametrize("hanging", ["write", "fsync"])
def test_stop_does_not_wait_for_a_disk_that_hangs(fetcher: Fetcher, hanging: str) -> None:
    """What is under way there is left to its thread, which gives the partial up when the disk comes back.

    Of the calls of `fsync`, it is one after all has arrived and was noted.
    """
    data = bytes_of(3 * MB)
    stop = threading.Event()
    disk = HangingDisk(hanging, lambda: hanging == "write" or noted_bytes(fetcher.folder) == len(data))
    with Origin({"model.safetensors": data}) as origin:
        source, listing = fetcher.source(origin)

        ended, waited_s = threading.Event(), []

        def stop_when_it_hangs() -> None:
            assert disk.entered.wait(120)
            with Lived() as lived:
                stop.set()
                ended.wait()
            waited_s.append(lived.seconds)

        stopper = threading.Thread(target=stop_when_it_hangs)
        stopper.start()
        with pytest.raises(Stopped):
            fetch(listing.files, sources=[source], folder=fetcher.folder, disk=disk, work=Work(stop=stop))
        ended.set()
        stopper.join()
        assert waited_s[0] < 1.0
        (journal,) = fetcher.folder.glob("*.journal")
        assert b"released" not in journal.read_bytes(), "somebody still uses it"

        disk.go_on.set()
        wait_until(lambda: b"released" in journal.read_bytes())
        (fetched,) = fetch(listing.files, sources=[source], folder=fetcher.folder, work=Work())

        assert contents([fetched]) == {"model.safetensors": data}
        assert hanging == "write" or fetched.bytes_fetched == 0


def test_what_failed_has_noted_what_arrived_and_given_it_back(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the disk takes for it: else whoever goes on, with another hub for example, would begin anew."""
    data, disk, looks, join = bytes_of(MB), HangingDisk("write", lambda: True), itertools.count(), engine._join

    def refuse_while_it_is_written(seen: Seen, _count: int) -> Reply | None:
        if seen.path != "/config.json":
            return None
        assert disk.entered.wait(120)
        return Reply(404)

    def join_slowly(threads: Sequence[threading.Thread], patience_s: Callable[[], float]) -> None:
        def look() -> float:
            if next(looks) == 3:
                disk.go_on.set()
            return patience_s()

        join(threads, look)

    monkeypatch.setattr(engine, "JOIN_S", 0.0)
    monkeypatch.setattr(engine, "SETTLE_S", 600.0)
    monkeypatch.setattr(engine, "_join", join_slowly)
    with Origin({"config.json": b"{}", "m.safetensors": data}, fault=refuse_while_it_is_written) as origin:
        source, listing = fetcher.source(origin)
        with pytest.raises(ModelNotFound):
            fetch(listing.files, sources=[source], folder=fetcher.folder, disk=disk, work=Work())
        noted, origin.fault = noted_bytes(fetcher.folder), None

        assert noted > 0
        assert sum(file.bytes_fetched for file in fetcher(origin)) == 2 + len(data) - noted


def test_a_stopped_download_continues_with_what_is_missing(fetcher: Fetcher) -> None:
    """The second half does not come until the download was stopped."""
    data = bytes_of(8 * MB)
    half, stop, hold, told = 4 * MB, threading.Event(), Stall(), Recorder()

    def fault(seen: Seen, _count: int) -> Reply | None:
        first, last = asked(seen, data)
        headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Content-Length": str(last + 1 - first)}
        return None if last < half else Reply(206, [data[first : max(first, half)], hold], headers)

    with Origin({"model.safetensors": data}, fault=fault) as origin:

        def stop_when_half_is_there() -> None:
            told.wait_for(lambda told: any(event.done == half for event in told.events))
            stop.set()

        stopper = threading.Thread(target=stop_when_half_is_there)
        stopper.start()
        with pytest.raises(Stopped):
            fetcher(origin, connections=4, reporter=told, stop=stop)
        stopper.join()
        hold.event.set()
        asked_before = len(origin.server.seen)
        origin.fault = None
        wait_until_given_back(fetcher.folder)
        again = Recorder()

        fetched = fetcher(origin, reporter=again)

        assert contents(fetched) == {"model.safetensors": data}
        assert fetched[0].bytes_fetched == half
        assert all(start >= half for start, _ in origin.ranges("model.safetensors")[asked_before:])
        assert again.events[0].done == half


def test_progress_never_goes_backwards_and_ends_at_the_total(fetcher: Fetcher) -> None:
    data = bytes_of(6 * MB)
    wrong = bytes([data[0] ^ 1]) + data[1:]
    lies, told = iter([True]), Recorder()
    with Origin(
        {"model.safetensors": data},
        fault=lambda seen, _n: file_reply(seen, wrong) if asked(seen, data)[0] == 0 and next(lies, False) else None,
    ) as origin:
        fetcher(origin, reporter=told)

    assert told.notices
    for phase in ("transferring", "verifying"):
        done = [event.done for event in told.events if event.phase == phase]
        assert done == sorted(done)
    assert all(event.total == 6 * MB for event in told.events)
    assert told.events[-1].done == 6 * MB


def test_no_source_has_the_file(fetcher: Fetcher) -> None:
    with Origin({"a.txt": b"a"}) as one, Origin({"a.txt": b"b"}) as other:
        files, sources = fetcher.source(one)[1].files, [fetcher.source(other)[0]]

        with pytest.raises(SourceFailed, match=r"a\.txt: no source has it"):
            fetch(files, sources=sources, folder=fetcher.folder, work=Work())
