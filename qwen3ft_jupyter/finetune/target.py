"""The folder that a merge writes to: whether it may, where it writes before, and what of an earlier one goes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.disk import make_folders, write_atomic
from qwen3ft_jupyter.errors import BadInput, NoSpace, Qwen3ftError
from qwen3ft_jupyter.finetune.merged import GENERATION, LAST, RECORD, read_merge_record
from qwen3ft_jupyter.finetune.own import MADE_BY
from qwen3ft_jupyter.finetune.results import CARD
from qwen3ft_jupyter.finetune.volume import check_writable
from qwen3ft_jupyter.messages import Names, Size
from qwen3ft_jupyter.mounts import FULL
from qwen3ft_jupyter.paths import is_file, is_folder, is_link, is_there, names_in, nearest_folder, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.disk import Disk

_LAST_UNTIL_THEN: Final = f"{LAST}.last"
_COMPARED_BYTES: Final = 1 << 20
"""Up to this size a file is compared by its digest before it is deleted, larger ones by their size."""


def disk_error(error: OSError, target: Path) -> Qwen3ftError:
    """Return the error of ours for one that was met while writing to `target`."""
    if error.errno in FULL:
        return NoSpace(
            "The volume of {folder} is full, or the quota is used up.",
            hint="Free some room and start again; nothing is left of this try.",
            folder=target.name,
        )
    return BadInput(
        "output_dir: {folder} cannot be written: {reason}.",
        hint="Name a folder that you may write to.",
        details={"path": str(target)},
        folder=target.name,
        reason=reason_of(error),
    )


def check_target(target: Path, names: set[str], *, overwrite: bool) -> None:
    """Raise BadInput unless a merge may write files of these names into `target`."""
    here = [name for name in names_in(target) if not _is_scrap(name)]
    record = read_merge_record(target)
    if here and record is None:
        raise BadInput(
            "output_dir: {folder} holds files that no merge wrote: {names}.",
            hint="Name another folder: overwrite replaces merges only.",
            folder=target.name or target,
            names=Names(here),
        )
    if record is not None:
        if not overwrite and is_file(target / LAST):
            raise BadInput(
                "output_dir: {folder} holds an earlier merge.",
                hint="Name another folder, or replace it: --overwrite, overwrite=True.",
                folder=target.name,
            )
        strange = sorted(name for name in ({*names, LAST, GENERATION, CARD} & {*here}) - {*find_ours(target, record)})
        if strange:
            raise BadInput(
                "output_dir: {names} in {folder} is not as the merge wrote it.",
                hint="Move it away, or name another folder.",
                folder=target.name,
                names=Names(strange),
            )
    check_writable(target)


def find_ours(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files in a merged folder that are as the merge wrote them."""
    for name, written in record["files"].items():
        path = folder / name
        if Path(name).name != name or not is_file(path) or is_link(path):
            continue
        size = path.stat().st_size
        is_small = size <= _COMPARED_BYTES
        same_bytes = not is_small or hashlib.sha256(path.read_bytes()).hexdigest() == written.get("sha256")
        if size == written.get("size") and same_bytes:
            yield name


def check_room(target: Path, needed: int, largest: int, disk: Disk) -> None:
    """Raise NoSpace unless there is room for files of `needed` bytes in all, the largest of them of `largest`."""
    folder = nearest_folder(target)
    free = disk.free_bytes(folder)
    if free is not None and free < needed:
        raise NoSpace(
            "Merging needs {needed} in the folder of {folder}, {free} are free.",
            hint="Free some room, or name another output_dir.",
            folder=target.name,
            needed=Size(needed),
            free=Size(free),
        )
    if not disk.can_hold(folder, largest):
        raise NoSpace(
            "The volume of {folder} holds no file of {size}.",
            hint="Name an output_dir on another volume: FAT32 holds no file of 4 GB, exFAT does.",
            folder=target.name,
            size=Size(largest),
        )


def delete_earlier(target: Path, disk: Disk) -> None:
    """Delete what an earlier merge wrote, first what makes it a model; our record stays until the next one is there."""
    for name in filter(_is_scrap, names_in(target)):
        disk.unlink(target / name)
    record = read_merge_record(target)
    if record is None:
        return
    for name in sorted(find_ours(target, record), key=lambda name: name != LAST):
        disk.unlink(target / name)


class Folder:
    """The hidden folder, and what was written to it."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        make_folders(folder, disk=disk)
        self.folder, self.disk = folder, disk
        self._write_record(folder, {"made_by": MADE_BY, "files": {}})
        self.files: dict[str, dict[str, Any]] = {}
        self._last: dict[str, Any] = {}

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        write_atomic(self.folder / name, data, disk=self.disk)
        self.files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def write_last(self, data: bytes) -> None:
        """Write the last file under a name by which nobody takes the folder for a model: to rename needs no room."""
        write_atomic(self.folder / _LAST_UNTIL_THEN, data, disk=self.disk)
        self._last = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def all_files(self) -> dict[str, dict[str, Any]]:
        """Return what the model will consist of."""
        return {**self.files, LAST: self._last}

    def move_to(self, target: Path, record: Mapping[str, Any]) -> None:
        """Bring everything to the target: our record first, and what makes it a model last.

        Raises OSError, having taken it back.
        """
        was_there = is_there(target)
        try:
            self._move(target, record)
        except OSError:
            with contextlib.suppress(OSError):
                self._take_back(target, was_there=was_there)
            raise

    def _move(self, target: Path, record: Mapping[str, Any]) -> None:
        make_folders(target, disk=self.disk)
        self._write_record(target, record)  # that of the hidden folder stays: by it, what a kill leaves is known
        for name in self.files:
            self.disk.replace(self.folder / name, target / name)
        self.disk.fsync_folder(target)
        self.disk.replace(self.folder / _LAST_UNTIL_THEN, target / LAST)
        self.disk.fsync_folder(target)

    def _take_back(self, target: Path, *, was_there: bool) -> None:
        if is_file(target / LAST):  # all is there
            return
        delete_earlier(target, self.disk)
        if is_file(target / RECORD):
            self.disk.unlink(target / RECORD)
        if not was_there:
            self.disk.remove_folder(target)

    def _write_record(self, folder: Path, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
        write_atomic(folder / RECORD, text.encode(), disk=self.disk)


def _is_strange(folder: Path) -> bool:
    return read_merge_record(folder) is None and not all(map(_is_scrap, names_in(folder)))


def _is_scrap(name: str) -> bool:
    """Return whether it is what a kill leaves of our record before that is there."""
    return name.startswith(f".{RECORD}.") and name.endswith(".tmp")


def delete_temporary(folder: Path, disk: Disk) -> None:
    """Delete what an earlier merge has left. Raises BadInput for a folder of that name that is none of ours."""
    if not is_there(folder):
        return
    if not is_folder(folder) or is_link(folder) or _is_strange(folder):
        raise BadInput("{name} is in the way.", hint="Move it away.", name=folder.name)
    record_last = sorted(names_in(folder), key=lambda name: name == RECORD)
    for name in record_last:
        disk.unlink(folder / name)
    disk.remove_folder(folder)
