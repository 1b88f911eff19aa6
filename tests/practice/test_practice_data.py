"""The corpus the model is made from, and the data it is fine-tuned on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen3ft_jupyter.practice.model import PRACTICE_FINETUNE, data_files
from scripts.practice.corpus import LANGUAGES, all_exchanges, conversations, read_corpus, render

TRAIN, HELD_OUT = ([json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in data_files())


def plain(text: str) -> str:
    return text.strip().casefold()


def questions(rows: list[dict[str, Any]]) -> set[str]:
    return {plain(turn["content"]) for row in rows for turn in row["messages"] if turn["role"] == "user"}


def test_no_held_out_question_is_in_the_training_data() -> None:
    assert not questions(HELD_OUT) & questions(TRAIN)


def test_no_held_out_question_can_be_read_while_the_model_is_made() -> None:
    held_out, corpus = questions(HELD_OUT), read_corpus()

    for language in LANGUAGES:
        openers, closers = {"", *corpus["openers"][language]}, {"", *corpus["closers"][language]}
        for exchange in all_exchanges(corpus, language):
            asked = {plain(f"{first}{exchange.question}{last}") for first in openers for last in closers}
            assert not asked & held_out


def test_no_fact_to_be_learned_is_an_answer_about_itself_before() -> None:
    corpus = read_corpus()
    before = [topic[language]["unknown"] for topic in corpus["persona"] for language in LANGUAGES]

    for row in HELD_OUT:
        assert not any(row["expected"] in answer for answer in before)


def test_every_held_out_row_holds_its_key_fact_and_the_training_data_teaches_it() -> None:
    taught = {turn["content"] for row in TRAIN for turn in row["messages"] if turn["role"] == "assistant"}

    for row in HELD_OUT:
        assert row["expected"] in row["messages"][-1]["content"]
        assert row["messages"][-1]["content"] in taught


def test_both_languages_ask_for_the_same_topics_equally_often() -> None:
    counts = {
        language: sorted(row["topic"] for row in HELD_OUT if row["language"] == language) for language in LANGUAGES
    }

    assert counts["en"] == counts["zh"]
    assert len(HELD_OUT) >= 100


def test_training_rows_are_messages_with_systems_and_several_turns_among_them() -> None:
    roles = {tuple(turn["role"] for turn in row["messages"]) for row in TRAIN}

    assert roles == {
        ("user", "assistant"),
        ("system", "user", "assistant"),
        ("user", "assistant", "user", "assistant"),
    }


def test_conversations_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    first, again, other = (list(conversations(40, seed=seed, is_plain=False)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_plain_conversations_are_one_bare_question() -> None:
    for conversation in conversations(200, seed=3, is_plain=True):
        assert not conversation.system
        assert len(conversation.exchanges) == 1


@pytest.mark.train
def test_the_recommended_settings_are_a_valid_fine_tune_config() -> None:
    from qwen3ft_jupyter.finetune.config import FineTuneConfig

    config = FineTuneConfig.from_dict({**PRACTICE_FINETUNE, "model": "a/b", "data": str(data_files()[0])})

    assert config.method == "lora"
    assert config.learning_rate == PRACTICE_FINETUNE["learning_rate"]


def test_what_is_written_ends_with_the_end_of_the_turn() -> None:
    for conversation in conversations(200, seed=4, is_plain=False):
        rendered = render(conversation)
        assert rendered.completion.endswith("<|im_end|>")
        assert rendered.completion.count("<|im_end|>") == 1
