"""Which process owns something on disk, and whether it still lives. Needs no locks, which network mounts fake."""

from __future__ import annotations

import functools
import math
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

START_TIME_TOLERANCE_S = 2.0
"""psutil derives start times from the boot time, which shifts by a little when the clock is set."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from a later one with the same number by its start time and the machine's boot."""

    host: str
    boot_id: str
    pid: int
    started: float
    """Unix seconds."""

    @classmethod
    def current(cls) -> Owner:
        """Return the identity of this process."""
        pid = os.getpid()  # not cached: a fork is another owner
        return cls(platform.node(), _boot_id(), pid, psutil.Process(pid).create_time())

    @property
    def is_here(self) -> bool:
        """Return whether the process ran on this machine since its last boot, so that its life can be asked for."""
        return self.host == platform.node() and self.boot_id == _boot_id()

    @property
    def is_surely_alive(self) -> bool:
        """Return whether the process is on this machine and runs."""
        return self.is_here and self._runs()

    @property
    def is_surely_dead(self) -> bool:
        """Return whether the process was on this machine and is gone; False for other machines, which nobody knows."""
        if self.is_here:
            return not self._runs()
        return self.host == platform.node() and self.boot_id != _boot_id() and bool(_boot_id())

    def _runs(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.started) <= START_TIME_TOLERANCE_S
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True  # it is there, it is merely not ours

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Owner:
        """Rebuild from `to_dict`. Raises ValueError for anything else: it was read from a disk others can write."""
        if not isinstance(data, dict) or not all(_HAS_TYPE[name](data.get(name)) for name in cls.__slots__):
            raise ValueError("not the description of a process")
        return cls(data["host"], data["boot_id"], data["pid"], float(data["started"]))


_HAS_TYPE: dict[str, Callable[[Any], bool]] = {
    "host": lambda value: isinstance(value, str),
    "boot_id": lambda value: isinstance(value, str),
    "pid": lambda value: type(value) is int and 0 < value < 1 << 31,
    "started": lambda value: type(value) in {int, float} and math.isfinite(value),
}


@functools.cache
def _boot_id() -> str:
    """Return what changes at each boot: Linux says it; elsewhere the boot time to the minute, which is near enough."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"boot-{round(psutil.boot_time() / 60)}"
