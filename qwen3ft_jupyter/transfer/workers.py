"""What the threads of a download do: connections carry pieces, followers hash what has arrived."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import Qwen3ftError, SourceFailed, Stopped, TransferError, WrongBytes
from qwen3ft_jupyter.transfer.doubt import ANOTHER_TOOL, Trial
from qwen3ft_jupyter.transfer.pieces import Span
from qwen3ft_jupyter.transfer.rates import MinimumRate

if TYPE_CHECKING:
    from qwen3ft_jupyter.transfer.board import Board
    from qwen3ft_jupyter.transfer.flight import Flight
    from qwen3ft_jupyter.transfer.source import ByteStream
    from qwen3ft_jupyter.transfer.transit import Transit
    from qwen3ft_jupyter.work import Reporter, Work

READ_BYTES: Final = 256 << 10
"""One read: large enough that Python's share per byte is small, small enough that 16 connections need 4 MiB."""

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


def carry_pieces(board: Board, work: Work) -> None:
    """Run one connection: fetch piece after piece until the work is over."""
    while (flight := board.take()) is not None:
        _carry(board, work, flight)


def _carry(board: Board, work: Work, flight: Flight) -> None:
    """Fetch one piece as far as it comes, and have the board judge what went wrong, if anything did."""
    try:
        error = _failure_of(_Carrier(board, work, flight))
        if error is not None and not board.is_over.is_set():
            board.failed(flight, error)
    except BaseException as error:  # noqa: BLE001 - the border of a thread: the caller's thread raises it
        board.finish(error)
    finally:
        board.returned(flight)


def _failure_of(carrier: _Carrier) -> Qwen3ftError | None:
    """Carry; return what is wrong with the source, or with us."""
    try:
        carrier.carry()
    except Stopped as error:
        return carrier.flight.error if carrier.flight.stop.is_set() else error
    except Qwen3ftError as error:
        return error
    return None


class _Carrier:
    """One connection on one piece. Bytes are written, then noted in the journal, then shown to others."""

    def __init__(self, board: Board, work: Work, flight: Flight) -> None:
        self._board = board
        self._work = work
        self.flight = flight
        self._partial = flight.transit.partial
        self._run = Span(flight.piece.position, flight.piece.position)
        self._crc = 0
        self._note_at = board.clock() + RECORD_S
        self._skipped = 0
        """What is read and thrown away before the first byte that is wanted."""
        self._minimum = MinimumRate(board.policy.least_bytes_per_s, board.policy.least_rate_s)

    def carry(self) -> None:
        flight, piece = self.flight, self.flight.piece
        self._partial.open()
        with flight.source.open(flight.transit.file, piece.position, piece.end, stop=flight.stop) as stream:
            if not stream.is_ranged:
                self._skipped = piece.position
                self._board.sends_whole_files(flight)
            try:
                while piece.position < piece.end and self._carry_some(stream):
                    pass
            finally:
                self._note()

    def _carry_some(self, stream: ByteStream) -> bool:
        """Fetch what one read brings; return whether there may be more."""
        data, seconds = self._read(stream)
        board, flight, piece = self._board, self.flight, self.flight.piece
        count = board.claim(flight, len(data), seconds)
        if count:
            kept = memoryview(data)[:count]
            if flight.transit.doubt.trial is not None:
                flight.transit.doubt.compare(piece.position, self._partial.read(count, piece.position), bytes(kept))
            self._partial.write(kept, piece.position)
            self._run, self._crc = Span(self._run.start, self._run.end + count), zlib.crc32(kept, self._crc)
            position = self._run.end
            if self._run.length >= RECORD_BYTES or position == piece.end or board.clock() >= self._note_at:
                self._note()
            board.advance(flight, position)
        return count == len(data)

    def _read(self, stream: ByteStream) -> tuple[bytes, float]:
        """Return the next bytes and how many seconds they took, without what we made them wait."""
        board, flight, piece = self._board, self.flight, self.flight.piece
        began = flight.last
        limit = min(READ_BYTES, piece.end - piece.position)
        if self._work.is_limited:
            asked, flight.is_held = board.clock(), True
            limit = self._work.allowance(limit, flight.stop)
            began = flight.last = board.clock()
            flight.is_held, flight.held_s = False, flight.held_s + began - asked
            if not limit:
                raise Stopped("The read was broken off.")
        data = stream.read(limit)
        if not data:
            raise SourceFailed(f"{flight.transit.file.path}: {flight.supplier.name} broke off.")
        if len(data) < limit:
            self._work.put_back(limit - len(data))
        seconds = board.clock() - began
        skipped, self._skipped = self._skipped, 0
        if self._minimum.is_missed(len(data) + skipped, seconds):
            raise SourceFailed(
                f"{flight.transit.file.path}: {flight.supplier.name} sends less than"
                f" {board.policy.least_bytes_per_s:,.0f} bytes a second.",
                details={"cause": "slow"},
            )
        return data, seconds

    def _note(self) -> None:
        if self._run.length:
            self._partial.record(self._run.start, self._run.end, self._crc, self.flight.supplier.name)
            self._run, self._crc = Span(self._run.end, self._run.end), 0
        self._note_at = self._board.clock() + RECORD_S


def follow(board: Board, reporter: Reporter) -> None:
    """Run one follower: hash the finished fronts of files while bytes still arrive, and judge whole files."""
    while (found := board.take_prefix()) is not None:
        transit, end = found
        try:
            _hash(board, transit, end)
            if transit.digests.position == transit.file.size:
                _judge(board, transit, reporter)
        except BaseException as error:  # noqa: BLE001 - the border of a thread: the caller's thread raises it
            board.finish(error)
        finally:
            board.hashed(transit)


def write_back(board: Board) -> None:
    """Ask the disk again and again to write down what has arrived, until the work is over."""
    pause_s = SYNC_S
    while not board.is_over.wait(pause_s):
        began = board.clock()
        for transit in board.to_sync():
            _sync(board, transit)
        pause_s = max(SYNC_S, (board.clock() - began) / SYNC_SHARE)


def _sync(board: Board, transit: Transit) -> None:
    try:
        transit.partial.sync()
    except BaseException as error:  # noqa: BLE001 - the border of a thread: the caller's thread raises it
        if not transit.partial.is_closed:  # else it was verified, or given up, meanwhile
            board.finish(error)


def _hash(board: Board, transit: Transit, end: int) -> None:
    digests = transit.digests
    transit.partial.open()
    while digests.position < end and not board.is_over.is_set():
        data = transit.partial.read(min(HASH_BYTES, end - digests.position), digests.position)
        if not data:
            raise TransferError(f"{transit.file.path}: was cut on this disk while it arrived.", hint="Start again.")
        digests.update(data)


def _judge(board: Board, transit: Transit, reporter: Reporter) -> None:
    """Accept a complete file, or have what is wrong fetched again; give up when everything was tried."""
    name = transit.file.path
    if transit.digests.are_right:
        transit.partial.sync()
        transit.partial.close(release=False)
        for liar in sorted(board.verified(transit) - {"", ANOTHER_TOOL}):
            reporter.notice(f"{name}: {liar} sent wrong bytes; it is put aside for the rest of this download.")
        return
    damaged = [Span(record.start, record.end) for record in transit.partial.wrong_records()]
    if damaged and transit.repairs < MAX_REPAIRS:
        transit.repairs += 1
        transit.doubt.drop()
        reporter.notice(f"{name}: {len(damaged)} ranges changed on this disk since they arrived; fetching them again.")
        for start, end in damaged:
            transit.partial.forget(start, end)
        board.forget(transit, damaged)
        return
    trial = board.doubt(transit)
    if trial is None:
        transit.partial.discard()
        raise WrongBytes(
            f"{name}: the bytes received do not have the listed digest, again and again.",
            hint="Something between here and the hub changes the file. Try another network, proxy or hub.",
        )
    for record in trial.records:
        transit.partial.forget(record.start, record.end)
    reporter.notice(f"{name}: the bytes do not have the listed digest; fetching {_doubtful(transit, trial)} again.")
    board.retry(transit, trial)


def _doubtful(transit: Transit, trial: Trial) -> str:
    """Return in a few words what a trial fetches again, and from whom."""
    count = sum(record.end - record.start for record in trial.records)
    what = "the file" if count >= transit.file.size else "what others brought"
    if not trial.believed:
        return "what is most doubtful"
    return f"{what} from {trial.believed}"
