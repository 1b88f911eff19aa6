"""The report card of a fine-tune in a cell: its numbers, and what was answered before, while it learned, and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from qwen3ft_jupyter.faces.report_views import report_answers, report_numbers
from qwen3ft_jupyter.notebook.markup import element, table

if TYPE_CHECKING:
    from qwen3ft_jupyter.finetune.report.card import ReportCard

_SCROLLED = "max-height:24em;overflow:auto"


def report_html(card: ReportCard) -> Markup:
    """Return a report card as HTML; nothing as long as nothing was answered while it learned or after."""
    numbers, answers = report_numbers(card), report_answers(card)
    parts: list[Markup] = []
    if any(after for _, _, after in numbers.rows):
        notes = (element("div", note, style="opacity:0.75") for note in numbers.notes)
        parts += [element("div", element("b", numbers.title)), table(numbers.columns, numbers.rows), *notes]
    if answers.rows:
        shown = element("div", table(answers.columns, answers.rows), style=_SCROLLED)
        parts.append(element("details", element("summary", answers.title), shown, open=""))
    return element("div", *parts) if parts else Markup("")
