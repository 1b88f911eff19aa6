"""Deletes models: the record first, so that no moment shows half a model as a whole one; never through a symlink."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.layout import INCOMPLETE_NAME, incoming_folder, mark_evicting, unmark_evicting
from qwen3ft_jupyter.cache.lease import BEAT_S, LEASE_NAME, LeaseState, hold_lease
from qwen3ft_jupyter.cache.links import stamps_kept
from qwen3ft_jupyter.cache.manifest import RECORD_FOLDER, manifest_path
from qwen3ft_jupyter.disk import LOCAL, age_s
from qwen3ft_jupyter.errors import CacheError, ModelInUse, NoSpace, Stopped
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.transfer.leftovers import ORPHAN_S, clear_partials
from qwen3ft_jupyter.transfer.volume import disk_error
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.disk import Disk

InUse = Callable[[RepoId], bool]
"""Says whether something uses a model right now; may raise ModelInUse itself to say what."""

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


def remove_model(root: Path, folder: Path, repo_id: RepoId, *, is_used: InUse = nobody_uses, disk: Disk = LOCAL) -> int:
    """Delete the model folder `folder` of the cache `root`, and what was begun of it; return the bytes freed.

    The model is marked first and then its use is asked for once more: a job that starts meanwhile either shows in the
    answer, or finds no model and waits for the lease. After a crash at any moment the model is there as before, or
    gone, or marked so that the next eviction finishes it.

    Raises:
        CacheError: The folder is not directly in the cache, or is a symlink.
        ModelInUse: A download of it is under way, or `is_used` says so. Then it is there as before.
        CacheNotWritable, TransferError: It cannot be deleted.
    """
    if folder.parent != root or folder.name.startswith(".") or folder.is_symlink():
        raise CacheError(f"{repo_id}: its folder is not one of this cache, so it is not deleted.")
    incoming = incoming_folder(root, folder.name)
    try:
        with _leased(incoming, repo_id, disk):
            freed = _mark_ask_delete(root, folder, repo_id, is_used, disk)
            freed += remove_incoming(incoming, disk=disk)
    except OSError as error:
        if error.errno in _STILL_OPEN:
            raise ModelInUse(
                f"{repo_id}: some of its files are still open in a program.",
                hint="Close what uses the model and evict it again: the rest goes then.",
            ) from error
        raise disk_error(error, f"{repo_id} cannot be deleted") from error
    return freed


def remove_incoming(folder: Path, *, disk: Disk = LOCAL) -> int:
    """Delete what was begun in an incoming folder and nobody works on; return the bytes freed. Never raises."""
    if folder.is_symlink() or not folder.is_dir():
        return 0
    freed = clear_partials(folder, disk=disk)
    _remove_debris(folder, disk)
    remove_empty(folder)
    return freed


def remove_shell(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Delete what an eviction cut short at its very end left: a folder with nothing in it but our empty record folder.

    Never raises; a folder with anything in it stays.
    """
    with contextlib.suppress(OSError):
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
        raise ModelInUse(f"{repo_id} is being downloaded.", hint="Stop the download first.")
    at_once = threading.Event()
    at_once.set()
    with contextlib.ExitStack() as stack:
        stack.callback(remove_empty, incoming)
        try:
            stack.enter_context(hold_lease(incoming, repo_id, Work(stop=at_once), disk=disk))
        except Stopped:
            if not _is_abandoned(incoming, disk):
                raise ModelInUse(f"{repo_id} is being downloaded.", hint="Stop the download first.") from None
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


def _mark_ask_delete(root: Path, folder: Path, repo_id: RepoId, is_used: InUse, disk: Disk) -> int:
    """Return the bytes freed. Where exclusive creation lies, another process may be deleting the same files."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            _mark_and_ask(folder, repo_id, is_used, disk)
            return _delete(root, folder, disk)
        if not os.path.lexists(folder):
            return 0
    raise CacheError(f"{repo_id}: its folder keeps changing while it is deleted.", hint="Try again.")


def _mark_and_ask(folder: Path, repo_id: RepoId, is_used: InUse, disk: Disk) -> None:
    for parent in (folder, folder / RECORD_FOLDER):
        _make_writable(parent, disk)
    folder.lstat()  # it has to be there already
    mark_evicting(folder, repo_id, disk=disk)
    is_free = False
    try:
        if is_used(repo_id):
            raise ModelInUse(f"{repo_id} is used by a running job.", hint="Stop the job first.")
        is_free = True
    finally:
        if not is_free:
            unmark_evicting(folder, disk=disk)


def _delete(root: Path, folder: Path, disk: Disk) -> int:
    """Delete a marked folder: the manifest first, the mark last."""
    freed, shared = _prepare(folder, disk)
    record = folder / RECORD_FOLDER
    with stamps_kept(root, shared, but=folder, disk=disk):
        _unlink(manifest_path(folder), disk)
        disk.fsync_folder(record)
        _remove_content(folder, disk, but=RECORD_FOLDER)
        if any(entry.name != RECORD_FOLDER for entry in folder.glob("*")):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder))  # NFS keeps what is open
        disk.fsync_folder(folder)
        _remove_content(record, disk, but=INCOMPLETE_NAME)
        _unlink(record / INCOMPLETE_NAME, disk)
        for parent in (record, folder):
            with contextlib.suppress(FileNotFoundError):
                disk.remove_folder(parent)
        disk.fsync_folder(root)
    return freed


def _remove_content(folder: Path, disk: Disk, *, but: str) -> None:
    """Delete what is in a folder; another process may be deleting it, too."""
    try:
        with os.scandir(folder) as found:
            entries = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in found if entry.name != but]
    except FileNotFoundError:
        return
    for path, is_folder in entries:
        if is_folder:
            _remove_tree(path)
        else:
            _unlink(path, disk)


def _remove_tree(folder: Path) -> None:
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        if not os.path.lexists(folder):
            return
    shutil.rmtree(folder)


def _unlink(path: Path, disk: Disk) -> None:
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(path)


def _prepare(folder: Path, disk: Disk) -> tuple[int, frozenset[int]]:
    """Make everything below deletable; return the bytes that will be free, and the inodes that have other names, too.

    Symlinks are left as they are and count nothing.
    """
    sizes: dict[tuple[int, int], int] = {}
    links: dict[tuple[int, int], int] = {}
    seen: Counter[tuple[int, int]] = Counter()
    for parent, _, names in os.walk(folder, followlinks=False):
        _make_writable(Path(parent), disk)
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - os.walk speaks in strings
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                continue
            identity = (status.st_dev, status.st_ino)
            sizes[identity], links[identity] = status.st_size, status.st_nlink
            seen[identity] += 1
            if os.name == "nt":
                os.chmod(path, stat.S_IWRITE)  # noqa: PTH101 - Windows deletes no read-only file
    shared = {identity for identity, count in seen.items() if links[identity] > count}
    freed = sum(size for identity, size in sizes.items() if identity not in shared)
    return freed, frozenset(inode for _, inode in shared)


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
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            if path.suffix in _TEMPORARY and age_s(path, disk=disk) > ORPHAN_S:
                disk.unlink(path)


def remove_empty(incoming: Path) -> None:
    """Delete an incoming folder with nothing in it. Never raises."""
    with contextlib.suppress(OSError):
        incoming.rmdir()
        incoming.parent.rmdir()
