"""Which bytes of a file are there, on their way, or missing, and how many to ask for next. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qwen3ft_jupyter.transfer.journal import Record

MIN_PIECE_BYTES: Final = 1 << 20
"""The usual smallest piece: below it, the round trip of a request costs more than its bytes."""

MAX_PIECE_BYTES: Final = 64 << 20
"""Above this, a piece gains nothing, and the digest, which is computed from the front, would lag further behind."""

FIRST_PIECE_BYTES: Final = 4 << 20
"""The largest piece for a source whose speed nobody knows yet, and at the front of a file; see `front_length`."""

LEAST_PIECE_BYTES: Final = 256 << 10
"""No piece is cut smaller to end the work evenly."""

PIECE_S: Final = 8.0
"""The longest a piece should take: a connection that turns slow is not left with much."""

EVEN_S: Final = 0.06
"""Connections may end this far apart. To cut smaller costs more than it gains: a request takes as much CPU time as to
receive and write a megabyte. 500 MB over 16 connections are some 115 pieces; with a third of this 155, as late.
"""

SHARE: Final = 3 / 4
"""A piece is so much of its connection's share of what is left: the rest evens out what the speeds did not foretell."""

SAVED_S: Final = 0.1
"""What a second request must save at least: it costs a connection, and the speeds it is reckoned from flicker."""

SLOW: Final = 1 / 4
"""A connection that is so much slower than another one is relieved of what it still has to bring, and be it little.

Where all are alike, they probably share a link, and more requests at the end only cost what is under way in each.
"""

LEAST_TAIL_BYTES: Final = 16 << 10
"""What a slow connection may be left with."""

SILENT_S: Final = 0.5
"""Silence on one connection that calls for a second one: longer than the gaps of a link that is merely slow."""


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
        if last == first + 1 and self._ends[first] == start:  # by far the most frequent: a piece grows
            self._ends[first] = end
            self.total += end - start
            return
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
    def untaken_start(self) -> int:
        """Return where the first byte is that nobody is fetching and that is not there."""
        return next((gap.start for gap in self._taken.gaps(0, self.size)), self.size)

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


def spans_of(records: Iterable[Record]) -> SpanSet:
    """Return the bytes that records tell of."""
    return SpanSet(Span(record.start, record.end) for record in records)


def least_piece(speed: float | None, latency_s: float) -> int:
    """Return the smallest piece that is worth a request, given the bytes a second and the wait for the first one."""
    if speed is None:
        return MIN_PIECE_BYTES
    return int(max(LEAST_PIECE_BYTES, min(4 * MIN_PIECE_BYTES, speed * max(EVEN_S, 4 * latency_s))))


def piece_length(
    untaken_bytes: int, *, speed: float | None, total_speed: float, connections: int, latency_s: float = 0.0
) -> int:
    """Return how much a connection should ask for: most of its share of what is left.

    A connection that brings a tenth of all bytes gets three fortieths of the rest. So pieces shrink towards the end,
    all connections end together and no tail is waited for, while most bytes travel in few requests.

    Args:
        untaken_bytes: What nobody has asked for yet.
        speed: Bytes a second that the connection will bring; None if nobody knows.
        total_speed: Bytes a second that all connections bring together.
        connections: How many there may be in all.
        latency_s: How long the source takes to answer.

    >>> piece_length(512 << 20, speed=20e6, total_speed=320e6, connections=16) >> 20
    24
    >>> piece_length(512 << 20, speed=1e6, total_speed=320e6, connections=16) >> 10
    1228
    """
    share = speed / max(speed, total_speed) if speed else 1 / connections
    longest = FIRST_PIECE_BYTES if speed is None else min(MAX_PIECE_BYTES, speed * PIECE_S)
    return int(max(least_piece(speed, latency_s), min(longest, untaken_bytes * share * SHARE)))


def front_length(start: int, connections: int) -> int:
    """Return the longest piece to begin at `start` in a file, so that each round of pieces is twice the one before.

    The digest is computed from the front, which one connection of many brings. With long pieces from the beginning, it
    waits for that one while the others fetch what it cannot use yet; then it ends late where it is the slowest part.
    500 MB at 320 MB/s, hashed at 250: 3.7 seconds instead of 2.7.

    >>> [front_length(start << 20, 16) >> 20 for start in (0, 64, 128, 512)]
    [4, 4, 8, 32]
    """
    return max(FIRST_PIECE_BYTES, start // connections)


def tail_length(
    left_bytes: int,
    *,
    speed: float,
    silent_s: float,
    other_speed: float,
    other_latency_s: float,
) -> int:
    """Return how many bytes of the end of a piece a second connection should bring: 0 for none, all for a race.

    Both then end at the same time. One that has been silent is expected to stay so as long again: all of it is raced.

    Args:
        left_bytes: What the first connection has not brought yet.
        speed: Bytes a second that it brings.
        silent_s: How long it has brought nothing.
        other_speed: Bytes a second that the second connection will bring.
        other_latency_s: How long its source takes to answer.

    >>> tail_length(1_000_000, speed=100_000, silent_s=0, other_speed=100_000, other_latency_s=0)
    500000
    >>> tail_length(1_000_000, speed=100_000, silent_s=30, other_speed=100_000, other_latency_s=0)
    1000000
    """
    if silent_s <= max(SILENT_S, 4 * other_latency_s):
        silent_s = 0.0
    alone_s = silent_s + left_bytes / max(speed, 1e-6)
    even = other_speed * (alone_s - other_latency_s) / (1 + other_speed / max(speed, 1e-6))
    tail = left_bytes if silent_s else int(max(0.0, even))
    saved_s = alone_s - other_latency_s - tail / other_speed
    least = LEAST_TAIL_BYTES if speed < SLOW * other_speed else LEAST_PIECE_BYTES
    if saved_s < max(SAVED_S, 2 * other_latency_s) or tail < min(left_bytes, least):
        return 0
    return tail
