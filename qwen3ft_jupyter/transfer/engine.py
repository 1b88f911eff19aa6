"""Moves bytes: several connections shared across files and sources, digests computed on the way."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import SourceFailed, Stopped
from qwen3ft_jupyter.hubs.names import Sha256
from qwen3ft_jupyter.reporting import SILENT
from qwen3ft_jupyter.transfer.board import Board, Transit
from qwen3ft_jupyter.transfer.meter import Meter
from qwen3ft_jupyter.transfer.partial import FetchedFile, Partial, claim, clear_orphans
from qwen3ft_jupyter.transfer.patience import DEFAULT_POLICY
from qwen3ft_jupyter.transfer.pieces import MIN_PIECE_BYTES
from qwen3ft_jupyter.transfer.plan import Plan, check_room, in_order, make_plan
from qwen3ft_jupyter.transfer.volume import Disk, LocalDisk, disk_error
from qwen3ft_jupyter.transfer.workers import carry_pieces, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.reporting import Reporter
    from qwen3ft_jupyter.transfer.patience import RetryPolicy
    from qwen3ft_jupyter.transfer.source import Source

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
    max_connections: int = 16,
    reporter: Reporter = SILENT,
    stop: threading.Event | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    disk: Disk | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[FetchedFile]:
    """Fetch `files` into partials in `folder` and return them, verified, in the order of `files`.

    Continues what earlier attempts left in `folder`, whatever source they used. The caller moves the files to their
    place (`FetchedFile.move_to`) or releases them (`FetchedFile.release`).

    Raises:
        NoSpace: They do not fit, or the volume filled up on the way; what arrived is kept.
        CacheNotWritable, TransferError: The disk refused or failed.
        WrongBytes: No source has the bytes of the listing.
        SourceFailed, HubBusy, HubUnreachable: The sources failed again and again without giving a byte.
        AccessDenied, ModelNotFound: The sources refuse.
        Stopped: `stop` was set; what arrived is kept.
    """
    stop = stop or threading.Event()
    disk = disk or LocalDisk()
    _raise_if_nobody_has(files, sources)
    keyed = in_order(files)
    partials = _claim_all(keyed, folder, disk)
    is_done = False
    try:
        plan = make_plan(keyed, {key: partial.done_bytes for key, partial in partials.items()})
        check_room(plan, disk.free_bytes(folder))
        transits = [Transit(work.file, partials[work.key]) for work in plan.work]
        board = Board(transits, sources, connections=max_connections, policy=policy, clock=clock, reporter=reporter)
        _run(board, plan, reporter=reporter, stop=stop, clock=clock, connections=max_connections)
        is_done = True
    except OSError as error:
        raise disk_error(error, folder.name) from error
    finally:
        if not is_done:
            for partial in partials.values():
                partial.close(release=True)
    travelled = {work.file.path: work.bytes_to_fetch for work in plan.work}
    fetched = {
        transit.file.path: FetchedFile(
            transit.file, Sha256(transit.digests.sha256), transit.partial, travelled[transit.file.path]
        )
        for transit in transits
    }
    return [fetched[file.path] for file in files]


def _raise_if_nobody_has(files: Sequence[RemoteFile], sources: Sequence[Source]) -> None:
    for file in files:
        if not any(source.has(file) for source in sources):
            raise SourceFailed(f"{file.path}: no source has it.", hint="Allow another hub, or try again later.")


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
            raise disk_error(error, "The cache") from error
        raise
    return partials


def _run(
    board: Board,
    plan: Plan,
    *,
    reporter: Reporter,
    stop: threading.Event,
    clock: Callable[[], float],
    connections: int,
) -> None:
    """Run the threads to the end of the work. Raises what ended it, if not success."""
    threads = [
        threading.Thread(target=carry_pieces, args=(board,), name=f"qwen3ft-connection-{number}", daemon=True)
        for number in range(_useful_connections(plan, connections))
    ] + [
        threading.Thread(target=follow, args=(board, reporter), name=f"qwen3ft-follower-{number}", daemon=True)
        for number in range(max(1, min(MAX_FOLLOWERS, os.cpu_count() or 1, len(plan.work))))
    ]
    transferring = Meter(reporter, "transferring", plan.total_bytes, done=board.done_bytes(), clock=clock)
    transferring.update(board.done_bytes(), now=True)
    try:
        for thread in threads:
            thread.start()
        _watch(board, transferring, Meter(reporter, "verifying", plan.total_bytes, clock=clock), stop=stop)
    finally:
        board.finish(Stopped("The download was interrupted."))  # an interrupt of the caller; else it has ended already
        deadline = time.monotonic() + JOIN_S
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
    if board.error is not None:
        raise board.error


def _watch(board: Board, transferring: Meter, verifying: Meter, *, stop: threading.Event) -> None:
    """Report progress and look for a stop until the work is over."""
    is_transferred = False
    while not board.is_over.wait(TICK_S):
        if stop.is_set():
            board.finish(Stopped("The download was stopped.", hint="What arrived is kept; start it again to go on."))
        elif not board.is_transferred():
            transferring.update(board.done_bytes(), detail=board.describe())
        else:
            if not is_transferred:
                transferring.update(board.done_bytes(), now=True)
                is_transferred = True
            verifying.update(board.hashed_bytes())
    if board.error is None:
        last = verifying if is_transferred else transferring
        last.update(board.done_bytes(), now=True)


def _useful_connections(plan: Plan, connections: int) -> int:
    """Return how many connections can have work at the same time: at least one, even if only a repair may come."""
    pieces = sum(-(-work.bytes_to_fetch // MIN_PIECE_BYTES) for work in plan.work)
    return max(1, min(connections, pieces))
