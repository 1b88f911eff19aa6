"""What happens to the text of a cell before it runs: questions stay as they are typed, and every line shows.

IPython takes ``%qwen3ft chat NAME who are you?`` for a request for help on `you`, and shows what a line magic returns
only if it is the cell's last line.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import make_tokens_by_line

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = "qwen3ft"
_QUESTION = re.compile(rf"(?P<before>\s*(?:[\w., ]+=\s*)?)(?P<call>%?{MAGIC}\s+(?P<line>chat\s.*\S))\s*", re.DOTALL)
_CALL = "get_ipython().run_line_magic({magic!r}, {line!r})"


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
    return match["before"] + _CALL.format(magic=MAGIC, line=match["line"]) + "\n"


def _is_code(lines: Sequence[str], column: int) -> bool:
    """Say whether a token begins at this column of the last line: it may be within a text of several lines."""
    before = [*lines[:-1], lines[-1][:column] + MAGIC + "\n"]  # what is typed after it need not be tokens at all
    starts = {token.start for tokens in make_tokens_by_line(before) for token in tokens}
    return (len(lines), column) in starts


class ShowEveryLine(ast.NodeTransformer):
    """Has a line magic of ours show what it returns, unless that is assigned, or shown as the cell's last value."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Leave the last statement as it is: IPython shows that."""
        *others, last = node.body or [ast.Pass()]
        is_value = isinstance(last, ast.Expr)
        changed = [self.visit(statement) for statement in others]
        node.body = [*changed, last if is_value else self.visit(last)] if node.body else []
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        """Show the value of a call of the magic."""
        if _is_our_call(node.value):
            show = ast.parse("__import__('IPython.display').display.display", mode="eval").body
            call = ast.Call(func=show, args=[node.value], keywords=[])
            node.value = ast.fix_missing_locations(ast.copy_location(call, node.value))
        return node


def _is_our_call(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "run_line_magic"
        and bool(value.args)
        and isinstance(value.args[0], ast.Constant)
        and value.args[0].value == MAGIC
    )
