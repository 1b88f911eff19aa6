"""What a cell that runs is: questions stay as they are typed, and a line shows its answer wherever it stands.

IPython takes ``%qwen3ft chat NAME who are you?`` for a request for help on `you`, and shows what a line magic returns
only if it is the cell's last line.
"""

from __future__ import annotations

import contextlib
import dis
import re
import sys
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.inputtransformer2 import make_tokens_by_line
from IPython.utils.text import DollarFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

MAGIC = "qwen3ft"
_CHAT = rf"{MAGIC}\s+chat\s.*\S"
_TARGET = r"""(?:[^\s=%!?#"'()](?:[^=%!?#"'()]|"[^"]*"|'[^']*')*=\s*)*"""
"""What a line may give its value to: names, ``here.there``, ``table["key"]``, ``name: type``."""
_LINE = re.compile(
    rf"(?P<before>\s*{_TARGET})(?P<call>(?:%\s*)?(?P<magic>{MAGIC})\s+(?P<line>chat\s.*\S|.*\S\s*\?)"
    rf"|%(?P<outer>\w+)\s+(?P<inner>.*?%{_CHAT}))\s*",
    re.DOTALL,
)
"""A question, or a line that ends as IPython's requests for help do. Of ``%time %qwen3ft chat …`` it is the line of the
outer magic: that transforms its line as IPython does a cell."""
_GOES_ON = re.compile(r"\s\\\r?\n\Z")
"""The backslash before the end of a line that goes on in the next. Within a word it is a letter: ``C:\\models\\``."""
_CALL = "get_ipython().run_line_magic({magic!r}, {line!r})"
_RUNNERS = ("run_line_magic", "run_cell_magic", "magic")
"""IPython's functions that stand between the user's code and a magic."""
_CELL_RUNNERS = ("run_cell_async", "_run_cell", "run_cell")
"""IPython's functions that run a cell, which they call `raw_cell`."""


def keep_questions(lines: list[str]) -> list[str]:
    r"""Return the lines of a cell with each ``%qwen3ft chat`` as the call that it means.

    >>> keep_questions(["%qwen3ft chat a/b What's your name?\n"])
    ['get_ipython().run_line_magic(\'qwen3ft\', "chat a/b What\'s your name?")\n']
    """
    if not lines or lines[0].startswith("%%"):  # the cell is another magic's
        return lines
    kept: list[str] = []
    number = 0
    while number < len(lines):
        whole, following = _whole_line(lines, number)
        call = _call(whole, kept)
        kept.append(lines[number] if call is None else call)
        number = number + 1 if call is None else following
    return kept


def _whole_line(lines: Sequence[str], number: int) -> tuple[str, int]:
    """Return a line as it is typed, and the number of the next.

    IPython ends lines where Python does not, as after the line separator that is pasted from a page. A line that goes
    on after a backslash is one to both.
    """
    line, number = lines[number], number + 1
    while number < len(lines):
        if _GOES_ON.search(line):
            line = f"{_GOES_ON.sub('', line).rstrip()} {lines[number].lstrip()}"
        elif line.endswith(("\n", "\r")):
            break
        else:
            line += lines[number]
        number += 1
    return line, number


def _call(line: str, before: Sequence[str]) -> str | None:
    """Return the call that a line means, None if IPython reads it as it is meant."""
    match = _LINE.fullmatch(line)
    if match is None or not _is_code([*before, line], match.start("call")):
        return None
    magic, text = match["magic"] or match["outer"], match["line"] or match["inner"]
    return match["before"] + _CALL.format(magic=magic, line=text) + "\n"


def _is_code(lines: Sequence[str], column: int) -> bool:
    """Say whether a token begins at this column of the last line: it may be within a text of several lines."""
    before = [*lines[:-1], lines[-1][:column] + MAGIC + "\n"]  # what is typed after it need not be tokens at all
    starts = {token.start for tokens in make_tokens_by_line(before) for token in tokens}
    return (len(lines), column) in starts


def users_frame() -> FrameType:
    """Return the user's code that called the magic at work."""
    frame = sys._getframe(1)  # noqa: SLF001 - as IPython does to fill variables into a line
    while frame.f_back is not None:
        is_runner = frame.f_code.co_name in _RUNNERS
        frame = frame.f_back
        if is_runner and frame.f_code.co_name not in _RUNNERS:
            break
    return frame


def cell_at_work() -> str:
    """Return the cell that runs, as it is typed; "" if none does. Not every one is in IPython's history: no file is."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else knows it
    while frame is not None:
        if frame.f_code.co_name in _CELL_RUNNERS and isinstance(cell := frame.f_locals.get("raw_cell"), str):
            return cell
        frame = frame.f_back
    return ""


def fill_in(text: str, variables: Mapping[str, Any]) -> str:
    """Return a part of a line with ``{name}`` and ``$name`` replaced by variables, as IPython does it.

    >>> fill_in("{name}/$size", {"name": "a", "size": "b"}), fill_in("{nobody}", {})
    ('a/b', '{nobody}')
    """
    formatter: Any = DollarFormatter()  # it has no types
    with contextlib.suppress(Exception):  # what stands in the braces is the user's code; IPython leaves such a line
        return str(formatter.vformat(text, (), variables))
    return text


def use_of_value(frame: FrameType) -> Literal["dropped", "shown", "kept"]:
    """Say what becomes of what the call gives for which `frame` waits: dropped, nobody would see it.

    The interpreter's own instructions say so: the call is followed by one that drops or shows its value. That holds
    wherever a line stands, also in the cell that loads the extension, which was read before anything of ours could
    change it.
    """
    following = (each for each in dis.get_instructions(frame.f_code) if each.offset > frame.f_lasti)
    use = next(following, None)
    if use is not None and use.opname == "POP_TOP":
        return "dropped"
    is_shown = use is not None and "PRINT" in f"{use.opname} {use.argrepr}"  # PRINT_EXPR; INTRINSIC_PRINT from 3.12 on
    return "shown" if is_shown else "kept"
