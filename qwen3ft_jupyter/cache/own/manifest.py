"""Our record of a model: which files it has and how to know them. Written last: without it a folder is not ours.

Beside it in the record folder may lie a mark: it says that the model is being changed or deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from qwen3ft_jupyter.cache.own.piece_sums import PieceSum, pieces_from
from qwen3ft_jupyter.disk import LOCAL, Disk, make_own_folder, read_regular, write_atomic, write_json
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile, is_commit
from qwen3ft_jupyter.hubs.names import LeftOut, RepoId, SafePath, Sha256, check_paths, parse_repo_id, parse_sha256
from qwen3ft_jupyter.paths import is_folder, is_link, is_there
from qwen3ft_jupyter.transfer.volume import FULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.settings.declared import HubName

VERSION = 1
RECORD_FOLDER = ".qwen3ft"
"""Inside a model's folder; holds what is ours."""
REPLACED_FOLDER = "replaced"
"""In there: files that were not the hub's, and had a name of one."""
MANIFEST_NAME = "manifest.json"
INCOMPLETE_NAME: Final = "incomplete"
"""The mark."""
MAX_MANIFEST_BYTES = 16 << 20
"""A longer file is not one of ours: 3,000 files make about 1 MiB."""
_writing = threading.RLock()
FileState = Literal["same", "changed", "missing"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What `stat` says of a file when its digest was known: an equal stamp is trusted without reading the file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file of a cached model."""

    path: SafePath
    size: int
    sha256: Sha256
    stamp: Stamp | None = None
    """None when the file has to be read before it is trusted."""
    pieces: tuple[PieceSum, ...] | None = None
    """By which damage is located: in order, apart from each other, not always the whole file. None if unknown."""

    def as_remote(self) -> RemoteFile:
        """Return the file as a hub would list it, to fetch it again."""
        return RemoteFile(self.path, self.size, self.sha256)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A cached model as recorded."""

    repo_id: RepoId
    hub: HubName
    revision: str
    commit: str
    """40 hexadecimal digits, or "" when the hub named none."""
    created: float
    """Unix seconds."""
    last_used: float
    """Unix seconds."""
    files: tuple[ManifestFile, ...]
    pinned: bool = False
    left_out: tuple[LeftOut, ...] = ()
    """What stayed on the hub: weights among it say why none are here."""

    @property
    def size_bytes(self) -> int:
        """Return the size of all files."""
        return sum(file.size for file in self.files)

    def as_listing(self) -> Listing:
        """Return the files as a hub would list them."""
        files = tuple(file.as_remote() for file in self.files)
        return Listing(self.repo_id, self.hub, self.revision, self.commit, files, left_out=self.left_out)

    def with_stamps(self, stamps: Mapping[str, Stamp | None]) -> Manifest:
        """Return the manifest with the stamps of some files replaced."""
        files = tuple(replace(file, stamp=stamps.get(file.path, file.stamp)) for file in self.files)
        return replace(self, files=files)

    def with_stamps_of(self, other: Manifest) -> Manifest | None:
        """Return the manifest with the stamps of `other`, or None if that is the record of another download."""
        if (self.repo_id, self.commit, self.created) != (other.repo_id, other.commit, other.created):
            return None
        return self.with_stamps({file.path: file.stamp for file in other.files})

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "version": VERSION,
            "repo_id": self.repo_id,
            "hub": self.hub,
            "revision": self.revision,
            "commit": self.commit,
            "created": self.created,
            "last_used": self.last_used,
            "pinned": self.pinned,
            "files": [_file_to_dict(file) for file in self.files],
            **({"left_out": [[file.path, file.size] for file in self.left_out]} if self.left_out else {}),
        }

    @classmethod
    def from_dict(cls, data: object) -> Manifest:
        """Rebuild from `to_dict`. Raises ValueError if anything in it is not as we would have written it."""
        entry = _object(data)
        _require(entry.get("version") == VERSION, "another version")
        hub = entry.get("hub")
        _require(hub in {"modelscope", "huggingface"}, "an unknown hub")
        created, last_used = _time(entry.get("created")), _time(entry.get("last_used"))
        try:
            repo_id = parse_repo_id(_text(entry.get("repo_id")))
            files = _files_from(entry.get("files"))
        except Qwen3ftError as error:
            raise ValueError(error.message) from error
        return cls(
            repo_id,
            cast("HubName", hub),
            _text(entry.get("revision")),
            _commit(entry.get("commit")),
            created,
            last_used,
            files,
            pinned=entry.get("pinned") is True,
            left_out=_left_out_from(entry.get("left_out")),
        )


def manifest_path(folder: Path) -> Path:
    """Return where the manifest of a model folder lies."""
    return folder / RECORD_FOLDER / MANIFEST_NAME


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a model folder, or None if there is none that can be trusted."""
    # manifest_path costs three Path objects; this is called once per model when a thousand are listed
    path = f"{folder}{os.sep}{RECORD_FOLDER}{os.sep}{MANIFEST_NAME}"
    try:
        return Manifest.from_dict(json.loads(read_regular(path, MAX_MANIFEST_BYTES)))
    except (OSError, ValueError, RecursionError):
        return None


def write_manifest(folder: Path, manifest: Manifest, *, disk: Disk = LOCAL) -> None:
    """Write the manifest of a model folder, whole. Raises OSError."""
    data = json.dumps(manifest.to_dict(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    with _writing:
        make_record_folder(folder, disk=disk)
        write_atomic(manifest_path(folder), data, disk=disk)


def update_manifest(folder: Path, change: Callable[[Manifest], Manifest | None], *, disk: Disk = LOCAL) -> None:
    """Write what `change` makes of the manifest as it is now; nothing if that is None or there is no manifest.

    What was read earlier may be history: others pin, replace and evict models meanwhile. No thread of this process
    writes in between; for another process, milliseconds are left. Raises OSError.
    """
    with _writing:
        manifest = read_manifest(folder)
        changed = change(manifest) if manifest is not None else None
        if changed is not None and changed != manifest:
            write_manifest(folder, changed, disk=disk)


def make_record_folder(folder: Path, *, disk: Disk = LOCAL) -> Path:
    """Return the record folder of a model folder, made if need be; a symlink in its place goes. Raises OSError."""
    path = folder / RECORD_FOLDER
    make_own_folder(path, disk=disk)
    return path


def file_state(folder: Path, file: ManifestFile) -> FileState:
    """Return whether the file is as its stamp says, without reading it; a symlink in its place counts as missing."""
    try:
        status = os.lstat(f"{folder}{os.sep}{file.path}")
    except OSError:
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "missing"
    return "same" if file.stamp == Stamp.of(status) else "changed"


def mark_incomplete(folder: Path, repo_id: RepoId, *, disk: Disk = LOCAL) -> None:
    """Say in a model folder that it is being changed: it is no model until the mark is gone. Raises OSError."""
    write_json(make_record_folder(folder, disk=disk) / INCOMPLETE_NAME, {"repo_id": repo_id}, disk=disk)


def unmark_incomplete(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Say that the change is complete. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(folder / RECORD_FOLDER / INCOMPLETE_NAME)


def mark_evicting(folder: Path, repo_id: RepoId, *, disk: Disk = LOCAL) -> None:
    """Say in a model folder that it is being deleted: whoever finds the mark may go on. Raises OSError.

    The mark names the files of the manifest, which is the first to go. A full volume, which is when models are
    evicted, may not take one more file: then the manifest becomes the mark.
    """
    mark = make_record_folder(folder, disk=disk) / INCOMPLETE_NAME
    manifest = read_manifest(folder)
    if manifest is None and _mark(folder).get("evicting") is True:
        return  # it names what the manifest did
    files = manifest.to_dict() if manifest is not None else {}
    try:
        write_json(mark, {**files, "repo_id": repo_id, "evicting": True}, disk=disk)
    except OSError as error:
        if error.errno not in FULL:
            raise
        with contextlib.suppress(FileNotFoundError):  # no manifest, so it was nobody's verified model
            disk.replace(manifest_path(folder), mark)


def unmark_evicting(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Take back `mark_evicting`: the model is one again. Raises OSError."""
    if "files" in _mark(folder) and not is_there(manifest_path(folder)):
        disk.replace(folder / RECORD_FOLDER / INCOMPLETE_NAME, manifest_path(folder))
    else:
        unmark_incomplete(folder, disk=disk)


def is_marked_incomplete(record_prefix: str) -> bool:
    """Return whether a change was begun and not completed; takes the path of the record folder with its separator."""
    return is_there(record_prefix + INCOMPLETE_NAME)


def is_half_evicted(folder: Path) -> bool:
    """Return whether a deletion went beyond asking, so that anyone may finish it: the manifest is the first to go."""
    is_marked = _mark(folder).get("evicting") is True and not is_there(manifest_path(folder))
    return is_marked and marked_manifest(folder) is not None


def marked_manifest(folder: Path) -> Manifest | None:
    """Return the manifest that a deletion of the folder has put into its mark, or None."""
    try:
        return Manifest.from_dict(_mark(folder))
    except ValueError:
        return None


def marked_repo_id(folder: Path) -> str | None:
    """Return the repo whose change was begun and not completed in a folder, or None."""
    repo_id = _mark(folder).get("repo_id")
    return repo_id if isinstance(repo_id, str) else None


def _mark(folder: Path) -> dict[str, Any]:
    """Return what the mark of a folder says; nothing if there is none that can be read."""
    try:
        mark = json.loads(read_regular(folder / RECORD_FOLDER / INCOMPLETE_NAME, MAX_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}


def walk_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files and symlinks in a model folder, sorted, our own record left out."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:  # deleted meanwhile
            continue
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                yield path
            elif path != RECORD_FOLDER:
                pending.append(f"{path}/")


def walk_all(folder: Path) -> Iterator[str]:
    """Yield the paths of all files and symlinks in a model folder, those included that our record keeps for others."""
    yield from (path for path in walk_files(folder) if path != RECORD_FOLDER)
    replaced = f"{RECORD_FOLDER}/{REPLACED_FOLDER}"
    is_linked = is_link(folder / RECORD_FOLDER) or is_link(folder / replaced)
    if not is_linked and is_folder(folder / replaced):
        yield from (f"{replaced}/{path}" for path in walk_files(folder / replaced))


def _file_to_dict(file: ManifestFile) -> dict[str, Any]:
    stamp = file.stamp
    entry: dict[str, Any] = {
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
        "stamp": [stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode] if stamp else None,
    }
    return {**entry, "pieces": [list(piece) for piece in file.pieces]} if file.pieces else entry


def _files_from(data: object) -> tuple[ManifestFile, ...]:
    _require(isinstance(data, list), "no list of files")
    entries = [_object(entry) for entry in cast("list[object]", data)]
    paths = check_paths([_text(entry.get("path")) for entry in entries])
    return tuple(_file_from(path, entry) for path, entry in zip(paths, entries, strict=True))


def _file_from(path: SafePath, entry: dict[str, Any]) -> ManifestFile:
    sha256 = parse_sha256(_text(entry.get("sha256")))
    if sha256 is None:
        raise ValueError("not a digest")
    size = _count(entry.get("size"))
    return ManifestFile(path, size, sha256, _stamp_from(entry.get("stamp")), pieces_from(entry.get("pieces"), size))


def _stamp_from(data: object) -> Stamp | None:
    if not isinstance(data, list) or len(data) != 4 or not all(type(value) is int for value in data):
        return None  # not trusted, so the file is read
    return Stamp(*data)


def _left_out_from(data: object) -> tuple[LeftOut, ...]:
    """Return what stayed on the hub; records of older versions do not say, and it is only shown."""
    pairs = [pair for pair in data if isinstance(pair, list) and len(pair) == 2] if isinstance(data, list) else []
    return tuple(LeftOut(path, size) for path, size in pairs if isinstance(path, str) and type(size) is int)


def _object(data: object) -> dict[str, Any]:
    _require(isinstance(data, dict), "not an object")
    return cast("dict[str, Any]", data)


def _text(data: object) -> str:
    _require(isinstance(data, str) and len(data) <= 1024, "not a text")
    return cast("str", data)


def _commit(data: object) -> str:
    text = _text(data)
    _require(not text or is_commit(text), "not a commit")
    return text


def _count(data: object) -> int:
    _require(type(data) is int and 0 <= data < 1 << 53, "not a size")
    return cast("int", data)


def _time(data: object) -> float:
    _require(type(data) in {int, float} and abs(cast("float", data)) < 1 << 53, "not a time")
    return float(cast("float", data))


def _require(condition: bool, problem: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise ValueError(f"not a manifest: {problem}")
