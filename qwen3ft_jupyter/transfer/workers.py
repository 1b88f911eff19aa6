"""What the threads of a download do: connections carry pieces, followers hash what has arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zlib_ng.zlib_ng import crc32

from qwen3ft_jupyter.errors import Qwen3ftError, SourceFailed, Stopped, TransferError, WrongBytes
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.transfer.corruption_search import ANOTHER_TOOL, Suspects
from qwen3ft_jupyter.transfer.pieces import Span
from qwen3ft_jupyter.transfer.rates import MinimumRate

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.transfer.file_download import FileDownload
    from qwen3ft_jupyter.transfer.scheduler import Scheduler
    from qwen3ft_jupyter.transfer.source import ByteStream
    from qwen3ft_jupyter.transfer.source_states import RangeFetch
    from qwen3ft_jupyter.work import Reporter, Work

READ_BYTES: Final = 1 << 20
"""One read: large enough that Python's share per byte is small, small enough that 16 connections need 16 MiB."""

RECORD_BYTES: Final = 4 << 20
"""A connection notes its progress in the journal this often: what a kill can cost, per connection."""

RECORD_S: Final = 2.0
"""And at least this often, so that on a slow link a kill costs seconds, not minutes."""

HASH_BYTES: Final = 1 << 20
"""What a follower reads at a time; hashing it releases the interpreter's lock."""

MAX_REPAIRS: Final = 2
"""How often ranges that went wrong on this disk are fetched again before the disk itself is in doubt."""

SYNC_S: Final = 0.25
"""The disk is asked to write down what has arrived this often, so that little is left to wait for at the end.

500 MB at 320 MB/s: the last `fsync` takes 10 ms instead of 100, and the download as a whole is as fast.
"""

SYNC_SHARE: Final = 0.25
"""At most this part of the time is spent on it: where a sync is slow, it is asked for more rarely."""


def carry_pieces(scheduler: Scheduler, work: Work, *, meanwhile: Callable[[], None] | None = None) -> None:
    """Run one connection: fetch piece after piece until the work is over.

    A thread that has other things to do gives `meanwhile`, which is called after each read and each piece, and is back
    when there is no piece to fetch at present.
    """
    view = memoryview(bytearray(READ_BYTES))
    while (range_fetch := scheduler.take(waits=meanwhile is None)) is not None:
        _carry(scheduler, _Carrier(scheduler, work, range_fetch, view, meanwhile or _nothing))


def _nothing() -> None:
    """Do nothing between two reads."""


def _carry(scheduler: Scheduler, carrier: _Carrier) -> None:
    """Fetch one piece as far as it comes, and have the scheduler judge what went wrong, if anything did."""
    range_fetch = carrier.range_fetch
    try:
        error = _failure_of(carrier)
        if error is not None and not scheduler.is_over.is_set():
            scheduler.failed(range_fetch, error)
    except BaseException as error:  # noqa: BLE001 - the border of a thread: the caller's thread raises it
        scheduler.finish(error)
    finally:
        scheduler.returned(range_fetch)
    carrier.meanwhile()


def _failure_of(carrier: _Carrier) -> Qwen3ftError | None:
    """Carry; return what is wrong with the source, or with us."""
    try:
        carrier.carry()
    except Stopped as error:
        return carrier.range_fetch.error if carrier.range_fetch.stop.is_set() else error
    except Qwen3ftError as error:
        return error
    return None


class _Carrier:
    """One connection on one piece. Bytes are written, then noted in the journal, then shown to others."""

    def __init__(
        self,
        scheduler: Scheduler,
        work: Work,
        range_fetch: RangeFetch,
        view: memoryview,
        meanwhile: Callable[[], None],
    ) -> None:
        """Args: who hands out and judges, what may slow us down, the piece, where its bytes pass through, what else."""
        self._scheduler = scheduler
        self._view = view
        self.meanwhile = meanwhile
        self._work = work
        self.range_fetch = range_fetch
        self._partial = range_fetch.download.partial
        self._run = Span(range_fetch.piece.position, range_fetch.piece.position)
        self._crc = 0
        self._note_at = scheduler.clock() + RECORD_S
        self._skipped = 0
        """What is read and thrown away before the first byte that is wanted."""
        self._minimum = MinimumRate(scheduler.policy.least_bytes_per_s, scheduler.policy.least_rate_s)

    def carry(self) -> None:
        range_fetch, piece = self.range_fetch, self.range_fetch.piece
        self._partial.open()
        with range_fetch.source.open(
            range_fetch.download.file, piece.position, piece.end, stop=range_fetch.stop
        ) as stream:
            self._scheduler.opened(range_fetch)
            if not stream.is_ranged:
                self._skipped = piece.position
                self._scheduler.sends_whole_files(range_fetch)
            try:
                while piece.position < piece.end and self._carry_some(stream):
                    self.meanwhile()
                    if range_fetch.stop.is_set():  # where no thread can be had, nobody breaks the connection off
                        raise Stopped("The read was broken off.")
            finally:
                self._note()

    def _carry_some(self, stream: ByteStream) -> bool:
        """Fetch what one read brings; return whether there may be more."""
        arrived, seconds = self._read(stream)
        scheduler, range_fetch, piece = self._scheduler, self.range_fetch, self.range_fetch.piece
        count = scheduler.claim(range_fetch, arrived, seconds)
        if count:
            kept = self._view[:count]
            if range_fetch.download.corruption_search.suspects is not None:
                range_fetch.download.corruption_search.compare(
                    piece.position, self._partial.read(count, piece.position), bytes(kept)
                )
            self._partial.write(kept, piece.position)
            self._run, self._crc = Span(self._run.start, self._run.end + count), crc32(kept, self._crc)
            position = self._run.end
            if self._run.length >= RECORD_BYTES or position == piece.end or scheduler.clock() >= self._note_at:
                self._note()
            scheduler.advance(range_fetch, position)
        return count == arrived

    def _read(self, stream: ByteStream) -> tuple[int, float]:
        """Return how many bytes came next, and how many seconds they took.

        Neither what we made them wait counts, nor what those before them took that nobody wants.
        """
        scheduler, range_fetch, piece = self._scheduler, self.range_fetch, self.range_fetch.piece
        began = range_fetch.last
        limit = min(READ_BYTES, piece.end - piece.position)
        if self._work.is_limited:
            range_fetch.is_held = True
            limit = self._work.allowance(limit, range_fetch.stop)
            began = range_fetch.last = scheduler.clock()
            range_fetch.is_held = False
            if not limit:
                raise Stopped("The read was broken off.")
        count = stream.read_into(self._view[:limit])
        if not count:
            raise SourceFailed(
                "{path}: {name} broke off.", path=range_fetch.download.file.path, name=range_fetch.source_state.name
            )
        if count < limit:
            self._work.put_back(limit - count)
        seconds = scheduler.clock() - began
        skipped, self._skipped = self._skipped, 0
        if self._minimum.is_missed(count + skipped, seconds):
            raise SourceFailed(
                "{path}: {name} sends less than {least_bytes_per_s:,.0f} bytes a second.",
                details={"cause": "slow"},
                path=range_fetch.download.file.path,
                name=range_fetch.source_state.name,
                least_bytes_per_s=scheduler.policy.least_bytes_per_s,
            )
        return count, seconds * count / (count + skipped)

    def _note(self) -> None:
        if self._run.length:
            self._partial.record(self._run.start, self._run.end, self._crc, self.range_fetch.source_state.name)
            self._run, self._crc = Span(self._run.end, self._run.end), 0
        self._note_at = self._scheduler.clock() + RECORD_S


def follow(scheduler: Scheduler, reporter: Reporter, *, meanwhile: Callable[[], None] | None = None) -> None:
    """Run one follower: hash the finished fronts of files while bytes still arrive, and judge whole files.

    A thread that has other things to do gives `meanwhile`, as for `carry_pieces`.
    """
    while (found := scheduler.take_prefix(waits=meanwhile is None)) is not None:
        download, end = found
        try:
            _hash(scheduler, download, end, meanwhile or _nothing)
            if download.digests.position == download.file.size:
                _judge(scheduler, download, reporter)
        except BaseException as error:  # noqa: BLE001 - the border of a thread: the caller's thread raises it
            scheduler.finish(error)
        finally:
            scheduler.hashed(download)


def write_back(scheduler: Scheduler) -> None:
    """Ask the disk again and again to write down what has arrived, until the work is over."""
    pause_s = SYNC_S
    while not scheduler.is_over.wait(pause_s):
        began = scheduler.clock()
        for download in scheduler.to_sync():
            _sync(scheduler, download)
        pause_s = max(SYNC_S, (scheduler.clock() - began) / SYNC_SHARE)


def _sync(scheduler: Scheduler, download: FileDownload) -> None:
    try:
        download.partial.sync()
    except BaseException as error:  # noqa: BLE001 - the border of a thread: the caller's thread raises it
        if not download.partial.is_closed:  # else it was verified, or given up, meanwhile
            scheduler.finish(error)


def _hash(scheduler: Scheduler, download: FileDownload, end: int, meanwhile: Callable[[], None]) -> None:
    digests = download.digests
    download.partial.open()
    while digests.position < end and not scheduler.is_over.is_set():
        data = download.partial.read(min(HASH_BYTES, end - digests.position), digests.position)
        if not data:
            raise TransferError(
                "{path}: was cut on this disk while it arrived.", hint="Start again.", path=download.file.path
            )
        digests.update(data)
        meanwhile()


def _judge(scheduler: Scheduler, download: FileDownload, reporter: Reporter) -> None:
    """Accept a complete file, or have what is wrong fetched again; give up when everything was tried."""
    name = download.file.path
    if download.digests.are_right:
        download.partial.sync()
        download.partial.close(release=False)
        for bad_source in sorted(scheduler.verified(download) - {"", ANOTHER_TOOL}):
            reporter.notice(
                Message(
                    "{name}: {bad_source} sent wrong bytes; it is put aside for the rest of this download.",
                    name=name,
                    bad_source=bad_source,
                )
            )
        return
    damaged = [Span(record.start, record.end) for record in download.partial.wrong_records()]
    if damaged and download.repairs < MAX_REPAIRS:
        download.repairs += 1
        download.corruption_search.drop()
        reporter.notice(
            Message(
                "{name}: {count} ranges changed on this disk since they arrived; fetching them again.",
                name=name,
                count=len(damaged),
            )
        )
        for start, end in damaged:
            download.partial.forget(start, end)
        scheduler.forget(download, damaged)
        return
    suspects = scheduler.next_suspects(download)
    if suspects is None:
        download.partial.discard()
        raise WrongBytes(
            "{name}: the bytes received do not have the listed digest, again and again.",
            hint="Something between here and the hub changes the file. Try another network, proxy or hub.",
            name=name,
        )
    for record in suspects.records:
        download.partial.forget(record.start, record.end)
    reporter.notice(
        Message(
            "{name}: the bytes do not have the listed digest; fetching {doubtful} again.",
            name=name,
            doubtful=_doubtful(download, suspects),
        )
    )
    scheduler.retry(download, suspects)


def _doubtful(download: FileDownload, suspects: Suspects) -> str:
    """Return in a few words what a trial fetches again, and from whom."""
    count = sum(record.end - record.start for record in suspects.records)
    if not suspects.trusted:
        return Message("what is most doubtful")
    if count >= download.file.size:
        return Message("the file from {source}", source=suspects.trusted)
    return Message("what others brought from {source}", source=suspects.trusted)
