"""What a download will do, decided before the first byte. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.format import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.hubs.listing import RemoteFile

SMALL_BYTES = 32 << 20
"""Config and tokenizer files are smaller than this, weights are larger; the small ones come first."""

RESERVE_BYTES = 32 << 20
"""Room left for journals, the manifest and what the file system itself needs."""


@dataclass(frozen=True, slots=True)
class FileWork:
    """One file to fetch."""

    file: RemoteFile
    key: str
    """Names the object among the partials: its digest, and a number if two paths of one listing share it."""
    present_bytes: int
    """Bytes of it that an earlier attempt left."""

    @property
    def bytes_to_fetch(self) -> int:
        """Return the bytes still missing."""
        return self.file.size - self.present_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be fetched, in order."""

    work: tuple[FileWork, ...]

    @property
    def total_bytes(self) -> int:
        """Return the size of all files in the plan."""
        return sum(work.file.size for work in self.work)

    @property
    def bytes_to_fetch(self) -> int:
        """Return the bytes that have to travel."""
        return sum(work.bytes_to_fetch for work in self.work)

    @property
    def room_bytes(self) -> int:
        """Return the free bytes the volume must have: partials are sparse, so only what is missing takes new room."""
        return self.bytes_to_fetch + (RESERVE_BYTES if self.bytes_to_fetch else 0)


def object_key(file: RemoteFile) -> str:
    """Return the name of the object: its digest, in letters, digits and dashes."""
    return file.sha256 or f"git-{file.git_sha1}"


def in_order(files: Sequence[RemoteFile]) -> dict[str, RemoteFile]:
    """Return the files by the key of their object, in the order in which they are fetched.

    Small files come first: they are what a person looks at, and what fails early if the repo is not what it seems.
    """
    small = sorted((file for file in files if file.size <= SMALL_BYTES), key=lambda file: (file.size, file.path))
    large = sorted((file for file in files if file.size > SMALL_BYTES), key=lambda file: file.path)
    seen: Counter[str] = Counter()
    keyed = {}
    for file in small + large:
        key = object_key(file)
        seen[key] += 1
        keyed[key if seen[key] == 1 else f"{key}-{seen[key]}"] = file
    return keyed


def make_plan(keyed: Mapping[str, RemoteFile], present_bytes: Mapping[str, int]) -> Plan:
    """Return what has to be done to have the files of `in_order`, given how many bytes of each key are present."""
    return Plan(tuple(FileWork(file, key, min(file.size, present_bytes.get(key, 0))) for key, file in keyed.items()))


def check_room(plan: Plan, free_bytes: int) -> None:
    """Raise NoSpace, naming the missing bytes, if the plan does not fit into `free_bytes`."""
    missing = plan.room_bytes - free_bytes
    if missing <= 0:
        return
    raise NoSpace(
        f"Not enough room in the cache: {size(plan.bytes_to_fetch)} are to be downloaded,"
        f" {size(max(0, free_bytes))} are free; {size(missing)} ({missing:,} bytes) are missing.",
        hint="Evict a model you no longer need, or set MODEL_CACHE_DIR to a larger volume.",
    )
