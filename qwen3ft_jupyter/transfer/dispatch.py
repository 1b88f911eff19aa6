"""Decides what one more connection should do: which piece, of which file, from whom.

Used only under the board's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.transfer.flight import Flight
from qwen3ft_jupyter.transfer.rates import piece_length, tail_length
from qwen3ft_jupyter.transfer.suppliers import choose, total_speed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.transfer.pieces import Piece
    from qwen3ft_jupyter.transfer.suppliers import Supplier
    from qwen3ft_jupyter.transfer.transit import Transit

LATEST: Final = 8
"""Of the pieces under way, how many of the latest are looked at for help: the very latest may have it already."""


class Dispatch:
    """Sees all files, sources and connections of one download, and changes none but the pieces it hands out."""

    def __init__(
        self, transits: Sequence[Transit], suppliers: Sequence[Supplier], flights: Sequence[Flight], connections: int
    ) -> None:
        self._transits = transits
        self._suppliers = suppliers
        self._flights = flights
        self._connections = connections

    def find(self, now: float, *, is_unlimited: bool) -> Flight | None:
        """Return what one more connection should do now: a piece nobody fetches, or help with one that is slow.

        Args:
            now: The engine's clock.
            is_unlimited: Whether no speed is prescribed; else help is for pieces that do not come at all.
        """
        self.measure(now)
        untaken = sum(transit.pieces.untaken_bytes for transit in self._transits)
        for transit in self._transits:
            if not transit.pieces.untaken_bytes:
                continue
            in_one = self.is_in_one(transit)
            if in_one and transit.pieces.flying:
                continue
            total = total_speed(self._suppliers)
            supplier = choose(self._ready(transit, now), untaken_bytes=untaken, total=total)
            if supplier is None:
                continue
            length = transit.file.size
            if not in_one:
                length = piece_length(
                    untaken,
                    speed=supplier.speed,
                    total_speed=total + (supplier.speed or 0.0),
                    connections=self._connections,
                    latency_s=supplier.latency_s,
                )
            piece = transit.pieces.take(length)
            if piece is not None:
                return _fly(transit, piece, supplier, now)
        return self._find_tail(now, is_unlimited=is_unlimited)

    def measure(self, now: float) -> None:
        """Look how fast every source is, what it keeps waiting for counted in: one that stalls is slow at once."""
        for supplier in self._suppliers:
            waited_s = sum(flight.waited_s(now) for flight in self._flights if flight.supplier is supplier)
            supplier.speed = supplier.rate.per_s(waited_s)

    def may_supply(self, transit: Transit) -> list[Supplier]:
        """Return the sources that the file is expected from; the worst only if there is nobody else."""
        able = [s for s in self._having(transit) if not s.patience_with(id(transit)).is_exhausted]
        able = [s for s in able if not s.is_liar] or able
        return [s for s in able if s.name not in transit.whole] or able

    def is_in_one(self, transit: Transit) -> bool:
        """Return whether one connection takes the rest of the file, none beside it."""
        return bool(transit.whole) and all(s.name in transit.whole for s in self.may_supply(transit))

    def _having(self, transit: Transit) -> list[Supplier]:
        return [s for s in self._suppliers if transit.alone in {None, s.source} and s.source.has(transit.file)]

    def _ready(self, transit: Transit, now: float) -> list[Supplier]:
        """Return the sources that may be asked now: also those that one counts on no more, but only now and then."""
        able, key = self.may_supply(transit), id(transit)
        resting = [s for s in self._having(transit) if s.patience_with(key).is_exhausted]
        resting = [s for s in resting if not s.is_liar and s.name not in transit.whole]
        return [s for s in [*able, *resting] if s.ready_at(key) <= now]

    def _find_tail(self, now: float, *, is_unlimited: bool) -> Flight | None:
        """Return a second request for one of the pieces that would end last, if that ends the work earlier."""
        flights = [flight for flight in self._flights if not flight.stop.is_set()]
        late = sorted(flights, key=lambda flight: flight.ends_in(now), reverse=True)
        for flight in late[:LATEST]:
            transit, piece = flight.transit, flight.piece
            left, is_raced, is_silent = piece.end - piece.claimed, transit.pieces.is_raced(piece), flight.is_silent(now)
            supplier = self._find_helper(flight, left, now)
            if self.is_in_one(transit) or supplier is None or (is_raced if is_silent else flight.speed is None):
                continue
            speed = flight.speed or supplier.speed or left  # the last: what is silent is raced at any speed
            tail = tail_length(
                left,
                speed=speed,
                silent_s=flight.waited_s(now),
                other_speed=supplier.speed or speed,
                other_latency_s=supplier.latency_s,
            )
            if 0 < tail < left and is_unlimited:
                return _fly(transit, transit.pieces.split(piece, piece.end - tail), supplier, now)
            if 0 < tail == left and not is_raced:
                helper = _fly(transit, transit.pieces.race(piece), supplier, now)
                helper.rival, flight.rival = flight, helper
                return helper
        return None

    def _find_helper(self, flight: Flight, left: int, now: float) -> Supplier | None:
        """Return whom to ask for what a flight does not bring: if it is silent, rather not its own source again."""
        ready, total = self._ready(flight.transit, now), total_speed(self._suppliers)
        others = [s for s in ready if s is not flight.supplier] if flight.is_silent(now) else []
        return choose(others, untaken_bytes=left, total=total) or choose(ready, untaken_bytes=left, total=total)


def _fly(transit: Transit, piece: Piece, supplier: Supplier, now: float) -> Flight:
    return Flight(transit, piece, supplier, now, supplier.patience_with(id(transit)), last=now)
