"""What may be changed about a download while it runs: its speed, and whether it goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.work import Controls, Work
from tests.lived import Lived
from tests.servers import Reply, Seen, Stall
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Self

    from qwen3ft_jupyter.transfer.partial import FetchedFile

MB = 1 << 20
NAME = "model.safetensors"


class Running:
    """A download in a thread of its own."""

    def __init__(self, origin: Origin, folder: Path, controls: Controls, connections: int = 16) -> None:
        self.controls = controls
        self.told = Recorder()
        self.stop = threading.Event()
        self.fetched: list[FetchedFile] = []
        self.error: BaseException | None = None
        self._client = HttpClient()
        self._listing = origin.listing(REPO)
        self._source = HubSource(origin, self._listing, self._client)
        self._folder = folder
        self._connections = connections
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(120)
        self._client.close()

    def _run(self) -> None:
        try:
            self.fetched = fetch(
                self._listing.files,
                sources=[self._source],
                folder=self._folder,
                max_connections=self._connections,
                work=Work(reporter=self.told, stop=self.stop, controls=self.controls),
            )
        except Stopped as error:
            self.error = error

    def join(self, limit_s: float = 60.0) -> None:
        self._thread.join(limit_s)
        assert not self._thread.is_alive(), "it does not end"

    def wait_until(self, phase: str, done: int = 0) -> None:
        self.told.wait_for(
            lambda told: told.events[-1:] != [] and told.events[-1].phase == phase and self.done() >= done
        )

    def done(self) -> int:
        return self.told.events[-1].done if self.told.events else 0

    def wait_for_more(self, count: int) -> float:
        """Wait until so many more bytes are reported than in the next report, and return how many seconds that took."""
        reports = len(self.told.events)
        self.told.wait_for(lambda told: len(told.events) > reports)
        before, began = self.done(), time.monotonic()
        self.told.wait_for(lambda _: self.done() >= before + count)
        return time.monotonic() - began

    def stops_at_once(self) -> bool:
        """Stop it; return whether that was felt within a second."""
        with Lived() as lived:
            self.stop.set()
            self.join()
        return lived.seconds < 1.0


def test_a_lower_speed_is_kept_and_a_lifted_one_is_felt_while_it_runs(tmp_path: Path) -> None:
    data = bytes_of(24 * MB)
    with Origin({NAME: data}) as origin, Running(origin, tmp_path, Controls(max_speed=4 * MB)) as running:
        running.wait_until("transferring", MB)
        running.controls.max_speed = MB
        running.wait_for_more(MB)  # within which it is to be felt
        with Lived() as lived:
            took_s = running.wait_for_more(2 * MB)
        assert took_s >= 2 / 1.4
        assert lived.seconds <= 2 / 0.4

        running.controls.max_speed = None
        running.join()

    assert running.fetched[0].path.read_bytes() == data


def test_a_very_low_speed_is_kept_by_sixteen_connections(tmp_path: Path) -> None:
    with Origin({NAME: bytes_of(24 * MB)}) as origin, Running(origin, tmp_path, Controls(max_speed=100_000)) as running:
        running.wait_until("transferring", 1)
        assert running.wait_for_more(300_000) >= 2.0
        with Lived() as lived:
            running.wait_for_more(1)
        assert lived.seconds <= 1.0

        assert running.stops_at_once()
        assert running.error is not None


@pytest.fixture
def half_way(tmp_path: Path) -> Iterator[tuple[Running, Origin, bytes]]:
    """A download whose every connection is silent after some bytes, until the origin's fault is taken away."""
    data = bytes_of(16 * MB)

    def fault(seen: Seen, _count: int) -> Reply:
        first, last = seen.range or (0, len(data) - 1)
        end = len(data) if last is None else last + 1
        headers = {"Content-Range": f"bytes {first}-{end - 1}/{len(data)}", "Content-Length": str(end - first)}
        return Reply(206, [data[first : min(end, first + 100_000)], Stall()], headers)

    with Origin({NAME: data}, fault=fault) as origin:
        running = Running(origin, tmp_path, Controls(), connections=4)
        with running:
            running.wait_until("transferring", 400_000)
            running.controls.is_paused = True
            running.wait_until("paused")
            yield running, origin, data


def test_a_pause_gives_the_connections_up_and_going_on_fetches_the_rest_only(
    half_way: tuple[Running, Origin, bytes],
) -> None:
    running, origin, data = half_way
    asked, done = len(origin.server.seen), running.done()
    origin.fault = None
    time.sleep(0.5)
    assert running.done() == done
    assert len(origin.server.seen) == asked, "nothing is asked in a pause"

    running.controls.is_paused = False
    running.join()

    assert running.fetched[0].path.read_bytes() == data
    had = [(start, start + 100_000) for start, _ in origin.ranges(NAME)[:4]]
    again = origin.ranges(NAME)[asked:]
    assert not any(start < last and first < end for start, end in again for first, last in had)
    assert running.told.phases()[:2] == ["transferring", "paused"]
    shown = [event.done for event in running.told.events if event.phase != "verifying"]
    assert shown == sorted(shown)


def test_a_stop_is_felt_in_a_pause(half_way: tuple[Running, Origin, bytes]) -> None:
    running, _, _ = half_way

    assert running.stops_at_once()
    assert isinstance(running.error, Stopped)
