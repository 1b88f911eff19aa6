"""Reads files of data row by row: json, jsonl, csv, tsv, parquet. What cannot be read is named with its line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData, MissingPackage
from qwen3ft_jupyter.finetune.encoding import BLOCK, DigestingFile, find_encoding
from qwen3ft_jupyter.finetune.rows import BadRow, Row, doubled, row_words, short
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet")
"""File types read; nothing among them can run."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a row should be, and why there is none."""

    sentence: str
    """It names the row."""

    @classmethod
    def of(cls, where: str, problem: str) -> Broken:
        """Return a row with something wrong in it."""
        return cls(Message("{where}: {problem}", where=row_words(where), problem=problem))


class DataFile:
    """One file of data. Iterate over `rows` to its end, then ask for `digest` and `notices`."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is read yet."""
        self.path = path
        self.notices: list[str] = []
        self.digest = ""
        """SHA-256 of the very bytes that were read, once all were."""

    def rows(self) -> Iterator[Row | Broken]:
        """Yield the rows. Raises BadData."""
        suffix = self._suffix()
        if suffix == ".parquet":
            yield from self._parquet_rows()
            return
        encoding = find_encoding(self.path)
        if encoding != "utf-8-sig":
            words = Message("{name} is not UTF-8; it was read as {encoding}", name=self.path.name, encoding=encoding)
            self.notices.append(words)
        raw = DigestingFile(self.path)
        readers = {".json": self._json_rows, ".csv": self._csv_rows, ".tsv": self._csv_rows, ".txt": self._txt_rows}
        try:
            with io.TextIOWrapper(io.BufferedReader(raw, BLOCK), encoding=encoding, newline="") as text:
                yield from readers.get(suffix, self._jsonl_rows)(text)
                while text.read(BLOCK):  # what a reader left belongs to the digest
                    pass
        except UnicodeDecodeError as error:
            raise BadData("{name} changes while it is read.", hint="Try again.", name=self.path.name) from error
        self.digest = raw.digest.hexdigest()

    def _suffix(self) -> str:
        suffix = self.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise BadData(
                "{name}: files of this type are not read.",
                hint="Accepted: {names}.",
                name=self.path.name,
                names=", ".join(SUFFIXES),
            )
        return suffix

    def _json_rows(self, text: io.TextIOWrapper) -> Iterator[Row | Broken]:
        name, whole = self.path.name, text.read()
        if not whole.strip():
            return
        marks: list[object] = []

        def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
            values = dict(items)
            if len(values) != len(items):
                values = Doubled(values)
                values.problem = doubled(items)
                marks.append(values)
            return values

        try:
            value = json.loads(whole, object_pairs_hook=pairs)
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else None
            raise BadData(
                "{name} is not JSON: {problem}." if line is None else "{name} is not JSON (line {line}): {problem}.",
                hint="One object a line is called .jsonl.",
                name=name,
                line=line,
                problem=diagnose(whole, error),
            ) from error
        may_have_halves = _SURROGATE.search(whole) is not None
        del whole
        for number, row in enumerate(self._list(value), 1):
            where = f"{name} row {number}"
            has_halves = may_have_halves and not _is_text(row)
            yield Broken.of(where, HALF) if has_halves else _row(row, where, marked=bool(marks))

    def _list(self, value: object) -> list[object]:
        """Return the rows in a JSON value: a list, {"data": [...]}, or one row. Raises BadData."""
        name = self.path.name
        if isinstance(value, dict):
            lists = [key for key in ("data", "rows", "train") if isinstance(value.get(key), list)]
            rest = [key for key in value if key not in lists and value[key] not in (None, "", [], {})]
            if len(lists) > 1 or (lists and any(isinstance(value[key], list) for key in rest)):
                raise BadData(
                    "{name} has several lists: {names}.",
                    hint="Put each into a file of its own.",
                    name=name,
                    names=", ".join(map(str, [*lists, *rest])),
                )
            if lists and rest:
                self.notices.append(
                    Message("{name}: beside the rows stand {names}; not learned", name=name, names=", ".join(rest))
                )
            value = value[lists[0]] if lists else [value]
        if not isinstance(value, list):
            raise BadData(
                "{name} is not a list of rows, but {value}.",
                hint="Write a list of objects, one a row.",
                name=name,
                value=short(value),
            )
        return value

    def _jsonl_rows(self, text: io.TextIOWrapper) -> Iterator[Row | Broken]:
        name, seen = self.path.name, set[str]()
        for number, line in enumerate(_lines(text), 1):
            if not line or line.isspace():
                continue
            where = f"{name} row {number}"
            try:
                value = _loads(line)
            except BadRow as error:
                yield Broken.of(where, error.args[0])
                continue
            except (ValueError, RecursionError) as error:
                is_first = not seen
                seen.add(where)
                problem = diagnose(line, error, is_line=True, is_whole=is_first and number == 1)
                yield Broken(Message("{where} is not JSON: {problem}", where=row_words(where), problem=problem))
                continue
            seen.add(name)
            has_halves = _SURROGATE.search(line) and not _is_text(value)
            yield Broken.of(where, HALF) if has_halves else _row(value, where, marked=False)

    def _txt_rows(self, text: io.TextIOWrapper) -> Iterator[Row | Broken]:
        """Read JSON that is only called .txt; there is nothing to learn an answer from in plain text."""
        whole = text.read()
        start = whole.lstrip("\ufeff \t\r\n")[:1]
        if start not in {"{", "["}:
            raise BadData(
                "{name} is plain text, which has no questions and answers.",
                hint="Write rows, for example as .jsonl. Training on plain text does not exist yet.",
                name=self.path.name,
            )
        inner = io.TextIOWrapper(io.BytesIO(whole.encode("utf-8")), encoding="utf-8", newline="")
        yield from (self._json_rows if start == "[" else self._jsonl_rows)(inner)

    def _csv_rows(self, text: io.TextIOWrapper) -> Iterator[Row | Broken]:
        name = self.path.name
        limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # 128 KB by default: less than one long document
        line = 1
        try:
            first = text.readline()
            delimiter = "\t" if self.path.suffix.lower() == ".tsv" else _delimiter(first)
            if delimiter not in {",", "\t" if name.lower().endswith(".tsv") else ","}:
                said = "tab" if delimiter == "\t" else delimiter
                self.notices.append(Message("{name}: columns are parted by {sign!r}", name=name, sign=said))
            reader = csv.reader(_again(first, text), delimiter=delimiter, strict=True)
            header = self._header(next(reader, []))
            number = 0
            while True:
                line = reader.line_num + 1
                cells = next(reader, None)
                if cells is None:
                    return
                if not cells:
                    continue
                number += 1
                where = f"{name} row {number} line {line}"
                if len(cells) != len(header):
                    words = Message(
                        "{where} has {count} cells, the first line names {columns} columns",
                        where=row_words(where),
                        count=len(cells),
                        columns=len(header),
                    )
                    yield Broken(words)
                    continue
                try:
                    yield Row(dict(zip(header, cells, strict=True)), where)
                except BadRow as error:
                    yield Broken.of(where, error.args[0])
        except csv.Error as error:
            raise BadData(
                "{name} is not a csv file from line {line} on: {problem}.",
                hint="The first line names the columns; a cell with a quotation mark, comma or line break is quoted.",
                name=name,
                line=line,
                problem=str(error),
            ) from error
        finally:
            csv.field_size_limit(limit)

    def _header(self, cells: list[str]) -> list[str]:
        header = [cell.strip() for cell in cells]
        twice = sorted({cell for cell in header if header.count(cell) > 1})
        if twice:
            raise BadData(
                "{name}: the columns {names} stand twice in the first line.",
                hint="Give each column a name of its own.",
                name=self.path.name,
                names=", ".join(map(repr, twice)),
            )
        return header

    def _parquet_rows(self) -> Iterator[Row | Broken]:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise MissingPackage(
                "{name}: reading parquet needs pyarrow.", hint="pip install pyarrow", name=self.path.name
            ) from error
        with self.path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(BLOCK):
                digest.update(block)
        self.digest = digest.hexdigest()
        try:
            number = 0
            for batch in parquet.ParquetFile(self.path).iter_batches(batch_size=1024):
                names = batch.schema.names
                self._header(names)
                for values in batch.to_pylist():
                    number += 1
                    yield _row(_without_nulls(values), f"{self.path.name} row {number}", marked=False)
        except (ValueError, OSError) as error:  # pyarrow's errors are these
            raise BadData("{name} is not a parquet file.", hint="It may be cut off.", name=self.path.name) from error


HALF = Message("half of a character (\\ud800 and the like), which cannot become tokens")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _is_text(value: object) -> bool:
    """Return whether all texts in a value can be written: JSON can name halves of characters."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


class Doubled(dict[str, object]):
    """An object of JSON in which a key stands twice."""

    problem = ""


def _row(row: object, where: str, *, marked: bool) -> Row | Broken:
    if marked and (problem := _find_doubled(row)):
        return Broken.of(where, problem)
    if isinstance(row, dict):
        try:
            return Row(row, where)
        except BadRow as error:
            return Broken.of(where, error.args[0])
    if isinstance(row, str) and row.lstrip()[:1] in {"{", "["}:
        template = Message("{where} is not an object, but a text that holds JSON: it was encoded twice")
    elif isinstance(row, list):
        template = Message("{where} is not an object, but a list: {value}. One list of all rows is called .json")
    else:
        template = Message("{where} is not an object with named columns, but {value}")
    return Broken(Message(str(template), where=row_words(where), value=short(row)))


def _find_doubled(value: object) -> str:
    if isinstance(value, Doubled):
        return value.problem
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for one in inner if (found := _find_doubled(one))), "")


def _pairs(items: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(items)
    if len(values) != len(items):
        raise BadRow(doubled(items))
    return values


_loads = json.JSONDecoder(object_pairs_hook=_pairs).decode


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines that end with a line feed alone: U+2028 may stand inside a string, and so may a lone return."""
    held = ""
    for line in text:
        if line.endswith("\r"):  # newline="" ends a line here, too
            held += line
            continue
        yield held + line if held else line
        held = ""
    if held:
        yield held


def _again(first: str, text: io.TextIOWrapper) -> Iterator[str]:
    yield first
    yield from text


def _delimiter(header: str) -> str:
    """Return what parts the columns: what the header has most of; a comma if it has none of them.

    >>> _delimiter("question;answer"), _delimiter("question,answer")
    (';', ',')
    """
    return max((",", ";", "\t", "，"), key=header.count)


def _without_nulls(value: object) -> object:
    """Return a value of parquet without the keys that only other rows have."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def diagnose(text: str, error: Exception, *, is_line: bool = False, is_whole: bool = False) -> str:
    """Return why a text is not JSON, in words that name the cure where the cause is a known one."""
    start = text.lstrip()
    shown = short(start[:60])
    known = (
        (start.startswith("version https://git-lfs"), Message("a pointer of git-lfs, not the file: run git lfs pull")),
        (start[:1] == "<", Message("a page of HTML or XML, not data: {value}; download the file itself", value=shown)),
        ("\x00" in text[:200], Message("UTF-16 without a mark, or a binary file: save it as UTF-8")),
        (start.startswith("\ufeff"), Message("a byte order mark in the middle: two files were joined")),
        (start.startswith(("//", "#", "/*")), Message("a comment, which JSON does not have: {value}", value=shown)),
        (start.startswith(("{'", "['", "[{'")), Message("written by Python, not JSON (single quotes): use json.dumps")),
        (is_whole and start.strip() in {"[", "{"}, Message("one value over many lines: call the file .json")),
    )
    for is_so, words in known:
        if is_so:
            return words
    if not isinstance(error, json.JSONDecodeError):
        return Message("nested too deeply") if isinstance(error, RecursionError) else str(error)[:80]
    if error.msg == "Extra data" and text[error.pos :].strip() == ",":
        return Message("a comma after the object: rows of .jsonl are parted by line breaks alone")
    near = short(text[max(0, error.pos - 15) : error.pos + 15].strip())
    is_cut = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip()) - 1
    if is_line and is_cut:
        return Message("cut off: {problem} at its end, near {near}", problem=error.msg, near=near)
    if error.msg == "Extra data" and is_line:
        return Message("more than one value in one line, near {near}", near=near)
    position = error.colno
    return Message("{problem} at character {position}, near {near}", problem=error.msg, position=position, near=near)
