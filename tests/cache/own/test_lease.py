from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.own import lease as leases
from qwen3ft_jupyter.cache.own.lease import LEASE_NAME, Lease, LeaseState, hold_lease
from qwen3ft_jupyter.disk import LocalDisk, write_json
from qwen3ft_jupyter.errors import Stopped, TransferError
from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.work import SILENT, Progress, Work
from tests.jobs.following import wait_until
from tests.lived import Lived
from tests.transfer.origin import REPO, Recorder

if TYPE_CHECKING:
    from pathlib import Path


def leave(folder: Path, **changes: Any) -> None:
    """Put a lease of some other process there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / LEASE_NAME, {**Lease(folder, REPO, SILENT, has_waited=False).to_dict(), **changes})


def owner(**changes: Any) -> dict[str, Any]:
    return ProcessIdentity.current()._replace(**changes).to_dict()


def hold_at_once(folder: Path) -> Lease:
    with hold_lease(folder, REPO, Work()) as lease:
        return lease


def test_a_lease_is_there_while_it_is_held_and_then_gone(tmp_path: Path) -> None:
    with hold_lease(tmp_path / "in", REPO, Work()) as lease:
        state = LeaseState.read(tmp_path / "in")
        assert state is not None
        assert (state.repo_id, state.nonce) == (REPO, lease.nonce)
        assert state.is_live
        assert not lease.has_waited

    assert list((tmp_path / "in").iterdir()) == []


def test_the_lease_of_a_dead_process_is_taken_at_once(tmp_path: Path) -> None:
    leave(tmp_path, owner=owner(started=1.0))

    hold_at_once(tmp_path)


def test_a_silent_owner_on_another_machine_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock may be wrong: silence is measured here."""
    monkeypatch.setattr(leases, "SILENT_S", 0.3)
    leave(tmp_path, owner=owner(host="another"), beat=time.time() + 1e6)

    hold_at_once(tmp_path)


def test_an_owner_that_shows_itself_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in all for longer than it may be silent."""
    played = SimpleNamespace(monotonic=itertools.count(0.0, 0.7 * leases.SILENT_S).__next__, time=time.time)
    monkeypatch.setattr(leases, "time", played)
    monkeypatch.setattr(leases, "POLL_S", 0.0)
    leave(tmp_path, owner=owner(host="another"), beat=0.0, nonce="same")
    stop = threading.Event()

    class Beating(Recorder):
        def progress(self, progress: Progress) -> None:
            super().progress(progress)
            leave(tmp_path, owner=owner(host="another"), beat=float(len(self.events)), nonce="same")
            if len(self.events) == 8:
                stop.set()

    with pytest.raises(Stopped), hold_lease(tmp_path, REPO, Work(reporter=Beating(), stop=stop)):
        pass


def test_an_owner_that_hangs_is_given_up_after_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HUNG_S", 0.3)
    leave(tmp_path)

    hold_at_once(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b'{"repo_id": 1}', b"[" * 100_000])
def test_a_garbage_lease_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    (tmp_path / LEASE_NAME).write_bytes(content)

    hold_at_once(tmp_path)


def test_a_waiter_sees_the_progress_of_the_owner(tmp_path: Path) -> None:
    progress = Progress("transferring", 10, 100, rate=5.0, eta_s=18.0)
    leave(tmp_path, progress=progress.to_dict())
    told, stop = Recorder(), threading.Event()

    stopper = threading.Thread(target=lambda: told.wait_for(lambda recorder: bool(recorder.events)) or stop.set())  # type: ignore[func-returns-value]
    stopper.start()
    with pytest.raises(Stopped), hold_lease(tmp_path, REPO, Work(reporter=told, stop=stop)):
        pass
    stopper.join()

    assert told.events[0] == dataclasses.replace(progress, phase="waiting", detail="another process: downloading")
    assert len(told.notices) == 1


@pytest.mark.parametrize("progress", [{}, {"phase": "x", "done": "y"}, "x", {"phase": "x", "total": []}])
def test_garbage_progress_is_no_progress(tmp_path: Path, progress: object) -> None:
    leave(tmp_path, progress=progress)

    state = LeaseState.read(tmp_path)

    assert state is not None
    assert state.progress is None


def test_the_owner_shows_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.02)
    with hold_lease(tmp_path, REPO, Work()) as lease:
        lease.progress(Progress("transferring", 7, 10))
        wait_until(lambda: bool((state := LeaseState.read(tmp_path)) and state.progress))
        state = LeaseState.read(tmp_path)

    assert state is not None
    assert state.progress is not None
    assert state.progress.done == 7


def test_a_lease_that_was_taken_away_is_not_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 600.0)  # none is under way while it is taken
    with hold_lease(tmp_path, REPO, Work()) as lease:
        leave(tmp_path, nonce="theirs")
        monkeypatch.setattr(leases, "BEAT_S", 0.0)
        lease._beat()

    state = LeaseState.read(tmp_path)
    assert state is not None
    assert state.nonce == "theirs"


def test_many_threads_hold_it_one_after_the_other(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with hold_lease(tmp_path / "in", REPO, Work()):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert most == [1] * 4


def test_a_stop_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The beat under way would bring the lease back after it was given back: so its thread gives it back."""
    monkeypatch.setattr(leases, "BEAT_S", 0.02)
    entered, go_on = threading.Event(), threading.Event()

    class HangingDisk(LocalDisk):
        def fsync(self, descriptor: int) -> None:
            if threading.current_thread().name == "qwen3ft-lease":
                entered.set()
                assert go_on.wait(120)
            super().fsync(descriptor)

    held = hold_lease(tmp_path / "in", REPO, Work(), disk=HangingDisk())
    with Lived() as lived, contextlib.suppress(Stopped), held:
        assert entered.wait(120)
        before_s = lived.seconds
        raise Stopped("stop")
    assert lived.seconds - before_s < 0.9

    go_on.set()
    wait_until(lambda: list((tmp_path / "in").iterdir()) == [])


def test_a_folder_removed_by_who_held_it_before_is_made_again(tmp_path: Path) -> None:
    class Crowded(LocalDisk):
        tries = 0

        def make_folder(self, path: Path) -> None:
            self.tries += 1
            if self.tries < 3:
                raise FileExistsError(17, "it was there a moment ago", str(path))
            super().make_folder(path)

    with hold_lease(tmp_path / "in", REPO, Work(), disk=Crowded()):
        assert (tmp_path / "in" / LEASE_NAME).exists()


def test_a_lease_that_could_not_be_given_back_is_not_waited_for(tmp_path: Path) -> None:
    class Keeping(LocalDisk):
        def unlink(self, path: Path) -> None:
            raise OSError(errno.EIO, "input/output error", str(path))

    with hold_lease(tmp_path / "in", REPO, Work(), disk=Keeping()):
        pass
    state = LeaseState.read(tmp_path / "in")
    assert state is not None
    assert not state.is_live

    hold_at_once(tmp_path / "in")


def test_a_lease_that_could_not_be_written_is_not_left_behind(tmp_path: Path) -> None:
    class Failing(LocalDisk):
        def fsync_folder(self, path: Path) -> None:
            if path.name == "in" and (path / LEASE_NAME).exists():
                raise OSError(errno.EIO, "input/output error")
            super().fsync_folder(path)

    with (
        pytest.raises(TransferError),
        hold_lease(tmp_path / "in", REPO, Work(), disk=Failing()),
    ):
        pass

    assert not (tmp_path / "in" / LEASE_NAME).exists()
    hold_at_once(tmp_path / "in")
