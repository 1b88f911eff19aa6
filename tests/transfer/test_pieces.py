from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer.pieces import (
    MAX_PIECE_BYTES,
    MIN_PIECE_BYTES,
    Piece,
    PieceMap,
    Span,
    SpanSet,
    piece_length,
)

SPANS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: Span(min(pair), max(pair)))
CHANGES = st.lists(st.tuples(st.booleans(), SPANS), max_size=30)
MB = 1 << 20


@given(CHANGES)
def test_a_span_set_is_a_set_of_positions(changes: list[tuple[bool, Span]]) -> None:
    spans, model = SpanSet(), set[int]()
    for is_added, (start, end) in changes:
        if is_added:
            spans.add(start, end)
            model |= set(range(start, end))
        else:
            spans.remove(start, end)
            model -= set(range(start, end))

    held = list(spans)
    assert {position for start, end in held for position in range(start, end)} == model
    assert spans.total == len(model)
    assert all(left.end < right.start for left, right in itertools.pairwise(held)), "neither overlap nor touch"
    assert all(span.length > 0 for span in held)
    assert spans.end_of_prefix() == next(position for position in range(62) if position not in model)


@given(CHANGES, SPANS)
def test_gaps_are_what_the_set_lacks(changes: list[tuple[bool, Span]], window: Span) -> None:
    spans = SpanSet()
    for is_added, (start, end) in changes:
        (spans.add if is_added else spans.remove)(start, end)
    held = {position for start, end in spans for position in range(start, end)}

    lacking = {position for start, end in spans.gaps(*window) for position in range(start, end)}

    assert lacking == set(range(*window)) - held


@given(st.integers(0, 40 * MB), st.data())
def test_every_byte_is_fetched_once_whatever_fails_on_the_way(size: int, data: st.DataObject) -> None:
    """Pieces never overlap, what a failed connection had is kept, and the map ends complete."""
    pieces = PieceMap(size)
    flying: list[Piece] = []
    fetched = 0
    for _ in range(1000):
        piece = pieces.take(piece_length(pieces.untaken_bytes, 4)) if len(flying) < 4 else None
        if piece is not None:
            flying.append(piece)
            continue
        if not flying:
            break
        piece = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
        is_whole = data.draw(st.integers(0, 9)) > 2
        position = piece.end if is_whole else data.draw(st.integers(piece.start, piece.end))
        fetched += position - piece.position
        pieces.advance(piece, position)
        pieces.release(piece)

    assert fetched == pieces.done_bytes
    if pieces.is_complete:
        assert fetched == size
        assert pieces.untaken_bytes == 0
        assert pieces.prefix == size


def test_a_new_attempt_takes_only_what_is_missing() -> None:
    pieces = PieceMap(10 * MB, [Span(0, 3 * MB), Span(5 * MB, 10 * MB)])

    piece = pieces.take(64 * MB)

    assert piece is not None
    assert (piece.start, piece.end) == (3 * MB, 5 * MB)
    assert pieces.take(64 * MB) is None


def test_ranges_beyond_the_file_are_cut() -> None:
    assert PieceMap(10, [Span(5, 99)]).done_bytes == 5


def test_what_is_forgotten_is_taken_again() -> None:
    pieces = PieceMap(10, [Span(0, 10)])

    pieces.forget(2, 4)

    piece = pieces.take(MIN_PIECE_BYTES)
    assert piece is not None
    assert (piece.start, piece.end) == (2, 4)
    assert not pieces.is_complete


def test_a_scrap_at_the_end_is_not_left_for_a_request_of_its_own() -> None:
    piece = PieceMap(MIN_PIECE_BYTES + 10).take(MIN_PIECE_BYTES)

    assert piece is not None
    assert piece.end == MIN_PIECE_BYTES + 10


@given(st.integers(0, 1 << 40), st.integers(1, 64))
def test_pieces_shrink_towards_the_end_within_limits(untaken: int, connections: int) -> None:
    length = piece_length(untaken, connections)

    assert MIN_PIECE_BYTES <= length <= MAX_PIECE_BYTES
    assert length >= piece_length(untaken // 2, connections)
