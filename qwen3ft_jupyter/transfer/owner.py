"""The process that owns a partial or a lease, as it is written beside them."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.owner import identify, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from a later one with the same number; see `qwen3ft_jupyter.owner`."""

    host: str
    boot: str
    space: str
    """The namespace that its number belongs to: each container has its own."""
    pid: int
    started: float
    """In ticks since the boot; unix seconds where there is no /proc."""

    @classmethod
    def current(cls) -> Owner:
        """Return the identity of this process."""
        return cls(**identify(os.getpid()))  # not cached: a fork is another owner

    @property
    def is_surely_alive(self) -> bool:
        """Return whether the process can be seen from here and runs."""
        return is_alive(self.to_dict()) is True

    @property
    def is_surely_dead(self) -> bool:
        """Return whether the process is gone; False for those on other machines and in other containers."""
        return is_alive(self.to_dict()) is False

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Owner:
        """Rebuild from `to_dict`. Raises ValueError for anything else: it was read from a disk others can write."""
        if not isinstance(data, dict) or not all(_HAS_TYPE[name](data.get(name)) for name in cls.__slots__):
            raise ValueError("not the description of a process")
        return cls(data["host"], data["boot"], data["space"], data["pid"], data["started"])


_HAS_TYPE: dict[str, Callable[[Any], bool]] = {
    "host": lambda value: isinstance(value, str),
    "boot": lambda value: isinstance(value, str),
    "space": lambda value: isinstance(value, str),
    "pid": lambda value: type(value) is int and 0 < value < 1 << 31,
    "started": lambda value: type(value) in {int, float} and math.isfinite(value),
}
