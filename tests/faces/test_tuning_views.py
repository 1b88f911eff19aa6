"""What is shown of a fine-tune before it starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces.job_views import job_text
from qwen3ft_jupyter.faces.tuning_views import fine_tune_table, preview_table, sample_lines
from qwen3ft_jupyter.finetune.preview import PreviewSample, Token
from qwen3ft_jupyter.finetune.results import Outcome
from qwen3ft_jupyter.jobs.state import JobSnapshot, JobStatus
from tests.server.standin import PREVIEW, fine_tune_plan

if TYPE_CHECKING:
    from qwen3ft_jupyter.faces.views import Table


def rows_of(table: Table) -> dict[str, str]:
    return {row[0]: row[1] for row in table.rows}


def test_what_does_not_fit_is_followed_by_what_would() -> None:
    table = fine_tune_table(fine_tune_plan())
    rows, notes = rows_of(table), "\n".join(table.notes)

    assert rows["memory"].endswith("of 5.0 GB free on T4 (float16): it does NOT fit")
    assert "weights 8.0 GB" in rows["of that"]
    assert notes.startswith("What fits, the cheapest first:\n  ")
    assert "model: Qwen/Qwen3-0.6B" in notes
    assert notes.endswith("1 rows left out.")


def test_the_table_says_what_nobody_knows() -> None:
    plan = replace(fine_tune_plan(), memory=None, disk=None, is_cached=False, download_bytes=None)
    rows = rows_of(fine_tune_table(plan))

    assert "memory" not in rows
    assert "disk" not in rows
    assert rows["download"] == "not known"
    assert rows["time"].startswith("not known")


def test_time_is_said_with_the_rate_it_was_reckoned_with() -> None:
    rows = rows_of(fine_tune_table(replace(fine_tune_plan(), tokens_per_s=1234.5, seconds=75.0)))

    assert rows["time"] == "about 1 min 15 s at 1,234 tokens/s, as in an earlier run here"


def test_time_that_is_reckoned_names_the_run_it_is_reckoned_from() -> None:
    plan = replace(fine_tune_plan(), tokens_per_s=1234.5, seconds=75.0, rate_from="Qwen/Qwen3-4B")

    told = "about 1 min 15 s at 1,234 tokens/s, reckoned from an earlier run of Qwen/Qwen3-4B here"
    assert rows_of(fine_tune_table(plan))["time"] == told


def test_numbers_that_are_not_counted_are_said_to_be_about() -> None:
    plan = fine_tune_plan()
    rows = rows_of(fine_tune_table(replace(plan, tokens=replace(plan.tokens, basis="estimated"))))

    assert rows["an epoch"].startswith("≈ ")
    assert rows["steps"].startswith("≈ ")


def test_a_preview_says_what_is_odd() -> None:
    rows = rows_of(preview_table(replace(PREVIEW, duplicates=7, shortened=2, left_out=1)))

    assert rows["duplicates"] == "7"
    assert rows["with a thought"] == "50 %"
    assert rows["too long"] == "2 samples shortened, 1 answers left out"
    assert rows["left out"] == "1 rows without an answer, 0 that are wrong"


def test_a_terminal_with_colours_needs_no_brackets_and_obeys_no_data() -> None:
    sample = PreviewSample((Token(1, "q\x1b[2J\n", is_learned=False), Token(2, "a", is_learned=True)))

    coloured, plain = ("\n".join(sample_lines(sample, is_coloured=is_so)) for is_so in (True, False))

    assert "\x1b[1;32ma\x1b[0m" in coloured
    assert "⟦a⟧" in plain
    assert "\x1b[2J" not in coloured + plain


def test_a_job_that_is_done_says_what_was_planned_of_it() -> None:
    done = Outcome(
        "/runs/a", "lora", 12, 2.0, 1.0, 5.0, 10, 1, "float32", "cpu", 4321,
        planned={"steps": 12, "tokens": 4400, "memory_bytes": 610_000_000}, peak_bytes=549_000_000,
    )  # fmt: skip
    status = JobStatus("succeeded", 1, result=done.to_dict(), updated=1.0, ended=1.0)
    text = job_text(JobSnapshot("id", "finetune", "Fine-tune", 1.0, {}, status, None))

    assert "steps: 12 (planned: 12)" in text
    assert "tokens: 4,321 (planned: 4,400)" in text
    assert "memory: 549 MB (planned: 610 MB)" in text
