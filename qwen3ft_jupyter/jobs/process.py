"""Processes: starting one that outlives us, and telling whether one is still alive."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import owner
from qwen3ft_jupyter.jobs import supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FRESH_S = 4 * supervisor.HEARTBEAT_S
"""A job on another host is taken for alive as long as its status was touched this recently."""
_ENTRY = Path(__file__).parent.parent / "__main__.py"


def worker_command(python: str) -> list[str]:
    """Return the command that runs a job with the interpreter `python`; the job's folder is to be added.

    It names our own file rather than ``-m qwen3ft_jupyter``: that interpreter may belong to another environment, which
    has not got this package, or has another version of it.
    """
    return [python, str(_ENTRY), "run"]


def start_supervisor(folder: Path, attempt: int, command: Sequence[str], *, environ: Mapping[str, str]) -> None:
    """Start the supervisor of an attempt and return at once. Raises OSError."""
    flags = ["-I", "-S"]  # no site-packages: it needs none, and starts twice as fast
    program = [sys.executable or command[0], *flags, supervisor.__file__, str(folder), str(attempt), *command]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environ},
            cwd=folder.anchor,  # so that it keeps no folder from being deleted or unmounted
            **supervisor.detached(),
        )
    # Whoever starts a process must collect it in the end, or it stays as a zombie as long as this process lives.
    threading.Thread(target=process.wait, name=f"qwen3ft-{folder.name}", daemon=True).start()


def is_alive(identity: Mapping[str, Any], *, status_age_s: float) -> bool:
    """Say whether the process that `owner.identify` described is alive.

    `status_age_s` is how long ago the job's status was touched; it decides where the process cannot be seen from here,
    that is, on another host or in another container.
    """
    is_seen_alive = owner.is_alive(identity)
    return status_age_s < FRESH_S if is_seen_alive is None else is_seen_alive
