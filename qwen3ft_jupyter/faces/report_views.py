"""What is shown of finished fine-tunes, as values: a report card, and several runs beside each other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.faces.views import Table
from qwen3ft_jupyter.finetune.report.card import number_rows, shorten, shown
from qwen3ft_jupyter.messages import Message, duration, size, tr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.finetune.report.card import ReportCard
    from qwen3ft_jupyter.finetune.runs import Comparison

NUMBERS = {
    "Loss": Message("loss"),
    "Perplexity": Message("perplexity"),
    "Exact match, %": Message("exact match, %"),
    "chrF": "chrF",
    "ROUGE-L": "ROUGE-L",
    "steps": Message("steps"),
    "first_loss": Message("first loss"),
    "last_loss": Message("last loss"),
    "eval_loss": Message("loss on held-out rows"),
    "perplexity": Message("perplexity"),
    "best_step": Message("best step"),
    "tokens": Message("tokens"),
    "seconds": Message("time"),
    "peak_bytes": Message("memory"),
    "mfu": Message("utilisation"),
    "exact_match": Message("exact match, %"),
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "everyday_kept": Message("everyday answers kept, %"),
}
"""What a run came to, and how that is called."""
ROWS_FROM = {
    "held_out": Message("Asked of {count} rows kept out of training."),
    "training": Message("Asked of {count} rows of the training data: none were held out (eval_fraction)."),
    "data": Message("Asked of {count} rows of the data."),
}
"""Where the rows come from whose answers are scored."""


def report_numbers(card: ReportCard) -> Table:
    """Return losses and scores, before and after."""
    rows = tuple((tr(NUMBERS[name]), before, after) for name, before, after in number_rows(card))
    count = sum(one.kind == "row" and one.after is not None for one in card.asked)
    notes = [tr(ROWS_FROM[card.rows_from], count=count)] if count else []
    if card.kept is not None:
        notes.append(
            tr("Everyday prompts: the answers after are {share:.0f} % (chrF) like those before.", share=card.kept)
        )
    title = tr("Did it learn, did it forget?")
    return Table(title, ("", tr("before"), tr("after")), rows, tuple(notes), (card.to_dict(),))


def report_answers(card: ReportCard) -> Table:
    """Return what was answered before, while it learned, and after."""
    answered = [one for one in card.asked if one.after is None and one.during] + shown(card)
    steps = sorted({step for one in answered for step in one.during}, key=int)
    columns = (tr("asked"), tr("before"), *(tr("step {step}", step=step) for step in steps), tr("after"), tr("data"))
    rows = (
        (one.prompt, one.before, *(one.during.get(step) for step in steps), one.after, one.reference)
        for one in answered
    )
    written = tuple(tuple(shorten(text or "") for text in row) for row in rows)
    return Table(tr("Answers"), columns, written, (), (card.to_dict(),))


def comparison_table(comparison: Comparison) -> Table:
    """Return runs as columns: the fields in which they differ, then what each came to."""
    rows = [(name, *map(_field, values)) for name, values in comparison.fields.items()]
    rows += [
        (tr(NUMBERS.get(name, name)), *(_number(name, value) for value in values))
        for name, values in comparison.numbers.items()
    ]
    data = (comparison.to_dict(),)
    return Table(tr("Runs"), (tr("What"), *comparison.names), tuple(rows), (), data)


def _field(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(part).replace("\\", "/").rpartition("/")[2] for part in value)
    return "" if value is None else str(value)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name == "seconds":
        return duration(value)
    if name == "peak_bytes":
        return size(int(value))
    if name == "mfu":
        return f"{value:.1%}"
    if name.endswith("loss"):
        return fmt.loss(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def report_facts(told: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what the result of a fine-tune tells of its report: each number before and after.

    >>> report_facts({"chrF": ["12.0", "61.5"]})
    [('chrF', '12.0 → 61.5')]
    """
    pairs = {name: values for name, values in told.items() if name in NUMBERS and isinstance(values, list | tuple)}
    return [(tr(NUMBERS[name]), " → ".join(filter(None, map(str, values)))) for name, values in pairs.items()]
