"""Moves bytes: several connections shared across files and sources, digests computed on the way."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.hubs.names import Sha256
from qwen3ft_jupyter.hubs.retry import DEFAULT_POLICY
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.transfer.connection_limit import ConnectionLimit
from qwen3ft_jupyter.transfer.file_download import FileDownload, nobody_has
from qwen3ft_jupyter.transfer.journal import clear_orphans
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
    from collections.abc import Callable, Mapping, Sequence
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
    partials = _claim_all(keyed, folder, disk)
    is_done = False
    try:
        downloads = [FileDownload(file, partials[key]) for key, file in keyed.items()]
        states = [SourceState(source, policy, ConnectionLimit(max_connections)) for source in sources]
        chooser = RangeChooser(downloads, states, max_connections)
        scheduler = Scheduler(chooser, policy=policy, clock=clock, reporter=work.reporter)
        _run(scheduler, work, connections=max_connections)
        is_done = True
    except OSError as error:
        raise disk_error(error, folder.name) from error
    finally:
        if not is_done:
            for partial in partials.values():
                partial.close(release=True)
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


def _claim_all(keyed: Mapping[str, RemoteFile], folder: Path, disk: Disk) -> dict[str, Partial]:
    partials: dict[str, Partial] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_orphans(folder)
        for key, file in keyed.items():
            partials[key] = claim(folder, key, file.size, disk=disk, name=file.path)
    except BaseException as error:
        for partial in partials.values():
            partial.close(release=True)
        if isinstance(error, OSError):
            raise disk_error(error, Message("The cache")) from error
        raise
    return partials


def _run(scheduler: Scheduler, work: Work, *, connections: int) -> None:
    """Run the threads to the end of the work. Raises what ended it, if not success."""
    threads = [
        threading.Thread(target=carry_pieces, args=(scheduler, work), name=f"qwen3ft-connection-{number}", daemon=True)
        for number in range(connections)
    ] + [
        threading.Thread(target=follow, args=(scheduler, work.reporter), name=f"qwen3ft-follower-{number}", daemon=True)
        for number in range(max(1, min(MAX_FOLLOWERS, os.cpu_count() or 1, len(scheduler.downloads))))
    ]
    threads.append(threading.Thread(target=write_back, args=(scheduler,), name="qwen3ft-write-back", daemon=True))
    try:
        _Watch(scheduler, work).run(threads)
    finally:
        scheduler.finish(
            Stopped("The download was interrupted.")
        )  # an interrupt of the caller; else it has ended already
        deadline = time.monotonic() + JOIN_S
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
    if scheduler.error is not None:
        raise scheduler.error


class _Watch:
    """What the caller's thread does meanwhile: report progress, and look for a stop, a pause and another speed."""

    def __init__(self, scheduler: Scheduler, work: Work) -> None:
        self._scheduler = scheduler
        self._work = work
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

    def run(self, threads: Sequence[threading.Thread]) -> None:
        """Start `threads` and return when the work is over."""
        scheduler = self._scheduler
        self._look()
        for thread in threads:
            thread.start()
        while not scheduler.is_over.wait(TICK_S):
            if self._work.stop.is_set():
                scheduler.finish(
                    Stopped("The download was stopped.", hint="What arrived is kept; start it again to go on.")
                )
            else:
                self._look()
        if scheduler.error is None:
            self._meters[self._phase].update(scheduler.done_bytes(), now=True)

    def _look(self) -> None:
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
