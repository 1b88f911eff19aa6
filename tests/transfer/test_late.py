"""A source that is still finding out what it has is waited for when all others ran out of patience."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import AccessDenied, SourceFailed, Stopped
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.work import Work
from tests.servers import Reply
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of
from tests.transfer.playing import MB, NAME, LateSource, run, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.transfer.source import Source

DATA = bytes_of(3 * MB)


@pytest.fixture
def refusing() -> Iterator[Origin]:
    with Origin({NAME: DATA}, fault=lambda _seen, _n: Reply(403)) as origin:
        yield origin


@pytest.fixture
def late(client: HttpClient) -> Iterator[LateSource]:
    with Origin({NAME: DATA}, name="huggingface") as origin:
        yield LateSource(source_of(origin, client))


def when_asked(late: LateSource, event: threading.Event) -> threading.Thread:
    """Set `event` once somebody has nobody else left."""

    def wait() -> None:
        assert late.is_asked.wait(120)
        event.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_it_brings_the_files_when_it_has_them(
    client: HttpClient, refusing: Origin, late: LateSource, tmp_path: Path
) -> None:
    told = Recorder()
    thread = when_asked(late, late.is_there)
    (fetched,) = run([source_of(refusing, client), late], refusing.listing(REPO).files, tmp_path, reporter=told)
    thread.join()

    assert fetched.path.read_bytes() == DATA
    assert fetched.shares == {"Hugging Face": len(DATA)}


def test_while_it_is_waited_for_people_see_why(
    client: HttpClient, refusing: Origin, late: LateSource, tmp_path: Path
) -> None:
    told = Recorder()

    def let_it_know() -> None:
        told.wait_for(lambda told: any("waiting for Hugging Face" in event.detail for event in told.events))
        late.is_there.set()

    thread = threading.Thread(target=let_it_know)
    thread.start()
    run([source_of(refusing, client), late], refusing.listing(REPO).files, tmp_path, reporter=told)
    thread.join()


def test_if_it_has_nothing_either_the_first_error_ends_the_work(
    client: HttpClient, refusing: Origin, late: LateSource, tmp_path: Path
) -> None:
    thread = when_asked(late, late.is_resolved)

    with pytest.raises(AccessDenied):
        run([source_of(refusing, client), late], refusing.listing(REPO).files, tmp_path)
    thread.join()


@pytest.mark.parametrize("has_it", [True, False])
def test_it_may_be_the_only_one(client: HttpClient, late: LateSource, tmp_path: Path, has_it: bool) -> None:  # noqa: FBT001
    thread = when_asked(late, late.is_there if has_it else late.is_resolved)
    with Origin({NAME: DATA}) as origin:
        files = origin.listing(REPO).files

    if has_it:
        assert run([late], files, tmp_path)[0].path.read_bytes() == DATA
    else:
        with pytest.raises(SourceFailed, match="no source has it"):
            run([late], files, tmp_path)
    thread.join()


def test_a_stop_ends_the_wait(client: HttpClient, refusing: Origin, late: LateSource, tmp_path: Path) -> None:
    stop = threading.Event()
    thread = when_asked(late, stop)
    sources: list[Source] = [source_of(refusing, client), late]

    with pytest.raises(Stopped):
        fetch(refusing.listing(REPO).files, sources=sources, folder=tmp_path, work=Work(stop=stop))
    thread.join()
