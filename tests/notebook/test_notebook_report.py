"""The report card of a fine-tune in a cell."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from qwen3ft_jupyter.finetune.report.card import Asked, Loss, ReportCard
from qwen3ft_jupyter.finetune.results import Record
from qwen3ft_jupyter.jobs.state import JobSnapshot, JobStatus
from qwen3ft_jupyter.notebook.job_view import JobView
from qwen3ft_jupyter.notebook.report_view import report_html

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "en")


def test_answers_are_shown_step_by_step_and_never_as_markup() -> None:
    asked = (
        Asked("row", HOSTILE, HOSTILE, "before!", HOSTILE, {"2": "two!", "10": "ten!"}),
        Asked("everyday", "Hi", None, "Hello", "Hello"),
    )

    html = str(report_html(ReportCard(asked=asked, loss=Loss(2.0, 1.0), rows=3)))

    assert "<img" not in html
    assert html.index("before!") < html.index("two!") < html.index("ten!")
    assert "Everyday prompts: the answers after are 100 % (chrF) like those before." in html
    for number in ("2.0000", "1.0000", "7.39"):
        assert number in html


def test_a_card_without_answers_shows_nothing() -> None:
    assert str(report_html(ReportCard(asked=(Asked("row", "q", "r", "before"),)))) == ""


@pytest.mark.parametrize(("run_id", "is_shown"), [("job-1", True), ("another", False)])
def test_a_job_shows_the_report_of_its_own_run(tmp_path: Path, run_id: str, *, is_shown: bool) -> None:
    record = Record({"model": "a/b", "method": "lora"}, run_id, None, (), {})
    (tmp_path / "config.json").write_text(json.dumps(record.to_json()))
    card = ReportCard(asked=(Asked("prompt", "one?", None, "x", None, {"5": "seen while it learns"}),))
    (tmp_path / "report.json").write_text(json.dumps(card.to_dict()))
    snapshot = JobSnapshot("job-1", "finetune", "Fine-tune", 1.0, {}, JobStatus("running", 1))
    job: Any = SimpleNamespace(
        id="job-1",
        kind="finetune",
        params=SimpleNamespace(output_dir=tmp_path),
        snapshot=lambda: snapshot,
        events=lambda _after: [],
    )

    html = cast("str", JobView(job).bundle()["text/html"])

    assert ("seen while it learns" in html) is is_shown
