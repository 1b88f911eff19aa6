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
@pytest.mark.parametrize(
    "before",
    [
        "",
        "x = ",
        "a = 1\n",
        "if True:\n    ",
        "answer, = ",
        'said["a = b"] = ',
        "x: str = ",
        "x = y = ",
        "here.x=",
        "x += ",
    ],
)
def test_a_question_stays_as_it_is_typed(line: str, before: str) -> None:
    assert ("qwen3ft", line) in calls(f"{before}%qwen3ft {line}\n")
    assert ("qwen3ft", line) in calls(f"{before}%qwen3ft {line}\nprint(1)\n")


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85"])
def test_only_what_ends_a_line_for_python_ends_a_question(end: str) -> None:
    """A text from a page may hold what IPython takes for the end of a line: what follows is no code."""
    assert calls(f"%qwen3ft chat a/b first{end}print(1)?\n%qwen3ft chat a/b {end} next\n") == [
        ("qwen3ft", f"chat a/b first{end}print(1)?"),
        ("qwen3ft", f"chat a/b {end} next"),
    ]


def test_a_question_goes_on_after_a_backslash_that_stands_alone() -> None:
    assert calls("%qwen3ft chat a/b one \\\n    two? \\\nthree\nf.x('four')\n") == [
        ("qwen3ft", "chat a/b one two? three"),
        ("four",),
    ]
    assert calls("%qwen3ft chat a/b C:\\new\\\nf.x('two')\n") == [("qwen3ft", "chat a/b C:\\new\\"), ("two",)]


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
        "x = 'y = %qwen3ft chat a who?'\n",
        "# x = %qwen3ft chat a who?\n",
        "1 + \\\n2\n",
        "x = 'a\u2028b'\n",
    ],
)
def test_what_is_text_stays_text(cell: str) -> None:
    lines = cell.splitlines(keepends=True)

    assert keep_questions(lines) == lines


def test_help_on_the_magic_is_still_help() -> None:
    lines = ["%qwen3ft?\n", "%qwen3ft status\n"]

    assert keep_questions(lines) == lines


@pytest.mark.parametrize(
    "line", ["%qwen3ft pin?", "%qwen3ft pin Qwen/Qwen3-4B ??", "x = %qwen3ft pin ?", "%qwen3ft help pin?"]
)
def test_a_mark_after_a_verb_asks_for_help_on_it(shell: Any, line: str) -> None:
    shell.run_cell(LOAD)

    done = shell.run_cell(f"{line}\n{'x' if '=' in line else ''}")

    done.raise_error()
    assert verb_in(str(done.result)) == "pin"


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
        ("%qwen3ft help pin;", [], None),
        ("%qwen3ft help pin ;\nx = 1", [], None),
        ("%qwen3ft help pin\n%qwen3ft help load;", ["pin"], None),
        ("x = %qwen3ft help pin;\nx", [], "pin"),
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


@pytest.mark.parametrize("in_history", [True, False])  # of a file that is run IPython keeps none
def test_a_cell_that_was_read_too_early_to_ask_says_so(
    shell: Any, capsys: pytest.CaptureFixture[str], *, in_history: bool
) -> None:
    cell = "%load_ext qwen3ft_jupyter\n%qwen3ft chat a/b who are you?"

    shell.run_cell(cell, store_history=in_history)

    assert "Run the cell again to ask it." in capsys.readouterr().err
    assert keep_questions in shell.input_transformers_cleanup


def test_an_interrupt_is_said_in_a_line_without_our_code(
    shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(StandInManager):
        def model_rows(self) -> list[Any]:
            raise KeyboardInterrupt

    shell.run_cell(LOAD)
    shell.register_magics(Qwen3FTMagics(shell, lambda **_: Interrupted(tmp_path).real))

    done = shell.run_cell("%qwen3ft models")

    assert isinstance(done.error_in_exec, KeyboardInterrupt)
    assert capsys.readouterr().out.strip() == "Interrupted."
