"""The board on which the work of one download is laid out: threads take pieces from it and report back.

All state that several threads share is here, under one lock; sockets and disks are not touched under it.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import HubError, Qwen3ftError, SourceFailed, WrongBytes
from qwen3ft_jupyter.transfer.patience import Patience, RetryPolicy
from qwen3ft_jupyter.transfer.pieces import Piece, PieceMap, Span, piece_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.reporting import Reporter
    from qwen3ft_jupyter.transfer.partial import Partial
    from qwen3ft_jupyter.transfer.source import Source

FOLLOW_BYTES = 1 << 20
"""The follower is woken when at least this much waits to be hashed, or the file is complete."""

MAX_REPAIRS = 2
"""How often ranges that went wrong on this disk are fetched again before the disk itself is in doubt."""


class Digests:
    """The digests of one file, computed from its front."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._git = None if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        self.position = 0
        """How many bytes were hashed."""

    def update(self, data: bytes) -> None:
        """Hash the next bytes."""
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)
        self.position += len(data)

    @property
    def sha256(self) -> str:
        """Return the sha256 of the bytes so far."""
        return self._sha256.hexdigest()

    @property
    def are_right(self) -> bool:
        """Return whether the bytes are those of the listing."""
        if self.position != self._file.size:
            return False
        if self._git is None:
            return self._file.sha256 == self.sha256
        return self._file.git_sha1 == self._git.hexdigest()


class Transit:
    """One file on its way."""

    def __init__(self, file: RemoteFile, partial: Partial) -> None:
        self.file = file
        self.partial = partial
        self.pieces = PieceMap(file.size, (Span(record.start, record.end) for record in partial.records))
        self.digests = Digests(file)
        self.is_hashing = False
        self.is_verified = False
        self.in_one = False
        """Whether a source ignored the range: then one connection takes the rest of the file, none beside it."""
        self.suppliers: list[Source] = []
        """Where its bytes came from."""
        self.alone: list[Source] | None = None
        """After bytes were wrong: the sources that are tried one at a time, so that a lying one is found out."""
        self.repairs = 0
        """How often ranges that changed on this disk were fetched again."""


@dataclass(slots=True)
class Assignment:
    """A piece of a file that one connection fetches from one source."""

    transit: Transit
    piece: Piece
    source: Source
    began: float
    """The engine's clock."""
    patience: Patience


@dataclass(slots=True)
class Supplier:
    """A source, as the board sees it."""

    source: Source
    connections: int = 0
    not_before: float = float("-inf")
    patience: dict[int, Patience] = field(default_factory=dict)
    """By the id of the transit."""


class Board:
    """Hands out pieces and finished prefixes, and keeps count."""

    def __init__(
        self,
        transits: Sequence[Transit],
        sources: Sequence[Source],
        *,
        connections: int,
        policy: RetryPolicy,
        clock: Callable[[], float],
        reporter: Reporter,
    ) -> None:
        self.transits = transits
        self.is_over = threading.Event()
        """Set when all is done, failed or stopped; sources get it as their stop signal."""
        self.error: BaseException | None = None
        self._suppliers = [Supplier(source) for source in sources]
        self._connections = connections
        self._policy = policy
        self._clock = clock
        self._reporter = reporter
        self._trouble = ""
        self._lock = threading.RLock()
        self._pieces_changed = threading.Condition(self._lock)
        self._prefix_changed = threading.Condition(self._lock)

    # What the engine asks

    def done_bytes(self) -> int:
        """Return how many bytes of all files are there."""
        with self._lock:
            return sum(transit.pieces.done_bytes for transit in self.transits)

    def hashed_bytes(self) -> int:
        """Return how many bytes of all files were hashed."""
        with self._lock:
            return sum(transit.digests.position for transit in self.transits)

    def is_transferred(self) -> bool:
        """Return whether every byte is there, verified or not."""
        with self._lock:
            return all(transit.pieces.is_complete for transit in self.transits)

    def describe(self) -> str:
        """Return in a few words who is fetching from where, or why nobody is."""
        with self._lock:
            shares = [f"{s.connections} from {s.source.name}" for s in self._suppliers if s.connections]
            return f"connections: {', '.join(shares)}" if shares else self._trouble

    def finish(self, error: BaseException | None = None) -> None:
        """End the work: wake every thread; sources break off their reads. The first call decides how it ended."""
        with self._lock:
            if not self.is_over.is_set():
                self.error = error
            self.is_over.set()
            self._pieces_changed.notify_all()
            self._prefix_changed.notify_all()

    # What a connection asks

    def take(self) -> Assignment | None:
        """Return the next piece to fetch, waiting for one if need be; None when the work is over."""
        with self._lock:
            while not self.is_over.is_set():
                assignment, wait_s = self._find()
                if assignment is not None:
                    return assignment
                self._pieces_changed.wait(wait_s)
            return None

    def sends_whole_files(self, assignment: Assignment) -> None:
        """Note that the source ignored the range. Raises SourceFailed if other connections are at the same file."""
        transit = assignment.transit
        with self._lock:
            transit.in_one = transit.in_one or assignment.piece.start > 0
            is_alone = transit.pieces.flying == 1
        if transit.in_one and not is_alone:
            raise SourceFailed(f"{transit.file.path}: {assignment.source.name} sends whole files only.")

    def advance(self, assignment: Assignment, position: int) -> None:
        """Note that the piece is written up to `position`."""
        transit = assignment.transit
        with self._lock:
            transit.pieces.advance(assignment.piece, position)
            if assignment.source not in transit.suppliers:
                transit.suppliers.append(assignment.source)
            assignment.patience.gained()
            waiting = transit.pieces.prefix - transit.digests.position
            if waiting >= FOLLOW_BYTES or transit.pieces.is_complete:
                self._prefix_changed.notify()

    def returned(self, assignment: Assignment) -> None:
        """Take a piece back, finished or not."""
        with self._lock:
            assignment.transit.pieces.release(assignment.piece)
            self._supplier(assignment.source).connections -= 1
            self._pieces_changed.notify_all()

    def failed(self, assignment: Assignment, error: Qwen3ftError) -> None:
        """Judge a failed attempt: again, elsewhere, or the end."""
        if not isinstance(error, (HubError, SourceFailed, WrongBytes)):
            self.finish(error)  # our own disk, or a stop
            return
        wait_s = float(error.details.get("retry_after_s", 0) or 0)
        with self._lock:
            now = self._clock()
            self._trouble = f"trying again: {error.message}"
            supplier = self._supplier(assignment.source)
            assignment.patience.failed(error, began=assignment.began, now=now, wait_s=wait_s)
            if wait_s and not assignment.patience.is_exhausted:
                supplier.not_before = max(supplier.not_before, now + wait_s)
            other = self._next_supplier(assignment.transit) if assignment.patience.is_exhausted else None
        if not assignment.patience.is_exhausted:
            return
        if other is None:
            self.finish(error)
        else:
            self._reporter.notice(f"{error.message} Going on from {other.name}.")

    # What a follower asks

    def take_prefix(self) -> tuple[Transit, int] | None:
        """Return a file and the end of its finished prefix, waiting for one to hash; None when the work is over."""
        with self._lock:
            while not self.is_over.is_set():
                if all(transit.is_verified for transit in self.transits):
                    self.finish()
                    return None
                for transit in self.transits:
                    if self._wants_hashing(transit):
                        transit.is_hashing = True
                        return transit, transit.pieces.prefix
                self._prefix_changed.wait()
            return None

    def hashed(self, transit: Transit) -> None:
        """Take a file back from a follower."""
        with self._lock:
            transit.is_hashing = False
            self._prefix_changed.notify_all()

    def verified(self, transit: Transit) -> None:
        """Note that the whole file has the listed digest."""
        with self._lock:
            transit.is_verified = True

    def forget(self, transit: Transit, spans: Iterable[Span]) -> None:
        """Fetch `spans` of a complete file again, and hash it anew."""
        with self._lock:
            for start, end in spans:
                transit.pieces.forget(start, end)
            transit.digests = Digests(transit.file)
            self._pieces_changed.notify_all()

    def start_over(self, transit: Transit) -> Source | None:
        """Fetch a complete but wrong file again, from one source alone; return it, or None if all were tried.

        A source that supplied the whole wrong file is not asked again while there is another.
        """
        with self._lock:
            if transit.alone is None:
                having = [s.source for s in self._suppliers if self._may_supply(s, transit)]
                fresh = [source for source in having if source not in transit.suppliers]
                tried = having if len(transit.suppliers) != 1 or not fresh else []
                transit.alone = fresh + [source for source in tried if source not in fresh]
            else:
                transit.alone = transit.alone[1:]
            source = self._next_supplier(transit)
            if source is not None:
                self.forget(transit, [Span(0, transit.file.size)])
            return source

    # Below: only under the lock

    def _wants_hashing(self, transit: Transit) -> bool:
        if transit.is_hashing or transit.is_verified:
            return False
        waiting = transit.pieces.prefix - transit.digests.position
        return waiting >= FOLLOW_BYTES or transit.pieces.is_complete

    def _find(self) -> tuple[Assignment | None, float | None]:
        """Return an assignment, or None and the seconds until one may be found (None: until something changes)."""
        now = self._clock()
        wake = float("inf")
        untaken = sum(transit.pieces.untaken_bytes for transit in self.transits)
        for transit in self.transits:
            if not transit.pieces.untaken_bytes or (transit.in_one and transit.pieces.flying):
                continue
            suppliers = [supplier for supplier in self._suppliers if self._may_supply(supplier, transit)]
            ready = [supplier for supplier in suppliers if self._ready_at(supplier, transit) <= now]
            if not ready:
                wake = min([wake, *(self._ready_at(supplier, transit) for supplier in suppliers)])
                continue
            supplier = min(ready, key=lambda supplier: supplier.connections)
            return self._assign(transit, supplier, untaken, now), None
        return None, None if wake == float("inf") else max(0.0, wake - now)

    def _assign(self, transit: Transit, supplier: Supplier, untaken: int, now: float) -> Assignment | None:
        length = transit.file.size if transit.in_one else piece_length(untaken, self._connections)
        piece = transit.pieces.take(length)
        if piece is None:
            return None
        supplier.connections += 1
        return Assignment(transit, piece, supplier.source, now, self._patience(supplier, transit))

    def _next_supplier(self, transit: Transit) -> Source | None:
        """Return a source the file can still come from; drops exhausted ones from those tried alone."""
        while transit.alone:
            if not self._patience(self._supplier(transit.alone[0]), transit).is_exhausted:
                return transit.alone[0]
            transit.alone = transit.alone[1:]
        return next((s.source for s in self._suppliers if self._may_supply(s, transit)), None)

    def _may_supply(self, supplier: Supplier, transit: Transit) -> bool:
        if transit.alone is not None and supplier.source not in transit.alone[:1]:
            return False
        return supplier.source.has(transit.file) and not self._patience(supplier, transit).is_exhausted

    def _ready_at(self, supplier: Supplier, transit: Transit) -> float:
        return max(supplier.not_before, self._patience(supplier, transit).not_before)

    def _patience(self, supplier: Supplier, transit: Transit) -> Patience:
        return supplier.patience.setdefault(id(transit), Patience(self._policy))

    def _supplier(self, source: Source) -> Supplier:
        return next(supplier for supplier in self._suppliers if supplier.source is source)
