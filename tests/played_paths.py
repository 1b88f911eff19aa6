"""A folder that answers every question with one error, as a network drive that is gone does; and processes with fewer
rights, for root looks into everything."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import errno
import io
import os
import subprocess
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ANSWERS = {
    "permission": errno.EACCES,
    "stale": errno.ESTALE,
    "not connected": errno.ENOTCONN,
    "input/output error": errno.EIO,
    "too long": errno.ENAMETOOLONG,
    "busy": errno.EBUSY,
    "loop": errno.ELOOP,
    "timed out": errno.ETIMEDOUT,
    "host down": errno.EHOSTDOWN,
}
"""What a folder may answer that cannot be looked into."""

_CALLS = (
    *("stat", "lstat", "scandir", "listdir", "open", "mkdir", "statvfs", "readlink", "access", "chmod"),
    *("replace", "rename", "unlink", "rmdir", "utime", "link", "symlink"),
)
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _PR_CAPBSET_DROP = 1, 2, 24


@contextlib.contextmanager
def answering(folder: Path, number: int) -> Iterator[None]:
    """Let every call of the system about a folder, and about what is in it, fail with this errno in this process."""

    def refuse(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **named: Any) -> Any:
            for one in (path, *rest[:1]):
                if isinstance(one, (str, os.PathLike)) and is_below(os.fspath(one)):
                    raise OSError(number, os.strerror(number), str(one))
            return real(path, *rest, **named)

        return call

    def is_below(path: str | bytes) -> bool:
        return f"{os.fsdecode(path)}/".startswith(f"{folder}/")

    with contextlib.ExitStack() as stack:
        for module, names in ((os, _CALLS), (builtins, ("open",)), (io, ("open",))):
            for name in names:
                stack.enter_context(mock.patch.object(module, name, refuse(getattr(module, name))))
        yield


def run_without_rights(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a process for which permissions count, also as root."""
    libc = ctypes.CDLL(None) if hasattr(os, "geteuid") and os.geteuid() == 0 else None

    def give_up() -> None:
        if libc is not None:
            for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
                libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)

    return subprocess.run(command, check=False, capture_output=True, text=True, preexec_fn=give_up, **options)
