from __future__ import annotations

import ast
import string
from pathlib import Path
from typing import get_args

import pytest
import yaml

import qwen3ft_jupyter
from qwen3ft_jupyter import server
from qwen3ft_jupyter.faces.views import ACTIONS, OWNERS
from qwen3ft_jupyter.jobs.state import JobState
from qwen3ft_jupyter.words import CHINESE, language, tr

ROOMS = ("cli", "faces", "notebook")
"""Those that speak to people."""
OPENAPI = Path(server.__file__).parent / "openapi.yaml"
PHASES = yaml.safe_load(OPENAPI.read_text("utf-8"))["components"]["schemas"]["Progress"]["properties"]["phase"]["enum"]


def texts_in_the_code() -> set[str]:
    """Return every literal that is given to `tr`."""
    texts = set()
    package = Path(qwen3ft_jupyter.__file__).parent
    for path in [*package.glob("*.py"), *(path for room in ROOMS for path in (package / room).glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                for argument in node.args[:1]:
                    texts |= {part.value for part in ast.walk(argument) if isinstance(part, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and text}


def test_every_text_is_translated() -> None:
    texts = texts_in_the_code()

    assert len(texts) > 40
    assert texts - set(CHINESE) - {"role", "state"} == set()


@pytest.mark.parametrize(
    "word",
    [
        *get_args(JobState),
        *PHASES,
        *("files", "rows", "steps"),
        *ACTIONS.values(),
        *OWNERS.values(),
        *("missing", "wrong", "not of the model", "repaired"),
    ],
)
def test_every_word_that_a_name_stands_for_is_translated(word: str) -> None:
    assert word in CHINESE


def test_every_translation_fills_in_the_same_values() -> None:
    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for english, chinese in CHINESE.items():
        assert names(english) == names(chinese), english
        assert chinese


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh-Hans"}, "zh"),
        ({"LANG": "de_DE"}, "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN"}, "zh"),
        ({"QWEN3FT_LANG": "zh", "LC_ALL": "C"}, "zh"),
    ],
)
def test_the_usual_variables_choose_the_language(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == expected


def test_a_text_without_translation_stays_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh")

    assert tr("no such text {x}", x=1) == "no such text 1"
    assert tr("{time} left", time="3 s") == "剩余 3 s"
