"""Processes: whose something on disk is and whether it still lives; and how to start one that outlives this one.

Downloads and jobs sign what they work on with a `ProcessIdentity`. It needs no locks, which network mounts fake. The
supervisor of a job imports this module without the packages of its environment and has to start fast. So this is the
standard library alone, with psutil only where there is no /proc, and the identity is no dataclass: importing those
takes longer than the supervisor's own code.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    import threading
    from collections.abc import Mapping, Sequence
    from typing import IO, Any

START_TOLERANCE_S = 5.0
"""Start times that psutil derives from the boot time shift by a little when the clock is set."""


class ProcessIdentity(NamedTuple):
    """What tells a process from any other, also after a reboot, in another container or on another host."""

    host: str
    boot: str
    space: str
    """The namespace that its number belongs to: each container has its own."""
    pid: int
    started: float
    """In ticks since the boot; unix seconds where there is no /proc."""

    @classmethod
    def current(cls) -> ProcessIdentity:
        """Return the identity of this process."""
        return cls.of(os.getpid())  # not cached: a fork is another process

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Return the identity of a process of this machine."""
        here = whereabouts()
        started = start_mark(pid) if here["boot"] else _start_time(pid)
        return cls(**here, pid=pid, started=-1 if started is None else started)

    def is_alive(self) -> bool | None:
        """Say whether the process is alive; None if that cannot be seen from here.

        It cannot on another host, and not in another container either, even one that has the same host name: there its
        number belongs to nobody, or to another process.
        """
        here = whereabouts()
        if (self.boot, self.space, self.host) == (here["boot"], here["space"], here["host"]):
            return _is_in_proc(self) if here["boot"] else _is_known_to_psutil(self)
        is_restarted = here["boot"] and self.boot and self.boot != here["boot"] and self.host == here["host"]
        return False if is_restarted else None

    @property
    def is_surely_alive(self) -> bool:
        """Return whether the process can be seen from here and runs."""
        return self.is_alive() is True

    @property
    def is_surely_dead(self) -> bool:
        """Return whether the process is gone; False for those on other machines and in other containers."""
        return self.is_alive() is False

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return self._asdict()

    @classmethod
    def from_dict(cls, data: object) -> ProcessIdentity:
        """Rebuild from `to_dict`. Raises ValueError for anything else: it was read from a disk others can write."""
        if isinstance(data, dict):
            identity = cls(*(data.get(name) for name in cls._fields))  # type: ignore[arg-type] # checked in a moment
            is_started = type(identity.started) in {int, float} and math.isfinite(identity.started)
            is_numbered = type(identity.pid) is int and 0 < identity.pid < 1 << 31
            if is_started and is_numbered and all(isinstance(place, str) for place in identity[:3]):
                return identity
        raise ValueError("not the description of a process")


def whereabouts() -> dict[str, str]:
    """Return which boot, process namespace and host the process numbers seen here belong to; "" for what is unknown."""
    boot, space = "", ""
    with contextlib.suppress(OSError):  # not Linux
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    host = os.environ.get("COMPUTERNAME", "") if sys.platform == "win32" else os.uname().nodename
    return {"boot": boot, "space": space, "host": host}


def start_mark(pid: int) -> int | None:
    """Return when the process started, in ticks since boot, by /proc; None for one that is dead or cannot be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name before it may hold anything
    if fields[0] in (b"Z", b"X"):  # a zombie is dead: pid 1 of a container may never reap it
        return None
    return int(fields[19])


def start_detached(
    command: Sequence[str], *, cwd: str | None, environ: Mapping[str, str], log: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a child that outlives its parent, its terminal and an interrupt to its group. Raises OSError.

    Args:
        command: the program and its arguments.
        cwd: the folder it runs in; ours if None.
        environ: its whole environment.
        log: receives what it writes to stdout and stderr; ours do if None.
    """
    import subprocess  # a download imports this module, and starts no process

    how: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        how = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd, env=environ, **how)


def _is_in_proc(identity: ProcessIdentity) -> bool | None:
    mark = start_mark(identity.pid)
    if mark is None and not os.path.lexists(f"/proc/{identity.pid}"):
        with contextlib.suppress(ProcessLookupError, OverflowError):
            try:
                os.kill(identity.pid, 0)
            except PermissionError:  # another user's, which /proc does not show when mounted with hidepid
                return None
    return mark is not None and mark == identity.started


def _start_time(pid: int) -> float:
    """Return when the process started, in unix seconds."""
    try:
        import psutil
    except ImportError:  # in the supervisor, which has just started and asks about itself
        return time.time()
    return psutil.Process(pid).create_time()


def _is_known_to_psutil(identity: ProcessIdentity) -> bool:
    import psutil

    try:
        process = psutil.Process(identity.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(abs(process.create_time() - identity.started) <= START_TOLERANCE_S)
    except psutil.AccessDenied:
        return True  # it is there, it is merely not ours
    except psutil.Error:
        return False


def start_thread(thread: threading.Thread) -> bool:
    """Start a thread that is only helpful; return whether the system had one to give."""
    try:
        thread.start()
    except RuntimeError:  # a limit on processes, or no memory for a stack
        return False
    return True


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a process to stop.

    SIGHUP under nohup does not, nor does SIGINT in the background of a script, and that is to stay so.
    """
    hang_up: signal.Signals | None = getattr(signal, "SIGHUP", None)  # not on Windows
    may_ask = (signal.SIGINT, *([hang_up] if hang_up is not None else []))
    return (signal.SIGTERM, *(number for number in may_ask if signal.getsignal(number) != signal.SIG_IGN))
