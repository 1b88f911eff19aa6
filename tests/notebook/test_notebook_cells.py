"""Questions are asked as they are typed, and a line shows its answer wherever it stands."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from qwen3ft_jupyter.notebook.cells import ShowEveryLine, keep_questions


def calls(cell: str) -> list[tuple[Any, ...]]:
    """Return what the code of a cell hands to magics, after all that IPython makes of it."""
    make: Any = TransformerManager  # it has no types
    manager = make()
    manager.cleanup_transforms.append(keep_questions)
    tree = ast.parse(manager.transform_cell(cell))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [tuple(argument.value for argument in call.args if isinstance(argument, ast.Constant)) for call in found]


@pytest.mark.parametrize(
    "line",
    [
        "chat a/b who are you?",
        "chat a/b really??",
        "chat a/b What's your name",
        "chat a/b What's your name?",
        'chat a/b say "hi',
        "chat a/b 你是谁？",
        "chat a/b (unclosed [brackets {",
        "chat a/b # is a hash?",
    ],
)
@pytest.mark.parametrize("before", ["", "x = ", "a = 1\n", "if True:\n    ", "answer, = "])
def test_a_question_stays_as_it_is_typed(line: str, before: str) -> None:
    assert ("qwen3ft", line) in calls(f"{before}%qwen3ft {line}\n")
    assert ("qwen3ft", line) in calls(f"{before}%qwen3ft {line}\nprint(1)\n")


def test_every_question_of_a_cell_is_asked() -> None:
    cell = "%qwen3ft chat a What's this?\n%qwen3ft status\n%qwen3ft chat a and that?\n"

    assert calls(cell) == [
        ("qwen3ft", "chat a What's this?"),
        ("qwen3ft", "status"),
        ("qwen3ft", "chat a and that?"),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        '"""\n%qwen3ft chat a who?\n"""\n',
        "%%writefile x.txt\n%qwen3ft chat a who?\n",
        "print('%qwen3ft chat a who?')\n",
    ],
)
def test_what_is_text_stays_text(cell: str) -> None:
    lines = cell.splitlines(keepends=True)

    assert keep_questions(lines) == lines


def test_help_on_the_magic_is_still_help() -> None:
    lines = ["%qwen3ft?\n", "%qwen3ft status\n"]

    assert keep_questions(lines) == lines


def shown(code: str) -> list[str]:
    """Return the lines that show themselves, by what the magic is given."""
    tree = ShowEveryLine().visit(ast.parse(code))
    compile(tree, "cell", "exec")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [str(ast.unparse(call.args[0])) for call in calls if ast.unparse(call.func).endswith(".display.display")]


CALL = "get_ipython().run_line_magic('qwen3ft', {!r})"
STATUS, LIST = CALL.format("status"), CALL.format("list")


@pytest.mark.parametrize(
    ("code", "displayed"),
    [
        (STATUS, []),
        (f"{STATUS}\n{LIST}", [STATUS]),
        (f"{STATUS}\nx = 1", [STATUS]),
        (f"x = {STATUS}\ny = 1", []),
        (f"for _ in range(2):\n    {STATUS}", [STATUS]),
        (f"if x:\n    {STATUS}\n{LIST}", [STATUS]),
        ("get_ipython().run_line_magic('env', 'A=1')\n1", []),
        ("", []),
    ],
)
def test_what_is_neither_last_nor_assigned_shows_itself(code: str, displayed: list[str]) -> None:
    assert shown(code) == displayed
