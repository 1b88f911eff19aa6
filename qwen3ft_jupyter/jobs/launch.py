"""The start of a job's processes: the supervisor now, the worker by its hand."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.jobs import logs, supervisor
from qwen3ft_jupyter.processes import start_detached, start_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    cwd = folder.anchor  # so that it keeps no folder from being deleted or unmounted
    log, name = logs.open_log(folder)
    with log:
        told = {**os.environ, **environ, logs.VARIABLE: name}
        process = start_detached(program, cwd=cwd, environ=told, log=log)
    # Whoever starts a process must collect it in the end, or it stays as a zombie as long as this process lives.
    # Where there is no thread for that, `subprocess` does it when this process starts another.
    start_thread(threading.Thread(target=process.wait, name=f"qwen3ft-{folder.name}", daemon=True))
