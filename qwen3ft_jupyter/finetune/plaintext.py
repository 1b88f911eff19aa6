"""Reads plain text: a file is one text, so that what belongs together stays together; only a very long one is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.finetune.places import CountedLines
from qwen3ft_jupyter.finetune.rows import Row

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from qwen3ft_jupyter.finetune.places import Bytes

LONGEST_TEXT: Final = 1 << 20
"""Characters after which a text is cut at the next blank line."""

SLACK: Final = 1 << 16
"""Characters after which it is cut at the next line if no blank line comes."""


def read_text(text: io.TextIOWrapper, name: str, counted: Bytes) -> Iterator[Row]:
    """Yield the text as a row, in several if it is very long. Raises BadData."""
    lines = CountedLines(text, counted, name)
    held: list[str] = []
    size, number, start = 0, 0, lines.offset
    for line in lines:
        held.append(line)
        size += len(line)
        if size > LONGEST_TEXT + (SLACK if line.strip() else 0):
            number += 1
            yield _row(held, f"{name} row {number}", start, lines.offset)
            held, size, start = [], 0, lines.offset
    if "".join(held).strip():
        yield _row(held, f"{name} row {number + 1}", start, lines.offset)


def parse(text: str) -> dict[str, object]:
    """Return the columns of such a row."""
    return {"text": text}


def _row(lines: list[str], where: str, start: int, end: int) -> Row:
    return Row(parse("".join(lines)), where, offset=start, length=end - start)
