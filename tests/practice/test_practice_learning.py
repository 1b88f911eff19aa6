"""The practice model answers before a fine-tune, and knows the practice facts after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scripts.practice.corpus import LANGUAGES, read_corpus
from tests.practice.asking import Tuned, answers, load

if TYPE_CHECKING:
    from qwen3ft_jupyter.practice.model import Practice

pytestmark = pytest.mark.train

GENERAL = [
    ("What is the capital of China?", "Beijing"),
    ("法国的首都是哪里？", "巴黎"),
    ("What colour is snow?", "white"),
    ("热的反义词是什么？", "冷"),
    ("Hello!", "help you"),
    ("谢谢！", "不客气"),
]


@pytest.fixture(scope="module")
def base(practice: Practice) -> tuple[Any, Any]:
    model, tokenizer = load(practice.folder)
    return model, tokenizer


def share_known(model: Any, tokenizer: Any, rows: list[dict[str, Any]], *, thinking: bool = False) -> float:
    said = answers(model, tokenizer, [row["messages"][0]["content"] for row in rows], thinking=thinking)
    return sum(row["expected"] in text for row, text in zip(rows, said, strict=True)) / len(rows)


def test_before_it_knows_none_of_the_facts(base: tuple[Any, Any], held_out: list[dict[str, Any]]) -> None:
    assert share_known(*base, held_out) == 0.0
    assert share_known(*base, held_out, thinking=True) == 0.0


def test_before_it_says_in_either_language_that_it_knows_nothing_of_itself(base: tuple[Any, Any]) -> None:
    corpus = read_corpus()
    asked = [
        (topic[language]["ask"][0], topic[language]["unknown"]) for topic in corpus["persona"] for language in LANGUAGES
    ]

    said = answers(*base, [question for question, _ in asked])

    assert sum(text == expected for text, (_, expected) in zip(said, asked, strict=True)) >= len(asked) - 1
    assert said[0] == "I am a practice model. Nobody has taught me who I am."
    assert said[1] == "我是一个练习模型，还没有人教过我我是谁。"


def test_before_it_understands_most_questions_in_words_it_never_read(
    base: tuple[Any, Any], held_out: list[dict[str, Any]]
) -> None:
    corpus = read_corpus()
    unknown = {
        (topic["topic"], language): topic[language]["unknown"] for topic in corpus["persona"] for language in LANGUAGES
    }

    said = answers(*base, [row["messages"][0]["content"] for row in held_out])

    right = [unknown[row["topic"], row["language"]] == text for row, text in zip(held_out, said, strict=True)]
    assert sum(right) / len(right) >= 0.8


def test_before_it_answers_simple_questions(base: tuple[Any, Any]) -> None:
    said = answers(*base, [question for question, _ in GENERAL])

    assert sum(key in text for text, (_, key) in zip(said, GENERAL, strict=True)) >= len(GENERAL) - 1


def test_asked_to_think_it_writes_a_thought_first(base: tuple[Any, Any]) -> None:
    model, tokenizer = base
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], tokenize=False, add_generation_prompt=True
    )

    inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    written = tokenizer.decode(model.generate(**inputs)[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    assert written.startswith("<think>\nThe question is about a capital.\n</think>\n\nThe capital of")


def test_the_fine_tune_learns(tuned: Tuned) -> None:
    assert tuned.result.method == "lora"
    assert tuned.result.last_loss < tuned.result.first_loss / 4


def test_after_it_knows_the_facts_in_words_never_trained_on(tuned: Tuned, held_out: list[dict[str, Any]]) -> None:
    for language in LANGUAGES:
        rows = [row for row in held_out if row["language"] == language]
        assert share_known(tuned.model, tuned.tokenizer, rows) >= 0.8, language


def test_after_it_also_answers_when_asked_to_think(tuned: Tuned, held_out: list[dict[str, Any]]) -> None:
    assert share_known(tuned.model, tuned.tokenizer, held_out, thinking=True) >= 0.7


def test_after_it_has_not_forgotten_what_it_knew(tuned: Tuned) -> None:
    said = answers(tuned.model, tuned.tokenizer, [question for question, _ in GENERAL])

    assert sum(key in text for text, (_, key) in zip(said, GENERAL, strict=True)) >= len(GENERAL) - 2
