"""How a model is now: what keeps it from being loaded, and what is not as it was when its bytes were compared."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.models import CachedModel
from qwen3ft_jupyter.cache.own.manifest import Stamp
from qwen3ft_jupyter.catalog.usable import ModelFiles, opener, problems_of, words_of
from qwen3ft_jupyter.messages import Message, Names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import ModelOwner
    from qwen3ft_jupyter.cache.own.manifest import Manifest

Stamps = tuple[tuple[str, Stamp | None], ...]
"""The files of a record, each with its stamp."""


def stamps_of(manifest: Manifest) -> Stamps:
    """Return the files of a record with their stamps."""
    return tuple((file.path, file.stamp) for file in manifest.files)


def model_from(folder: Path, manifest: Manifest, owner: ModelOwner) -> CachedModel:
    """Return the model in a folder with our manifest."""
    return CachedModel(
        manifest.repo_id,
        folder.name,
        folder,
        manifest.size_bytes,
        owner,
        manifest.hub,
        manifest.commit,
        manifest.revision,
        manifest.created,
        manifest.last_used,
        manifest.pinned,
        is_verified=True,
        problems=recorded_problems(folder, manifest),
    )


def recorded_problems(folder: Path, manifest: Manifest) -> tuple[Message, ...]:
    """Return what a model lacks although every recorded file is right: the hub has no more, or it was not taken."""
    sizes: dict[str, int] = {file.path: file.size for file in manifest.files}
    left_out = tuple(map(str, manifest.left_out))
    return words_of(problems_of(ModelFiles(sizes, opener(str(folder)), is_vouched=True, left_out=left_out)))


def plain_problems(folder: Path, paths: Iterable[str]) -> tuple[Message, ...]:
    """Return what keeps a folder that somebody made from being a model that can be loaded."""
    sizes = {path: size for path in paths if (size := _regular_size(f"{folder}{os.sep}{path}")) is not None}
    return words_of(problems_of(ModelFiles(sizes, opener(str(folder)))))


def are_same(folder: str, stamps: Stamps) -> bool:
    """Return whether every file of a record has its stamp; asked for each model of a listing."""
    lstat = os.lstat
    try:
        for path, stamp in stamps:
            now = lstat(f"{folder}{os.sep}{path}")
            if stamp is None or (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode) != (
                now.st_size,
                now.st_mtime_ns,
                now.st_ctime_ns,
                now.st_ino,
            ):
                return False
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Changes:
    """The files of a record that are not as recorded."""

    missing: Sequence[str]
    changed: Sequence[str]
    wrong: Sequence[str]
    """Found so at the last check, or never checked here."""

    @property
    def words(self) -> tuple[Message, ...]:
        """Return what a person is told."""
        said = (
            (self.missing, Message("missing: {names}", names=Names(self.missing))),
            (self.changed, Message("changed since the last check: {names}", names=Names(self.changed))),
            (self.wrong, Message("wrong at the last check: {names}", names=Names(self.wrong))),
        )
        return tuple(words for names, words in said if names)


def changes_in(folder: Path, stamps: Stamps) -> Changes:
    """Return which files of a record are missing, are not as they were, or were found wrong."""
    missing: list[str] = []
    changed: list[str] = []
    wrong: list[str] = []
    for path, stamp in stamps:
        try:
            status = os.lstat(f"{folder}{os.sep}{path}")
        except OSError:
            missing.append(path)
            continue
        if not stat.S_ISREG(status.st_mode):
            missing.append(path)
        elif stamp is None:
            wrong.append(path)
        elif stamp != Stamp.of(status):
            changed.append(path)
    return Changes(missing, changed, wrong)


def _regular_size(path: str) -> int | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for each file of each folder
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
