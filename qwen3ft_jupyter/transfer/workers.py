"""What the threads of a download do: connections carry pieces, followers hash what has arrived."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import Qwen3ftError, SourceFailed, TransferError, WrongBytes
from qwen3ft_jupyter.transfer.board import MAX_REPAIRS, Assignment, Board, Transit
from qwen3ft_jupyter.transfer.pieces import Span

if TYPE_CHECKING:
    from qwen3ft_jupyter.reporting import Reporter

READ_BYTES: Final = 256 << 10
"""One read: large enough that Python's share per byte is small, small enough that 16 connections need 4 MiB."""

RECORD_BYTES: Final = 4 << 20
"""A connection notes its progress in the journal this often: what a kill can cost, per connection."""

HASH_BYTES: Final = 1 << 20
"""What a follower reads at a time; hashing it releases the interpreter's lock."""


def carry_pieces(board: Board) -> None:
    """Run one connection: fetch piece after piece until the work is over."""
    while (assignment := board.take()) is not None:
        error: Qwen3ftError | None = None
        try:
            _carry(board, assignment)
        except Qwen3ftError as caught:
            error = caught
        except BaseException as caught:  # noqa: BLE001 - the border of a thread: the caller's thread raises it
            board.finish(caught)
        finally:
            if error is not None and not board.is_over.is_set():
                board.failed(assignment, error)
            board.returned(assignment)


def _carry(board: Board, assignment: Assignment) -> None:
    """Fetch one piece. Bytes are written, then noted in the journal, then shown to others."""
    transit, piece = assignment.transit, assignment.piece
    transit.partial.open()
    run = Span(piece.position, piece.position)
    crc = 0
    with assignment.source.open(transit.file, piece.position, piece.end, stop=board.is_over) as stream:
        if not stream.is_ranged:
            board.sends_whole_files(assignment)
        try:
            while piece.position < piece.end:
                data = stream.read(min(READ_BYTES, piece.end - piece.position))
                if not data:
                    raise SourceFailed(f"{transit.file.path}: {assignment.source.name} broke off.")
                transit.partial.write(memoryview(data), piece.position)
                run, crc = Span(run.start, run.end + len(data)), zlib.crc32(data, crc)
                if run.length >= RECORD_BYTES or run.end == piece.end:
                    transit.partial.record(run.start, run.end, crc)
                    end, run, crc = run.end, Span(run.end, run.end), 0
                    board.advance(assignment, end)
                else:
                    board.advance(assignment, run.end)
        finally:
            if run.length:
                transit.partial.record(run.start, run.end, crc)


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


def _hash(board: Board, transit: Transit, end: int) -> None:
    digests = transit.digests
    transit.partial.open()
    while digests.position < end and not board.is_over.is_set():
        data = transit.partial.read(min(HASH_BYTES, end - digests.position), digests.position)
        if not data:
            raise TransferError(f"{transit.file.path}: was cut on this disk while it arrived.", hint="Start again.")
        digests.update(data)


def _judge(board: Board, transit: Transit, reporter: Reporter) -> None:
    """Accept a complete file, or have what is wrong fetched again; give up when every source was tried alone."""
    if transit.digests.are_right:
        transit.partial.sync()
        transit.partial.close(release=False)
        board.verified(transit)
        return
    name = transit.file.path
    damaged = [Span(record.start, record.end) for record in transit.partial.wrong_records()]
    if damaged and transit.repairs < MAX_REPAIRS:
        transit.repairs += 1
        reporter.notice(f"{name}: {len(damaged)} ranges changed on this disk since they arrived; fetching them again.")
        _fetch_again(board, transit, damaged)
        return
    transit.partial.forget(0, transit.file.size)
    source = board.start_over(transit)
    if source is None:
        transit.partial.discard()
        raise WrongBytes(
            f"{name}: the bytes received do not have the listed digest, again and again.",
            hint="Something between here and the hub changes the file. Try another network, proxy or hub.",
        )
    reporter.notice(f"{name}: the bytes do not have the listed digest; fetching the file again from {source.name}.")


def _fetch_again(board: Board, transit: Transit, spans: list[Span]) -> None:
    for start, end in spans:
        transit.partial.forget(start, end)
    board.forget(transit, spans)
