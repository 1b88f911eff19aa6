"""The board on which the work of one download is laid out: threads take pieces from it and report back.

All state that several threads share is here, under one lock; sockets and disks are not touched under it.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import HubError, Qwen3ftError, SourceFailed, WrongBytes
from qwen3ft_jupyter.transfer.dispatch import Dispatch
from qwen3ft_jupyter.transfer.doubt import ANOTHER_TOOL, Trial, spans_of
from qwen3ft_jupyter.transfer.flight import STALLED_S
from qwen3ft_jupyter.transfer.source import is_resolved
from qwen3ft_jupyter.transfer.suppliers import Allowance, Supplier, is_refusal
from qwen3ft_jupyter.transfer.transit import Digests, Transit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qwen3ft_jupyter.hubs.retry import RetryPolicy
    from qwen3ft_jupyter.transfer.flight import Flight
    from qwen3ft_jupyter.transfer.pieces import Span
    from qwen3ft_jupyter.transfer.source import Source
    from qwen3ft_jupyter.work import Reporter

FOLLOW_BYTES: Final = 1 << 20
"""The follower is woken when at least this much waits to be hashed, or the file is complete."""

LITTLE_BYTES: Final = 64 << 10
"""A connection that broke off after so little is no reason to ask again at once."""

ASIDE_FAILURES: Final = 3
"""After so many failures without a byte, people are told that a source is waited for no more while there are others."""

LOOK_S: Final = 0.1
"""A connection without work looks this often: a source may have been found, or a piece have become slow."""

PAUSE_S: Final = 2.0
"""When nobody brings anything for so long, the link itself pauses, and no connection is to blame."""


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
        """Set when all is done, failed or stopped."""
        self.error: BaseException | None = None
        self.policy = policy
        self.clock = clock
        self.is_unlimited = True
        """Whether no speed is prescribed; else it is we who are slow, and more requests or connections help nobody."""
        self._suppliers = [Supplier(source, policy, Allowance(connections)) for source in sources]
        self._flights: list[Flight] = []
        self._dispatch = Dispatch(transits, self._suppliers, self._flights, connections)
        self._flows_since = math.inf
        self._last_bytes = -math.inf
        self._is_paused = False
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
            shares = [f"{s.connections} from {s.name}" for s in self._suppliers if s.connections]
            return f"connections: {', '.join(shares)}" if shares else self._trouble

    def pause(self, *, is_paused: bool) -> None:
        """Give up all connections, or go on."""
        with self._lock:
            if is_paused != self._is_paused:
                self._is_paused = is_paused
                self._cancel(self._flights if is_paused else ())
                self._pieces_changed.notify_all()

    def look(self) -> None:
        """See what would do better: fewer connections, more, or others; to be called a few times a second."""
        with self._lock:
            if self._is_paused:
                return
            for transit in self.transits:
                self._end_if_nobody_is_left(transit, transit.failure)
            now = self.clock()
            self._dispatch.measure(now)
            if self._last_bytes - self._flows_since >= STALLED_S and now - self._last_bytes <= PAUSE_S:
                self._drop_what_stalls(now)
            for supplier in self._suppliers if self.is_unlimited else ():
                supplier.allowance.look(supplier.brought_bytes, supplier.connections, now)

    def to_sync(self) -> list[Transit]:
        """Return the files that have bytes which the disk was not asked to write down yet."""
        with self._lock:
            behind = [t for t in self.transits if not t.is_verified and t.pieces.done_bytes != t.synced_bytes]
            for transit in behind:
                transit.synced_bytes = transit.pieces.done_bytes
            return behind

    def finish(self, error: BaseException | None = None) -> None:
        """End the work: wake every thread; sources break off their reads. The first call decides how it ended."""
        with self._lock:
            if not self.is_over.is_set():
                self.error = error
            self.is_over.set()
            self._cancel(self._flights)
            self._pieces_changed.notify_all()
            self._prefix_changed.notify_all()

    # What a connection asks

    def take(self) -> Flight | None:
        """Return the next piece to fetch, waiting for one if need be; None when the work is over."""
        with self._lock:
            while not self.is_over.is_set():
                flight = None if self._is_paused else self._dispatch.find(self.clock(), is_unlimited=self.is_unlimited)
                if flight is not None:
                    self._flights.append(flight)
                    flight.supplier.connections += 1
                    return flight
                self._pieces_changed.wait(LOOK_S)
            return None

    def sends_whole_files(self, flight: Flight) -> None:
        """Note that the source ignored the range. Raises SourceFailed if others bring the same file."""
        transit, supplier = flight.transit, flight.supplier
        with self._lock:
            if flight.piece.start > 0:
                transit.whole.add(supplier.name)
            if supplier.name not in transit.whole:
                return  # the file's front: as good as a range
            is_alone = transit.pieces.flying == 1 and self._dispatch.is_in_one(transit)
        if not is_alone:
            raise SourceFailed(f"{transit.file.path}: {supplier.name} sends whole files only.")

    def claim(self, flight: Flight, count: int, seconds: float) -> int:
        """Note that `count` bytes arrived within `seconds`; return how many of them the connection is to write.

        Fewer than `count` if the rest is another connection's; then the piece ends there.
        """
        supplier, now = flight.supplier, self.clock()
        with self._lock:
            if flight.has_answered:
                flight.rate.add(count, seconds)
                supplier.read(count, seconds)
            else:  # the time to the first bytes tells of the distance, not of the speed
                flight.has_answered = True
                supplier.answered_after(now - flight.began - flight.held_s)
                supplier.allowance.answered(supplier.connections, now)
                self._pieces_changed.notify()
            if now - self._last_bytes > PAUSE_S:
                self._flows_since = now
            flight.last = self._last_bytes = now
            supplier.brought_bytes += count
            flight.brought_bytes += count
            supplier.is_aside = False
            supplier.trouble.gained()
            flight.patience.gained()
            count = flight.transit.pieces.claim(flight.piece, count)
            if count and (loser := flight.leave_race()) is not None:  # whoever is first has all of it
                loser.stop.set()
            return count

    def advance(self, flight: Flight, position: int) -> None:
        """Note that the piece is written up to `position`."""
        pieces = flight.transit.pieces
        with self._lock:
            pieces.advance(flight.piece, position)
            if pieces.is_complete:
                self._cancel(
                    other for other in self._flights if other.transit is flight.transit and other is not flight
                )
            elif pieces.prefix - flight.transit.digests.position >= FOLLOW_BYTES:
                self._prefix_changed.notify()

    def returned(self, flight: Flight) -> None:
        """Take a piece back, finished or not."""
        with self._lock:
            now = self.clock()
            if flight.is_silent(now) and not self._is_paused:
                flight.supplier.rate.add(0, flight.waited_s(now))  # so that it is not taken for a fast one again
            flight.leave_race()
            self._flights.remove(flight)
            flight.transit.pieces.release(flight.piece)
            flight.supplier.connections -= 1
            self._pieces_changed.notify_all()
            if flight.transit.pieces.is_complete:
                self._prefix_changed.notify()

    def failed(self, flight: Flight, error: Qwen3ftError) -> None:
        """Judge a failed attempt: again, elsewhere, or the end."""
        if not isinstance(error, (HubError, SourceFailed, WrongBytes)):
            self.finish(error)  # our own disk, or a stop
            return
        wait_s = float(error.details.get("retry_after_s", 0) or 0)
        with self._lock:
            now = self.clock()
            self._trouble = f"trying again: {error.message}"
            supplier, transit = flight.supplier, flight.transit
            if is_refusal(error) and supplier.connections > 1 and self._is_crowd(flight, wait_s, now):
                return
            flight.patience.failed(error, began=flight.began, now=now, wait_s=wait_s)
            if 0 < flight.brought_bytes < LITTLE_BYTES:  # who gives a byte and breaks off is not asked like mad
                flight.patience.wait(now + self.policy.first_delay_s)
            if error.is_transient:  # else it is about this file
                supplier.trouble.failed(error, began=flight.began, now=now)
            if flight.patience.is_exhausted:
                if transit.alone is supplier.source:
                    transit.alone = None  # it cannot be tried; the digest decides what others bring
            elif wait_s:
                supplier.trouble.wait(now + wait_s)
            others = [other for other in self._dispatch.may_supply(transit) if other is not supplier]
            is_news = not supplier.is_aside and (
                flight.patience.is_exhausted or supplier.trouble.failures >= ASIDE_FAILURES
            )
            supplier.is_aside = supplier.is_aside or bool(is_news and others)
            if flight.patience.is_exhausted and not others:
                self._end_if_nobody_is_left(transit, error)
        if is_news and others:
            self._reporter.notice(f"{error.message} Going on from {others[0].name}.")

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

    def verified(self, transit: Transit) -> set[str]:
        """Note that the whole file has the listed digest; return the names of those who were found lying."""
        with self._lock:
            transit.is_verified = True
            liars = transit.doubt.liars()
            for supplier in self._suppliers:
                supplier.is_liar = supplier.is_liar or supplier.name in liars
                supplier.verified_bytes += sum(
                    r.end - r.start for r in transit.partial.records if r.source == supplier.name
                )
            return liars

    def forget(self, transit: Transit, spans: Iterable[Span]) -> None:
        """Fetch `spans` of a complete file again, and hash it anew."""
        with self._lock:
            for start, end in spans:
                transit.forget(start, end)
            transit.digests = Digests(transit.file)
            self._pieces_changed.notify_all()

    def doubt(self, transit: Transit) -> Trial | None:
        """Return what of a complete but wrong file is to be fetched again, and from whom; None if all was tried."""
        with self._lock:
            transit.alone = None
            trusted = sorted(self._dispatch.may_supply(transit), key=lambda s: (s.is_liar, -s.verified_bytes))
            trial = transit.doubt.next_trial(
                transit.partial.records,
                sources=[supplier.name for supplier in trusted],
                suspected={ANOTHER_TOOL, *(s.name for s in self._suppliers if s.is_liar)},
            )
            if trial is not None and trial.believed:
                transit.alone = next(s.source for s in trusted if s.name == trial.believed)
            return trial

    def retry(self, transit: Transit, trial: Trial) -> None:
        """Begin with what `doubt` has returned, now that the journal has forgotten it."""
        self.forget(transit, spans_of(trial.records))

    # Below: only under the lock

    def _cancel(self, flights: Iterable[Flight]) -> None:
        for flight in flights:
            flight.stop.set()

    def _wants_hashing(self, transit: Transit) -> bool:
        if transit.is_hashing or transit.is_verified:
            return False
        pieces = transit.pieces
        if pieces.is_complete:
            return not pieces.flying  # whoever still flies has something to note in the journal
        return pieces.prefix - transit.digests.position >= FOLLOW_BYTES

    def _drop_what_stalls(self, now: float) -> None:
        """Break connections off that bring nothing, or next to nothing, while others have done so all the time."""
        for flight in self._flights:
            if flight.stop.is_set():
                continue
            if flight.waited_s(now) >= STALLED_S and not flight.transit.whole:  # else the front is thrown away first
                flight.error = SourceFailed(f"{flight.supplier.name} went silent.", details={"cause": "silent"})
                flight.stop.set()
            elif self.is_unlimited and flight.is_starving(now):
                flight.stop.set()

    def _is_crowd(self, flight: Flight, wait_s: float, now: float) -> bool:
        """Allow its source fewer connections; return whether that is all, because others to it bring bytes just now.

        A wait that it asks for is kept nevertheless, up to the longest one that is not left to the user.
        """
        supplier = flight.supplier
        is_served = any(
            other is not flight
            and other.supplier is supplier
            and other.has_answered
            and not other.is_silent(now)
            and not other.stop.is_set()
            for other in self._flights
        )
        supplier.allowance.refused(supplier.connections, now, wait_s if is_served else 0.0)
        if is_served and wait_s <= self.policy.max_wait_s:
            supplier.trouble.wait(now + wait_s)
        return is_served

    def _end_if_nobody_is_left(self, transit: Transit, error: Qwen3ftError | None) -> None:
        """End the work with `error`, if there is one, unless somebody may still bring the file."""
        if error is None or transit.pieces.is_complete:
            return
        resolving = [s.name for s in self._suppliers if not is_resolved(s.source)]  # before one looks who has it
        if self._dispatch.may_supply(transit):
            transit.failure = None
        elif resolving:
            transit.failure = error
            self._trouble = f"waiting for {resolving[0]}: {error.message}"
        else:
            self.finish(error)
