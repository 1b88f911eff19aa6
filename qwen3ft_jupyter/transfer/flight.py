"""A piece of a file on its way from one source over one connection."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.transfer.rates import SILENT_S, Speed
from qwen3ft_jupyter.transfer.suppliers import WINDOW_S

if TYPE_CHECKING:
    from qwen3ft_jupyter.transfer.patience import Patience
    from qwen3ft_jupyter.transfer.pieces import Piece
    from qwen3ft_jupyter.transfer.source import Source
    from qwen3ft_jupyter.transfer.suppliers import Supplier
    from qwen3ft_jupyter.transfer.transit import Transit


STARVED_S: Final = 10.0
STARVED: Final = 1 / 8
"""After `STARVED_S`, a connection that is so much slower than its neighbours is not worth keeping: another route, or
another server behind the same name, may do better."""


@dataclass(slots=True, eq=False)
class Flight:
    """A piece of a file that one connection fetches from one source."""

    transit: Transit
    piece: Piece
    supplier: Supplier
    began: float
    """The engine's clock."""
    patience: Patience
    last: float
    """When it last brought bytes, or when it was last allowed to read on: from then on it is waiting."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when its bytes are wanted no more; the source breaks off the read."""
    has_answered: bool = False
    """Whether the first bytes have come."""
    rate: Speed = field(default_factory=lambda: Speed(WINDOW_S / 4))

    @property
    def source(self) -> Source:
        """Return where the bytes come from."""
        return self.supplier.source

    @property
    def speed(self) -> float | None:
        """Return the bytes a second it brings, or those of its source while nobody can tell; None if nobody knows."""
        return self.rate.per_s() or self.supplier.speed

    def is_silent(self, now: float) -> bool:
        """Return whether it has brought nothing for so long that one should not count on it."""
        return now - self.last > SILENT_S

    def ends_in(self, now: float) -> float:
        """Return the seconds until it will have brought all, as far as can be told."""
        silent_s = now - self.last if self.is_silent(now) else 0.0
        return silent_s + (self.piece.end - self.piece.claimed) / (self.speed or 1.0)

    def is_starving(self, now: float) -> bool:
        """Return whether it is much slower than the other connections to the same source."""
        if now - self.began < STARVED_S or self.supplier.speed is None:
            return False
        return (self.rate.per_s(now - self.last) or 0.0) < STARVED * self.supplier.speed
