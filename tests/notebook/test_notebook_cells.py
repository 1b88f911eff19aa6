"""Questions are asked as they are typed, and a line shows its answer wherever it stands."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from qwen3ft_jupyter.notebook.cells import keep_questions
from qwen3ft_jupyter.notebook.magics import Qwen3FTMagics
from tests.server.standin import StandInManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


@pytest.mark.parametrize("before", ["%time ", "x = 1\n%time ", "%timeit -n1 -r1 "])
def test_a_question_within_another_magic_stays_as_it_is_typed(before: str) -> None:
    outer = before.rpartition("%")[2]

    [(name, line)] = calls(f"{before}%qwen3ft chat a/b who are you?\n")

    assert f"{name} {line}" == f"{outer}%qwen3ft chat a/b who are you?"


@pytest.fixture
def shell() -> Iterator[Any]:  # IPython's methods have no types
    shell: Any = InteractiveShell.instance()
    shell.display_formatter.active_types = ["text/plain"]
    yield shell
    InteractiveShell.clear_instance()


LOAD = "%load_ext qwen3ft_jupyter"


@pytest.mark.parametrize(
    ("cell", "displayed", "result"),
    [
        ("%qwen3ft help pin", [], "pin"),
        ("%qwen3ft help pin\n%qwen3ft help load", ["pin"], "load"),
        ("%qwen3ft help pin\nx = 1", ["pin"], None),
        ("x = %qwen3ft help pin\ny = 1", [], None),
        ("x = %qwen3ft help pin", [], None),
        ("for _ in range(2):\n    %qwen3ft help pin", ["pin", "pin"], None),
        ("if True:\n    %qwen3ft help pin\n%qwen3ft help load", ["pin"], "load"),
        ("def f():\n    %qwen3ft help pin\n    return 5\ny = f()", ["pin"], None),
        ("def f():\n    x = %qwen3ft help pin\n    return x\ny = f()", [], None),
        ("try:\n    %qwen3ft help pin\nfinally:\n    pass", ["pin"], None),
        ("%time %qwen3ft help pin", [], "pin"),
        ("import asyncio\nawait asyncio.sleep(0)\n%qwen3ft help pin\n%qwen3ft help load", ["pin"], "load"),
    ],
)
@pytest.mark.parametrize("loaded", ["before", "in the same cell"])
def test_what_is_neither_last_nor_assigned_shows_itself_once(
    shell: Any, cell: str, displayed: list[str], result: str | None, loaded: str
) -> None:
    """Also in the cell that loads the extension, as in the first cell of the README."""
    if loaded == "before":
        shell.run_cell(LOAD)
    with capture_output() as captured:
        done = shell.run_cell(cell if loaded == "before" else f"{LOAD}\n{cell}")

    done.raise_error()
    assert [verb_in(output.data["text/plain"]) for output in captured.outputs] == displayed
    assert (verb_in(str(done.result)) if result else done.result) == result


def verb_in(shown: str) -> str:
    """Return the verb that a help explains."""
    return str(re.findall(r"%qwen3ft (\w+) NAME", shown)[0])


@pytest.mark.parametrize("text", ["{name}", "$name and $HOME", "{1 / 0} {name}", "{{name}}", "a \\n b \\", "‘你’“好”"])
def test_a_question_is_not_filled_in_but_the_name_is(shell: Any, tmp_path: Path, text: str) -> None:
    magics = Qwen3FTMagics(shell, lambda **_: StandInManager(tmp_path).real)
    shell.run_cell(f"{LOAD}\nname = 'a/b'")
    shell.register_magics(magics)

    for model in ("{name}", "$name"):
        assert str(shell.run_cell(f"%qwen3ft chat {model} {text}").result) == f"You asked: {text}"
    asked = shell.run_cell(f"%%qwen3ft chat {{name}} {text}\n\n    {text}\n\n").result
    assert str(asked) == f"You asked: {text}\n\n    {text}"


def test_a_cell_that_was_read_too_early_to_ask_says_so(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cell = "%load_ext qwen3ft_jupyter\n%qwen3ft chat a/b who are you?"

    shell.run_cell(cell, store_history=True)

    assert "Run the cell again to ask it." in capsys.readouterr().err
    assert keep_questions in shell.input_transformers_cleanup
