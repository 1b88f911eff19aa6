"""What is known about a partial file: a header, then one line per finished range; `partial` writes it.

    {"v": 1, "key": "<sha256>", "size": 1503300328, "data": "<name of the data file>"}
    {"owner": {"host": …, "boot": …, "space": …, "pid": …, "started": …}}
    [0, 4194304, 1893412376, "ModelScope"]      start, end, CRC-32 of the bytes as they arrived, whom they came from
    {"forget": [0, 4194304]}                    found wrong: missing again
    {"released": true}                          the owner ended; anyone may go on

Lines are only ever appended. A line that does not parse (torn by a kill, or garbage) says nothing; it can cost bytes,
never correctness: whether the file is right is decided by its digest alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from qwen3ft_jupyter.disk import LOCAL, age_s, read_regular
from qwen3ft_jupyter.paths import matching
from qwen3ft_jupyter.processes import ProcessIdentity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

logger = logging.getLogger(__name__)

VERSION = 1
MAX_JOURNAL_BYTES = 64 << 20
"""A longer journal is not one of ours: a file of 1 TB has about 8 MiB of it."""
_DATA_NAME = re.compile(r"[0-9A-Za-z.-]{1,200}\.part")

QUIET_OWNER_S = 120.0
"""After this long without a line, the owner on another machine, whose life nobody here can ask for, counts as gone."""

ORPHAN_S = 3600.0
"""A data file that no journal names is garbage once it is this old; a younger one may belong to a claim under way."""

_UNNAMED: Final = ("*.part", "*.tmp", "*.now", "*.stale")
"""Data files, and what is in the incoming folder for a moment only."""

held: set[str] = set()
"""The journals that partials of this process own now; one that is signed by it but not here was given up."""


class Record(NamedTuple):
    """A finished range and the CRC-32 of its bytes as they arrived."""

    start: int
    end: int
    crc: int
    source: str = ""
    """Whom the bytes came from; "" in old journals."""


@dataclass(slots=True)
class Journal:
    """A journal as read."""

    key: str
    size: int
    data_name: str
    owner: ProcessIdentity | None = None
    is_released: bool = False
    records: list[Record] = field(default_factory=list)

    def forget(self, start: int, end: int) -> None:
        """Drop the records of a range that has to be fetched again."""
        self.records = [record for record in self.records if record.end <= start or record.start >= end]


def header_line(key: str, size: int, data_name: str) -> bytes:
    """Return the first line of the journal of the object `key`."""
    return _line({"v": VERSION, "key": key, "size": size, "data": data_name})


def owner_line(owner: ProcessIdentity) -> bytes:
    """Return the line by which a process takes a partial over."""
    return _line({"owner": owner.to_dict()})


def released_line() -> bytes:
    """Return the line by which the owner gives a partial up."""
    return _line({"released": True})


def record_line(record: Record) -> bytes:
    """Return the line that says a range has arrived."""
    return _line(list(record if record.source else record[:3]))


def forget_line(start: int, end: int) -> bytes:
    """Return the line that says a range has to be fetched again."""
    return _line({"forget": [start, end]})


def parse_journal(data: bytes) -> Journal | None:
    """Return the journal in `data`, or None if its header is not one of ours."""
    lines = data.split(b"\n")
    journal = _parse_header(lines[0])
    if journal is None:
        return None
    for line in lines[1:]:
        _apply(journal, _parse_line(line))
    return journal


def read_journal(path: Path) -> Journal | None:
    """Return the journal in a file, or None if it cannot be read or is none of ours."""
    with contextlib.suppress(OSError):
        return parse_journal(read_regular(path, MAX_JOURNAL_BYTES))
    return None


def journals_by_key(folder: Path) -> dict[str, list[Path]]:
    """Return where the journals in `folder` are, by the key of their object."""
    found: dict[str, list[Path]] = {}
    for path in matching(folder, "*.journal"):
        found.setdefault(path.name.partition(".")[0], []).append(path)  # keys have no dot
    return found


def left_behind(paths: Iterable[Path], key: str, size: int, disk: Disk) -> Iterator[tuple[Path, Journal]]:
    """Yield those journals of `key` that nobody works on; delete those that are no use."""
    for path in paths:
        journal = read_journal(path)
        if journal is None or not _is_about(journal, key, size):
            logger.info("discarding %s: it is not about this object", path.name)
            delete(path, disk=disk)
        elif not has_living_owner(journal, path, disk):
            yield path, journal


def clear_orphans(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Delete what kills left in `folder` and no journal names, if it is old enough not to be part of a claim."""
    parts = [path for pattern in _UNNAMED for path in matching(folder, pattern)]
    named = {journal.data_name for path in matching(folder, "*.journal") if (journal := read_journal(path)) is not None}
    for path in parts:
        with contextlib.suppress(OSError):
            if path.name not in named and age_s(path, disk=disk) > ORPHAN_S:
                logger.info("deleting the orphan %s", path.name)
                disk.unlink(path)


def delete(*paths: Path, disk: Disk) -> None:
    """Delete a data file and its journal, in this order: a journal without data is a fresh start."""
    for path in paths:
        with contextlib.suppress(OSError):
            disk.unlink(path)


def is_backed(data: Path, size: int) -> bool:
    """Return whether a data file is what a journal may speak of: a regular file as long as the finished one.

    What was planted, or cut, or has a second name, is never written through.
    """
    try:
        status = data.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and status.st_size == size


def _is_about(journal: Journal, key: str, size: int) -> bool:
    return (journal.key, journal.size) == (key, size) and journal.data_name.startswith(f"{key}.")


def has_living_owner(journal: Journal, path: Path, disk: Disk) -> bool:
    """Return whether the process that owns a partial may be at work on it."""
    owner = journal.owner
    if journal.is_released or owner is None or owner.is_surely_dead:
        return False
    if owner == ProcessIdentity.current():
        return str(path) in held
    if owner.is_surely_alive:
        return True
    try:
        return age_s(path, disk=disk) < QUIET_OWNER_S
    except OSError:  # gone this moment
        return True


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _parse_line(line: bytes) -> object:
    if len(line) > 4096:  # no line of ours comes near; and the nesting of the JSON is bounded with it
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _parse_header(line: bytes) -> Journal | None:
    header = _parse_line(line)
    if not isinstance(header, dict) or header.get("v") != VERSION:
        return None
    key, size, data_name = header.get("key"), header.get("size"), header.get("data")
    if not isinstance(key, str) or not isinstance(size, int) or not isinstance(data_name, str):
        return None
    if not _is_position(size) or not _DATA_NAME.fullmatch(data_name):
        return None
    return Journal(key, size, data_name)


def _apply(journal: Journal, entry: object) -> None:
    if isinstance(entry, list):
        record = _record_from(entry, journal.size)
        journal.records += [record] if record is not None else []
    elif isinstance(entry, dict):
        if "owner" in entry:
            journal.owner, journal.is_released = _owner_from(entry["owner"]), False
        if entry.get("released") is True:
            journal.is_released = True
        match entry.get("forget"):
            case [start, end] if _is_position(start) and _is_position(end):
                journal.forget(start, end)


def _record_from(entry: list[object], size: int) -> Record | None:
    match entry if len(entry) == 4 else [*entry, ""]:
        case [int(start), int(end), int(crc), str(source)] if all(map(_is_position, (start, end, crc))):
            return Record(start, end, crc, source) if start < end <= size else None
    return None


def _owner_from(data: object) -> ProcessIdentity | None:
    try:
        return ProcessIdentity.from_dict(data)
    except ValueError:
        return None


def _is_position(value: object) -> bool:
    return type(value) is int and value >= 0
