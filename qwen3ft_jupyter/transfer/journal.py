"""What is known about a partial file: a header, then one line per finished range. Pure; `partial` writes it.

    {"v": 1, "key": "<sha256>", "size": 1503300328, "data": "<name of the data file>"}
    {"owner": {"host": …, "boot": …, "space": …, "pid": …, "started": …}}
    [0, 4194304, 1893412376, "ModelScope"]      start, end, CRC-32 of the bytes as they arrived, whom they came from
    {"forget": [0, 4194304]}                    found wrong: missing again
    {"released": true}                          the owner ended; anyone may go on

Lines are only ever appended. A line that does not parse (torn by a kill, or garbage) says nothing; it can cost bytes,
never correctness: whether the file is right is decided by its digest alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.transfer.pieces import Span, SpanSet

VERSION = 1
MAX_JOURNAL_BYTES = 64 << 20
"""A longer journal is not one of ours: a file of 1 TB has about 8 MiB of it."""
_DATA_NAME = re.compile(r"[0-9A-Za-z.-]{1,200}\.part")


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

    def done(self) -> SpanSet:
        """Return the bytes that arrived."""
        return SpanSet(Span(record.start, record.end) for record in self.records)


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
        *numbers, source = entry if len(entry) == 4 else [*entry, ""]
        is_sound = len(numbers) == 3 and all(_is_position(number) for number in numbers) and isinstance(source, str)
        if is_sound and numbers[0] < numbers[1] <= journal.size:
            journal.records.append(Record(numbers[0], numbers[1], numbers[2], source))
        return
    if not isinstance(entry, dict):
        return
    if "owner" in entry:
        try:
            journal.owner = ProcessIdentity.from_dict(entry["owner"])
        except ValueError:
            journal.owner = None
        journal.is_released = False
    if entry.get("released") is True:
        journal.is_released = True
    match entry.get("forget"):
        case [start, end] if _is_position(start) and _is_position(end):
            journal.records = [record for record in journal.records if record.end <= start or record.start >= end]


def _is_position(value: object) -> bool:
    return type(value) is int and value >= 0
