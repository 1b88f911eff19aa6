"""Which checkpoints are whole. The libraries write a checkpoint file by file; our marker, written last, lists them.

A checkpoint without its optimizer or random state would train on silently with fresh ones, so only marked ones count.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import fsync_folder, read_json, write_json
from qwen3ft_jupyter.paths import is_folder

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "COMPLETE"
"""Name of the marker file: {"version", "step", "files": [{"path", "size"}]}."""

_NAME = re.compile(r"checkpoint-(\d{1,12})")


def step_of(folder: Path) -> int | None:
    """Return the step a checkpoint folder is named after, None for any other folder."""
    match = _NAME.fullmatch(folder.name)
    return int(match[1]) if match else None


def mark_complete(folder: Path) -> None:
    """Flush every file of a checkpoint to the disk and write its marker. Raises OSError."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    for path in files:
        with contextlib.suppress(OSError), path.open("rb") as file:  # some mounts refuse fsync on files opened to read
            os.fsync(file.fileno())
    fsync_folder(folder)
    listed = [{"path": path.relative_to(folder).as_posix(), "size": path.stat().st_size} for path in files]
    write_json(folder / MARKER, {"version": 1, "step": step_of(folder), "files": listed})


def is_complete(folder: Path) -> bool:
    """Return whether the marker is there and every file it lists has its size. Raises OSError if nobody can tell."""
    try:
        marker = read_json(folder / MARKER)
        files = [(folder / str(entry["path"]), int(entry["size"])) for entry in marker["files"]]
        return bool(files) and all(path.stat().st_size == size for path, size in files)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return False


def last_complete(folder: Path) -> Path | None:
    """Return the complete checkpoint of the highest step in `folder`, or None. Raises OSError if nobody can tell."""
    return next((path for path in _newest_first(folder) if is_complete(path)), None)


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` complete checkpoints, and incomplete ones with them."""
    try:
        complete = [path for path in _newest_first(folder) if is_complete(path)]
    except OSError:  # what cannot be looked at is not known to be half
        return
    for path in _newest_first(folder):
        if path not in complete[:keep]:
            with contextlib.suppress(OSError):  # gone next time; a marker goes first so that half of it never counts
                (path / MARKER).unlink(missing_ok=True)
                shutil.rmtree(path)


def _newest_first(folder: Path) -> list[Path]:
    try:
        entries = list(folder.iterdir())
    except FileNotFoundError:
        return []
    found = [(step, path) for path in entries if is_folder(path) and (step := step_of(path)) is not None]
    return [path for _, path in sorted(found, reverse=True)]
