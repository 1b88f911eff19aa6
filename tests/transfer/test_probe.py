from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.probe import measure_rate
from tests.servers import Reply, Seen, Stall
from tests.transfer.origin import REPO, Origin, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.hubs.listing import RemoteFile

    Ask = Callable[..., tuple[HubSource, RemoteFile]]

MB = 1 << 20


@pytest.fixture
def ask() -> Iterator[Ask]:
    client = HttpClient()

    def source_of(origin: Origin) -> tuple[HubSource, RemoteFile]:
        listing = origin.listing(REPO)
        return HubSource(origin, listing, client), listing.files[0]

    yield source_of
    client.close()


def test_the_rate_is_what_came_in_the_time_it_took(ask: Ask) -> None:
    with Origin({"w.safetensors": bytes_of(8 * MB)}) as origin:
        source, file = ask(origin)
        began = time.monotonic()
        rate = measure_rate(file, [source], connections=4, stop=threading.Event())
        elapsed = time.monotonic() - began
    assert rate is not None
    assert rate >= 8 * MB / elapsed


def test_a_source_that_fails_counts_for_nothing(ask: Ask) -> None:
    with (
        Origin({"w.safetensors": bytes_of(4 * MB)}) as good,
        Origin({"w.safetensors": bytes_of(4 * MB)}, fault=lambda _seen, _before: Reply(500)) as bad,
    ):
        sources = [ask(good)[0], ask(bad)[0]]
        assert measure_rate(ask(good)[1], sources, connections=4, stop=threading.Event())
        assert measure_rate(ask(good)[1], sources[1:], connections=4, stop=threading.Event()) is None


def stalled(seen: Seen, _before: int) -> Reply:
    start, end = seen.range or (0, None)
    assert end is not None
    headers = {"Content-Length": str(end - start + 1), "Content-Range": f"bytes {start}-{end}/{4 * MB}"}
    return Reply(206, [b"x", Stall()], headers)


def test_a_stop_ends_the_measurement(ask: Ask) -> None:
    with Origin({"w.safetensors": bytes_of(4 * MB)}, fault=stalled) as origin:
        source, file = ask(origin)
        stop = threading.Event()
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(Stopped):
            measure_rate(file, [source], connections=2, stop=stop, seconds=60.0)


def test_an_empty_file_has_no_rate(ask: Ask) -> None:
    with Origin({"empty.json": b""}) as origin:
        source, file = ask(origin)
        assert measure_rate(file, [source], connections=4, stop=threading.Event()) is None
