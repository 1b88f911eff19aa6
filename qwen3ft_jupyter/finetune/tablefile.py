"""Reads rows of tables: csv, tsv, parquet. What cannot be read is named with its line."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import sys
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData, MissingPackage
from qwen3ft_jupyter.finetune.encoding import PARQUET_MARK, refuse_no_text
from qwen3ft_jupyter.finetune.places import LONGEST_LINE, Bytes, CountedLines
from qwen3ft_jupyter.finetune.rows import BadRow, Broken, Row, read_row, row_words, short
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

_JSON = re.compile(r"\[\s*(?:[\[{]|$)|\{\s*(?:[\"'}]|$)")
"""How a file begins that is JSON; no column is called so."""

_SEPARATOR = re.compile(r'"?sep=.?"?', re.IGNORECASE)

BATCH = 1024
"""Rows of parquet in memory at once."""


class Csv:
    """The rows of a csv or tsv file, and how to read one of them again."""

    def __init__(self, path: Path, counted: Bytes, notices: list[str]) -> None:
        """Take a file; `rows` reads its first line, which names the columns."""
        self._path, self._bytes, self._notices = path, counted, notices
        self._delimiter = ","
        self._columns: list[str] = []

    def rows(self, text: io.TextIOWrapper) -> Iterator[Row | Broken]:
        """Yield the rows. Raises BadData."""
        name, line = self._path.name, 1
        try:
            self._delimiter = self._find_delimiter()
            counted = CountedLines(text, self._bytes, name)
            reader = csv.reader(counted, delimiter=self._delimiter, strict=True)
            with _long_cells():
                self._columns = check_header(name, next(filter(None, reader), []))
            number = 0
            while True:
                line, offset = reader.line_num + 1, counted.offset
                with _long_cells():
                    cells = next(reader, None)
                if cells is None:
                    return
                if cells:
                    number += 1
                    where = f"{name} row {number} line {line}"
                    yield self._row(cells, where, offset, counted.offset - offset)
        except csv.Error as error:
            raise BadData(
                "{name} is not a csv file from line {line} on: {problem}.",
                hint="The first line names the columns; a cell with a quotation mark, comma or line break is quoted.",
                name=name,
                line=line,
                problem=str(error),
            ) from error

    def parse(self, text: str) -> dict[str, object]:
        """Return the columns of a row that `rows` has read. Raises csv.Error, ValueError."""
        with _long_cells():
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True))
        return dict(zip(self._columns, cells, strict=True))

    def _row(self, cells: list[str], where: str, offset: int, length: int) -> Row | Broken:
        if len(cells) != len(self._columns):
            words = Message(
                "{where} has {count} cells, the first line names {columns} columns",
                where=row_words(where),
                count=len(cells),
                columns=len(self._columns),
            )
            return Broken(words, where)
        try:
            return Row(dict(zip(self._columns, cells, strict=True)), where, offset=offset, length=length)
        except BadRow as error:
            return Broken.of(where, error.args[0])

    def _find_delimiter(self) -> str:
        with self._path.open(encoding=self._bytes.codec, errors="replace", newline="") as file:
            first = next(filter(str.strip, iter(lambda: file.readline(LONGEST_LINE), "")), "")
        refuse_no_header(self._path.name, first.strip(" \ufeff\r\n"))
        if self._path.suffix.lower() == ".tsv":
            return "\t"
        delimiter = find_delimiter(first)
        if delimiter != ",":
            said = "tab" if delimiter == "\t" else delimiter
            self._notices.append(Message("{name}: columns are parted by {sign!r}", name=self._path.name, sign=said))
        return delimiter


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be long: the 128 KB that are usual are less than one long document."""
    limit = csv.field_size_limit(min(sys.maxsize, LONGEST_LINE))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def refuse_no_header(name: str, line: str) -> None:
    """Raise BadData for a first line that is known to name no columns."""
    if _JSON.match(line):
        raise BadData(
            "{name} holds JSON, not a table: {value}.",
            hint="Give it the ending .jsonl if each row has a line, else .json.",
            name=name,
            value=short(line),
        )
    if _SEPARATOR.fullmatch(line):
        raise BadData(
            "{name}: the first line, {value}, tells Excel what parts the columns; it does not name them.",
            hint="Delete that line: what parts the columns is found out.",
            name=name,
            value=short(line),
        )


def check_header(name: str, cells: list[str]) -> list[str]:
    """Return the names of columns. Raises BadData if one stands twice."""
    header = [cell.strip() for cell in cells]
    twice = sorted({cell for cell in header if header.count(cell) > 1})
    if twice:
        raise BadData(
            "{name}: the columns {names} stand twice in the first line.",
            hint="Give each column a name of its own.",
            name=name,
            names=", ".join(map(repr, twice)),
        )
    return header


def find_delimiter(header: str) -> str:
    """Return what parts the columns: what the header has most of; a comma if it has none of them.

    >>> find_delimiter("question;answer"), find_delimiter("question,answer")
    (';', ',')
    """
    return max((",", ";", "\t", "，"), key=header.count)


class Parquet:
    """The rows of a parquet file, in order or by their number; a batch of them is in memory."""

    def __init__(self, path: Path) -> None:
        """Take a file. Raises MissingPackage."""
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise MissingPackage(
                "{name}: reading parquet needs pyarrow.", hint="pip install pyarrow", name=path.name
            ) from error
        self._open, self._path = parquet.ParquetFile, path
        self._batches: Iterator[Any] = iter(())
        self._batch: Any = ()
        self._first = 0
        """Number of the batch's first row."""

    def rows(self) -> Iterator[Row | Broken]:
        """Yield the rows. Raises BadData, OSError."""
        number = 0
        for batch in self._read():
            check_header(self._path.name, batch.schema.names)
            for values in batch.to_pylist():
                where = f"{self._path.name} row {number + 1}"
                yield read_row(_without_nulls(values), where, offset=number)
                number += 1

    def row(self, number: int, _: int = 0) -> dict[str, object]:
        """Return the columns of a row; cheap if it is asked for after those before it. Raises BadData, OSError."""
        if number < self._first:
            self._batches, self._batch, self._first = iter(()), (), 0
        if not self._first and not len(self._batch):
            self._batches = self._read()
        while number >= self._first + len(self._batch):
            self._first += len(self._batch)
            self._batch = next(self._batches)
        values = self._batch.slice(number - self._first, 1).to_pylist()[0]
        return {name: _without_nulls(value) for name, value in values.items() if value is not None}

    def _read(self) -> Iterator[Any]:
        try:
            with self._open(self._path) as file:
                yield from file.iter_batches(batch_size=BATCH)
        except (ValueError, OSError) as error:  # pyarrow's errors are these
            start = refuse_no_text(self._path, besides=PARQUET_MARK)
            raise BadData(
                "{name} is not a parquet file.",
                hint="It may be cut off."
                if start.startswith(PARQUET_MARK)
                else "It begins otherwise than one: give it the ending of what it is.",
                name=self._path.name,
            ) from error


def _without_nulls(value: object) -> object:
    """Return a value of parquet without the keys that only other rows have."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
