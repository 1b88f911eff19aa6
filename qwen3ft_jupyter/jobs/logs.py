"""The log of a job whose folder takes no more of a file that is closed: it is kept elsewhere, and copied as a whole.

Several processes write to it as long as the job runs, and on the mount of an object store nobody would see it before
the last of them ends; some of those mounts take nothing more once one of them has.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import write_atomic
from qwen3ft_jupyter.mounts import can_append
from qwen3ft_jupyter.paths import is_file

if TYPE_CHECKING:
    from typing import BinaryIO

VARIABLE: Final = "QWEN3FT_JOB_LOG"
"""Names, for the processes of a job, the file that they write to; "": it is that in the job's folder."""
NAME: Final = "log.txt"


def open_log(folder: Path) -> tuple[BinaryIO, str]:
    """Return the file that a job is to write to, and the value of the variable. Raises OSError."""
    if can_append(folder):
        return (folder / NAME).open("ab"), ""
    descriptor, name = tempfile.mkstemp(prefix="qwen3ft-log-", suffix=".txt")
    os.close(descriptor)
    log = Path(name).open("ab")  # noqa: SIM115 - the caller closes it
    with contextlib.suppress(FileNotFoundError):
        log.write((folder / NAME).read_bytes())  # of the attempts before
        log.flush()
    return log, name


def copy_log(folder: Path, *, is_last: bool = False) -> None:
    """Bring what this job has written to its folder, if it is kept elsewhere. What cannot be written comes later."""
    if not (name := os.environ.get(VARIABLE, "")):
        return
    kept, target = Path(name), folder / NAME
    with contextlib.suppress(OSError):
        if not is_file(target) or target.stat().st_size != kept.stat().st_size:
            write_atomic(target, kept.read_bytes())
        if is_last:
            kept.unlink()
