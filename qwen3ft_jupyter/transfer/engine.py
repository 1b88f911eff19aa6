"""Moves bytes: several connections shared across files and sources, digests computed on the way."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.hubs.names import Sha256
from qwen3ft_jupyter.hubs.retry import DEFAULT_POLICY
from qwen3ft_jupyter.hubs.wire import break_off_stopped
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.processes import start_thread
from qwen3ft_jupyter.transfer.connection_limit import ConnectionLimit
from qwen3ft_jupyter.transfer.file_download import FileDownload, nobody_has
from qwen3ft_jupyter.transfer.journal import clear_orphans, journals_by_key
from qwen3ft_jupyter.transfer.meter import Meter
from qwen3ft_jupyter.transfer.objects import in_order
from qwen3ft_jupyter.transfer.partial import FetchedFile, Partial, claim
from qwen3ft_jupyter.transfer.range_chooser import RangeChooser
from qwen3ft_jupyter.transfer.scheduler import Scheduler
from qwen3ft_jupyter.transfer.source import is_resolved
from qwen3ft_jupyter.transfer.source_states import SourceState
from qwen3ft_jupyter.transfer.volume import disk_error
from qwen3ft_jupyter.transfer.workers import carry_pieces, follow, write_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.retry import RetryPolicy
    from qwen3ft_jupyter.transfer.source import Source
    from qwen3ft_jupyter.work import Work

TICK_S = 0.1
"""How often the caller's thread looks at the stop signal and at the counts."""

JOIN_S = 0.4
"""How long the end waits for threads: with what else takes time, a cancel is felt within a second. They leave their
sockets within two tenths; one that is left behind, on a disk that hangs, is a daemon and finds its files closed."""

SETTLE_S = 5.0
"""The same after a failure, where nobody wants an end at once. What a thread is still writing is then noted, and
whoever goes on, with another hub for example, finds the partials given back and does not fetch all of it again."""

MAX_FOLLOWERS = 4
"""More files at once than this are not hashed: one core hashes faster than most links deliver."""


def fetch(
    files: Sequence[RemoteFile],
    *,
    sources: Sequence[Source],
    folder: Path,
    work: Work,
    max_connections: int = 16,
    policy: RetryPolicy = DEFAULT_POLICY,
    disk: Disk = LOCAL,
    clock: Callable[[], float] = time.monotonic,
) -> list[FetchedFile]:
    """Fetch `files` into partials in `folder` and return them, verified, in the order of `files`.

    Continues what earlier attempts left in `folder`, whatever source they used. The caller moves the files to their
    place (`FetchedFile.move_to`) or releases them (`FetchedFile.release`).

    Args:
        files: What to fetch; at least one source has each of them.
        sources: Where bytes may come from, in order of trust. One that gets to know its files later is used from then
            on.
        folder: Where the partials are. Whether they fit there is for the caller to know.
        work: Is told of progress, and of everything a person should know; changes the speed, pauses or stops it.
        max_connections: At most so many connections at once, to all sources together.
        policy: How patient to be with sources that fail.
        disk: What writes.
        clock: Seconds that only grow.

    Raises:
        NoSpace: The volume filled up on the way; what arrived is kept.
        CacheNotWritable, TransferError: The disk refused or failed.
        WrongBytes: No source has the bytes of the listing.
        SourceFailed, HubBusy, HubUnreachable: The sources failed again and again without giving a byte.
        AccessDenied, ModelNotFound: The sources refuse.
        Stopped: Someone wants the work to stop; what arrived is kept.
    """
    _raise_if_nobody_has(files, sources)
    keyed = in_order(files)
    with contextlib.ExitStack() as to_release:
        partials = _claim_all(keyed, folder, disk, to_release)
        downloads = [FileDownload(file, partials[key]) for key, file in keyed.items()]
        states = [SourceState(source, policy, ConnectionLimit(max_connections)) for source in sources]
        chooser = RangeChooser(downloads, states, max_connections)
        scheduler = Scheduler(chooser, policy=policy, clock=clock, reporter=work.reporter)
        try:
            _run(scheduler, work, connections=max_connections)
        except OSError as error:
            raise disk_error(error, folder.name) from error
        to_release.pop_all()
    fetched = {download.file.path: _fetched(download) for download in downloads}
    return [fetched[file.path] for file in files]


def _fetched(download: FileDownload) -> FetchedFile:
    shares = download.shares()
    return FetchedFile(
        download.file, Sha256(download.digests.sha256), download.partial, sum(shares.values()), shares=shares
    )


def _raise_if_nobody_has(files: Sequence[RemoteFile], sources: Sequence[Source]) -> None:
    if not all(map(is_resolved, sources)):
        return  # the scheduler waits for those
    for file in files:
        if not any(source.has(file) for source in sources):
            raise nobody_has(file)


def _claim_all(
    keyed: Mapping[str, RemoteFile], folder: Path, disk: Disk, to_release: contextlib.ExitStack
) -> dict[str, Partial]:
    """Claim a partial for each file, which `to_release` releases at its end, whatever happens to the others."""
    partials: dict[str, Partial] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_orphans(folder)
        journals = journals_by_key(folder)
        for key, file in keyed.items():
            partials[key] = claim(folder, key, file.size, disk=disk, name=file.path, journals=journals.get(key, ()))
            to_release.callback(partials[key].close, release=True)
    except OSError as error:
        raise disk_error(error, Message("The cache")) from error
    return partials


def _run(scheduler: Scheduler, work: Work, *, connections: int) -> None:
    """Run the threads to the end of the work. Raises what ended it, if not success."""
    watch, threads = _Watch(scheduler, work), _threads(scheduler, work, connections)
    started: list[threading.Thread] = []
    try:
        watch.look()
        with scheduler.held():
            started.extend(itertools.takewhile(start_thread, threads))
        watch.run(carries=len(started) < 1, follows=len(started) < 2)
    finally:
        scheduler.finish(
            Stopped("The download was interrupted.")
        )  # an interrupt of the caller; else it has ended already
        has_failed = scheduler.error is not None and not isinstance(scheduler.error, Stopped)
        _join(started, lambda: SETTLE_S if has_failed and not work.stop.is_set() else JOIN_S)
    if scheduler.error is not None:
        raise scheduler.error


def _join(threads: Sequence[threading.Thread], patience_s: Callable[[], float]) -> None:
    """Wait until the threads have ended, or until patience, which may change meanwhile, is at its end."""
    began = time.monotonic()
    for thread in threads:
        while thread.is_alive() and (left := began + patience_s() - time.monotonic()) > 0:
            break_off_stopped()  # for which the system may have had no thread
            thread.join(min(left, TICK_S))


def _threads(scheduler: Scheduler, work: Work, connections: int) -> Iterator[threading.Thread]:
    """Yield the threads of the work; the first are needed most, if the system has not enough for all."""

    def thread(run: Callable[..., None], *args: object, name: str) -> threading.Thread:
        return threading.Thread(target=run, args=args, name=f"qwen3ft-{name}", daemon=True)

    followers = max(1, min(MAX_FOLLOWERS, os.cpu_count() or 1, len(scheduler.downloads)))
    yield thread(carry_pieces, scheduler, work, name="connection-0")
    yield thread(follow, scheduler, work.reporter, name="follower-0")
    yield thread(write_back, scheduler, name="write-back")
    for number in range(1, followers):
        yield thread(follow, scheduler, work.reporter, name=f"follower-{number}")
    for number in range(1, connections):
        yield thread(carry_pieces, scheduler, work, name=f"connection-{number}")


class _Watch:
    """What the caller's thread does meanwhile: report progress, and look for a stop, a pause and another speed.

    Where the system has no thread to give, it also does what there is no thread for, a little at a time.
    """

    def __init__(self, scheduler: Scheduler, work: Work) -> None:
        self._scheduler = scheduler
        self._work = work
        self._due = 0.0
        self._phase = ""
        total = sum(download.file.size for download in scheduler.downloads)
        self._meters = {
            phase: Meter(
                work.reporter,
                phase,
                total,
                done=0 if phase == "verifying" else scheduler.done_bytes(),
                clock=scheduler.clock,
            )
            for phase in ("transferring", "paused", "verifying")
        }

    def run(self, *, carries: bool, follows: bool) -> None:
        """Return when the work is over.

        Args:
            carries: No other thread fetches.
            follows: No other thread hashes.
        """
        scheduler, work = self._scheduler, self._work

        def help_out() -> None:
            self._look_when_due()
            if follows:
                follow(scheduler, work.reporter, meanwhile=self._look_when_due)

        while not scheduler.is_over.wait(TICK_S):
            help_out()
            if carries:
                carry_pieces(scheduler, work, meanwhile=help_out)
        if scheduler.error is None:
            self._meters[self._phase].update(scheduler.done_bytes(), now=True)

    def _look_when_due(self) -> None:
        if time.monotonic() >= self._due:
            self.look()

    def look(self) -> None:
        """Look at once."""
        self._due = time.monotonic() + TICK_S
        if self._work.stop.is_set():
            stopped = Stopped("The download was stopped.", hint="What arrived is kept; start it again to go on.")
            self._scheduler.finish(stopped)
            return
        break_off_stopped()
        scheduler, is_paused = self._scheduler, self._work.controls.is_paused
        scheduler.pause(is_paused=is_paused)
        scheduler.is_unlimited = not self._work.is_limited
        done = scheduler.done_bytes()
        if scheduler.is_transferred():
            if self._phase in {"transferring", "paused"}:
                self._meters[self._phase].update(done, now=True)
            self._show("verifying", scheduler.hashed_bytes())
        elif is_paused:
            self._show("paused", done)
        else:
            scheduler.look()
            self._show("transferring", done, scheduler.describe())

    def _show(self, phase: str, done: int, detail: str = "") -> None:
        if self._phase != phase:
            self._phase = phase
            self._meters[phase].restart(done)
        self._meters[phase].update(done, detail=detail)
