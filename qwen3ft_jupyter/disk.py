"""The one place that writes small files: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data` so that a reader, a crash or a power cut sees the old bytes or the new, never a mixture.

    Raises OSError; the temporary file is gone then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    fsync_folder(path.parent)


def write_json(path: Path, value: object, *, mode: int = 0o644) -> None:
    """Write `value` as JSON with `write_atomic`."""
    write_atomic(path, (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode(), mode=mode)


def read_json(path: Path) -> Any:
    """Return the JSON in `path`, which the caller validates. Raises OSError, or ValueError if it is not JSON."""
    return json.loads(path.read_bytes())


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the platform can."""
    if os.name == "nt":  # Windows cannot open a folder
        return
    with contextlib.suppress(OSError):  # some FUSE mounts refuse fsync on folders; the rename has happened all the same
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
