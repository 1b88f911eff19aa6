"""Which checkpoints are whole. The libraries write a checkpoint file by file; our marker, written last, lists them.

A checkpoint without its optimizer or random state would train on silently with fresh ones, so only marked ones count;
and of those, only what runs wrote, see `own`: somebody else's would train on silently as ours.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import fsync_folder, read_json, write_json
from qwen3ft_jupyter.finetune.own import OutputFolder
from qwen3ft_jupyter.paths import is_folder
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.work import Reporter

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
    """Return the complete checkpoint of the highest step that a run wrote into `folder`, or None.

    Raises OSError if nobody can tell.
    """
    own = OutputFolder(folder.parent)
    ours = (path for path in _newest_first(folder) if own.has_written(f"{folder.name}/{path.name}/{MARKER}"))
    return next((path for path in ours if is_complete(path)), None)


def take(written: Path, folder: Path, reporter: Reporter = SILENT) -> None:
    """Complete a checkpoint that libraries have just written to `written`, and put it into `folder`. Raises OSError."""
    mark_complete(written)
    OutputFolder(folder.parent, reporter).place(written, f"{folder.name}/{written.name}", last=MARKER)


def prune(folder: Path, keep: int, reporter: Reporter = SILENT, *, best: int | None = None) -> None:
    """Delete all but the newest `keep` complete checkpoints that runs wrote into `folder`; tell what stays of those.

    That of the step `best` is kept as well.
    """
    own = OutputFolder(folder.parent, reporter)
    try:
        ours = [path for path in _newest_first(folder) if own.has_any(f"{folder.name}/{path.name}")]
        complete = [path for path in ours if is_complete(path)]
    except OSError:  # what cannot be looked at is not known to be half
        return
    for path in ours:
        if path not in complete[:keep] and not (path in complete and step_of(path) == best):
            with contextlib.suppress(OSError):  # gone next time; the marker goes first so that half of it never counts
                own.delete(f"{folder.name}/{path.name}/{MARKER}", is_told=False)
                own.delete(f"{folder.name}/{path.name}")


def _newest_first(folder: Path) -> list[Path]:
    try:
        entries = list(folder.iterdir())
    except FileNotFoundError:
        return []
    found = [(step, path) for path in entries if is_folder(path) and (step := step_of(path)) is not None]
    return [path for _, path in sorted(found, reverse=True)]
