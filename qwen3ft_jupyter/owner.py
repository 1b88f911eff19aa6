"""Which process something on disk belongs to, and whether it still lives. Needs no locks, which network mounts fake.

Downloads and jobs sign what they work on with `identify`. The supervisor of a job imports this, too: it runs without
the packages of its environment and has to start fast. So this is the standard library alone, and psutil only where
there is no /proc; and a process is described by a plain dict, which is what the signatures on disk are.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

START_TOLERANCE_S = 5.0
"""Start times that psutil derives from the boot time shift by a little when the clock is set."""


def identify(pid: int) -> dict[str, Any]:
    """Return what tells this process from any other, also after a reboot, in another container or on another host."""
    here = whereabouts()
    return {"pid": pid, "started": start_mark(pid) if here["boot"] else _start_time(pid), **here}


def whereabouts() -> dict[str, str]:
    """Return which boot, process namespace and host the process numbers seen here belong to; "" for what is unknown."""
    boot, space = "", ""
    with contextlib.suppress(OSError):  # not Linux
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    host = os.environ.get("COMPUTERNAME", "") if sys.platform == "win32" else os.uname().nodename
    return {"boot": boot, "space": space, "host": host}


def is_alive(identity: Mapping[str, Any]) -> bool | None:
    """Say whether the process that `identify` described is alive; None if that cannot be seen from here.

    It cannot on another host, and not in another container either, even one that has the same host name: there its
    number belongs to nobody, or to another process.
    """
    here = whereabouts()
    there = {name: identity.get(name) for name in here}
    if there == here:
        return _is_in_proc(identity) if here["boot"] else _is_known_to_psutil(identity)
    is_restarted = here["boot"] and there["boot"] and there["boot"] != here["boot"] and there["host"] == here["host"]
    return False if is_restarted else None


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


def _is_in_proc(identity: Mapping[str, Any]) -> bool | None:
    pid = int(identity["pid"])
    mark = start_mark(pid)
    if mark is None and not Path(f"/proc/{pid}").exists():
        with contextlib.suppress(ProcessLookupError, OverflowError):
            try:
                os.kill(pid, 0)
            except PermissionError:  # another user's, which /proc does not show when mounted with hidepid
                return None
    return mark is not None and mark == identity.get("started")


def _start_time(pid: int) -> float:
    """Return when the process started, in unix seconds."""
    try:
        import psutil
    except ImportError:  # in the supervisor, which has just started and asks about itself
        return time.time()
    return psutil.Process(pid).create_time()


def _is_known_to_psutil(identity: Mapping[str, Any]) -> bool:
    import psutil

    try:
        process = psutil.Process(int(identity["pid"]))
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(abs(process.create_time() - float(identity["started"])) <= START_TOLERANCE_S)
    except psutil.AccessDenied:
        return True  # it is there, it is merely not ours
    except psutil.Error:
        return False
