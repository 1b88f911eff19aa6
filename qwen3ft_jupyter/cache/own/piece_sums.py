"""Check sums of ranges of a file, from those that its pieces arrived with: few enough for the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zlib_ng.zlib_ng import crc32_combine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.transfer.journal import Record

PieceSum = tuple[int, int, int]
"""Start and end of a range of a file, and the CRC-32 of its right bytes."""

MOST_PIECES: Final = 1024
"""More pieces of one file are none of ours."""

MIN_PIECE_BYTES: Final = 4 << 20
"""A range is at least so long where its neighbours are known: what a repair fetches for one wrong byte."""

MAX_PIECES: Final = 256
"""Ranges of one file, beyond which they are made longer: a manifest of the largest models stays under 1 MiB."""


def piece_sums(records: Iterable[Record], size: int) -> tuple[PieceSum, ...] | None:
    """Return the check sums of ranges of a file of `size` bytes; None if there are not at least two.

    Contiguous ranges are joined. What overlaps an earlier range is left out: a CRC cannot be cut.
    """
    length = max(MIN_PIECE_BYTES, -(-size // MAX_PIECES))
    pieces: list[PieceSum] = []
    for start, end, crc, *_ in sorted(records, key=lambda record: (record.start, -record.end)):
        last = pieces[-1] if pieces else (0, 0, 0)
        if start < last[1]:
            continue
        if pieces and start == last[1] and last[1] - last[0] < length:
            pieces[-1] = (last[0], end, crc32_combine(last[2], crc, end - start))
        else:
            pieces.append((start, end, crc))
    return tuple(pieces[: 4 * MAX_PIECES]) if len(pieces) > 1 else None


def pieces_from(data: object, size: int) -> tuple[PieceSum, ...] | None:
    """Return check sums of pieces; without them damage is not located, and the whole file is fetched again."""
    if not isinstance(data, list) or not 0 < len(data) <= MOST_PIECES:
        return None
    pieces: list[PieceSum] = []
    position = 0
    for entry in data:
        piece = _piece_from(entry)
        if piece is None or not position <= piece[0] < piece[1] <= size:
            return None
        pieces.append(piece)
        position = piece[1]
    return tuple(pieces)


def _piece_from(data: object) -> PieceSum | None:
    if not isinstance(data, list) or len(data) != 3 or not all(type(value) is int for value in data):
        return None
    start, end, crc = data
    return (start, end, crc) if 0 <= crc < 1 << 32 else None
