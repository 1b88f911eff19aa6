"""The partial files in a cache folder, looked at without claiming them, and the downloads that they are of."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from qwen3ft_jupyter.cache.own.layout import BESIDE, NOTE_NAME, guess_repo_id, incoming_folders
from qwen3ft_jupyter.cache.own.lease import LeaseState
from qwen3ft_jupyter.disk import LOCAL, read_regular, write_json
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id
from qwen3ft_jupyter.paths import matching
from qwen3ft_jupyter.transfer.journal import is_backed, read_journal
from qwen3ft_jupyter.transfer.pieces import spans_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.transfer.pieces import SpanSet

MAX_NOTE_BYTES: Final = 1 << 16
_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are."""


def partial_spans(incoming: Path) -> dict[str, SpanSet]:
    """Return which bytes of each object, by its key, the best partial in an incoming folder has."""
    found: dict[str, SpanSet] = {}
    for path in matching(incoming, "*.journal"):
        journal = read_journal(path)
        if journal is not None and is_backed(incoming / journal.data_name, journal.size):
            done = spans_of(journal.records)
            if journal.key not in found or done.total >= found[journal.key].total:
                found[journal.key] = done
    return found


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A download that has not ended: what of it is here, and whether somebody is at it."""

    repo_id: RepoId
    slug: str
    """The name of the folder that the model will have."""
    folder: Path
    """Where the partial files lie."""
    size_bytes: int
    """What they take on the disk."""
    last_active: float
    """When the last byte came, in Unix seconds."""
    revision: str | None = None
    """What was asked for by name."""
    is_active: bool = False
    """Whether a process is downloading it now; else it was given up, and goes on when it is asked for again."""

    def to_dict(self) -> UnfinishedRow:
        """Return what faces show of it."""
        return {
            "model_name": self.repo_id,
            "slug": self.slug,
            "size": self.size_bytes,
            "last_active": self.last_active,
            "revision": self.revision or "",
            "active": self.is_active,
        }


class UnfinishedRow(TypedDict):
    """An unfinished download as the faces and ``GET /qwen3ft/cache`` have it, see `Unfinished`."""

    model_name: str
    slug: str
    size: int
    last_active: float
    revision: str
    active: bool


def note_download(incoming: Path, repo_id: RepoId, revision: str | None, *, disk: Disk = LOCAL) -> None:
    """Write beside the partial files which download they are of: their folder's name alone does not tell for sure."""
    with suppress(OSError):  # then the folder's name has to do
        write_json(incoming / NOTE_NAME, {"repo_id": repo_id, "revision": revision}, disk=disk)


def unfinished_in(root: Path) -> list[Unfinished]:
    """Return the unfinished downloads of which bytes are in the cache `root`, the longest unattended first."""
    found = [one for folder in incoming_folders(root) if (one := _unfinished(folder)) is not None]
    return sorted(found, key=lambda one: (one.last_active, one.slug))


def _unfinished(folder: Path) -> Unfinished | None:
    size, last = 0, 0.0
    for path in matching(folder, "*.part"):
        with suppress(OSError):
            status = path.lstat()
            blocks = getattr(status, "st_blocks", None)  # Windows has none
            size += status.st_size if blocks is None else min(status.st_size, blocks * _BLOCK_BYTES)
            last = max(last, status.st_mtime)
    if not size:
        return None
    lease, (repo_id, revision) = LeaseState.read(folder), _noted(folder)
    name = repo_id or guess_repo_id(folder.name.partition(BESIDE)[0]) or RepoId(folder.name)
    return Unfinished(name, folder.name, folder, size, last, revision, lease is not None and lease.is_live)


def _noted(folder: Path) -> tuple[RepoId | None, str | None]:
    """Return the model and the revision that a note tells of, as far as it can be read."""
    try:
        note = json.loads(read_regular(folder / NOTE_NAME, MAX_NOTE_BYTES))
        revision = note["revision"]
        return parse_repo_id(note["repo_id"]), revision if isinstance(revision, str) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, Qwen3ftError):
        return None, None


def allocated_bytes(root: Path) -> int:
    """Return what all partial files take on the disk; they are sparse, so that is less than their length."""
    return sum(one.size_bytes for one in unfinished_in(root))
