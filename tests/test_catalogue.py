from __future__ import annotations

import ast
from pathlib import Path

import polib
import pytest
import yaml

from qwen3ft_jupyter import server
from qwen3ft_jupyter.faces.job_views import FINDINGS
from qwen3ft_jupyter.faces.views import ACTIONS, OWNERS
from qwen3ft_jupyter.jobs.state import STATE_WORDS, STATES
from qwen3ft_jupyter.messages import translate
from qwen3ft_jupyter.work import PHASES, UNITS
from scripts import catalogue

SAME = {"ModelScope", "Hugging Face"}
"""Names that are written alike in both languages."""
PROGRESS = yaml.safe_load((Path(server.__file__).parent / "openapi.yaml").read_text("utf-8"))["components"]["schemas"][
    "Progress"
]["properties"]


def test_every_text_is_translated_used_and_compiled() -> None:
    """What Python and TypeScript say, alike; with the same places for values."""
    assert list(catalogue.find_faults()) == []


def test_texts_of_both_halves_are_found() -> None:
    assert len(set(catalogue.python_texts())) > 400
    assert len(set(catalogue.front_texts())) > 100


def test_no_text_is_glued_together() -> None:
    """An f-string or a sum is no key of a catalogue."""
    glued = [
        f"{path.name}:{argument.lineno}"
        for path, argument in catalogue.said_in_python()
        if isinstance(argument, (ast.JoinedStr, ast.BinOp))
    ]

    assert glued == []


@pytest.mark.parametrize(
    "word",
    [
        *STATE_WORDS.values(),
        *(phase.word for phase in PHASES.values()),
        *filter(None, UNITS.values()),
        *ACTIONS.values(),
        *OWNERS.values(),
        *FINDINGS.values(),
    ],
)
def test_every_word_that_a_name_stands_for_is_translated(word: str) -> None:
    assert translate(word, "zh") != word or word in SAME


def test_every_name_has_a_word() -> None:
    assert set(STATE_WORDS) == {*STATES, "paused"}
    assert set(PROGRESS["phase"]["enum"]) == set(PHASES)
    assert set(PROGRESS["unit"]["enum"]) == set(UNITS)


def test_a_text_whose_places_were_renamed_keeps_its_translation() -> None:
    old = polib.POEntry(msgid="{a} of {b:,}: %d %", msgstr="{b:,} 中的 {a}: %d %")

    assert catalogue.in_order(old.msgid)[0] == catalogue.in_order("{done} of {total:,}: %d %")[0]
    assert catalogue.with_places_of("{done} of {total:,}: %d %", old) == "{total:,} 中的 {done}: %d %"
