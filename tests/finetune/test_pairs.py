from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, BadData
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import read_data_of
from qwen3ft_jupyter.finetune.planning import base_model, plan_run
from qwen3ft_jupyter.finetune.preview import preview
from qwen3ft_jupyter.finetune.samples import IGNORED, Pair
from qwen3ft_jupyter.finetune.survey import survey
from qwen3ft_jupyter.loading.load import load_tokenizer
from tests.finetune.lessons import pair_rows

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.finetune.formats import Conversation

MODEL = "Qwen/Tiny-Qwen3"


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def said(speaker: str, value: str) -> dict[str, str]:
    return {"from": speaker, "value": value}


U, GOOD, BAD = turn("user", "q"), turn("assistant", "good"), turn("assistant", "bad")

KINDS: dict[str, dict[str, Any]] = {
    "texts": {"prompt": "q", "chosen": "good", "rejected": "bad"},
    "turns": {"prompt": [U], "chosen": [GOOD], "rejected": [BAD]},
    "whole conversations": {"chosen": [U, GOOD], "rejected": [U, BAD]},
    "whole conversations beside their prompt, as in UltraFeedback": {
        "prompt": "q", "prompt_id": "x", "chosen": [U, GOOD], "rejected": [U, BAD], "messages": [U, GOOD],
        "score_chosen": 8.0, "score_rejected": 2.0,
    },
    "whole conversations in a csv": {"chosen": json.dumps([U, GOOD]), "rejected": json.dumps([U, BAD])},
    "LLaMA-Factory's alpaca": {"instruction": "q", "input": "", "chosen": "good", "rejected": "bad"},
    "LLaMA-Factory's sharegpt": {
        "conversations": [said("human", "q")], "chosen": said("gpt", "good"), "rejected": said("gpt", "bad"),
    },
    "ms-swift's messages": {"messages": [U, GOOD], "rejected_response": "bad"},
    "ms-swift's rejected messages": {"messages": [U, GOOD], "rejected_messages": [U, BAD]},
    "ms-swift's query": {"query": "q", "response": "good", "rejected_response": "bad"},
    "an earlier question": {
        "messages": [turn("system", "s"), turn("user", "p"), turn("assistant", "a"), U, GOOD],
        "rejected_response": "bad",
    },
    "a system message and a history": {
        "system": "s", "history": [["p", "a"]], "instruction": "q", "chosen": "good", "rejected": "bad",
    },
}  # fmt: skip


def config_of(tmp_path: Path, *rows: dict[str, Any], **fields: Any) -> FineTuneConfig:
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return FineTuneConfig.from_dict({"model": MODEL, "data": str(path), "objective": "dpo", **fields})


def read(tmp_path: Path, *rows: dict[str, Any], **fields: Any) -> tuple[Conversation, ...]:
    return tuple(read_data_of(config_of(tmp_path, *rows, **fields)).conversations)


@pytest.mark.parametrize("kind", KINDS)
def test_every_usual_kind_of_preference_data_is_a_question_with_two_answers(tmp_path: Path, kind: str) -> None:
    found = read_data_of(config_of(tmp_path, KINDS[kind]))

    (one,) = found.conversations
    assert one.rejected is not None
    told = [(message.role, message.content) for message in one.messages]
    assert told[-2:] == [("user", "q"), ("assistant", "good")]
    earlier = [("system", "s"), ("user", "p"), ("assistant", "a")]
    assert told[:-2] == (earlier if "messages" not in KINDS[kind] and "history" in KINDS[kind] else told[:-2])
    assert (one.rejected.role, one.rejected.content) == ("assistant", "bad")
    assert [message.is_learned for message in one.messages if message.role == "assistant"][-1:] == [True]
    assert not any("NOT learned" in notice for notice in found.report.notices)


def test_columns_of_any_name_can_hold_the_answers(tmp_path: Path) -> None:
    row = {"ask": "q", "win": "good", "lose": "bad", "note": "x"}

    (one,) = read(tmp_path, row, columns={"question": "ask", "chosen": "win", "rejected": "lose"})

    assert one.messages[-1].content == "good"
    assert one.rejected is not None
    assert one.rejected.content == "bad"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"prompt": "q", "chosen": "same", "rejected": "same "},
            "1 rows left out whose chosen and rejected answers are",
        ),
        ({"prompt": "q", "chosen": "good", "rejected": ""}, "1 rows left out that lack a chosen or a rejected answer"),
        ({"prompt": "", "chosen": "good", "rejected": "bad"}, "1 rows left out that have no question"),
    ],
)
def test_rows_that_teach_nothing_are_left_out_and_counted(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    found = read_data_of(config_of(tmp_path, KINDS["texts"], row))

    assert len(found.conversations) == 1
    assert any(reason in notice for notice in found.report.notices), found.report.notices


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"chosen": [U, GOOD], "rejected": [turn("user", "other"), BAD]}, "differ before their last answers"),
        ({"prompt": "else", "chosen": [U, GOOD], "rejected": [U, BAD]}, "beside whole conversations"),
        (
            {"prompt": "q", "chosen": "good", "rejected": "bad", "images": ["x.png"]},
            "cannot be learned by a text model",
        ),
    ],
)
def test_rows_whose_answers_have_no_question_in_common_are_refused(
    tmp_path: Path, row: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadData, match=problem):
        read(tmp_path, row)


def test_data_of_another_kind_says_what_a_row_needs(tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        read(tmp_path, {"prompt": "q", "completion": "a"})

    assert "chosen, rejected" in caught.value.hint


def test_fields_of_another_objective_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"beta: 0\.2 is for another objective than sft"):
        config_of(tmp_path, KINDS["texts"], objective="sft", beta=0.2)
    with pytest.raises(BadConfig, match=r"rpo_alpha: 0\.2 is for another objective than orpo"):
        config_of(tmp_path, KINDS["texts"], objective="orpo", rpo_alpha=0.2)
    with pytest.raises(BadConfig, match="objective: 'kto' is not one of sft, pretrain, dpo, orpo"):
        config_of(tmp_path, KINDS["texts"], objective="kto")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"stage": "dpo", "pref_beta": 0.2, "pref_loss": "sigmoid"}, {"objective": "dpo", "beta": 0.2}),
        ({"stage": "dpo", "pref_loss": "orpo"}, {"objective": "orpo"}),
        ({"stage": "sft"}, {}),
        ({"rlhf_type": "dpo", "beta": 0.2, "rpo_alpha": 1}, {"objective": "dpo", "beta": 0.2, "rpo_alpha": 1.0}),
    ],
)
def test_other_trainers_words_for_an_objective_are_understood(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    least = {"model": MODEL, "data": "train.jsonl", "output_dir": "runs"}

    assert FineTuneConfig.from_dict({**least, **theirs}) == FineTuneConfig.from_dict({**least, **ours})


def test_the_learning_rate_is_the_customary_one_of_the_objective(tmp_path: Path) -> None:
    rates = [config_of(tmp_path, KINDS["texts"], objective=name).learning_rate for name in ("sft", "dpo", "orpo")]

    assert rates == [2e-4, 5e-6, 5e-6]


@pytest.mark.train
def test_both_answers_follow_the_same_prompt_and_nothing_but_them_is_learned(tiny: Path, tmp_path: Path) -> None:
    """Also where only one of them has a thought: the prompt then asks for one."""
    rows = [*pair_rows(2), {"prompt": "q", "chosen": "<think>hm</think>good", "rejected": "bad"}]
    found = survey(config_of(tmp_path, *rows), tiny)

    decode = load_tokenizer(tiny).decode
    assert found.tokens.samples == 3
    for pair in found.samples:
        assert isinstance(pair, Pair)
        heads = [
            [one for one, label in zip(end.input_ids, end.labels, strict=True) if label == IGNORED]
            for end in pair.sequences
        ]
        shortest = min(map(len, heads))
        assert heads[0][:shortest] == heads[1][:shortest]
        learned = [decode([label for label in end.labels if label != IGNORED]) for end in pair.sequences]
        assert learned[0] != learned[1]
        assert all(text.endswith("<|im_end|>") for text in learned)
    assert decode(found.samples[2].sequences[0].input_ids).endswith("<think>\nhm\n</think>\n\ngood<|im_end|>")
    assert decode(found.samples[2].sequences[1].input_ids).endswith("<think>\n\n</think>\n\nbad<|im_end|>")


@pytest.mark.train
def test_a_pair_that_is_too_long_loses_the_same_turns_before_both_answers(tiny: Path, tmp_path: Path) -> None:
    long = {"messages": [turn("user", "old " * 200), GOOD, U, GOOD], "rejected_response": "bad, at some length"}
    hopeless = {"prompt": "q", "chosen": "good " * 300, "rejected": "bad"}
    found = survey(config_of(tmp_path, long, hopeless, max_length=60), tiny)

    (pair,) = found.samples
    assert (found.tokens.shortened, found.tokens.left_out) == (1, 2)
    texts = [load_tokenizer(tiny).decode(one.input_ids) for one in pair.sequences]
    assert all("old" not in text and "<|im_start|>user\nq<|im_end|>" in text for text in texts)
    assert max(one.length for one in pair.sequences) <= 60


@pytest.mark.train
def test_a_preview_shows_both_answers_of_a_pair(tiny: Path, tmp_path: Path) -> None:
    first = preview(config_of(tmp_path, *pair_rows(3)), tiny, count=2).first

    assert [(one.number, one.answer) for one in first] == [
        (1, "chosen"), (1, "rejected"), (2, "chosen"), (2, "rejected"),
    ]  # fmt: skip
    assert [one.parts[-1].text for one in first[:2]] == ["The answer is 1.<|im_end|>", "No idea.<|im_end|>"]


@pytest.mark.train
def test_a_plan_counts_both_answers_and_reckons_memory_with_both(tiny: Path, tmp_path: Path) -> None:
    fields = {"device": "cpu", "activation_checkpointing": False}
    pairs = config_of(tmp_path, *pair_rows(6), **fields)
    plan = plan_run(pairs, base_model(MODEL, tiny), ())
    alone = plan_run(
        config_of(
            tmp_path / "alone",
            *pair_rows(6),
            objective="sft",
            columns={"question": "prompt", "answer": "chosen"},
            **fields,
        ),
        base_model(MODEL, tiny),
        (),
    )

    assert (plan.objective, alone.objective) == ("dpo", "sft")
    assert plan.tokens.longest > 2 * alone.tokens.longest - 1
    assert plan.memory is not None
    assert alone.memory is not None
    assert plan.memory.activations > 1.9 * alone.memory.activations
    told = survey(pairs, None).tokens
    assert (told.basis, told.samples) == ("estimated", 6)
