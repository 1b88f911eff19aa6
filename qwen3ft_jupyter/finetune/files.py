"""Reads files of data row by row: json, jsonl, csv, tsv, parquet, xlsx, txt. A row can be read again by its place."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import os
from typing import TYPE_CHECKING, BinaryIO

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune import jsonfile, plaintext
from qwen3ft_jupyter.finetune.encoding import (
    BINARY,
    BLOCK,
    SUFFIXES,
    WORKBOOK,
    DigestingFile,
    find_encoding,
    refuse_no_text,
    refuse_stand_in,
)
from qwen3ft_jupyter.finetune.places import Bytes
from qwen3ft_jupyter.finetune.rows import BadRow
from qwen3ft_jupyter.finetune.tablefile import Csv, Parquet
from qwen3ft_jupyter.finetune.workbook import Workbook
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.finetune.rows import Broken, Row

    Read = Callable[[int, int], Mapping[str, object]]
    """Returns the columns of the row at (offset, length)."""


class DataFile:
    """One file of data. Iterate over `rows` to its end, then ask for `digest` and `notices`, and for rows by place."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is read yet."""
        self.path = path
        self.notices: list[str] = []
        self.digest = ""
        """SHA-256 of the very bytes that were read, once all were."""
        self._stamp = (0, 0)
        self._codec = ""
        self._parse: Callable[[str], Mapping[str, object]] | None = None
        """Returns the columns in the text of a row; None where rows are counted, not placed."""

    def rows(self) -> Iterator[Row | Broken]:
        """Yield the rows. Raises BadData, MissingPackage, OSError."""
        suffix = self._suffix()
        with self.path.open("rb") as file:
            self._stamp = _stamp_of(file)
        refuse_stand_in(self.path, is_table=suffix in {*BINARY, ".csv", ".tsv"})
        if suffix in BINARY:
            self.digest = self._digest_of_all()
            yield from self._table(suffix).rows()
            return
        encoding = find_encoding(self.path)
        if encoding != "utf-8-sig":
            words = Message("{name} is not UTF-8; it was read as {encoding}", name=self.path.name, encoding=encoding)
            self.notices.append(words)
        counted = Bytes(self.path, encoding)
        self._codec = counted.codec
        raw = DigestingFile(self.path)
        try:
            with io.TextIOWrapper(io.BufferedReader(raw, BLOCK), encoding=encoding, newline="") as text:
                yield from self._text_rows(text, suffix, encoding, counted)
                while text.read(BLOCK):  # what a reader left belongs to the digest
                    pass
        except UnicodeDecodeError as error:
            raise self._changed() from error
        self.digest = raw.digest.hexdigest()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Read]:
        """Give what reads a row by the place that it was read from. Raises BadData if the file has changed, OSError."""
        with self.path.open("rb") as file:
            if _stamp_of(file) != self._stamp:
                raise self._changed()
            if self._parse is not None:
                yield functools.partial(self._row_at, file, self._parse)
            elif (suffix := self.path.suffix.lower()) in BINARY:
                yield self._table(suffix).row
            else:
                rows = jsonfile.rows_in(self.path.name, file.read().decode(self._codec).lstrip("\ufeff"), [], [])
                yield lambda number, _: rows[number]  # type: ignore[misc,return-value]  # objects, as they were before

    def _row_at(
        self, file: BinaryIO, parse: Callable[[str], Mapping[str, object]], offset: int, length: int
    ) -> Mapping[str, object]:
        file.seek(offset)
        try:
            return parse(file.read(length).decode(self._codec))
        except (ValueError, RecursionError, StopIteration, csv.Error, BadRow) as error:
            raise self._changed() from error

    def _text_rows(self, text: io.TextIOWrapper, suffix: str, encoding: str, counted: Bytes) -> Iterator[Row | Broken]:
        name = self.path.name
        if suffix in {".csv", ".tsv"}:
            table = Csv(self.path, counted, self.notices)
            self._parse = table.parse
            return table.rows(text)
        start = self._first_sign(encoding)
        if suffix == ".txt" and start not in {"{", "["}:
            self._parse = plaintext.parse
            return plaintext.read_text(text, name, counted)
        self._parse = jsonfile.loads
        if suffix == ".json" or (suffix == ".txt" and start == "["):
            if start == "[":
                return jsonfile.read_list(text, name, counted)
            if not start:
                return iter(())
            self._parse = None
            jsonfile.refuse_too_large(self.path, self._stamp[0])
            return jsonfile.read_object(self.path, text.read(), self.notices)
        return jsonfile.read_lines(text, name, counted)

    def _first_sign(self, encoding: str) -> str:
        """Return the first character that is not blank; "" if there is none."""
        with self.path.open(encoding=encoding, errors="replace", newline="") as file:
            while block := file.read(BLOCK):
                if start := block.lstrip(" \t\r\n")[:1]:
                    return start
        return ""

    def _suffix(self) -> str:
        suffix = self.path.suffix.lower()
        if suffix not in {*SUFFIXES, WORKBOOK}:
            refuse_no_text(self.path)
            raise BadData(
                "{name}: files of this type are not read.",
                hint="Accepted: {names}.",
                name=self.path.name,
                names=", ".join((*SUFFIXES, WORKBOOK)),
            )
        return suffix

    def _table(self, suffix: str) -> Parquet | Workbook:
        return Parquet(self.path) if suffix == ".parquet" else Workbook(self.path, self.notices)

    def _digest_of_all(self) -> str:
        with self.path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def _changed(self) -> BadData:
        return BadData("{name} changes while it is read.", hint="Try again.", name=self.path.name)


def _stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Return size and time of an open file: another one has another."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns
