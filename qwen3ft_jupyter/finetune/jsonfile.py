"""Reads rows of JSON: an object a line, or a list of them of any size. What cannot be read is named with its line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune.encoding import BLOCK
from qwen3ft_jupyter.finetune.places import LONGEST_LINE, lines
from qwen3ft_jupyter.finetune.rows import BadRow, Broken, Row, as_object, doubled, read_row, row_words, short
from qwen3ft_jupyter.messages import Message, Names, Size

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.finetune.places import Bytes

MOST_AT_ONCE: Final = 1 << 29
"""Bytes of a JSON file that is no list, which has to be held in memory as a whole."""

HALF = Message("half of a character (\\ud800 and the like), which cannot become tokens")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BLANK = re.compile(r"[ \t\n\r]*")


def read_lines(text: io.TextIOWrapper, name: str, counted: Bytes) -> Iterator[Row | Broken]:
    """Yield the rows of a file with an object a line. Raises BadData."""
    is_first, offset = True, counted.start
    for number, line in enumerate(_whole_lines(text, name), 1):
        length = counted.size(line)
        offset += length
        if not line or line.isspace():
            continue
        where = f"{name} row {number}"
        try:
            value = loads(line)
        except BadRow as error:
            yield Broken.of(where, error.args[0])
            continue
        except (ValueError, RecursionError) as error:
            problem = diagnose(line, error, is_line=True, is_whole=is_first and number == 1)
            is_first = False
            yield Broken(Message("{where} is not JSON: {problem}", where=row_words(where), problem=problem), where)
            continue
        is_first = False
        if _SURROGATE.search(line) and not _is_text(value):
            yield Broken.of(where, HALF)
        else:
            yield read_row(value, where, offset=offset - length, length=length)


def read_list(text: io.TextIOWrapper, name: str, counted: Bytes) -> Iterator[Row | Broken]:
    """Yield the rows of one JSON list, which is never held as a whole. Raises BadData."""
    window = _Window(text, name, counted)
    number = 0
    while window.find_element():
        number += 1
        where, marks = f"{name} row {number}", list[object]()
        value, start, end = window.take(marks)
        if _SURROGATE.search(window.text, start, end) and not _is_text(value):
            yield Broken.of(where, HALF)
        elif marks and (problem := _find_doubled(value)):
            yield Broken.of(where, problem)
        else:
            offset, length = window.place(start, end)
            yield read_row(value, where, offset=offset, length=length)


class _Window:
    """The part of a list that is in memory; it begins with a bracket, so that it is judged as a list is."""

    def __init__(self, text: io.TextIOWrapper, name: str, counted: Bytes) -> None:
        self._file, self._name, self._bytes = text, name, counted
        self.text, self._is_all, self._at = "", False, 0
        self._sign()
        self._at += 1
        self._counted, self._offset = 0, counted.start
        """Up to which character bytes are counted, and how many there are."""
        self._lines = 0
        """Line breaks before what is in memory."""
        self._is_first = True

    def find_element(self) -> bool:
        """Go to the next element; return whether there is one. Raises BadData."""
        sign = self._sign()
        if sign == "]":
            self._at += 1
            if self._sign():
                raise self._error()
            return False
        if not self._is_first:
            if sign != ",":
                raise self._error()
            self._at += 1
            self._sign()
        self._is_first = False
        self._forget()
        return True

    def take(self, marks: list[object]) -> tuple[object, int, int]:
        """Return the element here, where it begins and where it ends in `text`. Raises BadData."""
        decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: _marking(pairs, marks))
        while True:
            try:
                value, end = decoder.raw_decode(self.text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or len(self.text) - self._at > LONGEST_LINE or not self._more():
                    raise self._error() from error
            else:
                if end < len(self.text) or not self._more():  # a number may go on
                    start, self._at = self._at, end
                    return value, start, end
            marks.clear()

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where an element begins in the file, and its length, in bytes."""
        self._offset += self._bytes.size(self.text[self._counted : start])
        self._counted = start
        return self._offset, self._bytes.size(self.text[start:end])

    def _sign(self) -> str:
        """Pass over blanks; return the character after them, "" at the end."""
        while True:
            self._at = _BLANK.match(self.text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self._at < len(self.text) or not self._more():
                return self.text[self._at : self._at + 1]

    def _more(self) -> bool:
        """Read on; return whether there was anything."""
        if self._is_all:
            return False
        more = self._file.read(max(BLOCK, len(self.text) - self._at))
        self._is_all = not more
        self.text += more
        return bool(more)

    def _forget(self) -> None:
        """Give back what was read, once it is much."""
        if self._at < BLOCK:
            return
        self.place(self._at, self._at)
        self._lines += self.text.count("\n", 0, self._at)
        self.text = "[" + self.text[self._at :]
        self._at = self._counted = 1

    def _error(self) -> BadData:
        try:
            json.loads(self.text)
        except (ValueError, RecursionError) as error:
            return not_json(self.text, error, self._name, lines_before=self._lines)
        return BadData("{name} changes while it is read.", hint="Try again.", name=self._name)


def read_object(path: Path, whole: str, notices: list[str]) -> Iterator[Row | Broken]:
    """Yield the rows in a JSON value that is no list: {"data": [...]}, or one row. Raises BadData."""
    marks: list[object] = []
    for index, row in enumerate(rows_in(path.name, whole, notices, marks)):
        where = f"{path.name} row {index + 1}"
        if _SURROGATE.search(whole) and not _is_text(row):
            yield Broken.of(where, HALF)
        elif marks and (problem := _find_doubled(row)):
            yield Broken.of(where, problem)
        else:
            yield read_row(row, where, offset=index)


def rows_in(name: str, whole: str, notices: list[str], marks: list[object]) -> list[object]:
    """Return the rows in the text of such a value; objects with a key twice go to `marks`. Raises BadData."""
    try:
        value = json.loads(whole, object_pairs_hook=lambda pairs: _marking(pairs, marks))
    except (ValueError, RecursionError) as error:
        raise not_json(whole, error, name) from error
    return _list_of(value, name, notices)


def refuse_too_large(path: Path, size: int) -> None:
    """Raise BadData for a JSON file that would have to be held in memory, and is too large for it."""
    if size > MOST_AT_ONCE:
        raise BadData(
            "{name} is one JSON object of {size}, which would have to be in memory as a whole.",
            hint="Write its rows as .jsonl, one object a line, or as one list: files of these may have any size.",
            name=path.name,
            size=Size(size),
        )


def not_json(text: str, error: Exception, name: str, *, lines_before: int = 0) -> BadData:
    """Return the error for a file of JSON that cannot be parsed."""
    line = error.lineno + lines_before if isinstance(error, json.JSONDecodeError) else None
    return BadData(
        "{name} is not JSON: {problem}." if line is None else "{name} is not JSON (line {line}): {problem}.",
        hint="One object a line is called .jsonl.",
        name=name,
        line=line,
        problem=diagnose(text, error),
    )


def _is_split(value: Mapping[str, object]) -> bool:
    """Return whether an object holds names and cells apart, as pandas writes a table with orient="split"."""
    names, cells = value.get("columns"), value.get("data")
    return isinstance(names, list) and isinstance(cells, list) and not any(isinstance(row, dict) for row in cells)


def _is_by_column(value: Mapping[str, object]) -> bool:
    """Return whether an object holds columns, as pandas writes a table by itself, or rows by their names."""
    held = list(value.values())
    if len(held) > 1 and all(isinstance(column, list) and column for column in held):
        return not any(isinstance(cell, dict) for column in held for cell in column)  # type: ignore[attr-defined]  # lists
    return bool(held) and all(isinstance(column, dict) and column for column in held)


def _list_of(value: object, name: str, notices: list[str]) -> list[object]:
    if isinstance(value, dict):
        lists = (
            [] if _is_split(value) else [key for key in ("data", "rows", "train") if isinstance(value.get(key), list)]
        )
        rest = [key for key in value if key not in lists and value[key] not in (None, "", [], {})]
        if len(lists) > 1 or (lists and any(isinstance(value[key], list) for key in rest)):
            raise BadData(
                "{name} has several lists: {names}.",
                hint="Put each into a file of its own.",
                name=name,
                names=", ".join(map(str, [*lists, *rest])),
            )
        if lists and rest:
            notices.append(
                Message("{name}: beside the rows stand {names}; not learned", name=name, names=", ".join(rest))
            )
        if _is_split(value) or (not lists and _is_by_column(value)):
            raise BadData(
                "{name} is one object with what all rows hold ({names}), not a list of rows.",
                hint='Write a list of objects, one a row; with pandas: to_json(…, orient="records").',
                name=name,
                names=Names(value),
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


def _marking(pairs: list[tuple[str, object]], marks: list[object]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        values = Doubled(values)
        values.problem = doubled(pairs)
        marks.append(values)
    return values


def _find_doubled(value: object) -> str:
    if isinstance(value, Doubled):
        return value.problem
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for one in inner if (found := _find_doubled(one))), "")


loads = json.JSONDecoder(object_pairs_hook=as_object).decode
"""Return the value of a line. Raises BadRow for a key that stands twice, ValueError, RecursionError."""


def _whole_lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Yield lines that end with a line feed alone: U+2028 may stand inside a string, and so may a lone return."""
    held = ""
    for line in lines(text, name):
        if line.endswith("\r"):  # newline="" ends a line here, too
            held += line
            continue
        yield held + line if held else line
        held = ""
    if held:
        yield held


def _is_comma_at_end(text: str, place: int) -> bool:
    """Return whether a comma stands there, or just before, that nothing but the end of a list or object follows."""
    before, after = text[:place].rstrip(), text[place:].lstrip()
    rest = after[1:].lstrip() if after.startswith(",") else after if before.endswith(",") else ""
    return rest.startswith(("}", "]"))


def diagnose(text: str, error: Exception, *, is_line: bool = False, is_whole: bool = False) -> str:
    """Return why a text is not JSON, in words that name the cure where the cause is a known one."""
    start = text.lstrip()
    shown = short(start[:60])
    known = (
        (start.startswith("version https://git-lfs"), Message("a pointer of git-lfs, not the file: run git lfs pull")),
        (start[:1] == "<", Message("a page of HTML or XML, not data: {value}; download the file itself", value=shown)),
        (not text.strip("\0 \t\r\n"), Message("nothing but NUL bytes: the file was not written to its end")),
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
    return _fault_of(text, error, is_line=is_line)


def _fault_of(text: str, error: json.JSONDecodeError, *, is_line: bool) -> str:
    """Return what is wrong with the text of JSON."""
    if error.msg == "Extra data" and text[error.pos :].strip() == ",":
        return Message("a comma after the object: rows of .jsonl are parted by line breaks alone")
    if _is_comma_at_end(text, error.pos):
        return Message("a comma before the end of a list or object, at character {position}", position=error.colno)
    if is_line and error.msg == "Extra data" and "\r" in text[:-2]:
        return Message("lines that end with a carriage return alone, as old Macs wrote them: save it with line feeds")
    return _place_of(text, error, is_line=is_line)


def _place_of(text: str, error: json.JSONDecodeError, *, is_line: bool) -> str:
    """Return what the parser says, and where."""
    near = short(text[max(0, error.pos - 15) : error.pos + 15].strip(" \t\r\n"))
    said = error.msg.removesuffix(" at")  # its own words go on with a place
    is_cut = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip()) - 1
    if is_line and is_cut:
        return Message("cut off: {problem} at its end, near {near}", problem=said, near=near)
    if is_line and error.msg == "Extra data":
        return Message("more than one value in one line, near {near}", near=near)
    return Message("{problem} at character {position}, near {near}", problem=said, position=error.colno, near=near)
