"""Who is downloading a model: a file by which processes join a download instead of repeating it.

A lease saves bandwidth, never correctness: if two processes hold it after all (a mount that fakes exclusive creation, a
clock that jumped), both download into partials of their own and commit the same bytes. So a lease is never waited for
when its owner is known to be gone, or has been silent for long.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.cache.own.layout import INCOMING_FOLDER
from qwen3ft_jupyter.disk import LOCAL, make_own_folder, read_regular, write_json
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_there
from qwen3ft_jupyter.processes import ProcessIdentity, start_thread
from qwen3ft_jupyter.transfer.volume import disk_error
from qwen3ft_jupyter.work import PHASES, Progress, Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

LEASE_NAME: Final = "lease.json"
MAX_LEASE_BYTES: Final = 1 << 20
"""A longer file is not one of ours."""
BEAT_S: Final = 1.0
"""How often the owner shows its progress."""
LEAVE_S: Final = 0.3
"""A failed or stopped owner waits so long at most for a beat under way: the disk may hang."""
ATTEMPTS: Final = 5
"""So often a folder is made that others remove at the same moment."""
_over: Final[set[str]] = set()
"""The nonces of leases that this process has given back. One that is on the disk all the same could not be deleted."""
POLL_S: Final = 0.25
"""How often a waiter looks; also how soon it notices a stop."""
SILENT_S: Final = 60.0
"""An owner on another machine that has not shown itself for so long, measured by the waiter's clock, is gone."""
HUNG_S: Final = 300.0
"""The same for an owner here that exists but does nothing, for example one that was suspended."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease as read."""

    repo_id: str
    nonce: str
    owner: ProcessIdentity
    beat: float
    progress: Progress | None

    @classmethod
    def read(cls, folder: Path, name: str = LEASE_NAME) -> LeaseState | None:
        """Return the lease in an incoming folder, or None if there is none that can be read."""
        try:
            data = json.loads(read_regular(folder / name, MAX_LEASE_BYTES))
            repo_id, nonce, beat = data["repo_id"], data["nonce"], float(data["beat"])
            owner = ProcessIdentity.from_dict(data["owner"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(repo_id, str) or not isinstance(nonce, str):
            return None
        return cls(repo_id, nonce, owner, beat, _progress_from(data.get("progress")))

    @property
    def is_live(self) -> bool:
        """Return whether the owner may still be at work, as far as one look can tell."""
        return not self.is_over and (self.owner.is_surely_alive or abs(time.time() - self.beat) < HUNG_S)

    @property
    def is_over(self) -> bool:
        """Return whether the owner is surely at work no more."""
        return self.nonce in _over or self.owner.is_surely_dead


class Lease(Reporter):
    """Held by this process. Passes what it is told on to another reporter and shows it to waiters."""

    def __init__(self, folder: Path, repo_id: str, reporter: Reporter, *, has_waited: bool, disk: Disk = LOCAL) -> None:
        self.has_waited = has_waited
        """Whether another process held it before: what it was to bring may be there now."""
        self.nonce = secrets.token_hex(8)
        self._folder = folder
        self._repo_id = repo_id
        self._reporter = reporter
        self._disk = disk
        self._progress: Progress | None = None
        self._ended = threading.Event()

    def progress(self, progress: Progress) -> None:
        """Pass it on, and keep it for the next beat."""
        self._progress = progress
        self._reporter.progress(progress)

    def notice(self, message: str) -> None:
        """Pass it on."""
        self._reporter.notice(message)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Pass it on."""
        self._reporter.metrics(values)

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {
            "version": 1,
            "repo_id": self._repo_id,
            "nonce": self.nonce,
            "owner": ProcessIdentity.current().to_dict(),
            "beat": time.time(),
            "progress": self._progress.to_json() if self._progress else None,
        }

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Show progress until the end of the block, then give the lease back."""
        thread = threading.Thread(target=self._beat, name="qwen3ft-lease", daemon=True)
        is_beating = start_thread(thread)  # else others may take us for dead: that costs bandwidth
        patience_s = LEAVE_S
        try:
            yield
            patience_s = 4 * BEAT_S
        finally:
            self._ended.set()
            if is_beating:
                thread.join(patience_s)
            else:
                self._beat()  # gives it back
            _over.add(self.nonce)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            if not self._is_ours():
                return  # someone took us for dead: they may go on, so may we
            with contextlib.suppress(OSError):  # a full disk ends the download, not the lease
                write_json(self._folder / LEASE_NAME, self.to_dict(), disk=self._disk)
        if self._is_ours():  # given back here, for only here no beat can be under way that would bring it back
            with contextlib.suppress(OSError):
                self._disk.unlink(self._folder / LEASE_NAME)

    def _is_ours(self) -> bool:
        state = LeaseState.read(self._folder)
        return state is not None and state.nonce == self.nonce


@contextlib.contextmanager
def hold_lease(folder: Path, repo_id: str, work: Work, *, disk: Disk = LOCAL) -> Iterator[Lease]:
    """Hold the lease of an incoming folder for the length of the block, after waiting for its present owner.

    Raises:
        Stopped: Someone wanted the work to stop while waiting.
        CacheNotWritable, NoSpace, TransferError: The folder cannot be written.
    """
    watch, attempts = _Watch(work.reporter), 0
    while True:
        lease = Lease(folder, repo_id, work.reporter, has_waited=watch.has_waited, disk=disk)
        try:
            if folder.parent.name == INCOMING_FOLDER:
                make_own_folder(folder.parent, disk=disk)
            make_own_folder(folder, disk=disk)
            if _create(folder, lease, disk):
                break
        except OSError as error:
            attempts += 1
            if isinstance(error, (FileExistsError, FileNotFoundError)) and attempts < ATTEMPTS:
                continue  # who held it has just removed the folder
            raise disk_error(error, Message("The cache")) from error
        attempts = 0
        state = LeaseState.read(folder)
        if watch.is_stale(state, folder):
            _break(folder, state, disk)
            continue
        if work.stop.wait(POLL_S):
            raise Stopped("Stopped while waiting for another process to download the model.")
    with lease.beating():
        yield lease


class _Watch:
    """What a waiter has seen of the lease it waits for."""

    def __init__(self, reporter: Reporter) -> None:
        self.has_waited = False
        self._reporter = reporter
        self._seen: tuple[str, float] | None = None
        self._since = time.monotonic()

    def is_stale(self, state: LeaseState | None, folder: Path) -> bool:
        """Return whether the owner is gone; if not, mirror its progress."""
        now = time.monotonic()
        seen = (state.nonce, state.beat) if state else None
        if seen != self._seen:
            self._seen, self._since = seen, now
        silent_s = now - self._since
        if state is None:  # given back this moment, being written, or garbage
            return silent_s > 4 * BEAT_S and is_there(folder / LEASE_NAME)
        if state.is_over or silent_s > (HUNG_S if state.owner.is_surely_alive else SILENT_S):
            return True
        self._mirror(state.progress or Progress("resolving"))
        return False

    def _mirror(self, progress: Progress) -> None:
        """Show what the owner shows."""
        if not self.has_waited:
            self._reporter.notice("Another process is downloading this model; waiting for it.")
        self.has_waited = True
        phase = PHASES[progress.phase].word if progress.phase in PHASES else progress.phase
        detail = Message("another process: {phase}", phase=phase)
        self._reporter.progress(replace(progress, phase="waiting", detail=detail))


def _create(folder: Path, lease: Lease, disk: Disk) -> bool:
    """Create the lease file whole or not at all; return False if there is one already."""
    path = folder / LEASE_NAME
    try:
        disk.close(disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return False
    try:
        write_json(path, lease.to_dict(), disk=disk)
    except OSError:
        with contextlib.suppress(OSError):
            disk.unlink(path)  # or it would be waited for
        raise
    return True


def _break(folder: Path, stale: LeaseState | None, disk: Disk) -> None:
    """Take a stale lease away; of several waiters one succeeds."""
    aside = folder / f"{secrets.token_hex(8)}.stale"
    with contextlib.suppress(OSError):
        disk.replace(folder / LEASE_NAME, aside)
        taken = LeaseState.read(folder, aside.name)
        if taken is not None and (stale is None or taken.nonce != stale.nonce):
            disk.replace(aside, folder / LEASE_NAME)  # another waiter was faster, and this is its lease
        else:
            disk.unlink(aside)


def _progress_from(data: object) -> Progress | None:
    if not isinstance(data, dict):
        return None
    try:
        progress = Progress.from_dict(data)
    except TypeError:
        return None
    numbers = [progress.done, *(n for n in (progress.total, progress.rate, progress.eta_s) if n is not None)]
    texts = [progress.phase, progress.unit]
    is_text = all(isinstance(text, str) for text in texts) and isinstance(data.get("detail", ""), (str, dict))
    return progress if is_text and all(type(number) in {int, float} for number in numbers) else None
