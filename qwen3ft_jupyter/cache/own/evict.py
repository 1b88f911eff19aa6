"""Deletes models: the record first, so that no moment shows half a model as a whole one; never through a symlink."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

from qwen3ft_jupyter.cache.models import EvictedModel, is_model_file
from qwen3ft_jupyter.cache.own.layout import NOTE_NAME, incoming_folder
from qwen3ft_jupyter.cache.own.lease import BEAT_S, LEASE_NAME, LeaseState, hold_lease
from qwen3ft_jupyter.cache.own.manifest import (
    INCOMPLETE_NAME,
    RECORD_FOLDER,
    REPLACED_FOLDER,
    file_state,
    manifest_path,
    mark_evicting,
    marked_manifest,
    read_manifest,
    unmark_evicting,
    walk_all,
)
from qwen3ft_jupyter.cache.own.remains import forget_remains, note_remains
from qwen3ft_jupyter.cache.own.stamps import stamps_kept
from qwen3ft_jupyter.cache.reading import digest_file
from qwen3ft_jupyter.disk import LOCAL, age_s
from qwen3ft_jupyter.errors import CacheError, ModelInUse, NoSpace, Stopped
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_folder, is_link, is_there, matching, names_in
from qwen3ft_jupyter.transfer.journal import ORPHAN_S
from qwen3ft_jupyter.transfer.partial import clear_partials
from qwen3ft_jupyter.transfer.volume import disk_error
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from qwen3ft_jupyter.cache.own.manifest import Manifest, ManifestFile
    from qwen3ft_jupyter.disk import Disk

InUse = Callable[[RepoId], bool]
"""Says whether something uses a model right now; may raise ModelInUse itself to say what."""


@runtime_checkable
class HasSnapshot(Protocol):
    """An `InUse` that looks at everything for each answer, and can keep one look for many answers."""

    def snapshot(self) -> InUse:
        """Return an `InUse` that goes on saying what is so now."""


Extent = Literal["recorded", "named", "everything"]
"""What goes of a folder that somebody did not name, did name, or said to hold nothing else of worth.

Recorded is a file that its record names and that still is the one the record describes. Of a named model goes whatever
has the path of a recorded file; where no record is, the files that models have. What remains then, if it is only
symlinks, goes as well."""

ATTEMPTS: Final = 5
"""So often files that another process deletes at the same moment are stepped over."""
_TEMPORARY = frozenset({".tmp", ".stale", ".now"})
"""What files end in while they are written, taken away, or looked at for the time."""
UNWRITTEN_S: Final = 4 * BEAT_S
"""A lease that cannot be read for so long was left half written by a crash."""
_STILL_OPEN = frozenset({errno.ENOTEMPTY, errno.EBUSY})
"""What a network mount answers when a folder holds files that a program has open."""


def nobody_uses(repo_id: RepoId) -> bool:  # noqa: ARG001 - an InUse
    """Return False."""
    return False


def as_of_now(is_used: InUse) -> InUse:
    """Return what answers for all models from one look, for a plan; whoever deletes a model asks `is_used` itself."""
    return is_used.snapshot() if isinstance(is_used, HasSnapshot) else is_used


def remove_model(
    root: Path,
    folder: Path,
    repo_id: RepoId,
    *,
    extent: Extent = "named",
    is_used: InUse = nobody_uses,
    disk: Disk = LOCAL,
) -> EvictedModel:
    """Delete the model folder `folder` of the cache `root`, and the partials of it; return what went and what stays.

    The files go that the folder's record names; what else lies there stays, unless `extent` is "everything". The
    model is marked first and then its use is asked for once more: a job that starts meanwhile either shows in the
    answer, or finds no model and waits for the lease. After a crash at any moment the model is there as before, or
    gone, or marked so that the next eviction finishes it.

    Raises:
        CacheError: The folder is not directly in the cache, or is a symlink.
        ModelInUse: A download of it is under way, or `is_used` says so. Then it is there as before.
        CacheNotWritable, TransferError: It cannot be deleted.
    """
    if folder.parent != root or folder.name.startswith(".") or is_link(folder):
        raise CacheError("{repo_id}: its folder is not one of this cache, so it is not deleted.", repo_id=repo_id)
    incoming = incoming_folder(root, folder.name)
    try:
        with _leased(incoming, repo_id, disk):
            freed, left = _mark_ask_delete(folder, repo_id, extent, is_used, disk)
            freed += remove_incoming(incoming, disk=disk)
    except OSError as error:
        if error.errno in _STILL_OPEN:
            raise ModelInUse(
                "{repo_id}: some of its files are still open in a program.",
                hint="Close what uses the model and evict it again: the rest goes then.",
                repo_id=repo_id,
            ) from error
        raise disk_error(error, Message("{repo_id} cannot be deleted", repo_id=repo_id)) from error
    return EvictedModel(repo_id, folder.name, freed, left)


def remove_incoming(folder: Path, *, disk: Disk = LOCAL) -> int:
    """Delete the partials in an incoming folder that nobody works on; return the bytes freed. Never raises."""
    if is_link(folder) or not is_folder(folder):
        return 0
    freed = clear_partials(folder, disk=disk)
    _remove_debris(folder, disk)
    remove_empty(folder)
    return freed


def remove_unfinished(incoming: Path, repo_id: RepoId, *, disk: Disk = LOCAL) -> int:
    """Delete the partial files of a download that was given up, and of nothing else; return the bytes freed.

    Raises:
        ModelInUse: It is under way again.
        CacheNotWritable, TransferError: The folder cannot be written.
    """
    with _leased(incoming, repo_id, disk):
        return remove_incoming(incoming, disk=disk)


def remove_shell(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Delete what an eviction cut short at its very end left: a folder with nothing in it but our empty record folder.

    Never raises. A folder with anything else in it stays.
    """
    with contextlib.suppress(OSError):
        if os.listdir(folder) == [RECORD_FOLDER]:  # noqa: PTH208 - names are all that is needed
            disk.remove_folder(folder / RECORD_FOLDER)
            disk.remove_folder(folder)


def is_leased(incoming: Path) -> bool:
    """Return whether a process may be downloading into an incoming folder."""
    lease = LeaseState.read(incoming)
    return lease is not None and lease.is_live


@contextlib.contextmanager
def _leased(incoming: Path, repo_id: RepoId, disk: Disk) -> Iterator[None]:
    """Keep downloads of the model out, unless the volume takes not even that file. Raises ModelInUse if one runs."""
    if is_leased(incoming):
        raise ModelInUse("{repo_id} is being downloaded.", hint="Stop the download first.", repo_id=repo_id)
    at_once = threading.Event()
    at_once.set()
    with contextlib.ExitStack() as stack:
        stack.callback(remove_empty, incoming)
        try:
            stack.enter_context(hold_lease(incoming, repo_id, Work(stop=at_once), disk=disk))
        except Stopped:
            if not _is_abandoned(incoming, disk):
                raise ModelInUse(
                    "{repo_id} is being downloaded.", hint="Stop the download first.", repo_id=repo_id
                ) from None
        except NoSpace:
            pass  # evicting is how room is made
        yield


def _is_abandoned(incoming: Path, disk: Disk) -> bool:
    """Return whether a lease that could not be had belongs to nobody any more; a young one may be half written."""
    lease = LeaseState.read(incoming)
    if lease is not None:
        return not lease.is_live
    with contextlib.suppress(OSError):
        return age_s(incoming / LEASE_NAME, disk=disk) > UNWRITTEN_S
    return False


def _mark_ask_delete(
    folder: Path, repo_id: RepoId, extent: Extent, is_used: InUse, disk: Disk
) -> tuple[int, tuple[str, ...]]:
    """Return the bytes freed and what else lies in the folder and stays.

    Where exclusive creation lies, another process may be deleting the same files.
    """
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            paths = _paths_to_delete(folder, extent)  # reads files, so while the model can still be used
            _mark_and_ask(folder, repo_id, is_used, disk)
            return _delete(folder, paths, disk)
        if not is_there(folder):
            return 0, ()
    raise CacheError("{repo_id}: its folder keeps changing while it is deleted.", hint="Try again.", repo_id=repo_id)


def _paths_to_delete(folder: Path, extent: Extent) -> frozenset[str]:
    """Return the files that go."""
    manifest = _recorded(folder)
    paths = _model_files(folder, extent) if manifest is None else _listed_files(folder, manifest, extent)
    others = _others(folder, paths)
    has_only_links = extent == "named" and all(is_link(folder / path) for path in others)
    return paths.union(others) if extent == "everything" or has_only_links else paths


def _listed_files(folder: Path, manifest: Manifest, extent: Extent) -> frozenset[str]:
    listed = [file.path for file in manifest.files if extent == "named" or _is_as_recorded(folder, file)]
    return frozenset(path for path in listed if _has_real_parents(folder, path))


def _model_files(folder: Path, extent: Extent) -> frozenset[str]:
    """Return the files of a folder without a record that models have."""
    names = os.listdir(folder) if extent == "named" else []  # noqa: PTH208 - names are all that is needed
    return frozenset(name for name in names if is_model_file(name) and not is_folder(folder / name))


def _recorded(folder: Path) -> Manifest | None:
    if is_link(folder / RECORD_FOLDER):  # planted
        return None
    return read_manifest(folder) or marked_manifest(folder)


def _is_as_recorded(folder: Path, file: ManifestFile) -> bool:
    """Return whether a file is the one that was downloaded; a cache that was copied has other stamps, so it is read."""
    state = file_state(folder, file)
    if state != "changed":
        return state == "same"
    try:
        status = (folder / file.path).lstat()
        if status.st_size != file.size or (file.stamp is not None and file.stamp.mtime_ns == status.st_mtime_ns):
            return status.st_size == file.size
        digest = digest_file(folder / file.path, with_git=False, on_bytes=lambda _: None)
    except OSError:
        return False
    return digest is not None and digest.is_of(file.as_remote())


def _others(folder: Path, paths: Collection[str] = ()) -> list[str]:
    """Return the files and symlinks in a folder that are none of `paths`, those that our record keeps included."""
    return [path for path in walk_all(folder) if path not in paths and not _is_deleted_by_nfs(path)]


def _is_deleted_by_nfs(path: str) -> bool:
    """Return whether NFS has given a file this name because it was deleted while it was open."""
    return path.rpartition("/")[2].startswith(".nfs")


def _has_real_parents(folder: Path, path: str) -> bool:
    return not any(is_link(folder / parent) for parent in PurePosixPath(path).parents)


def _mark_and_ask(folder: Path, repo_id: RepoId, is_used: InUse, disk: Disk) -> None:
    for parent in (folder, folder / RECORD_FOLDER):
        _make_writable(parent, disk)
    folder.lstat()  # it has to be there already
    mark_evicting(folder, repo_id, disk=disk)
    is_free = False
    try:
        if is_used(repo_id):
            raise ModelInUse("{repo_id} is used by a running job.", hint="Stop the job first.", repo_id=repo_id)
        is_free = True
    finally:
        if not is_free:
            unmark_evicting(folder, disk=disk)


def _delete(folder: Path, paths: frozenset[str], disk: Disk) -> tuple[int, tuple[str, ...]]:
    """Delete these files of a marked folder: the manifest first, the mark last, and of folders what is empty then."""
    freed, shared = _prepare(folder, paths, disk)
    record, was_ours = folder / RECORD_FOLDER, _recorded(folder) is not None
    with stamps_kept(folder.parent, shared, but=folder, disk=disk):
        _unlink(manifest_path(folder), disk)
        disk.fsync_folder(record)
        _remove_content(folder, disk, paths=paths)
        disk.fsync_folder(folder)
        left = _top_names(_others(folder))
        if left and was_ours:
            note_remains(folder, disk=disk)
        else:
            forget_remains(folder, disk=disk)
        _remove_record(record, disk)
        for parent in (record, folder):
            with contextlib.suppress(*((OSError,) if left else (FileNotFoundError,))):
                disk.remove_folder(parent)
        disk.fsync_folder(folder.parent)
    return freed, left


def _top_names(paths: Iterable[str]) -> tuple[str, ...]:
    """Return what lies directly in a folder of all that lies in it; of our record, what it keeps."""
    prefix = f"{RECORD_FOLDER}/{REPLACED_FOLDER}/"
    tops = (prefix if path.startswith(prefix) else "".join(path.partition("/")[:2]) for path in paths)
    return tuple(sorted(set(tops)))


def _remove_content(folder: Path, disk: Disk, *, paths: Collection[str]) -> None:
    """Delete files and the folders they lay in; empty ones that hold nothing else too, if no other file is there."""
    for path in sorted(paths):
        _unlink(folder / path, disk)
    parents = _parents(folder, paths) - {folder}
    for parent in (folder, *parents):
        for open_file in matching(parent, ".nfs*"):
            _unlink(open_file, disk)
    if not _others(folder):
        parents |= {Path(found) for found, _, _ in os.walk(folder)} - {folder, folder / RECORD_FOLDER}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):  # what is not empty stays
            disk.remove_folder(parent)


def _remove_record(record: Path, disk: Disk) -> None:
    """Delete the files our record consists of, the mark last."""
    for path in sorted(matching(record, "*"), key=lambda path: path.name == INCOMPLETE_NAME):
        if not _is_folder(path):
            _unlink(path, disk)


def _is_folder(path: Path) -> bool:
    return is_folder(path) and not is_link(path)


def _unlink(path: Path, disk: Disk) -> None:
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(path)


def _prepare(folder: Path, paths: Collection[str], disk: Disk) -> tuple[int, frozenset[int]]:
    """Make files deletable; return the bytes that will be free, and the inodes that have other names, too.

    Symlinks are left as they are and count nothing.
    """
    for parent in _parents(folder, paths):
        _make_writable(parent, disk)
    found = {path: status for path in paths if (status := _regular(folder / path)) is not None}
    for path in found if os.name == "nt" else ():
        os.chmod(folder / path, stat.S_IWRITE)  # noqa: PTH101 - Windows deletes no read-only file
    names = Counter(map(_identity, found.values()))
    sizes = {_identity(s): s.st_size for s in found.values() if s.st_nlink <= names[_identity(s)]}
    return sum(sizes.values()), frozenset(inode for _, inode in names.keys() - sizes)


def _parents(folder: Path, paths: Iterable[str]) -> set[Path]:
    return {folder / parent for path in paths for parent in PurePosixPath(path).parents}


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _regular(path: Path) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        return status if stat.S_ISREG(status.st_mode) else None
    return None


def _make_writable(folder: Path, disk: Disk) -> None:
    """Let files be deleted from a folder; where that fails, deleting says what is wrong."""
    with contextlib.suppress(OSError):
        mode = folder.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            disk.chmod(folder, stat.S_IRWXU)


def _remove_debris(folder: Path, disk: Disk) -> None:
    """Delete what killed processes left beside the partials: leases, and small files under their temporary name."""
    if _is_abandoned(folder, disk):
        with contextlib.suppress(OSError):
            disk.unlink(folder / LEASE_NAME)
    for path in matching(folder, "*"):
        with contextlib.suppress(OSError):
            if path.suffix in _TEMPORARY and age_s(path, disk=disk) > ORPHAN_S:
                disk.unlink(path)


def remove_empty(incoming: Path) -> None:
    """Delete an incoming folder with nothing in it, or nothing but the note on what was to come. Never raises."""
    with contextlib.suppress(OSError):
        if names_in(incoming) == [NOTE_NAME]:
            (incoming / NOTE_NAME).unlink()
        incoming.rmdir()
        incoming.parent.rmdir()
