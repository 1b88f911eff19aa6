from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer.pieces import MIN_PIECE_BYTES, Piece, PieceMap, Span, SpanSet

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
def test_every_byte_is_written_once_whatever_fails_is_split_or_raced_on_the_way(size: int, data: st.DataObject) -> None:
    """What a failed connection had is kept, the fastest of two has each byte, and the map ends complete."""
    pieces = PieceMap(size)
    flying: list[Piece] = []
    written = SpanSet()
    for _ in range(200):
        action = data.draw(st.integers(0, 9))
        piece = flying[data.draw(st.integers(0, len(flying) - 1))] if flying else None
        left = piece.end - piece.claimed if piece is not None else 0
        if piece is None or (action == 0 and len(flying) < 4):
            taken = pieces.take(data.draw(st.integers(1, 8 * MB)))
            if taken is None and piece is None:
                break
            flying += [taken] if taken is not None else []
        elif action == 1 and left > 1:
            flying.append(pieces.split(piece, piece.claimed + left // 2))
        elif action == 2 and left and not pieces.is_raced(piece):
            flying.append(pieces.race(piece))
        elif action == 3:
            pieces.release(piece)
            flying.remove(piece)
        else:
            asked = data.draw(st.integers(1, 4 * MB))
            start, count = piece.claimed, pieces.claim(piece, asked)
            assert list(written.gaps(start, start + count)) == ([Span(start, start + count)] if count else [])
            written.add(start, start + count)
            pieces.advance(piece, start + count)
            if count < asked:
                pieces.release(piece)
                flying.remove(piece)
        assert pieces.done_bytes == written.total
        assert pieces.untaken_bytes == size - written.total - _bytes_of(flying, pieces)

    for piece in flying:
        pieces.release(piece)
    while (piece := pieces.take(size)) is not None:
        pieces.advance(piece, piece.claimed + pieces.claim(piece, size))
        pieces.release(piece)
    assert pieces.is_complete
    assert pieces.prefix == size


def _bytes_of(flying: list[Piece], pieces: PieceMap) -> int:
    """Return how many bytes are on their way, those counted once that two connections fetch."""
    done = SpanSet(pieces._done)
    return SpanSet(gap for piece in flying for gap in done.gaps(piece.position, piece.end)).total


def test_of_two_pieces_over_the_same_bytes_the_first_to_bring_them_goes_on() -> None:
    pieces = PieceMap(10 * MB)
    slow = pieces.take(10 * MB)
    assert slow is not None
    fast = pieces.race(slow)

    assert pieces.claim(fast, MB) == MB
    assert pieces.claim(slow, MB) == 0, "it comes too late"
    pieces.advance(fast, MB)
    pieces.release(fast)

    assert pieces.untaken_bytes == 0, "the slow one still flies"
    pieces.release(slow)
    assert pieces.untaken_bytes == 9 * MB


def test_a_piece_that_is_split_brings_only_what_is_left_to_it() -> None:
    pieces = PieceMap(10 * MB)
    first = pieces.take(10 * MB)
    assert first is not None

    second = pieces.split(first, 6 * MB)

    assert pieces.claim(first, 8 * MB) == 6 * MB
    assert (second.start, second.end) == (6 * MB, 10 * MB)
    assert pieces.untaken_bytes == 0


def test_what_flies_over_forgotten_bytes_brings_nothing() -> None:
    pieces = PieceMap(10)
    late = pieces.take(10)
    assert late is not None
    pieces.advance(late, pieces.claim(late, 5))

    pieces.forget(0, 10)

    assert pieces.claim(late, 5) == 0
    pieces.release(late)
    assert pieces.untaken_bytes == 10


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
