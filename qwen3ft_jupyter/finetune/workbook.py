"""Reads the rows of a workbook of Excel (.xlsx): its first sheet, whose first row names the columns."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.errors import BadData, MissingPackage
from qwen3ft_jupyter.finetune.rows import read_row
from qwen3ft_jupyter.finetune.tablefile import check_header
from qwen3ft_jupyter.messages import Message, size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.finetune.rows import Broken, Row

MOST_BYTES: Final = 1 << 30
"""What a workbook may hold unpacked, about a full sheet of a million rows: all of it is read into memory."""

_BLOCK: Final = 1 << 20

_VALUELESS: Final = re.compile(
    rb'<c [^<>]*\bt="e"'
    rb'|<c (?![^<>]*\bt="str")[^<>]*>\s*<f(?:[^<>]*/>|[^<>]*>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)
"""How a cell is written that holds an error, or a formula without the value that Excel keeps beside it.

The value of a formula that gives a text may well be an empty one.
"""
_SHEET: Final = re.compile(rb'<(?:\w+:)?sheet\s[^>]*?\w:id="([^"]+)"')
_RELATION: Final = re.compile(rb"<(?:\w+:)?Relationship\s[^>]*>")
_TARGET: Final = re.compile(rb'\bTarget="([^"]+)"')


class Workbook:
    """The rows of a workbook's first sheet; all of them are in memory."""

    def __init__(self, path: Path, notices: list[str]) -> None:
        """Take a file. Raises MissingPackage."""
        try:
            import python_calamine
        except ImportError as error:
            raise MissingPackage(
                "{name}: reading a workbook of Excel needs python-calamine.",
                hint="pip install python-calamine; or save the table as CSV UTF-8.",
                name=path.name,
            ) from error
        self._calamine, self._path, self._notices = python_calamine, path, notices
        self._header: list[str] = []
        self._cells: list[list[Any]] | None = None  # Any: what a cell may hold

    def rows(self) -> Iterator[Row | Broken]:
        """Yield the rows, numbered as Excel shows them; empty ones are no rows. Raises BadData, OSError."""
        for index, cells in enumerate(self._table()):
            if any(cell != "" for cell in cells):
                yield read_row(self._named(cells), f"{self._path.name} row {index + 2}", offset=index)

    def row(self, index: int, _: int = 0) -> dict[str, object]:
        """Return the columns of a row that `rows` has read. Raises BadData, OSError."""
        return self._named(self._table()[index])

    def _named(self, cells: list[Any]) -> dict[str, object]:
        return {name: _plain(cell) for name, cell in zip(self._header, cells, strict=True) if cell != ""}

    def _table(self) -> list[list[Any]]:
        if self._cells is None:
            refuse_large(self._path)
            if count := count_valueless(self._path):
                self._notices.append(
                    Message(
                        "{name}: {count} cells hold an error of Excel, such as #N/A, or a formula that was never "
                        "calculated; they are read as empty. Opening and saving it in Excel calculates formulas",
                        name=self._path.name,
                        count=count,
                    )
                )
            header, *self._cells = self._read() or [[]]
            self._header = self._check_header(header, self._cells)
        return self._cells

    def _read(self) -> list[list[Any]]:
        try:
            with self._calamine.CalamineWorkbook.from_path(str(self._path)) as book:
                first, *others = book.sheet_names or [""]
                if others:
                    self._notices.append(
                        Message(
                            "{name}: the sheet {first!r} is read, not {others}; save those as files of their own",
                            name=self._path.name,
                            first=first,
                            others=", ".join(map(repr, others)),
                        )
                    )
                found: list[list[Any]] = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
                return found
        except self._calamine.PasswordError as error:
            raise BadData(
                "{name} is protected by a password.", hint="Save it without one.", name=self._path.name
            ) from error
        except self._calamine.CalamineError as error:
            raise _damaged(self._path) from error

    def _check_header(self, header: list[Any], rows: list[list[Any]]) -> list[str]:
        """Return the names of the columns; one without a name has to be empty. Raises BadData."""
        names = [str(_plain(cell)).strip() for cell in header]
        unnamed = [index for index, name in enumerate(names) if not name]
        if wrong := [index for index in unnamed if any(row[index] != "" for row in rows)]:
            raise BadData(
                "{name}: column {column} has cells, but no name in the first row.",
                hint="The first row of the sheet names the columns, such as question and answer.",
                name=self._path.name,
                column=_letters(wrong[0]),
            )
        check_header(self._path.name, [name for name in names if name])
        return names


def refuse_large(path: Path) -> None:
    """Raise BadData for a workbook that is damaged, or unpacks to more than a sheet may take: a small one can.

    Every part is unpacked, a block at a time: what an archive says of its sizes may be wrong.
    """
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                with archive.open(part) as file:
                    while block := file.read(_BLOCK):
                        total += len(block)
                        if total > MOST_BYTES:
                            raise BadData(
                                "{name} unpacks to more than {size}.",
                                hint="Save the table as CSV UTF-8, which is read a row at a time.",
                                name=path.name,
                                size=size(MOST_BYTES),
                            )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path) from error


def count_valueless(path: Path) -> int:
    """Return how many cells of a workbook's first sheet have something in them, but no value that could be read."""
    count, rest = 0, b""
    with zipfile.ZipFile(path) as archive:
        name = _first_sheet(archive)
        if name not in archive.namelist():  # other software may name it in another way: then nothing is told
            return 0
        with archive.open(name) as file:
            while block := file.read(_BLOCK):
                text = rest + block
                end = text.rfind(b"</c>") + 4  # a cell may go on in the next block
                whole, rest = (text[:end], text[end:]) if end > 3 else (b"", text[-_BLOCK:])  # no cell is as long
                count += sum(1 for _ in _VALUELESS.finditer(whole))
    return count


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """Return the name of the part of a workbook that holds its first sheet, "" where that cannot be told."""
    try:
        book, relations = archive.read("xl/workbook.xml"), archive.read("xl/_rels/workbook.xml.rels")
    except KeyError:
        return ""
    sheet = _SHEET.search(book)
    targets = (_TARGET.search(one) for one in _RELATION.findall(relations) if sheet and b'Id="%b"' % sheet[1] in one)
    target = next((found[1].decode("utf-8", "replace") for found in targets if found), "")
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _damaged(path: Path) -> BadData:
    return BadData(
        "{name} is not a workbook of Excel, or a damaged one: save the table as CSV UTF-8.",
        hint="If Excel opens it, saving it anew may mend it as well.",
        name=path.name,
    )


def _plain(cell: Any) -> object:
    """Return what a row may hold: whole numbers without a point, as Excel shows them, and dates as text.

    >>> _plain(3.0), _plain(2.5), _plain(dt.date(2026, 1, 31))
    (3, 2.5, '2026-01-31')
    """
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, (dt.date, dt.time)):
        return cell.isoformat()
    return str(cell) if isinstance(cell, dt.timedelta) else cell


def _letters(index: int) -> str:
    """Return what Excel calls a column.

    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
    """
    letters, rest = "", index + 1
    while rest:
        rest, place = divmod(rest - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters
