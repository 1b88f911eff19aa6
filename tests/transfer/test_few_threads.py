"""A system that has few threads to give, or none, makes a transfer slower, and nothing else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import HubBusy, Stopped
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.probe import measure_rate
from qwen3ft_jupyter.transfer.sources import gather_sources
from qwen3ft_jupyter.work import Controls, Work
from tests.faults.scarcity import limit_threads
from tests.servers import ABORT, Reply, Seen, file_reply
from tests.transfer.origin import REPO, Interrupter, Origin, Recorder, bytes_of, wait_until_given_back

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.transfer.partial import FetchedFile
    from qwen3ft_jupyter.work import Progress

MB = 1 << 20
FILES = {"config.json": b"{}", "a.safetensors": bytes_of(5 * MB, 1), "b.safetensors": bytes_of(3 * MB, 2)}
QUICK = RetryPolicy(attempts=3, first_delay_s=0.01, max_delay_s=0.02)
NONE = [0]
FEW = [0, 1, 2, 3, 5]
"""None; a connection; a connection and who hashes; and who writes back; more, but not all that are wanted."""


@pytest.fixture(params=FEW)
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_threads(monkeypatch, request.param)


only_none = pytest.mark.parametrize("threads", NONE, indirect=True)


def transfer(origin: Origin, client: HttpClient, folder: Path, work: Work | None = None) -> list[FetchedFile]:
    listing = origin.listing(REPO)
    return fetch(
        listing.files,
        sources=[HubSource(origin, listing, client)],
        folder=folder,
        work=work or Work(),
        max_connections=8,
        policy=QUICK,
    )


def contents(fetched: list[FetchedFile]) -> dict[str, bytes]:
    return {file.file.path: file.path.read_bytes() for file in fetched}


@pytest.mark.usefixtures("threads")
def test_files_arrive_whole_and_verified(client: HttpClient, tmp_path: Path) -> None:
    told = Recorder()
    with Origin(FILES) as origin:
        assert contents(transfer(origin, client, tmp_path, Work(told))) == FILES
    assert "transferring" in {one.phase for one in told.events}


@pytest.mark.usefixtures("threads")
def test_a_source_that_breaks_off_is_asked_again_and_wrong_bytes_are_fetched_again(
    client: HttpClient, tmp_path: Path
) -> None:
    def fault(seen: Seen, count: int) -> Reply | None:
        data = FILES.get(seen.path.rsplit("/", 1)[-1], b"")
        if count == 0 and len(data) > MB:
            return Reply(206, (data[: MB // 2], ABORT), {"content-range": f"bytes 0-{len(data) - 1}/{len(data)}"})
        return file_reply(seen, bytes(len(data))) if count == 1 else None

    with Origin(FILES, fault=fault) as origin:
        assert contents(transfer(origin, client, tmp_path)) == FILES


@pytest.mark.usefixtures("threads")
def test_a_source_that_only_fails_ends_it(client: HttpClient, tmp_path: Path) -> None:
    with Origin(FILES, fault=lambda _seen, _count: Reply(503)) as origin, pytest.raises(HubBusy):
        transfer(origin, client, tmp_path)


@pytest.mark.usefixtures("threads")
def test_a_stop_is_heeded_and_what_arrived_is_kept(client: HttpClient, tmp_path: Path) -> None:
    stop = threading.Event()

    class Stopper(Recorder):
        def progress(self, progress: Progress) -> None:
            if progress.done > MB:
                stop.set()

    work = Work(Stopper(), stop, Controls(max_speed=8.0 * MB))
    with Origin(FILES) as origin:
        with pytest.raises(Stopped):
            transfer(origin, client, tmp_path, work)
        wait_until_given_back(tmp_path)

        fetched = transfer(origin, client, tmp_path)

        assert contents(fetched) == FILES
        assert 0 < sum(file.bytes_fetched for file in fetched) < sum(map(len, FILES.values()))


@pytest.mark.usefixtures("threads")
def test_a_pause_is_heeded_and_its_end(client: HttpClient, tmp_path: Path) -> None:
    controls = Controls(max_speed=16.0 * MB)

    class Pauser(Interrupter):
        def progress(self, progress: Progress) -> None:
            super().progress(progress)
            if self.events[-1].phase == "paused":
                controls.is_paused = False

    told = Pauser("transferring", lambda: setattr(controls, "is_paused", True))
    with Origin(FILES) as origin:
        assert contents(transfer(origin, client, tmp_path, Work(told, controls=controls))) == FILES
    assert "paused" in {one.phase for one in told.events}


@pytest.mark.usefixtures("threads")
def test_a_speed_is_measured(client: HttpClient) -> None:
    with Origin(FILES) as origin:
        listing = origin.listing(REPO)
        source = HubSource(origin, listing, client)
        assert measure_rate(listing.files[1], [source], connections=4, stop=threading.Event())


@only_none
@pytest.mark.usefixtures("threads")
def test_another_source_that_was_asked_for_is_asked_all_the_same(client: HttpClient, tmp_path: Path) -> None:
    with Origin(FILES) as listed, Origin(FILES, name="huggingface") as other:
        listing = listed.listing(REPO)
        hubs = {listed.name: listed, other.name: other}
        with gather_sources(
            listing,
            hubs=hubs,
            order=list(hubs),
            client=client,
            wanted=["huggingface"],
            bytes_to_fetch=sum(map(len, FILES.values())),
            work=Work(),
        ) as sources:
            fetched = fetch(listing.files, sources=sources, folder=tmp_path, work=Work(), policy=QUICK)
        assert contents(fetched) == FILES
        assert {name for file in fetched for name in file.shares} == {other.label}
