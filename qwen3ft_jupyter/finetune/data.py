"""Reads files of conversations: json, jsonl, csv; names the row of everything that is wrong."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune import formats
from qwen3ft_jupyter.finetune.formats import BadRow, Conversation, Row
from qwen3ft_jupyter.messages import Message, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig

SUFFIXES = (".json", ".jsonl", ".csv")
"""File types read; nothing among them can run."""

DETECT_ROWS = 200
"""Rows looked at to tell the format."""

SHOWN_PROBLEMS = 5
"""Bad rows that an error quotes; the others are counted."""


@dataclass(frozen=True, slots=True)
class DataReport:
    """What was read, for people."""

    rows: int
    conversations: int
    formats: tuple[str, ...]
    """One a file."""
    empty: int
    """Rows left out because no answer in them has text."""
    bad: int
    """Rows left out because they cannot be mapped (with skip_bad_rows)."""
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """Conversations and how they were read."""

    conversations: tuple[Conversation, ...]
    digests: tuple[str, ...]
    """SHA-256 of each file, of the very bytes that were read."""
    report: DataReport


def check_data(config: FineTuneConfig) -> DataReport:
    """Read the config's data and report on it; what a face calls before it starts a job. Raises BadData."""
    return read_data_of(config).report


def read_data_of(config: FineTuneConfig) -> Data:
    """Return the data that `config` names. Raises BadData."""
    paths = [Path(path) for path in config.data]
    return read_data(paths, data_format=config.data_format, skip_bad_rows=config.skip_bad_rows)


def read_data(paths: Sequence[Path], *, data_format: str = "auto", skip_bad_rows: bool = False) -> Data:
    """Return the conversations of all files, in order.

    Args:
        paths: Files ending in .json, .jsonl or .csv.
        data_format: "auto" tells it by the columns, for each file; else one of `formats.FORMATS`.
        skip_bad_rows: Leave bad rows out instead of refusing.

    Raises:
        BadData: A file cannot be read, rows are wrong (the first ones are quoted), or nothing is left to learn from.
    """
    found = _Found()
    digests = tuple(_read_file(path, data_format, found) for path in paths)
    if found.problems and not skip_bad_rows:
        raise _bad_rows(found.problems)
    if found.problems:
        found.notices.append(
            Message(
                "{count} rows left out that cannot be mapped; the first: {problem}",
                count=len(found.problems),
                problem=found.problems[0],
            )
        )
    if found.empty:
        found.notices.append(Message("{count} rows left out that have no answer", count=found.empty))
    if not found.conversations:
        names = ", ".join(path.name for path in paths)
        raise BadData(
            "No row of {names} has a question and an answer ({rows} rows read).",
            hint="Each row needs a user's turn followed by an assistant's.",
            names=names,
            rows=found.rows,
        )
    return Data(tuple(found.conversations), digests, found.report())


@dataclass(slots=True)
class _Found:
    """What the files read so far held."""

    rows: int = 0
    empty: int = 0
    conversations: list[Conversation] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add(self, row: Row, file_format: str) -> None:
        try:
            conversation = formats.to_conversation(row, file_format)
        except BadRow as error:
            self.problems.append(Message("{where}: {problem}", where=row_words(row.where), problem=error.args[0]))
        else:
            self.empty += not conversation.messages
            self.conversations += [conversation] if conversation.messages else []

    def report(self) -> DataReport:
        return DataReport(
            self.rows, len(self.conversations), tuple(self.formats), self.empty, len(self.problems), tuple(self.notices)
        )


def _read_file(path: Path, data_format: str, found: _Found) -> str:
    """Add what a file holds to `found`; return its digest. Raises BadData."""
    digest, rows = _rows(path, found.notices)
    file_format = data_format if data_format != "auto" else _detect(path, rows)
    found.rows += len(rows)
    found.formats.append(file_format)
    found.notices.append(
        Message("{name}: {count} rows, format {format}", name=path.name, count=len(rows), format=file_format)
    )
    for row in rows:
        found.add(row, file_format)
    return digest


def split(
    conversations: Sequence[Conversation], fraction: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """Return (for training, for evaluation): the same split for the same rows and seed, in the original order.

    At least one conversation stays on either side, unless `fraction` is 0 or there is only one.
    """
    if fraction <= 0 or len(conversations) < 2:
        return list(conversations), []
    count = min(len(conversations) - 1, max(1, round(len(conversations) * fraction)))
    held_out = set(random.Random(seed).sample(range(len(conversations)), count))  # noqa: S311 - not a secret
    train = [one for index, one in enumerate(conversations) if index not in held_out]
    return train, [conversations[index] for index in sorted(held_out)]


def _read_bytes(path: Path) -> bytes:
    if path.suffix.lower() not in SUFFIXES:
        raise BadData(
            "{name}: files of this type are not read.",
            hint="Accepted: {names}.",
            name=path.name,
            names=", ".join(SUFFIXES),
        )
    try:
        return path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise BadData(
            "{name} does not exist." if missing else "{name} cannot be read.",
            hint="Check the path; relative ones start at the notebook's folder.",
            details={"path": str(path)},
            name=path.name,
        ) from error


def _rows(path: Path, notices: list[str]) -> tuple[str, list[Row]]:
    """Return the digest and the rows of a file; what a person should know goes to `notices`. Raises BadData."""
    raw = _read_bytes(path)
    text, encoding = _decode(raw, path)
    if encoding != "utf-8":
        notices.append(Message("{name} is not UTF-8; it was read as {encoding}", name=path.name, encoding=encoding))
    reader = {".json": _json_rows, ".jsonl": _jsonl_rows, ".csv": _csv_rows}[path.suffix.lower()]
    return hashlib.sha256(raw).hexdigest(), list(reader(text, path.name))


def _decode(raw: bytes, path: Path) -> tuple[str, str]:
    """Return the text and its encoding: UTF-8 with or without mark, UTF-16 with mark, else gb18030 (Excel in China)."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = [("utf-16", "utf-16")]
    else:
        encodings = [("utf-8-sig", "utf-8"), ("gb18030", "gb18030")]
    for codec, name in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode(codec), name
    raise BadData("{name} is neither UTF-8 nor gb18030 text.", hint="Save it as UTF-8.", name=path.name)


def _json_rows(text: str, name: str) -> Iterator[Row]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise BadData(
            "{name} is not JSON." if line is None else "{name} is not JSON (line {line}).",
            hint="One object a line is called .jsonl.",
            name=name,
            line=line,
        ) from error
    if isinstance(value, dict):  # {"data": [...]}, or one row
        lists = [inner for key, inner in value.items() if isinstance(inner, list) and key in {"data", "rows", "train"}]
        value = lists[0] if lists else [value]
    if not isinstance(value, list):
        raise BadData("{name} is not a list of rows.", name=name)
    for number, row in enumerate(value, 1):
        yield _row(row, f"{name} row {number}")


def _jsonl_rows(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 may stand inside a string
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(
                "{name} row {number} is not JSON.",
                hint="Each line is one object; a list of them is called .json.",
                name=name,
                number=number,
            ) from error
        yield _row(row, f"{name} row {number}")


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default of 128 KB is less than one long document
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), 1):
            columns = {str(key).strip(): value for key, value in row.items() if key is not None}
            yield Row(columns, f"{name} row {number}")
    except csv.Error as error:
        raise BadData("{name} is not a csv file.", hint="The first line names the columns.", name=name) from error
    finally:
        csv.field_size_limit(limit)


def _row(row: object, where: str) -> Row:
    if not isinstance(row, dict):
        raise BadData("{where} is not an object with named columns.", where=row_words(where))
    return Row(row, where)


def _detect(path: Path, rows: Sequence[Row]) -> str:
    if not rows:
        raise BadData("{name} holds no rows.", name=path.name)
    found = formats.detect(rows[:DETECT_ROWS])
    if found is None:
        columns = ", ".join(list(rows[0].columns)[:12])
        raise BadData(
            "{name}: the format is not known; its columns are {columns}.",
            hint="Accepted: messages; conversations (from, value); instruction, input, output, system, history.",
            name=path.name,
            columns=columns,
        )
    return found


def _bad_rows(problems: list[str]) -> BadData:
    more = len(problems) - SHOWN_PROBLEMS
    return BadData(
        "{problems}; and {count} more rows." if more > 0 else "{problems}.",
        hint="Correct them, or set skip_bad_rows to leave them out.",
        problems=Texts(problems[:SHOWN_PROBLEMS]),
        count=more,
    )


def row_words(where: str) -> str:
    """Return where a row is as a message; a row itself, of which there are very many, keeps a plain text.

    >>> row_words("train.jsonl row 7").template
    '{name} row {number}'
    """
    name, _, number = where.rpartition(" row ")
    return Message("{name} row {number}", name=name, number=number)
