"""Check sums of ranges of a file, from those that its pieces arrived with: few enough for the manifest."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

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

_POLYNOMIAL: Final = 0xEDB88320
"""Of CRC-32 (IEEE 802.3), its bits reversed as `zlib` has them."""


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
            pieces[-1] = (last[0], end, joined_crc(last[2], crc, end - start))
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


def joined_crc(first: int, second: int, second_bytes: int) -> int:
    """Return the CRC-32 of two runs of bytes joined, given theirs and the length of the second.

    >>> import zlib
    >>> joined_crc(zlib.crc32(b"mod"), zlib.crc32(b"els"), 3) == zlib.crc32(b"models")
    True
    """
    return _product(_shift(second_bytes), first) ^ second


@lru_cache(maxsize=256)
def _shift(count: int) -> int:
    """Return the polynomial by which a CRC is multiplied when `count` bytes follow: x to the power of 8 `count`."""
    result, power = 1 << 31, 1 << 23  # 1, and x to the power of 8
    while count:
        if count & 1:
            result = _product(result, power)
        power = _product(power, power)
        count >>= 1
    return result


def _product(one: int, other: int) -> int:
    """Multiply two polynomials over GF(2), modulo that of CRC-32."""
    product, bit = 0, 1 << 31
    while bit:
        if one & bit:
            product ^= other
        other = (other >> 1) ^ (_POLYNOMIAL if other & 1 else 0)
        bit >>= 1
    return product


def _piece_from(data: object) -> PieceSum | None:
    if not isinstance(data, list) or len(data) != 3 or not all(type(value) is int for value in data):
        return None
    start, end, crc = data
    return (start, end, crc) if 0 <= crc < 1 << 32 else None
