"""Several processes at once, where the volume lets all of them believe that they are alone; and clocks that jump."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheDamaged
from tests.faults.downloads import FILES, MB, NAME, SIZE, WEIGHTS, Child, check_visible, complete, contents, ensure
from tests.transfer.origin import REPO, Interrupter, Origin, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


@pytest.mark.parametrize("disk", ["PlayedDisk", "BareDisk"])
def test_processes_at_once_download_a_model_once(tmp_path: Path, origin: Origin, disk: str) -> None:
    root = tmp_path / "cache"
    children = [Child(origin, root, disk=disk) for _ in range(4)]

    answers = [child.end() for child in children]

    assert sorted(answer["result"]["bytes"] for answer in answers) == [0, 0, 0, SIZE]
    assert contents(root / NAME) == FILES


@pytest.mark.parametrize("disk", ["LyingDisk", "ForgetfulDisk"])
@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_all_hold_the_lease_end_right(tmp_path: Path, disk: str, attempt: int) -> None:
    """Locks save bandwidth, never correctness: each writes to files of its own and moves the same bytes in place."""
    root = tmp_path / "cache"
    files = {**FILES, WEIGHTS: bytes_of(12 * MB, 4)}
    with Origin(files) as origin:
        children = [Child(origin, root, disk=disk) for _ in range(3)]

        answers = [child.end() for child in children]

        check_visible(root, files)
        assert any("result" in answer for answer in answers), answers
        for answer in answers:  # one that looks while another moves the files sees a model that is being changed
            assert "result" in answer or answer["error"] == CacheDamaged.__name__, answers
        complete(root, origin)
        assert not list((root / NAME / ".qwen3ft").glob("replaced/*"))


def test_an_eviction_while_others_download_leaves_the_model_whole_or_gone(tmp_path: Path, origin: Origin) -> None:
    root = tmp_path / "cache"
    complete(root, origin)
    children = [Child(origin, root, disk="LyingDisk") for _ in range(3)]
    for child in children:
        for _line in child.lines():
            break
        ModelCache(root).evict_all()
        check_visible(root)

    for child in children:
        child.end()

    check_visible(root)
    complete(root, origin)


JUMPS = {"ten years ahead": 3e8, "ten years back": -3e8, "before 1970": -1.9e9}


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("phase", ["transferring", "verifying", "committing"])
def test_a_clock_that_jumps_costs_nothing(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, jump: str, phase: str
) -> None:
    root = tmp_path / "cache"
    told = Interrupter(phase, lambda: set_clock(monkeypatch, JUMPS[jump]))

    assert ensure(ModelCache(root), origin, reporter=told).bytes_fetched == SIZE

    assert contents(root / NAME) == FILES
    asked = len(origin.server.seen)
    assert ensure(ModelCache(root), origin).was_cached
    assert ModelCache(root).verify(REPO).is_ok
    monkeypatch.undo()
    assert ensure(ModelCache(root), origin).was_cached
    assert len(origin.server.seen) == asked


@pytest.mark.parametrize("jump", JUMPS)
def test_what_was_begun_before_the_clock_jumped_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    root, data = tmp_path / "cache", bytes_of(24 * MB, 6)
    with Origin({WEIGHTS: data}) as origin:
        child = Child(origin, root, disk="ByteKillingDisk", arguments=[15 * MB])
        assert child.end() == {}
        set_clock(monkeypatch, JUMPS[jump])

        assert complete(root, origin).bytes_fetched < len(data)


@pytest.mark.parametrize("jump", JUMPS)
def test_two_processes_whose_clocks_differ_join_one_download(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    root = tmp_path / "cache"
    child = Child(origin, root)
    child.wait_for(phase="transferring")
    set_clock(monkeypatch, JUMPS[jump])

    assert ensure(ModelCache(root), origin).bytes_fetched == 0

    assert child.end()["result"]["bytes"] == SIZE
    manifest = read_manifest(root / NAME)
    assert manifest is not None


def set_clock(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    real: Callable[[], float] = time.time
    monkeypatch.setattr("time.time", lambda: real() + jump_s)
