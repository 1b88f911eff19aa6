"""The data as the model will see it, and what a plan counts of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import BadData, BadInput, DoesNotFit, NoSpace
from qwen3ft_jupyter.finetune import planning
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.planning import Base, base_model, check_least, plan_run
from qwen3ft_jupyter.finetune.preview import histogram, preview
from qwen3ft_jupyter.finetune.results import read_record, read_run
from qwen3ft_jupyter.finetune.survey import survey
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.load import load_tokenizer
from qwen3ft_jupyter.loading.machine import Machine

pytestmark = pytest.mark.train
NAME = "Qwen/Tiny-Qwen3"


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def asked(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, **more}


def config_of(data: str, **fields: Any) -> FineTuneConfig:
    return FineTuneConfig.from_dict({"model": NAME, "data": data, "device": "cpu", **fields})


def test_what_is_learned_is_the_answer_and_its_end(tiny: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "a.jsonl", [asked("What is one?", "It is 1. 你好")])

    (sample,) = preview(config_of(data), tiny).first

    assert [part.text for part in sample.parts if part.is_learned] == ["It is 1. 你好<|im_end|>"]
    assert "".join(part.text for part in sample.parts).startswith("<|im_start|>user\nWhat is one?<|im_end|>\n")
    assert sum(part.tokens for part in sample.parts) == len(sample.tokens)


def test_the_tokens_are_those_that_training_gets(tiny: Path, config: FineTuneConfig) -> None:
    found, counted = preview(config, tiny, count=99), survey(config, tiny)

    shown = [[(token.id, token.is_learned) for token in sample.tokens] for sample in found.first]
    trained = [
        [(token, label == token) for token, label in zip(one.input_ids, one.labels, strict=True)]
        for sample in counted.samples
        for one in sample.sequences
    ]
    assert shown == trained


def test_characters_of_several_tokens_are_shown_whole(tiny: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "a.jsonl", [asked("𝔘𝔫𝔦 😀?", "😀 龘")])

    (sample,) = preview(config_of(data), tiny).first

    text = "".join(token.text for token in sample.tokens)
    assert text == load_tokenizer(tiny).decode([token.id for token in sample.tokens])
    assert "\ufffd" not in text


def test_what_is_odd_in_the_data_is_counted(tiny: Path, tmp_path: Path) -> None:
    rows = [
        asked("What is one?", "It is 1."),
        asked("What is one?", "It is 1."),
        asked("What is two?", "It is 2.", reasoning="one and one"),
        asked("What is three?", ""),
        asked("What is four?" + " and one" * 300, "It is 4."),
        asked("What is five?", "It is 5." + " yes" * 300),
    ]

    found = preview(config_of(write(tmp_path / "a.jsonl", rows), max_length=128), tiny)

    assert (found.rows, found.conversations, found.empty, found.duplicates) == (6, 5, 1, 1)
    assert (found.shortened, found.left_out, found.samples) == (1, 1, 4)
    assert found.thinking == 0.2
    assert any("answer is empty" in notice for notice in found.notices)
    assert any("do not fit max_length" in notice for notice in found.notices)
    assert sum(one.count for one in found.lengths) == 4
    assert found.lengths[-1].low <= found.longest <= found.lengths[-1].high
    assert found.tokens > found.trained_tokens > 0


def test_a_histogram_has_every_length_once() -> None:
    lengths = [3, 3, 9, 250, 251, 1000]
    bins = histogram(lengths)

    assert len(bins) <= 12
    assert [sum(one.low <= length <= one.high for one in bins) for length in lengths] == [1] * 6
    assert sum(one.count for one in bins) == 6
    assert histogram([7]) != ()
    assert histogram([]) == ()


def test_of_much_data_a_part_is_counted_and_that_is_said(tiny: Path, config: FineTuneConfig) -> None:
    whole, part = survey(config, tiny), survey(config, tiny, most=12)

    assert (whole.tokens.basis, part.tokens.basis) == ("counted", "sampled")
    assert part.tokens.samples == whole.tokens.samples == 24
    assert part.tokens.tokens == pytest.approx(whole.tokens.tokens, rel=0.2)
    assert "Counted 12 of 24 conversations" in part.notices[0]


def test_without_the_model_tokens_are_estimated_and_that_is_said(config: FineTuneConfig) -> None:
    plan = plan_run(config.model_copy(update={"model": "Qwen/Qwen3-0.6B"}), base_model("Qwen/Qwen3-0.6B", None), ())

    assert (plan.tokens.basis, plan.is_cached) == ("estimated", False)
    assert (plan.download_bytes or 0) > 10**9
    assert any("only estimated" in notice for notice in plan.notices)
    assert plan.memory is not None


def test_the_data_and_what_is_left_out_of_it_are_in_the_plan(tiny: Path, tmp_path: Path) -> None:
    rows = [asked("a?", "b") for _ in range(8)] + [asked("c?", "")]

    plan = plan_run(config_of(write(tmp_path / "a.jsonl", rows), eval_fraction=0.25), base_model(NAME, tiny), ())

    assert (plan.data.rows, plan.data.conversations, plan.data.held_out, plan.data.empty) == (9, 6, 2, 1)
    assert any("answer is empty" in notice for notice in plan.data.notices)


def test_wrong_rows_are_named_before_anything_starts(tiny: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "a.jsonl", [{"messages": [{"role": "robot", "content": "x"}]}])

    with pytest.raises(BadData, match=r"a\.jsonl row 1"):
        plan_run(config_of(data), base_model(NAME, tiny), ())


def test_a_run_does_what_was_planned_and_says_so(tiny: Path, config: FineTuneConfig) -> None:
    whole = config.model_copy(update={"max_steps": None, "epochs": 2.0})
    ahead = plan_run(whole, base_model(NAME, tiny), ())

    outcome = train(whole, model_folder=tiny)

    record = read_record(whole_path := Path(whole.output_dir))
    assert record is not None
    assert record.plan["steps"]["total"] == ahead.steps.total == outcome.steps == 12
    assert outcome.planned == {**ahead.summary, "memory_bytes": record.plan["memory"]["total"]}
    assert outcome.tokens == ahead.steps.tokens
    assert outcome.peak_bytes is None or outcome.peak_bytes > 10**7
    assert f"| steps 12, 12; tokens {outcome.tokens:,}, {outcome.tokens:,}" in (whole_path / "README.md").read_text()
    assert read_run(whole_path).result["planned"]["steps"] == 12

    again = plan_run(
        whole.model_copy(update={"output_dir": f"{whole.output_dir}-b"}), base_model(NAME, tiny), [whole_path]
    )
    assert again.tokens_per_s == pytest.approx(outcome.tokens / outcome.seconds)
    assert again.seconds == pytest.approx(outcome.seconds)
    other = whole.model_copy(update={"method": "full", "output_dir": f"{whole.output_dir}-c"})
    assert plan_run(other, base_model(NAME, tiny), [whole_path]).seconds is None  # it was another method


def test_a_run_that_cannot_fit_ends_before_its_model_is_loaded(
    tiny: Path, config: FineTuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "machine_without_torch", lambda: Machine(10_000, 10**9))

    with pytest.raises(DoesNotFit, match="needs at least"):
        train(config, model_folder=tiny)

    assert not Path(config.output_dir).exists()


def test_the_whole_plan_is_asked_only_for_a_run_whose_weights_do_not_fit(
    tiny: Path, config: FineTuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_model(NAME, tiny)
    asked_for: list[str] = []

    def plan() -> Any:
        asked_for.append("plan")
        return plan_run(config, base, ())

    check_least(config, base, plan)
    check_least(config, Base(None, None), plan)
    assert asked_for == []
    monkeypatch.setattr(planning, "machine_without_torch", lambda: Machine(10_000, 10**9))
    with pytest.raises(DoesNotFit):
        check_least(config, base, plan)
    assert asked_for == ["plan"]


def test_a_disk_without_room_for_the_result_is_told_before_anything_starts(
    tiny: Path, config: FineTuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(LOCAL), "free_bytes", lambda _self, _folder: 1000)
    base = base_model(NAME, tiny)

    with pytest.raises(NoSpace, match=r"1\.0 kB are free"):
        check_least(config, base, lambda: plan_run(config, base, ()))
    with pytest.raises(NoSpace):
        train(config, model_folder=tiny)
    assert not Path(config.output_dir).exists()


def test_checkpoints_that_are_there_already_are_no_reason_to_refuse_a_run_that_goes_on(
    tiny: Path, config: FineTuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(LOCAL), "free_bytes", lambda _self, _folder: 1000)
    (Path(config.output_dir) / "checkpoints").mkdir(parents=True)

    plan = plan_run(config, base_model(NAME, tiny), ())

    assert plan.disk is not None
    assert (plan.disk.free, plan.has_room) == (None, True)


def test_rows_that_are_left_out_are_named_with_the_reason(tiny: Path, tmp_path: Path) -> None:
    rows = [asked("one?", "1"), asked("two?", ""), asked("", "3"), {"question": 4, "answer": ["x"]}]

    found = preview(config_of(write(tmp_path / "a.jsonl", rows), skip_bad_rows=True), tiny)

    assert (found.empty, found.bad, found.conversations) == (2, 1, 1)
    assert [str(each) for each in found.rows_left_out[:2]] == [
        "a.jsonl row 2: its answer is empty",
        "a.jsonl row 3: it has no question",
    ]
    assert found.rows_left_out[2].startswith("a.jsonl row 4: answer")


def test_a_rough_plan_counts_and_tries_nothing(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "try_run", None)
    config = config_of(write(tmp_path / "a.jsonl", [asked("one?", "1")]))

    plan = plan_run(config, base_model(NAME, tiny), (), is_rough=True)

    assert (plan.tokens.basis, plan.is_cached, plan.notices) == ("estimated", True, ())
    assert plan.memory is not None


def test_a_count_below_nothing_is_refused(tiny: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "a.jsonl", [asked("q", "a")])

    with pytest.raises(BadInput, match="count: -3 is no whole number from 0 on"):
        preview(config_of(data), tiny, count=-3)
