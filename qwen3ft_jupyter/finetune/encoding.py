"""The bytes of a file of data: which encoding they are in, and their digest."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet")
"""File types read; nothing among them can run."""

WORKBOOK = ".xlsx"
"""Read where it is named, not where it lies in a folder of data: many a workbook there is somebody's list."""

BINARY = (".parquet", WORKBOOK)
"""Those that are no text."""

BLOCK = 1 << 20
"""Bytes read at once."""

MULTIBYTE = 3
"""So many characters beyond ASCII decoded as UTF-8 before a wrong byte say that the file is UTF-8 and damaged."""


PARQUET_MARK = b"PAR1"

_UTF_32 = Message("UTF-32 text: save it as UTF-8")

_NO_TEXT = {
    b"PK\x03\x04": Message("a spreadsheet of Excel (.xlsx), or a zip file: save the table as CSV UTF-8"),
    b"\xd0\xcf\x11\xe0": Message("an old spreadsheet of Excel (.xls): save the table as CSV UTF-8"),
    b"\x1f\x8b": Message("compressed by gzip: unpack it"),
    b"BZh": Message("compressed by bzip2: unpack it"),
    b"\xfd7zXZ": Message("compressed by xz: unpack it"),
    b"\x28\xb5\x2f\xfd": Message("compressed by zstd: unpack it"),
    b"7z\xbc\xaf": Message("compressed by 7-Zip: unpack it"),
    b"Rar!": Message("compressed by RAR: unpack it"),
    b"\xff\xfe\0\0": _UTF_32,
    b"\0\0\xfe\xff": _UTF_32,
    PARQUET_MARK: Message("a parquet file: give it the ending .parquet"),
    b"ARROW1": Message("an Arrow file: write it as parquet, or as .jsonl"),
    b"%PDF": Message("a PDF: write its text in rows of .jsonl"),
}
"""How files begin that are no text, whatever their names say, and what they are."""


class DigestingFile(io.RawIOBase):
    """A file whose bytes are digested as they are read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # Any: a writable buffer
        """Read into a buffer, and return how many bytes."""
        count = self._file.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        """Close it."""
        self._file.close()
        super().close()


def refuse_no_text(path: Path, *, besides: bytes = b"") -> bytes:
    """Raise BadData for a file that is known to be no text, whatever its name says; return how it begins.

    One that begins with `besides` is what it should be.
    """
    with path.open("rb") as file:
        start = file.read(max(map(len, _NO_TEXT)))
    known = next((words for mark, words in _NO_TEXT.items() if mark != besides and start.startswith(mark)), None)
    if known:
        raise BadData("{name} is {problem}.", name=path.name, problem=known)
    return start


def refuse_stand_in(path: Path, *, is_table: bool) -> None:
    """Raise BadData for what was fetched instead of a file of data: a pointer of git-lfs, or of a table a web page."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        raise BadData("{name} is a pointer of git-lfs, not the file: run git lfs pull.", name=path.name)
    if is_table and start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise BadData("{name} is a page of HTML or XML, not data: download the file itself.", name=path.name)


def find_encoding(path: Path) -> str:
    """Return the encoding: UTF-8 with or without mark, UTF-16 with mark, else gb18030 (Excel in China).

    Raises BadData.
    """
    refuse_no_text(path)
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            found, problem = "utf-16", _first_wrong(file, "utf-16")
        elif (problem := _first_wrong(file, "utf-8")) is None:
            found = "utf-8-sig"
        elif problem.multibyte >= MULTIBYTE:  # mostly UTF-8: another encoding would make nonsense of all of it
            raise BadData(
                "{name} is UTF-8, but for line {line}, which holds bytes that are not.",
                hint="The file may be cut off or joined from two; save it again as UTF-8.",
                name=path.name,
                line=problem.line,
            )
        else:
            file.seek(0)
            found, problem = "gb18030", _first_wrong(file, "gb18030")
    if problem is not None:
        raise BadData("{name} is neither UTF-8 nor gb18030 text.", hint="Save it as UTF-8.", name=path.name)
    if found == "utf-8-sig" and start[:4].count(0) >= 1:
        raise BadData("{name} seems to be UTF-16 without a mark.", hint="Save it as UTF-8.", name=path.name)
    return found


@dataclass(frozen=True, slots=True)
class _Wrong:
    """The first bytes that are not of an encoding."""

    line: int
    multibyte: int
    """Characters beyond ASCII before them."""


def _first_wrong(file: Any, encoding: str) -> _Wrong | None:  # Any: a binary file
    """Return where a file is not of an encoding, None if it is."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, multibyte = 1, 0
    while True:
        block = file.read(BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            good = error.object[: error.start]
            with contextlib.suppress(UnicodeDecodeError):
                text = good.decode(encoding)
                multibyte += sum(character > "\x7f" for character in text)
            return _Wrong(line + good.count(b"\n"), multibyte)
        if not block:
            return None
        line += block.count(b"\n")
        if not text.isascii():
            multibyte += len(text.encode("utf-8", "surrogatepass")) - len(text)
