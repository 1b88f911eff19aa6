"""Makes the report card of a run: what is asked and measured before it, while it learns, and after it."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import read_json
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.arguments import total_steps
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.own import OutputFolder
from qwen3ft_jupyter.finetune.report.answering import Asking, Question, prompts_to_ask, rows_to_ask
from qwen3ft_jupyter.finetune.report.card import Asked, Loss, ReportCard
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.report.card import Kind
    from qwen3ft_jupyter.finetune.samples import Example
    from qwen3ft_jupyter.work import Work

ROWS = 8
"""Rows of the data that are asked."""
BUDGET_S = 60.0
"""For all answers before a run, and again for those after it."""
WATCHED = 4
"""What is asked while it learns: prompts of the user, then rows."""
INTERVALS = 4
"""Parts of a run; what is watched is asked after each but the last."""
SHORTEST_RUN = 8
"""Steps; in a shorter one nothing is asked in between."""
WATCHING_SHARE = 0.05
"""Of the time of training, for what is asked in between."""
WATCHING_S = 5.0
"""What that may cost in any case."""


def everyday_prompts() -> list[str]:
    """Return what everybody's model is asked, to see whether it has forgotten what it could."""
    text = importlib.resources.files("qwen3ft_jupyter.finetune.report").joinpath("everyday.json").read_text("utf-8")
    return [str(prompt) for prompt in json.loads(text)]


def questions_of(
    prompts: Sequence[str], samples: Sequence[Example], asking: Asking, *, seed: int
) -> list[tuple[Kind, Question]]:
    """Return what is asked: the user's prompts, rows, everyday prompts."""
    given = prompts_to_ask([*prompts, *everyday_prompts()], asking.tokenizer)
    rows = rows_to_ask(samples, asking.tokenizer, count=ROWS, seed=seed)
    return [
        *(("prompt", one) for one in given[: len(prompts)]),
        *(("row", one) for one in rows),
        *(("everyday", one) for one in given[len(prompts) :]),
    ]


def report_on(
    config: FineTuneConfig,
    asking: Asking,
    folder: Path,
    training: Sequence[Example],
    *,
    held_out: Sequence[Example],
    work: Work,
    notices: Sequence[str] = (),
) -> Reporting:
    """Return what makes the report card of a run that writes to `folder`; it begins with `notices`."""
    questions = questions_of(config.prompts, held_out or training, asking, seed=config.seed)
    is_token_loss = OBJECTIVES[config.objective].sequences == 1
    card = ReportCard("held_out" if held_out else "training", len(held_out), is_token_loss=is_token_loss)
    card = replace(card, notices=tuple(map(str, notices)))
    steps = total_steps(config, len(training))
    return Reporting(card, questions, asking, OutputFolder(folder), work, steps=steps)


class Reporting:
    """The report card of one run, kept in its output folder while it grows."""

    def __init__(
        self,
        card: ReportCard,
        questions: Sequence[tuple[Kind, Question]],
        asking: Asking,
        own: OutputFolder,
        work: Work,
        *,
        steps: int,
    ) -> None:
        """Take what is asked of whom; `card` gets a place for each question. `steps` are those of the whole run."""
        asked = (Asked(kind, question.prompt, question.reference) for kind, question in questions)
        self.card = replace(card, asked=tuple(asked))
        self._questions = [question for _, question in questions]
        self._watched = [place for place, (kind, _) in enumerate(questions) if kind != "everyday"][:WATCHED]
        self._asking, self._own, self._work = asking, own, work
        parts = range(1, INTERVALS) if steps >= SHORTEST_RUN else ()
        self._at = {round(steps * part / INTERVALS) for part in parts}
        self._spent_s = self._cost_s = 0.0

    def go_on(self) -> None:
        """Take over what an earlier attempt of the same run has found out."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # then it is found out anew
            before = ReportCard.from_dict(read_json(self._own.folder / results.REPORT))
            if [one.prompt for one in before.asked] == [one.prompt for one in self.card.asked]:
                self.card = replace(self.card, asked=before.asked, loss=before.loss, notices=before.notices)

    @property
    def has_to_measure(self) -> bool:
        """Return whether `before` measures the untrained model."""
        return self.card.loss.before is None and bool(self.card.rows)

    def before(self, measure: Callable[[], float | None]) -> None:
        """Measure and ask the untrained model, unless an earlier attempt did; `measure` returns the loss."""
        if self.has_to_measure:
            self.card = replace(self.card, loss=Loss(before=measure()))
        if all(one.before is None for one in self.card.asked):
            began = time.monotonic()
            self._ask("before", range(len(self._questions)), BUDGET_S)
            self._cost_s = (time.monotonic() - began) * len(self._watched) / max(1, len(self._questions))
        self._write()

    def during(self, step: int, seconds: float) -> None:
        """Ask what is watched, if it is time: `step` is done, after so many seconds of training."""
        may_cost_s = max(WATCHING_S, WATCHING_SHARE * seconds) - self._spent_s
        if step not in self._at or self._cost_s > may_cost_s:
            return
        began = time.monotonic()
        self._ask(str(step), self._watched, may_cost_s)
        self._cost_s = time.monotonic() - began
        self._spent_s += self._cost_s
        self._write()

    def after(self, loss: float | None, planned: Mapping[str, float], actual: Mapping[str, float]) -> ReportCard:
        """Ask the trained model, and return the whole card; `loss` is that on held-out rows."""
        self._ask("after", range(len(self._questions)), BUDGET_S)
        card = replace(self.card, loss=replace(self.card.loss, after=loss), planned=planned, actual=actual)
        self.card = card
        self._write()
        return card

    def _ask(self, when: str, places: Sequence[int], seconds: float) -> None:
        import torch

        is_shown = when in {"before", "after"}
        questions = [self._questions[place] for place in places]

        def tell(done: int) -> None:
            if is_shown:
                self._work.progress(Progress("evaluating", done, len(questions), "answers"))

        tell(0)
        try:
            found = self._asking.answers(questions, stop=self._work.stop, seconds=seconds, on_done=tell)
        except torch.OutOfMemoryError:
            if self._asking.ranks.is_sharded:  # the others still compute
                raise
            self._notice(Message("The report has no answers: the GPU's memory ran out while they were written."))
            return
        self.card = self.card.with_answers({places[place]: answer for place, answer in found.items()}, when)
        if is_shown and len(found) < len(questions):
            self._notice(
                Message(
                    "{count} of {total} questions of the report were not answered: that would have taken longer than "
                    "{seconds:.0f} s, or it was to stop.",
                    count=len(questions) - len(found),
                    total=len(questions),
                    seconds=seconds,
                )
            )

    def _notice(self, text: Message) -> None:
        self._work.reporter.notice(text)
        self.card = replace(self.card, notices=(*self.card.notices, str(text)))

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the run goes on without; its end says what is wrong with the volume
            self._own.write(results.REPORT, json.dumps(self.card.to_dict(), ensure_ascii=False, indent=2).encode())
