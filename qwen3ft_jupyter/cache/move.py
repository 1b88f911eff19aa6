"""Moves a whole cache to another folder: by renaming on one volume, else by copying and reading again.

Nothing is deleted before everything that is to move is right at its new place; a move that was cut short goes on where
it ended. What is no model stays, and is named.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.move_folder import FolderMove, MoveWork, NotMovable
from qwen3ft_jupyter.cache.own.datasets import dataset_at, dataset_roots
from qwen3ft_jupyter.cache.own.evict import (
    Extent,
    InUse,
    is_leased,
    nobody_uses,
    remove_incoming,
    remove_model,
    remove_shell,
)
from qwen3ft_jupyter.cache.own.folders import ModelFolders, plain_model
from qwen3ft_jupyter.cache.own.layout import (
    EVICTED_FOLDER,
    IN_PLACE_FOLDER,
    INCOMING_FOLDER,
    STAMPS_FOLDER,
    check_readable,
    folders_in,
    incoming_folders,
)
from qwen3ft_jupyter.cache.own.lease import LeaseState
from qwen3ft_jupyter.cache.own.manifest import is_half_evicted, manifest_path, marked_repo_id, read_manifest
from qwen3ft_jupyter.cache.own.repair import keep_pieces, opened
from qwen3ft_jupyter.cache.reading import Reading
from qwen3ft_jupyter.cache.reports import MoveReport
from qwen3ft_jupyter.disk import LOCAL, make_folders, make_own_folder, read_regular, write_atomic
from qwen3ft_jupyter.errors import BadInput, CacheNotWritable, ModelInUse, NoSpace, NotCached, Stopped
from qwen3ft_jupyter.hubs.names import DATASETS_FOLDER, RepoId
from qwen3ft_jupyter.messages import Message, Names, Size
from qwen3ft_jupyter.paths import is_folder, is_link, is_there, matching, reason_of
from qwen3ft_jupyter.transfer.journal import read_journal
from qwen3ft_jupyter.transfer.objects import RESERVE_BYTES
from qwen3ft_jupyter.transfer.partial import claimed
from qwen3ft_jupyter.transfer.volume import FULL, disk_error
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qwen3ft_jupyter.cache.own.manifest import Manifest
    from qwen3ft_jupyter.disk import Disk

RECORD_FOLDERS: Final = (STAMPS_FOLDER, IN_PLACE_FOLDER)
"""Folders of small files about models that lie elsewhere."""
MAX_RECORD_BYTES: Final = 16 << 20
PROBE_NAME: Final = ".qwen3ft-probe"


def move_cache(
    source_root: Path,
    target_root: Path,
    *,
    trust_manifests: bool = True,
    is_used: InUse = nobody_uses,
    work: Work | None = None,
    disk: Disk = LOCAL,
) -> MoveReport:
    """Move every model of a cache, and all partial files, to `target_root`, which may hold models already.

    Args:
        source_root: The cache as it is.
        target_root: Where it is to be; made if it is not there.
        trust_manifests: As in `ModelCache`: what is not trusted here will not be trusted there.
        is_used: Says which models are in use.
        work: Is told of the phases "moving" and "verifying", and of what stays; nothing is deleted after a stop.
        disk: What both lie on.

    Raises:
        NotCached: There is no cache.
        BadInput: One folder lies in the other, or they are the same.
        ModelInUse: A model is being downloaded or in use.
        NoSpace: The target has no room; the message names the missing bytes.
        CacheNotWritable, TransferError: One of the two cannot be written or read.
        CacheDamaged: The target does not give back what was written to it.
        Stopped: Someone wants the work to stop.
    """
    move = CacheMove(Path(source_root), Path(target_root), trust_manifests, is_used, work or Work(), disk)
    try:
        move.check()
        return move.run()
    except Stopped as error:
        raise Stopped("The move was stopped.", hint="Nothing was deleted; start it again to go on.") from error
    except OSError as error:
        raise disk_error(error, Message("The cache")) from error


@dataclass(frozen=True, slots=True)
class CacheMove:
    """One move of a cache; `move_plan` asks it what it would do."""

    source: Path
    target: Path
    trust_manifests: bool
    is_used: InUse
    work: Work
    disk: Disk
    moved: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what cannot go well, before anything is touched."""
        check_readable(self.source)
        if not is_folder(self.source):
            raise NotCached("There is no cache to move.", details={"path": str(self.source)})
        source, target = (Path(os.path.realpath(root)) for root in (self.source, self.target))
        if source == target or source in target.parents or target in source.parents:
            raise BadInput(
                "A cache cannot be moved into itself, nor to a folder it lies in.",
                hint="Give another folder.",
                details={"path": str(target)},
            )
        for root in (*self._roots(), self.target, *dataset_roots(self.target)):
            for folder in incoming_folders(root):
                lease = LeaseState.read(folder)
                if lease is not None and lease.is_live:
                    raise ModelInUse(
                        "{repo_id} is being downloaded.", hint="Stop the download first.", repo_id=lease.repo_id
                    )

    def run(self) -> MoveReport:
        """Move everything."""
        self._make_target()
        copied = [
            (folder, repo_id)
            for folder, repo_id in self._folders()
            if self.is_strange(folder) or not self._renamed(folder, self.goal(folder.parent))
        ]
        moves, bytes_copied = self._copied(copied)
        for root in self._roots():
            self._move_partials(root)
        for name in RECORD_FOLDERS:
            self._move_records(name)
        for move in moves:
            self._remove(move)
        self._remove_dataset_roots()
        with contextlib.suppress(OSError):  # what stays is in it
            self.disk.remove_folder(self.source)
        self._name_rest()
        moved, left = tuple(sorted(self.moved)), tuple(sorted(self.left.items()))
        return MoveReport(str(self.source), str(self.target), moved, left, bytes_copied)

    def _roots(self) -> list[Path]:
        """Return the folder of the cache, and those of its data sets, which are laid out in the same way."""
        return [self.source, *dataset_roots(self.source)]

    def goal(self, path: Path) -> Path:
        """Return where a folder of the cache goes."""
        return self.target / path.relative_to(self.source)

    def name(self, path: Path) -> str:
        """Return what a folder of the cache is called in it."""
        return path.relative_to(self.source).as_posix()

    def _make_target(self) -> None:
        """Make the folder that the cache moves to, and see that it can be written."""
        try:
            make_folders(self.target, disk=self.disk)
            write_atomic(self.target / PROBE_NAME, b"", disk=self.disk)
            self.disk.unlink(self.target / PROBE_NAME)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise not_writable(error, self.target) from error

    def _folders(self) -> list[tuple[Path, RepoId]]:
        """Return the folders that move, once what a kill left of them is gone, and whose model they hold."""
        for folder in self._all_folders():
            if is_half_evicted(folder):
                name = RepoId(marked_repo_id(folder) or folder.name)
                remove_model(folder.parent, folder, name, extent="recorded", disk=self.disk)
                continue
            remove_shell(folder, disk=self.disk)
            if is_there(self.goal(folder)):
                with contextlib.suppress(OSError):  # a kill came between the two of them
                    self.disk.remove_folder(folder)
        return self.folders()

    def folders(self) -> list[tuple[Path, RepoId]]:
        """Return the folders that move, and whose model they hold. Changes nothing. Raises ModelInUse."""
        found = []
        for folder in self._all_folders():
            repo_id = None if is_half_evicted(folder) else _repo_of(folder)
            if repo_id is None:
                continue
            if self._is_used(folder, repo_id):
                raise ModelInUse("{repo_id} is used by a running job.", hint="Stop the job first.", repo_id=repo_id)
            found.append((folder, repo_id))
        return found

    def _all_folders(self) -> list[Path]:
        return sorted(folder for root in self._roots() for folder in folders_in(root))

    def _is_used(self, folder: Path, repo_id: RepoId) -> bool:
        dataset = dataset_at(self.source, folder)
        return self.is_used(repo_id if dataset is None else RepoId(str(dataset)))

    def _renamed(self, folder: Path, parent: Path) -> bool:
        """Rename a folder where the volume can; return whether that was all there was to do."""
        self._look()
        goal = parent / folder.name
        if is_there(goal):
            return False
        make_folders(parent, disk=self.disk)
        try:
            self.disk.replace(folder, goal)
        except OSError:  # another volume, or one that renames no folders
            if is_there(folder):
                return False  # else it was done, and only the answer got lost on the way
        for changed in (parent, folder.parent):
            self.disk.fsync_folder(changed)
        if folder.parent.name != INCOMING_FOLDER:
            self.moved.append(self.name(folder))
        return True

    def _trusted(self, folder: Path) -> Manifest | None:
        """Return the manifest of a folder that is trusted here."""
        return ModelFolders(folder.parent, (), trust_manifests=self.trust_manifests).trusted(folder)

    def is_strange(self, folder: Path) -> bool:
        """Return whether a folder has a manifest that is not trusted: it would be at the target, so it is left out."""
        if self.trust_manifests:
            return False
        return self._trusted(folder) is None and is_there(manifest_path(folder))

    def _copied(self, folders: Sequence[tuple[Path, RepoId]]) -> tuple[list[FolderMove], int]:
        """Copy all and read all again; return those that are right at their new place, and the bytes they have."""
        work = MoveWork(self.disk, self.work, Reading(self.work, "moving", 0))
        moves = [
            FolderMove(folder, self.goal(folder), repo_id, self._trusted(folder), work) for folder, repo_id in folders
        ]
        seen: set[tuple[int, int]] = set()
        for folder, _ in folders:
            make_folders(self.goal(folder.parent), disk=self.disk)
        check_room(sum(move.missing_bytes(seen) for move in moves), self.disk.free_bytes(self.target))
        steps: dict[str, Callable[[FolderMove], None]] = {"moving": FolderMove.copy, "verifying": FolderMove.complete}
        for phase, step in steps.items() if moves else ():
            work.reading = Reading(self.work, phase, sum(move.size_bytes() for move in moves))
            for move in list(moves):
                work.reading.name = move.repo_id
                if not self._went_well(move, step):
                    moves.remove(move)
            work.reading.finish()
        return moves, sum(move.size_bytes() for move in moves)

    def _went_well(self, move: FolderMove, step: Callable[[FolderMove], None]) -> bool:
        try:
            step(move)
        except NotMovable as reason:
            self._leave(self.name(move.source), reason.args[0])
            if move.is_new:
                remove_model(move.target.parent, move.target, move.repo_id, extent="everything", disk=self.disk)
            return False
        return True

    def _remove(self, move: FolderMove) -> None:
        """Delete what was moved: all that was copied; where the model was there before, only its files."""
        name = self.name(move.source)
        extent: Extent = "recorded" if move.was_there and move.manifest is not None else "everything"
        try:
            if not move.is_unchanged():
                self._leave(name, Message("it changed while it was moved"))
                return
            left = remove_model(
                move.source.parent,
                move.source,
                move.repo_id,
                extent=extent,
                is_used=lambda repo_id: self._is_used(move.source, repo_id),
                disk=self.disk,
            ).left
            if left:
                self._leave(name, Message("it holds what is not of the model: {names}", names=Names(left)))
        except ModelInUse:
            self._leave(name, Message("it is in use; its copy is complete"))
        self.moved.append(name)

    def _move_partials(self, root: Path) -> None:
        """Move partial files; those that somebody works on stay."""
        for folder in incoming_folders(root):
            if is_leased(folder):
                self._leave(self.name(folder), Message("it is being downloaded"))
                continue
            goal = self.goal(folder)
            make_folders(goal.parent.parent, disk=self.disk)
            make_own_folder(goal.parent, disk=self.disk)
            if self._renamed(folder, goal.parent):
                continue
            for path in matching(folder, "*.journal"):
                self._move_partial(path, goal)
            remove_incoming(folder, disk=self.disk)
        with contextlib.suppress(OSError):
            self.disk.remove_folder(root / INCOMING_FOLDER)

    def _move_partial(self, path: Path, goal: Path) -> None:
        journal = read_journal(path)
        if journal is None or not journal.records:
            return
        with opened(path.with_name(journal.data_name)) as descriptor:
            if descriptor < 0:
                return
            with claimed(goal, journal.key, journal.size, name=goal.name, disk=self.disk) as partial:
                for start, end, crc, source in journal.records:
                    keep_pieces(descriptor, [(start, end, crc)], partial, on_bytes=self._look, source=source)

    def _remove_dataset_roots(self) -> None:
        """Delete the folders in which data sets lay; one that holds anything else stays."""
        top = self.source / DATASETS_FOLDER
        if is_link(top):
            return
        for folder in (*dataset_roots(self.source), *folders_in(top), top):
            with contextlib.suppress(OSError):
                self.disk.remove_folder(folder)

    def _look(self, _count: int = 0) -> None:
        self.work.check()

    def _move_records(self, name: str) -> None:
        folder, goal = self.source / name, self.target / name
        if is_link(folder) or not is_folder(folder):
            return
        make_own_folder(goal, disk=self.disk)
        for path in matching(folder, "*.json"):
            with contextlib.suppress(OSError):  # planted: not ours
                data = read_regular(path, MAX_RECORD_BYTES)
                if not is_there(goal / path.name):
                    write_atomic(goal / path.name, data, disk=self.disk)
                self.disk.unlink(path)
        with contextlib.suppress(OSError):
            self.disk.remove_folder(folder)

    def _leave(self, name: str, reason: str) -> None:
        self.left[name] = reason
        self.work.notice("{name} stays where it is: {reason}.", name=name, reason=reason)

    def _name_rest(self) -> None:
        for name in self.names():
            if name != EVICTED_FOLDER and not any(f"{left}/".startswith(f"{name}/") for left in self.left):
                self._leave(name, Message("it is no model of this cache"))

    def names(self) -> list[str]:
        """Return what lies in the folder of the cache."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(self.source))  # noqa: PTH208 - names are all that is needed
        return []


def missing_room(needed: int, free: int | None) -> int:
    """Return how many bytes are missing where so many are free; 0 where it fits, or nobody knows."""
    return max(0, needed + RESERVE_BYTES - free) if needed and free is not None else 0


def check_room(needed: int, free: int | None) -> None:
    """Raise NoSpace where so many bytes do not fit."""
    missing = missing_room(needed, free)
    if missing:
        raise NoSpace(
            "Not enough room for the cache: {needed} are to be moved, {free} are free there;"
            " {missing} ({missing_bytes:,} bytes) are missing.",
            hint="Evict models you no longer need, or give a folder on a larger volume.",
            needed=Size(needed),
            free=Size(free),
            missing=Size(missing),
            missing_bytes=missing,
        )


def not_writable(error: OSError, target: Path) -> CacheNotWritable:
    """Return the refusal of a folder that cannot be made or written."""
    return CacheNotWritable(
        "The folder to move the cache to cannot be made or written: {reason}.",
        hint="Give another folder, or one that you may write to.",
        details={"path": str(target)},
        reason=reason_of(error),
    )


def _repo_of(folder: Path) -> RepoId | None:
    manifest = read_manifest(folder)
    plain = None if manifest else plain_model(folder, "qwen3ft")
    if manifest is not None:
        return manifest.repo_id
    if plain is not None:
        return plain.repo_id
    mark = marked_repo_id(folder)
    return RepoId(mark) if mark is not None else None
