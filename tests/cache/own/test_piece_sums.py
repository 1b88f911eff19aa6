from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zlib_ng.zlib_ng import crc32, crc32_combine

from qwen3ft_jupyter.cache.own import piece_sums as sums
from qwen3ft_jupyter.cache.own.piece_sums import piece_sums
from qwen3ft_jupyter.transfer.journal import Record

MB = 1 << 20


def records_of(data: bytes, *cuts: int) -> list[Record]:
    ends = [*cuts, len(data)]
    return [Record(a, b, zlib.crc32(data[a:b])) for a, b in zip([0, *cuts], ends, strict=True) if a < b]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_journals_and_manifests_hold_the_values_of_zlib(first: bytes, second: bytes) -> None:
    whole = zlib.crc32(first + second)

    assert crc32(second, crc32(memoryview(first))) == whole
    assert crc32_combine(zlib.crc32(first), zlib.crc32(second), len(second)) == whole


def test_small_pieces_are_joined_and_their_sums_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "MIN_PIECE_BYTES", 10)
    data = bytes(range(100))

    pieces = piece_sums(reversed(records_of(data, *range(3, 100, 3))), 100)

    assert pieces is not None
    assert pieces == tuple((start, end, zlib.crc32(data[start:end])) for start, end, _ in pieces)
    assert (pieces[0][0], pieces[-1][1]) == (0, 100)
    assert all(end - start >= 10 for start, end, _ in pieces[:-1])


def test_what_overlaps_or_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "MIN_PIECE_BYTES", 1)

    assert piece_sums([Record(0, 10, 1), Record(5, 20, 2), Record(30, 40, 3)], 50) == ((0, 10, 1), (30, 40, 3))


@pytest.mark.parametrize("records", [[], [Record(0, 50, 1)]])
def test_a_file_in_one_piece_needs_no_sums(records: list[Record]) -> None:
    assert piece_sums(records, 50) is None


def test_the_largest_files_have_few_pieces() -> None:
    size = 40_000 * 4 * MB
    records = [Record(start, start + 4 * MB, 0) for start in range(0, size, 4 * MB)]

    pieces = piece_sums(records, size)

    assert pieces is not None
    assert 200 < len(pieces) <= sums.MAX_PIECES
