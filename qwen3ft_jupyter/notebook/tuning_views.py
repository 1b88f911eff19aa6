"""A fine-tune in a cell before it starts: its plan, and its data as the model will see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces.format import fact, plain
from qwen3ft_jupyter.faces.tuning_views import fine_tune_table, preview_table, sample_lines, sample_title
from qwen3ft_jupyter.notebook.markup import element, table
from qwen3ft_jupyter.notebook.views import View

if TYPE_CHECKING:
    from markupsafe import Markup

    from qwen3ft_jupyter.faces.views import Table
    from qwen3ft_jupyter.finetune.plan import FineTunePlan
    from qwen3ft_jupyter.finetune.preview import Preview, PreviewSample

_LEARNED = "font-weight:600;border-bottom:2px solid var(--jp-success-color1,#388e3c)"
"""Colours of the theme where there is one; in bold where a page keeps no style."""
_READ = "opacity:0.65"
_SAMPLE = "white-space:pre-wrap;overflow-wrap:anywhere;margin:0.2em 0 0.6em;max-height:24em;overflow:auto"


@dataclass(frozen=True, repr=False)
class PlanView(View):
    """Shows a plan; `plan` is the plan itself."""

    plan: FineTunePlan

    def html(self) -> Markup:
        """Return the plan's facts and notes."""
        return _facts(fine_tune_table(self.plan))

    def text(self) -> str:
        """Return the same in lines."""
        return _lines(fine_tune_table(self.plan))


@dataclass(frozen=True, repr=False)
class PreviewView(View):
    """Shows data; `preview` is what it shows."""

    preview: Preview

    def html(self) -> Markup:
        """Return what there is to say, and the first samples with what is learned marked."""
        samples = map(_sample, self.preview.first)
        return element("div", _facts(preview_table(self.preview)), *samples)

    def text(self) -> str:
        """Return the same in lines, what is learned in brackets."""
        samples = ("\n".join(sample_lines(sample, is_coloured=False)) for sample in self.preview.first)
        return "\n\n".join([_lines(preview_table(self.preview)), *samples])


def _facts(shown: Table) -> Markup:
    notes = (element("div", note, style="opacity:0.75") for note in shown.notes)
    return element("div", element("div", element("b", shown.title)), table(shown.columns, shown.rows), *notes)


def _lines(shown: Table) -> str:
    return "\n".join(plain(line) for line in [shown.title, *(fact(*row) for row in shown.rows), *shown.notes])


def _sample(sample: PreviewSample) -> Markup:
    parts = (
        element("b" if part.is_learned else "span", part.text, style=_LEARNED if part.is_learned else _READ)
        for part in sample.parts
    )
    return element("details", element("summary", sample_title(sample)), element("pre", *parts, style=_SAMPLE), open="")
