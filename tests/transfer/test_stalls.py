"""What stalls, is slow or ignores ranges is worked around, without more traffic than that takes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.partials import partial_spans
from qwen3ft_jupyter.errors import HubBusy, Stopped
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer import scheduler, workers
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.work import Controls, Work
from tests.lived import Lived
from tests.servers import ABORT, Reply, Seen, Stall
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of
from tests.transfer.playing import MB, NAME, Crowded, SlowLink, paced, partly, range_of, run, source_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.hubs.http import HttpClient


def test_what_stalls_while_another_source_brings_bytes_is_put_aside_aloud(
    client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers with some bytes and then with nothing; what it brought is kept. Only then the other one begins."""
    monkeypatch.setattr(scheduler, "STALLED_S", 0.2)
    data, told = bytes_of(12 * MB), Recorder()

    def stall(seen: Seen, _count: int) -> Reply:
        start, _ = range_of(seen, data)
        has_come = any(event.done >= 50_000 for event in told.events)
        return partly(seen, data, [b"" if has_come else data[start : start + 50_000], Stall()])

    def go_on(seen: Seen, _count: int) -> Reply:
        told.wait_for_bytes(50_000)
        return paced(seen, data, pause_s=0.03)

    with (
        Origin({NAME: data}, fault=stall) as bad,
        Origin({NAME: data}, fault=go_on, name="huggingface") as good,
    ):
        sources = [source_of(bad, client), source_of(good, client)]
        (fetched,) = run(sources, good.listing(REPO).files, tmp_path, reporter=told)

    assert fetched.path.read_bytes() == data
    assert told.notices == ["ModelScope went silent. Going on from Hugging Face."]
    assert fetched.shares["ModelScope"] >= 50_000


def test_the_only_request_of_a_small_file_is_hedged(client: HttpClient, tmp_path: Path) -> None:
    data = bytes_of(300_000)

    def fault(seen: Seen, count: int) -> Reply | None:
        return partly(seen, data, [data[:10_000], Stall()]) if count == 0 else None

    with Origin({NAME: data}, fault=fault) as origin:
        with Lived() as lived:
            (fetched,) = run([source_of(origin, client)], origin.listing(REPO).files, tmp_path)

        assert fetched.path.read_bytes() == data
        assert lived.seconds < 15, "the connection counts as dead after thirty seconds"
        assert len(origin.ranges(NAME)) > 1
        assert all(start >= 10_000 for start, _ in origin.ranges(NAME)[1:]), "what had come is kept"


def test_a_piece_that_hangs_is_fetched_once_more_and_not_again_and_again(client: HttpClient, tmp_path: Path) -> None:
    """Another piece takes long after the hanging one was brought by a second request."""
    data = bytes_of(4 * MB)
    hung: list[tuple[int, int]] = []

    def fault(seen: Seen, _count: int) -> Reply:
        start, end = range_of(seen, data)
        if start and not hung:
            hung.append((start, end))
            return partly(seen, data, [data[start : start + 10_000], Stall()])
        if hung and hung[0][0] < start < hung[0][1]:
            return partly(seen, data, [data[start:end]])
        return paced(seen, data, pause_s=0.02, step=8 << 10)

    with Origin({NAME: data}, fault=fault) as origin:
        (fetched,) = run([source_of(origin, client)], origin.listing(REPO).files, tmp_path, connections=3)

        assert fetched.path.read_bytes() == data
        again = [start for start, _ in origin.ranges(NAME) if start == hung[0][0] + 10_000]
        assert len(again) == 1


def test_second_requests_cost_little_traffic_on_a_slow_link_that_stalls(client: HttpClient, tmp_path: Path) -> None:
    """All connections of two sources share 4 MB a second, in bursts with gaps in which nothing comes."""
    data = bytes_of(6 * MB)
    link = SlowLink(data, bytes_per_s=4e6, gap_every=MB, gap_s=0.7)
    with Origin({NAME: data}, fault=link) as one, Origin({NAME: data}, fault=link, name="huggingface") as other:
        sources = [source_of(one, client), source_of(other, client)]
        (fetched,) = run(sources, one.listing(REPO).files, tmp_path, connections=16)

    assert fetched.path.read_bytes() == data
    assert link.sent <= 1.3 * len(data)


def test_under_a_low_speed_nothing_is_asked_for_twice(client: HttpClient, tmp_path: Path) -> None:
    """It is we who are slow: each of the connections waits its turn for longer than a silence that calls for help."""
    data = bytes_of(4 * MB)
    controls, stop, told = Controls(max_speed=4000), threading.Event(), Recorder()
    with Origin({NAME: data}, fault=lambda seen, _n: paced(seen, data, pause_s=0)) as origin:
        sources, files = [source_of(origin, client)], origin.listing(REPO).files

        def fetch_all() -> None:
            fetched.extend(
                fetch(files, sources=sources, folder=tmp_path, work=Work(reporter=told, stop=stop, controls=controls))
            )

        fetched: list[object] = []
        thread = threading.Thread(target=fetch_all)
        thread.start()
        told.wait_for(lambda told: told.events[-1:] != [] and told.events[-1].done > 8000)
        starts = [start for start, _ in origin.ranges(NAME)]
        controls.max_speed = None
        thread.join(120)

    assert fetched
    assert len(starts) <= 4
    assert len(starts) == len(set(starts))


def test_a_source_that_ignores_ranges_does_not_slow_the_other_one_down(client: HttpClient, tmp_path: Path) -> None:
    """The other one waits in each of its first answers until it has been asked twice at the same time."""
    data = bytes_of(8 * MB)
    together = threading.Barrier(2)

    def fault(seen: Seen, count: int) -> Reply | None:
        if whole_was_refused.is_set() and waiting.acquire(blocking=False):
            together.wait(120)
        return None if count >= 2 else paced(seen, data, pause_s=0.02)

    def whole(seen: Seen, _count: int) -> Reply:
        if range_of(seen, data)[0]:
            whole_was_refused.set()
        return Reply(200, data)

    waiting, whole_was_refused = threading.Semaphore(2), threading.Event()
    with (
        Origin({NAME: data}, fault=whole) as mirror,
        Origin({NAME: data}, fault=fault, name="huggingface") as ranged,
    ):
        sources = [source_of(mirror, client), source_of(ranged, client)]
        (fetched,) = run(sources, ranged.listing(REPO).files, tmp_path, connections=4)

    assert fetched.path.read_bytes() == data
    assert whole_was_refused.is_set()
    assert together.n_waiting == 0
    assert not together.broken


def test_where_all_sources_ignore_ranges_one_connection_brings_the_file(client: HttpClient, tmp_path: Path) -> None:
    data = bytes_of(6 * MB)
    with (
        Origin({NAME: data}, fault=lambda _seen, _n: Reply(200, data)) as one,
        Origin({NAME: data}, fault=lambda _seen, _n: Reply(200, data), name="huggingface") as other,
    ):
        (fetched,) = run([source_of(one, client), source_of(other, client)], one.listing(REPO).files, tmp_path)

    assert fetched.path.read_bytes() == data


def test_a_long_wait_asked_of_the_fifth_connection_does_not_stop_the_four_that_are_served(
    client: HttpClient, tmp_path: Path
) -> None:
    data = bytes_of(16 * MB)
    crowded, told = Crowded(data, 4, retry_after="3600"), Recorder()
    with Origin({NAME: data}, fault=crowded) as origin:
        (fetched,) = run(
            [source_of(origin, client)], origin.listing(REPO).files, tmp_path, connections=16, reporter=told
        )

    assert fetched.path.read_bytes() == data
    assert crowded.refused
    assert not told.notices


def test_when_nobody_is_served_a_long_wait_is_left_to_the_user(client: HttpClient, tmp_path: Path) -> None:
    crowded = Crowded(bytes_of(4 * MB), 0, retry_after="3600")
    with Origin({NAME: crowded.data}, fault=crowded) as origin, pytest.raises(HubBusy) as caught:
        run([source_of(origin, client)], origin.listing(REPO).files, tmp_path)

    assert "60 minutes" in caught.value.hint


class Breaking(Recorder):
    """Cannot take notices, as when the disk it writes them to is full."""

    def notice(self, message: str) -> None:
        raise OSError(28, message)


def test_a_reporter_that_fails_ends_the_work_with_its_error(client: HttpClient, tmp_path: Path) -> None:
    data = bytes_of(4 * MB)
    with (
        Origin({NAME: data}, fault=lambda _seen, _n: Reply(403)) as bad,
        Origin({NAME: data}, fault=lambda seen, _n: partly(seen, data, [Stall()]), name="huggingface") as silent,
    ):
        sources = [source_of(bad, client), source_of(silent, client)]
        with pytest.raises(Exception, match="is full"):
            run(sources, bad.listing(REPO).files, tmp_path, connections=2, reporter=Breaking())


def test_a_source_that_gives_a_byte_and_breaks_off_is_not_asked_like_mad(client: HttpClient, tmp_path: Path) -> None:
    """At most twenty times a second."""
    data, stop, asked_at = bytes_of(2000), threading.Event(), list[float]()

    def crumbs(seen: Seen, _count: int) -> Reply:
        asked_at.append(time.monotonic())
        if len(asked_at) == 6:
            stop.set()
        start, _ = range_of(seen, data)
        return partly(seen, data, [data[start : start + 1], ABORT])

    with Origin({NAME: data}, fault=crumbs) as origin, pytest.raises(Stopped):
        fetch(
            origin.listing(REPO).files,
            sources=[source_of(origin, client)],
            folder=tmp_path,
            max_connections=1,
            policy=RetryPolicy(first_delay_s=0.2),
            work=Work(stop=stop),
        )

    assert asked_at[5] - asked_at[0] >= 5 / 20


def test_on_a_slow_link_the_journal_is_kept_up_to_date(
    client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "RECORD_S", 0.02)
    data, stop, told = bytes_of(3 * MB), threading.Event(), Recorder()

    with Origin({NAME: data}, fault=lambda seen, _n: paced(seen, data, pause_s=0.05)) as origin:

        def look() -> None:
            told.wait_for(lambda told: any(event.done > 300_000 for event in told.events))
            noted.append(sum(spans.total for spans in partial_spans(tmp_path).values()))
            stop.set()

        noted: list[int] = []
        looking = threading.Thread(target=look)
        looking.start()
        with pytest.raises(Stopped):
            fetch(
                origin.listing(REPO).files,
                sources=[source_of(origin, client)],
                folder=tmp_path,
                max_connections=1,
                work=Work(reporter=told, stop=stop),
            )
        looking.join()

    assert noted[0] > 0
