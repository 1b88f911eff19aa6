"""The report card of a run, as `report.json` holds it and model cards, notebooks and the panel show it. Pure."""

from __future__ import annotations

import html
import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from qwen3ft_jupyter.finetune.report.scores import Scores, chrf, mean_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["row", "prompt", "everyday"]
"""A row of the data, a prompt that the user gave, or one of those that everybody gets."""

SHOWN_CHARS = 300
"""Of an answer in a table."""
SHOWN_ROWS = 4
"""Rows of the data in a table; the scores are of all that were answered."""

ANSWERS_HEAD = "| asked | before | after | data |"
"""The first line of the table of answers in a model card."""

SCORES = {"Exact match, %": "exact_match", "chrF": "chrf", "ROUGE-L": "rouge_l"}
"""The names of scores, and their fields."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, and what was answered."""

    kind: Kind
    prompt: str
    reference: str | None = None
    """What the row has for an answer."""
    before: str | None = None
    """None: not answered."""
    after: str | None = None
    during: Mapping[str, str] = field(default_factory=dict)
    """By the step after which it was asked."""


@dataclass(frozen=True, slots=True)
class Loss:
    """On held-out rows."""

    before: float | None = None
    after: float | None = None

    def to_dict(self, *, is_token_loss: bool = True) -> dict[str, dict[str, float | None]]:
        """Return loss and perplexity, before and after.

        >>> Loss(2.0, 0.0).to_dict()["after"]
        {'loss': 0.0, 'perplexity': 1.0}
        """
        known = {"before": self.before, "after": self.after}
        return {
            name: {"loss": loss, "perplexity": perplexity(loss) if is_token_loss else None}
            for name, loss in known.items()
        }


def perplexity(loss: float | None) -> float | None:
    """Return e to the mean cross-entropy of a token; None where that is no number."""
    if loss is None:
        return None
    try:
        return math.exp(loss)
    except OverflowError:
        return None


@dataclass(frozen=True, slots=True)
class ReportCard:
    """What a run, or an evaluation, came to."""

    rows_from: Literal["held_out", "training", "data"] = "held_out"
    """Where the rows that are asked come from; training: none were held out, and the answers have been learned."""
    rows: int = 0
    """That the loss is of."""
    is_token_loss: bool = True
    """Whether the loss is a mean cross-entropy of tokens, which has a perplexity; that of preferences is none."""
    loss: Loss = Loss()
    asked: tuple[Asked, ...] = ()
    planned: Mapping[str, float] = field(default_factory=dict)
    """What was reckoned beforehand: steps, tokens, memory_bytes, seconds, as far as they could be."""
    actual: Mapping[str, float] = field(default_factory=dict)
    """The same, as it came."""
    notices: tuple[str, ...] = ()
    """What is missing, and why; as JSON of messages."""

    def scores(self, when: Literal["before", "after"]) -> Scores | None:
        """Return the mean scores of the rows that were answered both before and after, or at all where only once."""
        rows = [one for one in self.asked if one.kind == "row" and one.reference is not None]
        both = [one for one in rows if one.before is not None and one.after is not None] or rows
        answers = [(getattr(one, when), one.reference or "") for one in both]
        return mean_scores([Scores.of(answer, reference) for answer, reference in answers if answer is not None])

    @property
    def kept(self) -> float | None:
        """Return how alike the everyday answers before and after are (chrF, 100: the same); None: nobody knows."""
        pairs = [(one.before, one.after) for one in self.asked if one.kind == "everyday"]
        alike = [chrf(after, before) for before, after in pairs if before is not None and after is not None]
        return sum(alike) / len(alike) if alike else None

    def to_dict(self) -> dict[str, Any]:
        """Return what report.json holds."""
        scores = {when: asdict(found) for when in ("before", "after") if (found := self.scores(when))}
        return {
            "version": 1,
            "rows_from": self.rows_from,
            "rows": self.rows,
            "is_token_loss": self.is_token_loss,
            "held_out": self.loss.to_dict(is_token_loss=self.is_token_loss),
            "scores": scores,
            "everyday_kept": self.kept,
            "asked": [asdict(one) for one in self.asked],
            "planned": dict(self.planned),
            "actual": dict(self.actual),
            "notices": list(self.notices),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ReportCard:
        """Rebuild from `to_dict`; what is reckoned of the rest is reckoned anew. Raises KeyError, TypeError."""
        held_out = data["held_out"]
        return cls(
            rows_from=data["rows_from"],
            rows=int(data["rows"]),
            is_token_loss=bool(data["is_token_loss"]),
            loss=Loss(held_out["before"]["loss"], held_out["after"]["loss"]),
            asked=tuple(Asked(**{name: one[name] for name in Asked.__slots__ if name in one}) for one in data["asked"]),
            planned=dict(data["planned"]),
            actual=dict(data["actual"]),
            notices=tuple(data["notices"]),
        )

    def with_answers(self, answers: Mapping[int, str], when: str) -> ReportCard:
        """Return the card with answers by the place of what was asked; `when` is before, after, or a step."""
        asked = list(self.asked)
        for place, answer in answers.items():
            one = asked[place]
            given = {when: answer} if when in {"before", "after"} else {"during": {**one.during, when: answer}}
            asked[place] = replace(one, **given)
        return replace(self, asked=tuple(asked))


def shown(card: ReportCard) -> list[Asked]:
    """Return what is shown of the answers: a few rows, and every prompt."""
    rows = [one for one in card.asked if one.kind == "row" and one.after is not None][:SHOWN_ROWS]
    return [*rows, *(one for one in card.asked if one.kind != "row" and one.after is not None)]


def number_rows(card: ReportCard) -> list[tuple[str, str, str]]:
    """Return each number before and after: name, before, after. The names are English; faces translate them."""
    before, after = card.loss.before, card.loss.after
    rows = [("Loss", _number(before, 4), _number(after, 4))]
    if card.is_token_loss:
        rows.append(("Perplexity", _number(perplexity(before), 2), _number(perplexity(after), 2)))
    first, last = card.scores("before"), card.scores("after")
    for title, name in SCORES.items():
        rows.append((title, _number(getattr(first, name, None), 1), _number(getattr(last, name, None), 1)))
    return [row for row in rows if row[1] or row[2]]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def markdown(card: ReportCard) -> list[str]:
    """Return the lines of a model card about it; empty if there is nothing to tell."""
    numbers, answers = number_rows(card), shown(card)
    if not numbers and not answers:
        return []
    told = {"held_out": "rows kept out of training", "training": "rows of the training data", "data": "the data"}
    lines = ["## Did it learn, did it forget?", ""]
    if numbers:
        lines += ["| | before | after |", "| --- | --- | --- |"]
        lines += [f"| {name} | {before} | {after} |" for name, before, after in numbers]
        lines += [
            "",
            f"Loss of {card.rows:,} held-out samples; scores of {_answered(card)} answers, {told[card.rows_from]}.",
        ]
    if card.kept is not None:
        lines.append(f"Everyday answers after are {card.kept:.0f} % (chrF) like those before.")
    if answers:
        lines += ["", ANSWERS_HEAD, "| --- | --- | --- | --- |"]
        lines += [f"| {' | '.join(map(_cell, _columns(one)))} |" for one in answers]
    return [*lines, ""]


def without_answers(text: str) -> str:
    r"""Return a model card without the table of answers, which quotes rows of the data.

    >>> without_answers(f"Told.\n\n{ANSWERS_HEAD}\n| --- |\n| a | b | c | d |\n\nMore.\n")
    'Told.\n\n\nMore.\n'
    """
    kept, is_table = [], False
    for line in text.splitlines(keepends=True):
        is_table = line.startswith("|") and (is_table or line.strip() == ANSWERS_HEAD)
        kept += [] if is_table else [line]
    return "".join(kept)


def _answered(card: ReportCard) -> int:
    return sum(one.kind == "row" and one.after is not None for one in card.asked)


def _columns(one: Asked) -> Sequence[str | None]:
    return one.prompt, one.before, one.after, one.reference


def _cell(text: str | None) -> str:
    """Return a text as it stands in a cell of a table in Markdown: it is somebody's data, and no markup."""
    short = shorten(text or "")
    return html.escape(short, quote=False).replace("|", "\\|").replace("`", "\\`").replace("\n", "<br>")


def shorten(text: str) -> str:
    """Return the beginning of a text, and a sign that it goes on.

    >>> shorten("a" * 400)[-3:], shorten("b ")
    ('aa…', 'b')
    """
    text = text.strip()
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
