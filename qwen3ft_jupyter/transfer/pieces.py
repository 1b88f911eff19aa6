"""Which bytes of a file are there, on their way, or missing. Pure: knows no sockets, disks or threads."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MIN_PIECE_BYTES = 1 << 20
"""The usual smallest piece: below it, the round trip of a request costs more than its bytes."""


class Span(NamedTuple):
    """The bytes from `start` up to, not including, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Return the number of bytes."""
        return self.end - self.start


class SpanSet:
    """A set of byte positions, kept as sorted spans that neither overlap nor touch.

    >>> spans = SpanSet([Span(0, 4), Span(8, 12)])
    >>> spans.add(4, 6)
    >>> list(spans)
    [Span(start=0, end=6), Span(start=8, end=12)]
    >>> list(spans.gaps(0, 16))
    [Span(start=6, end=8), Span(start=12, end=16)]
    """

    __slots__ = ("_ends", "_starts", "total")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        """Number of positions in the set."""
        for start, end in spans:
            self.add(start, end)

    def __iter__(self) -> Iterator[Span]:
        return map(Span, self._starts, self._ends)

    def add(self, start: int, end: int) -> None:
        """Put the positions from `start` up to `end` into the set."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._replace(first, last, [Span(start, end)])

    def remove(self, start: int, end: int) -> None:
        """Take the positions from `start` up to `end` out of the set."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        kept = [Span(self._starts[first], start), Span(end, self._ends[last - 1])]
        self._replace(first, last, [span for span in kept if span.length > 0])

    def gaps(self, start: int, end: int) -> Iterator[Span]:
        """Yield what the set lacks between `start` and `end`, from the front."""
        for index in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= end:
                break
            if start < self._starts[index]:
                yield Span(start, self._starts[index])
            start = self._ends[index]
        if start < end:
            yield Span(start, end)

    def end_of_prefix(self) -> int:
        """Return how many positions are in the set without a gap, counted from 0."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    def _replace(self, first: int, last: int, spans: list[Span]) -> None:
        before = sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last] = [span.start for span in spans]
        self._ends[first:last] = [span.end for span in spans]
        self.total += sum(span.length for span in spans) - before


class Piece:
    """A span that one connection is fetching; `position` is how far it has come on the disk."""

    __slots__ = ("claimed", "end", "is_void", "position", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.position = start
        self.claimed = start
        """How far its connection may write: from `position` up to here, no other one does."""
        self.is_void = False
        """Whether the bytes are wanted no more."""

    def __repr__(self) -> str:
        return f"Piece({self.start}, {self.end}, position={self.position})"


class PieceMap:
    """The bookkeeping of one file of `size` bytes: every byte is done, under way, or missing.

    Two pieces may fly over the same bytes (see `race`). Each byte is then written by the one that claims it first.
    """

    __slots__ = ("_claimed", "_done", "_flying", "_taken", "size")

    def __init__(self, size: int, done: Iterable[Span] = ()) -> None:
        self.size = size
        self._done = SpanSet(Span(max(0, start), min(size, end)) for start, end in done)
        self._taken = SpanSet(self._done)
        self._claimed = SpanSet(self._done)
        self._flying: list[Piece] = []

    @property
    def flying(self) -> int:
        """Return the number of pieces taken and not yet released."""
        return len(self._flying)

    @property
    def done_bytes(self) -> int:
        """Return how many bytes are there."""
        return self._done.total

    @property
    def untaken_bytes(self) -> int:
        """Return how many bytes nobody is fetching and that are not there."""
        return self.size - self._taken.total

    @property
    def is_complete(self) -> bool:
        """Return whether every byte is there."""
        return self._done.total == self.size

    @property
    def prefix(self) -> int:
        """Return how many bytes are there without a gap from the start of the file."""
        return self._done.end_of_prefix()

    def take(self, length: int) -> Piece | None:
        """Claim the first missing bytes, about `length` of them; None when nothing is left to claim.

        A small remainder is not left behind for a request of its own.
        """
        gap = next(self._taken.gaps(0, self.size), None)
        if gap is None:
            return None
        end = min(gap.end, gap.start + length)
        if gap.end - end < min(length, MIN_PIECE_BYTES) // 2:
            end = gap.end
        return self._launch(gap.start, end)

    def split(self, piece: Piece, start: int) -> Piece:
        """Take the bytes from `start` on away from a flying piece, which ends there, and return them as another."""
        other = self._launch(start, piece.end)
        piece.end = start
        return other

    def race(self, piece: Piece) -> Piece:
        """Return a second piece over all that a flying one lacks: whichever brings a byte first has it."""
        return self._launch(piece.claimed, piece.end)

    def is_raced(self, piece: Piece) -> bool:
        """Return whether another piece flies over the same bytes."""
        return any(
            other is not piece and other.position < piece.end and piece.position < other.end for other in self._flying
        )

    def claim(self, piece: Piece, length: int) -> int:
        """Return how many of the `length` bytes that have arrived for `piece` its connection is to write.

        If fewer, it is to stop after them: the piece was split there, or another one has been faster.
        """
        end = min(piece.claimed + length, piece.end)
        gap = None if piece.is_void else next(self._claimed.gaps(piece.claimed, end), None)
        if gap is None or gap.start != piece.claimed:
            return 0
        self._claimed.add(gap.start, gap.end)
        piece.claimed = gap.end
        return gap.length

    def advance(self, piece: Piece, position: int) -> None:
        """Record that the bytes of `piece` up to `position`, all claimed, are there."""
        self._done.add(piece.position, position)
        piece.position = position

    def release(self, piece: Piece) -> None:
        """Give up a piece, finished or not; what it lacks, and no other one flies over, is missing again."""
        self._flying.remove(piece)
        self._claimed.remove(piece.position, piece.claimed)
        for start, end in list(self._done.gaps(piece.position, piece.end)):
            self._taken.remove(start, end)
        for other in self._flying:
            self._taken.add(other.position, other.end)

    def forget(self, start: int, end: int) -> None:
        """Declare bytes missing that were thought to be there; pieces that still fly bring nothing any more."""
        for piece in self._flying:
            piece.is_void = True
        for spans in (self._done, self._taken, self._claimed):
            spans.remove(start, end)

    def _launch(self, start: int, end: int) -> Piece:
        self._taken.add(start, end)
        piece = Piece(start, end)
        self._flying.append(piece)
        return piece
