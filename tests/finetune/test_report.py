"""The report card of a run, with a real model and real rows."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.report.card import Asked, Loss, ReportCard, markdown, perplexity
from qwen3ft_jupyter.finetune.report.reporting import everyday_prompts
from qwen3ft_jupyter.finetune.report.scores import Scores, chrf, exact_match, rouge_l
from qwen3ft_jupyter.finetune.results import read_run
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Progress, Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

P, R = (1 + 2 / 3 + 1 / 2 + 0) / 4, (4 / 5 + 2 / 4 + 1 / 3 + 0) / 4
HOSTILE = "<img src=x>|`x`\nend"


class Ear(Reporter):
    def __init__(self, stop_at: int | None = None) -> None:
        self.phases: list[Progress] = []
        self.notices: list[str] = []
        self.stop, self.stop_at = threading.Event(), stop_at

    def progress(self, progress: Progress) -> None:
        self.phases.append(progress)

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def metrics(self, values: Mapping[str, float]) -> None:
        if values["step"] == self.stop_at:
            self.stop.set()


def reported(fields: dict[str, Any], **more: Any) -> FineTuneConfig:
    """A run that learns its rows by heart: it measures, asks a prompt of its own, and has a few words to say."""
    values = {**fields, "report": True, "method": "full", "eval_fraction": 0.25, "max_steps": 16, "prompts": ["Hi?"]}
    return FineTuneConfig.from_dict({**values, "schedule": "constant", "eval_steps": 100, **more})


def card_in(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return card


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every question asked, however slow the machine is."""
    for name in ("BUDGET_S", "WATCHING_S"):
        monkeypatch.setattr(f"qwen3ft_jupyter.finetune.report.reporting.{name}", 1e6)


@pytest.mark.train
@pytest.mark.usefixtures("unhurried")
def test_a_run_is_asked_and_measured_before_while_and_after_it_learns(tiny: Path, fields: dict[str, Any]) -> None:
    config, ear = reported(fields), Ear()

    result = train(config, model_folder=tiny, work=Work(ear))

    out = Path(config.output_dir)
    card = card_in(out)
    before, after = card["held_out"]["before"], card["held_out"]["after"]
    assert after["loss"] == result.eval_loss < before["loss"]
    assert after["perplexity"] == pytest.approx(math.exp(after["loss"]))
    first = {"step": 0, "eval_loss": before["loss"], "epoch": 0, "seconds": 0}
    assert read_metrics(out / "metrics.jsonl")[0] == first
    assert (card["rows_from"], card["rows"]) == ("held_out", 6)
    assert [one["kind"] for one in card["asked"]] == ["prompt"] + ["row"] * 6 + ["everyday"] * len(everyday_prompts())
    assert all(isinstance(one[when], str) for one in card["asked"] for when in ("before", "after"))
    assert {tuple(one["during"]) for one in card["asked"][:4]} == {("4", "8", "12")}
    assert not any(one["during"] for one in card["asked"][4:])
    rows = [one for one in card["asked"] if one["kind"] == "row"]
    assert all(one["prompt"].startswith("What is ") for one in rows)
    assert all(one["reference"].startswith("The answer is ") for one in rows)
    assert card["scores"]["after"]["chrf"] > card["scores"]["before"]["chrf"] + 20
    assert 0 <= card["everyday_kept"] < 100
    assert card["planned"] == result.planned
    assert card["actual"] == {
        "steps": 16, "tokens": result.tokens, "seconds": result.seconds, "memory_bytes": result.peak_bytes
    }  # fmt: skip
    phases = list(dict.fromkeys(one.phase for one in ear.phases))
    assert phases == ["preparing", "loading", "evaluating", "training", "saving"]
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "## Did it learn, did it forget?" in text
    assert "| Hi? |" in text


@pytest.mark.train
@pytest.mark.usefixtures("unhurried")
def test_a_report_changes_no_step_and_outlives_a_stop(tiny: Path, fields: dict[str, Any], tmp_path: Path) -> None:
    """With dropout: the losses are those of a run without; what was asked before the stop is not asked again."""
    more = {"method": "lora", "max_steps": 8}
    plain = reported(fields, **more, report=False, output_dir=str(tmp_path / "plain"))
    train(plain, model_folder=tiny)
    config, ear = reported(fields, **more), Ear(stop_at=3)
    with pytest.raises(Stopped):
        train(config, model_folder=tiny, work=Work(ear, ear.stop))
    first = card_in(Path(config.output_dir))

    train(config, model_folder=tiny, resume=True)

    last = card_in(Path(config.output_dir))
    losses = [
        {row["step"]: row["loss"] for row in read_metrics(Path(each.output_dir) / "metrics.jsonl") if "loss" in row}
        for each in (plain, config)
    ]
    assert losses[0] == losses[1]
    assert not (tmp_path / "plain" / "report.json").exists()
    assert [one["before"] for one in last["asked"]] == [one["before"] for one in first["asked"]]
    assert last["held_out"]["before"] == first["held_out"]["before"]
    assert set(last["asked"][0]["during"]) == {"2", "6"}  # it was stopped after the fourth step, and that at once
    assert read_run(Path(config.output_dir)).result["steps"] == 8


@pytest.mark.train
def test_what_there_is_no_time_for_is_left_out_with_a_word(
    tiny: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without held-out rows those of the training data are asked, and called so."""
    monkeypatch.setattr("qwen3ft_jupyter.finetune.report.reporting.BUDGET_S", 0.0)
    config, ear = reported(fields, max_steps=1, eval_fraction=0), Ear()

    train(config, model_folder=tiny, work=Work(ear))

    card = card_in(Path(config.output_dir))
    assert (card["rows_from"], card["rows"], card["held_out"]["before"]["loss"]) == ("training", 0, None)
    assert all(one["before"] is None and one["after"] is None for one in card["asked"])
    assert len([notice for notice in ear.notices if "were not answered" in notice]) == len(card["notices"]) == 2
    assert "did it forget" not in (Path(config.output_dir) / "README.md").read_text(encoding="utf-8")


@pytest.mark.train
def test_answers_that_are_asked_at_once_are_those_of_a_chat(tiny: Path, fields: dict[str, Any]) -> None:
    """Prompts of different lengths in one batch, padded on the left."""
    from qwen3ft_jupyter.finetune.chat import AnswerOptions, answer
    from qwen3ft_jupyter.finetune.report.answering import Asking, prompts_to_ask
    from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer

    pair = load_model_and_tokenizer(tiny, LoadOptions(device="cpu"))
    prompts = ["Hi", "What is one and one and one and one?", "Who are you?"]
    asking = Asking(pair.model, pair.tokenizer, [2])

    together = asking.answers(prompts_to_ask(prompts, pair.tokenizer), stop=threading.Event(), seconds=60)

    alone = [answer(pair, prompt, AnswerOptions(max_new_tokens=96)) for prompt in prompts]
    assert [together[place] for place in range(3)] == alone


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("Paris", "Paris", (100.0, 100.0, 100.0)),
        ("", "Paris", (0.0, 0.0, 0.0)),
        ("北京", "上海", (0.0, 0.0, 0.0)),
        # one character: 4 of 4, 4 of 5; two: 2 of 3, 2 of 4; three: 1 of 2, 1 of 3; four: 0 of 1, 0 of 2
        ("我爱北京", "我很爱北京", (0.0, 100 * 5 * P * R / (4 * P + R), 800 / 9)),
    ],
)
def test_scores_are_those_of_the_formulas(answer: str, reference: str, expected: tuple[float, ...]) -> None:
    """Counted by hand; the examples in `scores` are those of the papers."""
    scores = Scores.of(answer, reference)

    assert (scores.exact_match, scores.chrf, scores.rouge_l) == pytest.approx(expected)


def test_scores_never_fail_on_odd_texts() -> None:
    for one in ("", " ", "。", "a", "\ud83d", "x" * 2000):
        for other in ("", "。", "b" * 300):
            assert all(0 <= score(one, other) <= 100 for score in (exact_match, chrf, rouge_l))


def test_a_perplexity_beyond_all_numbers_is_none() -> None:
    assert perplexity(1000.0) is None


def test_a_model_card_shows_answers_as_text_and_not_as_markup() -> None:
    card = ReportCard(asked=(Asked("row", HOSTILE, "yes", "no" * 400, HOSTILE),), loss=Loss(2.0, 1.0), rows=3)

    text = "\n".join(markdown(ReportCard.from_dict(json.loads(json.dumps(card.to_dict())))))

    assert "&lt;img src=x&gt;\\|\\`x\\`<br>end" in text
    assert "<img" not in text
    assert "…" in text
    assert "| Perplexity | 7.39 | 2.72 |" in text
