"""Measures and asks a model or the result of a fine-tune, by itself: what a run's report card does, on any data."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadData, Stopped
from qwen3ft_jupyter.finetune.data import read_data_of, split
from qwen3ft_jupyter.finetune.report.answering import MOST_TOKENS, Asking, end_ids_of
from qwen3ft_jupyter.finetune.report.card import Asked, Loss, ReportCard
from qwen3ft_jupyter.finetune.report.reporting import BUDGET_S, questions_of
from qwen3ft_jupyter.finetune.survey import encode
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer, load_tokenizer, require
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.report.answering import Question
    from qwen3ft_jupyter.finetune.samples import Sample
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation came to."""

    name: str
    """What was evaluated, as it was named."""
    data: tuple[str, ...]
    """Names of the files."""
    seconds: float
    report: Mapping[str, Any] = field(default_factory=dict)
    """The card, as `ReportCard.to_dict` gives it: after is the model; before is its base, where it has an adapter."""

    @property
    def card(self) -> ReportCard:
        """Return the report card."""
        return ReportCard.from_dict(self.report)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        told = {"name": self.name, "data": list(self.data), "seconds": self.seconds}
        return {**told, "report": dict(self.report)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """Rebuild from `to_dict`."""
        card = ReportCard.from_dict(data["report"])  # of another version it is no result
        return cls(str(data["name"]), tuple(data["data"]), float(data["seconds"]), card.to_dict())


def evaluate(
    name: str, config: FineTuneConfig, folder: Path, adapter: Path | None, *, is_held_out: bool, work: Work
) -> Evaluation:
    """Return loss, perplexity, answers and scores of a model, and of its base if it is an adapter on one.

    Args:
        name: What it is called.
        config: Names the data and how it is read, `max_length`, `prompts` and `device`.
        folder: The model.
        adapter: What is put on it.
        is_held_out: Take only those rows that a run with this config keeps out of training.
        work: Is told of the phases preparing, loading and evaluating, and says when to stop.

    Raises:
        BadData: The data is wrong, or nothing of it is left to measure.
        LoadError, UnsafeModel, DoesNotFit, MissingPackage: The model cannot be loaded.
        Stopped: The work was to stop.
    """
    require("torch", "transformers", *(["peft"] if adapter else []))
    began = time.monotonic()
    with no_network(), quiet_libraries():
        samples = _samples(config, folder, is_held_out=is_held_out, work=work)
        device = None if config.device == "auto" else config.device
        options = LoadOptions(device=device, adapter=adapter)
        pair = load_model_and_tokenizer(folder, options, reporter=work.reporter)
        asking = Asking(pair.model, pair.tokenizer, end_ids_of(pair.tokenizer))
        questions = questions_of(config.prompts, samples, asking, seed=config.seed)
        asked = tuple(Asked(kind, question.prompt, question.reference) for kind, question in questions)
        card = ReportCard("held_out" if is_held_out else "data", len(samples), asked=asked)
        look = _Look(asking, samples, [question for _, question in questions], work)
        before = None
        if adapter is not None:
            with pair.model.disable_adapter():
                before, answers = look.take()
            card = card.with_answers(answers, "before")
        after, answers = look.take()
        card = card.with_answers(answers, "after")
    told = replace(card, loss=Loss(before, after))
    names = tuple(Path(path).name for path in config.data)
    return Evaluation(name, names, round(time.monotonic() - began, 2), told.to_dict())


def _samples(config: FineTuneConfig, folder: Path, *, is_held_out: bool, work: Work) -> list[Sample]:
    data = read_data_of(config)
    for notice in data.report.notices:
        work.reporter.notice(notice)
    conversations: Sequence[Any] = data.conversations  # Any: rows of any objective
    if is_held_out:
        conversations = split(data.conversations, config.eval_fraction, config.seed)[1]
    examples, report = encode(conversations, config, load_tokenizer(folder), work) if conversations else ([], None)
    samples = [example.sequences[0] for example in examples]  # of a pair the preferred answer
    for notice in report.notices(config.max_length) if report else ():
        work.reporter.notice(notice)
    if not samples:
        raise BadData(
            "Nothing is left to measure: the run kept no rows out of training."
            if is_held_out
            else "Nothing is left to measure: no answer in the data fits max_length.",
            hint="Name data.",
        )
    return samples


@dataclass(frozen=True, slots=True)
class _Look:
    """Measures and asks."""

    asking: Asking
    samples: Sequence[Sample]
    questions: Sequence[Question]
    work: Work

    def take(self) -> tuple[float, dict[int, str]]:
        """Return the loss, and answers by the place of the question. Raises Stopped."""
        from qwen3ft_jupyter.finetune.compute.mean_loss import mean_loss

        def tell(done: int) -> None:
            self.work.check()
            self.work.progress(Progress("evaluating", done, len(self.samples), "rows"))

        pad = self.asking.tokenizer.pad_token_id
        loss = mean_loss(self.asking.model, self.samples, pad_id=int(pad or 0), most_tokens=MOST_TOKENS, on_done=tell)
        answers = self.asking.answers(
            self.questions,
            stop=self.work.stop,
            seconds=BUDGET_S,
            on_done=lambda done: self.work.progress(Progress("evaluating", done, len(self.questions), "answers")),
        )
        if self.work.stop.is_set():
            raise Stopped("Stopped.")
        return loss, answers
