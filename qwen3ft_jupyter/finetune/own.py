"""Which files of an output folder our runs wrote. Only those are ever deleted, replaced or moved.

The record lies in the folder, in ``.qwen3ft/written.json``: by path the size and the time of change that a file had
when it was written. What somebody put there has no entry and stays where it is; what somebody changed differs from
its entry. Where a name is needed that such a file has, the file is kept in ``.qwen3ft/replaced``.

What libraries write under names of their own arrives in ``.qwen3ft/writing``, and is put at its place file by file.
So it is known which files they are, and what a kill leaves of them is told from what people keep.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import LOCAL, make_folders, make_own_folder, read_json, write_atomic, write_json
from qwen3ft_jupyter.messages import Message, Names
from qwen3ft_jupyter.mounts import is_like_a_disk
from qwen3ft_jupyter.paths import is_folder, is_link, is_there
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.work import Reporter

    Entry = tuple[int, int] | None
    """Size and time of change in nanoseconds of a file; None while a run still adds to it."""

MADE_BY: Final = "qwen3ft-jupyter"
"""Stands in our records: other tools have files of these names, too."""
RECORD_FOLDER: Final = ".qwen3ft"
"""Called as that in a model's folder."""
RECORD_NAME: Final = "written.json"
WRITING: Final = f"{RECORD_FOLDER}/writing"
"""Where libraries write; nobody else has reason to."""
SCRATCH: Final = f"{RECORD_FOLDER}/scratch.json"
"""Where they write instead if the mount does not take what they do; each file is copied then."""
_SCRATCH_PREFIX: Final = "qwen3ft-writing-"
SAME_NS: Final = 2_000_000_000
"""What some volumes round times of change to."""


class OutputFolder:
    """The record of one output folder, read anew for each question. Every method that writes raises OSError."""

    def __init__(self, folder: Path, reporter: Reporter = SILENT) -> None:
        """Take the folder, there or not, and who is told of what stays."""
        self.folder, self._reporter = folder, reporter

    def note(self, *paths: str) -> None:
        """Record files that have just been written."""
        self._record({path: _entry((self.folder / path).lstat()) for path in paths})

    def claim(self, path: str) -> None:
        """Record a file that is about to be written: until `note`, it is ours however long it becomes."""
        self.make_way(path)
        self._record({path: None})

    def write(self, path: str, data: bytes) -> None:
        """Write a file of ours, and record it; what is not ours there is kept elsewhere."""
        self.claim(path)
        write_atomic(self.folder / path, data)
        self.note(path)

    def has_written(self, path: str) -> bool:
        """Return whether a run wrote a file of this name, changed since or not; True if there is no record at all."""
        return not is_there(self._record_path) or path in self._entries()

    def has_any(self, path: str) -> bool:
        """Return whether a run wrote a file in the folder `path`."""
        return any(_is_below(name, path) for name in self._entries())

    def begin_writing(self, name: str) -> Path:
        """Return an empty folder of that name for a library to write to; see `place`."""
        path = self.folder / WRITING / name
        self._clear(path)
        make_folders(path)
        return path if is_like_a_disk(path) else self._make_scratch(name)

    def clear_writing(self) -> None:
        """Delete what a library wrote and nobody has placed, as what a kill left."""
        self._clear(self.folder / WRITING)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # there is none
            scratch = Path(read_json(self.folder / SCRATCH)["folder"])
            # the folder may come from others: a record that names anything else, also by way of "..", deletes nothing
            if _is_made_by_us(scratch) and is_folder(scratch) and not is_link(scratch):
                shutil.rmtree(scratch)
            (self.folder / SCRATCH).unlink()

    def _make_scratch(self, name: str) -> Path:
        """Return a folder among temporary files; what a kill leaves there is found by our record of it."""
        self.clear_writing()
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX))
        write_json(self.folder / SCRATCH, {"folder": str(scratch)})
        (scratch / name).mkdir()
        return scratch / name

    def place(self, source: Path, target: str, *, last: str = "") -> None:
        """Move what a library wrote to `source` into the folder `target`, the file that is called `last` last."""
        paths = sorted((path.relative_to(source).as_posix() for path in _files(source)), key=lambda path: path == last)
        self.delete(target, is_told=False)
        for path in paths:
            name = f"{target}/{path}"
            self.make_way(name)
            self._rename(source / path, name, _entry((source / path).lstat()))
        if is_folder(source) and not is_link(source):
            shutil.rmtree(source)

    def make_way(self, path: str) -> None:
        """Make sure that a file may be written at `path`: what is not ours there is moved elsewhere, and told of."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            parent = self.folder.joinpath(*parts[:depth])
            if is_there(parent) and (is_link(parent) or not is_folder(parent)):
                self._keep("/".join(parts[:depth]))
            parent.mkdir(exist_ok=True)
        if is_there(self.folder / path) and not self._is_own(path, self._entries()):
            self._keep(path)

    def delete(self, path: str, *, is_told: bool = True) -> None:
        """Delete a file of ours, or those in a folder with the folders that are empty then; tell what stays."""
        entries = self._entries()
        listed = [name for name in entries if _is_below(name, path)]
        for name in listed:
            if self._is_own(name, entries):
                (self.folder / name).unlink()
        self._record({}, without=listed)
        self._leave(path, is_told=is_told)

    def move(self, path: str, below: str) -> None:
        """Move a file that a run wrote, or those in a folder, to `below`, also if changed since; tell what stays."""
        entries = self._entries()
        for name in sorted(name for name in entries if _is_below(name, path)):
            target = f"{below}/{name}"
            if self._is_real(name):
                self.make_way(target)
                self._rename(self.folder / name, target, entries[name])
            self._record({}, without=[name])
        self._leave(path)

    def keep_changed(self, path: str) -> None:
        """Move what somebody changed of what runs wrote in a folder to where such files are kept, and tell of it."""
        entries = self._entries()
        for name in entries:
            if _is_below(name, path) and self._is_real(name) and not self._is_own(name, entries):
                self._keep(name)

    def _leave(self, path: str, *, is_told: bool = True) -> None:
        """Delete what is empty of a folder, and tell what is left of it."""
        top = self.folder / path
        if is_folder(top) and not is_link(top):
            _remove_empty(top)
        left = [f"{path}/{one.relative_to(top).as_posix()}" for one in _files(top)] or [path] * is_there(top)
        if left and is_told:
            self._reporter.notice(
                Message("{names}: not written by a fine-tune, or changed since; kept.", names=Names(left))
            )

    def _rename(self, source: Path, name: str, entry: Entry) -> None:
        """Give a file of ours the name `name` in the folder; it is never there unrecorded."""
        before = _entry(source.lstat())
        self._record({name: entry})
        LOCAL.replace(source, self.folder / name)
        now = _entry((self.folder / name).lstat())
        if entry == before != now:  # a rename that copies is a change, by the time of the file
            self._record({name: now})

    def _keep(self, path: str) -> None:
        kept = self._free_name(path)
        (self.folder / kept).parent.mkdir(parents=True, exist_ok=True)
        LOCAL.replace(self.folder / path, self.folder / kept)
        self._reporter.notice(
            Message(
                "{name} was not written by a fine-tune, or changed since; it was moved to {kept}.", name=path, kept=kept
            )
        )

    def _free_name(self, path: str) -> str:
        base, number = f"{RECORD_FOLDER}/replaced/{path.replace('/', '_')}", 0
        name = base
        while is_there(self.folder / name):
            number += 1
            name = f"{base}.{number}"
        return name

    def _is_own(self, path: str, entries: Mapping[str, Entry]) -> bool:
        """Return whether what lies at `path` is what a run wrote there."""
        if path not in entries or not self._is_real(path):
            return False
        entry, now = entries[path], _entry((self.folder / path).lstat())
        return entry is None or (entry[0] == now[0] and abs(entry[1] - now[1]) <= SAME_NS)

    def _is_real(self, path: str) -> bool:
        """Return whether a regular file lies at `path`, and no symlink leads there."""
        parts = path.split("/")
        if any(is_link(self.folder.joinpath(*parts[:depth])) for depth in range(1, len(parts))):
            return False
        with contextlib.suppress(OSError):
            return stat.S_ISREG((self.folder / path).lstat().st_mode)
        return False

    @property
    def _record_path(self) -> Path:
        return self.folder / RECORD_FOLDER / RECORD_NAME

    def _entries(self) -> dict[str, Entry]:
        """Return the record; nothing if there is none that can be read, for then nothing is known to be ours."""
        try:
            files = read_json(self._record_path)["files"].items()
            return {str(path): (int(entry[0]), int(entry[1])) if entry else None for path, entry in files}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            return {}

    def _record(self, added: Mapping[str, Entry], *, without: list[str] | None = None) -> None:
        before = self._entries()
        after = {path: entry for path, entry in before.items() if path not in (without or ())} | dict(added)
        if after != before:
            make_own_folder(self.folder / RECORD_FOLDER)
            write_json(self._record_path, {"version": 1, "files": after})

    def _clear(self, path: Path) -> None:
        if not is_link(self.folder / RECORD_FOLDER) and not is_link(self.folder / WRITING) and is_folder(path):
            shutil.rmtree(path)


def is_scratch(path: Path) -> bool:
    """Return whether `path` is, or lies in, a folder that we made for what libraries write."""
    return ".." not in path.parts and any(map(_is_made_by_us, (path, *path.parents)))


def _is_made_by_us(folder: Path) -> bool:
    return folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith(_SCRATCH_PREFIX)


def _entry(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _is_below(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _files(folder: Path) -> Iterator[Path]:
    """Yield all in a folder that is no folder; symlinks are not followed."""
    if is_link(folder):
        return
    for parent, folders, names in os.walk(folder):
        path = folder / os.path.relpath(parent, folder)
        yield from (path / name for name in sorted(names) + [one for one in folders if is_link(path / one)])


def _remove_empty(folder: Path) -> None:
    """Delete a folder and those in it, as far as they are empty."""
    for parent, folders, _ in os.walk(folder, topdown=False):
        for path in (folder / os.path.relpath(parent, folder) / name for name in folders):
            with contextlib.suppress(OSError):  # what is not empty stays, and so do symlinks
                path.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
