"""What a cell that runs is: questions stay as they are typed, and a line shows its answer wherever it stands.

IPython takes ``%qwen3ft chat NAME who are you?`` for a request for help on `you`, and shows what a line magic returns
only if it is the cell's last line.
"""

from __future__ import annotations

import contextlib
import dis
import re
import sys
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import make_tokens_by_line
from IPython.utils.text import DollarFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

MAGIC = "qwen3ft"
_CHAT = rf"{MAGIC}\s+chat\s.*\S"
_QUESTION = re.compile(
    rf"(?P<before>\s*(?:[\w., ]+=\s*)?)(?P<call>%?(?P<magic>{MAGIC})\s+(?P<line>chat\s.*\S)"
    rf"|%(?P<outer>\w+)\s+(?P<inner>.*?%{_CHAT}))\s*",
    re.DOTALL,
)
"""Of ``%time %qwen3ft chat …`` the line of the outer magic: that transforms its line as IPython does a cell."""
_CALL = "get_ipython().run_line_magic({magic!r}, {line!r})"
_RUNNERS = ("run_line_magic", "run_cell_magic", "magic")
"""IPython's functions that stand between the user's code and a magic."""


def keep_questions(lines: list[str]) -> list[str]:
    r"""Return the lines of a cell with each ``%qwen3ft chat`` as the call that it means.

    >>> keep_questions(["%qwen3ft chat a/b What's your name?\n"])
    ['get_ipython().run_line_magic(\'qwen3ft\', "chat a/b What\'s your name?")\n']
    """
    if not lines or lines[0].startswith("%%"):  # the cell is another magic's
        return lines
    return [_kept(line, lines, number) for number, line in enumerate(lines)]


def _kept(line: str, lines: Sequence[str], number: int) -> str:
    match = _QUESTION.fullmatch(line)
    if match is None or not _is_code(lines[: number + 1], match.start("call")):
        return line
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


def fill_in(text: str, variables: Mapping[str, Any]) -> str:
    """Return a part of a line with ``{name}`` and ``$name`` replaced by variables, as IPython does it.

    >>> fill_in("{name}/$size", {"name": "a", "size": "b"}), fill_in("{nobody}", {})
    ('a/b', '{nobody}')
    """
    formatter: Any = DollarFormatter()  # it has no types
    with contextlib.suppress(Exception):  # what stands in the braces is the user's code; IPython leaves such a line
        return str(formatter.vformat(text, (), variables))
    return text


def drops_value(frame: FrameType) -> bool:
    """Say whether code neither keeps nor shows what the call gives for which it waits: then nobody would see it.

    The interpreter's own instructions say so: the call is followed by POP_TOP. That holds wherever a line stands, also
    in the cell that loads the extension, which was read before anything of ours could change it.
    """
    following = (each for each in dis.get_instructions(frame.f_code) if each.offset > frame.f_lasti)
    return next((each.opname == "POP_TOP" for each in following), False)
