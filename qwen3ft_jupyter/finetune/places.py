"""Where rows stand in a file of text, in bytes, so that one can be read again without all before it."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadData

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_LINE: Final = 1 << 26
"""Characters of a line, six times the longest row: a file that has no line breaks is not read into memory."""

_MARKS: Final = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Bytes:
    """Reckons in bytes what was read as characters."""

    def __init__(self, path: Path, encoding: str) -> None:
        """Take a file and the encoding that it is read in."""
        with path.open("rb") as file:
            start = file.read(3)
        mark = next((mark for mark in _MARKS if start.startswith(mark)), b"")
        self.start = len(mark)
        """Of the byte order mark."""
        self.codec = _MARKS.get(mark, "utf-8" if encoding == "utf-8-sig" else encoding)

    def size(self, text: str) -> int:
        """Return how many bytes a text has in the file."""
        is_plain = text.isascii() and not self.codec.startswith("utf-16")
        return len(text) if is_plain else len(text.encode(self.codec))


def lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Yield lines as `newline=""` ends them: at a line feed, a return, or both. Raises BadData for one without end."""
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise BadData(
                "{name} line {line} has more than {most:,} characters.",
                hint="Each row is a line of .jsonl. One list of all rows is called .json.",
                name=name,
                line=number,
                most=LONGEST_LINE,
            )
        yield line


class CountedLines:
    """Lines that say how far they have been read."""

    def __init__(self, text: io.TextIOWrapper, counted: Bytes, name: str) -> None:
        """Take the text, which stands at the start of the file."""
        self._lines, self._bytes = lines(text, name), counted
        self.offset = counted.start
        """Bytes of the file before the next line."""

    def __iter__(self) -> CountedLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.offset += self._bytes.size(line)
        return line
