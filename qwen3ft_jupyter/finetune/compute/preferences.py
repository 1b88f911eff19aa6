"""The losses of preference tuning, from the log-probabilities of a chosen and a rejected answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy, logsigmoid

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune.batches import WHOLE
from qwen3ft_jupyter.finetune.compute import objectives
from qwen3ft_jupyter.finetune.compute.loss import token_losses
from qwen3ft_jupyter.finetune.samples import IGNORED, Pair
from qwen3ft_jupyter.finetune.spool import Examples
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from qwen3ft_jupyter.finetune.batches import Layout, MicroBatch, Part, Step
    from qwen3ft_jupyter.finetune.compute.objectives import Metrics
    from qwen3ft_jupyter.finetune.samples import Example, Sample
    from qwen3ft_jupyter.loading.libraries import Model
    from qwen3ft_jupyter.work import Work

PREPARED_AT_ONCE = 32
"""Pairs of which the reference is asked at once; the layout makes micro-batches of them as it does in training."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The log-probabilities of the answers of a micro-batch, those of a pair in one row."""

    sums: Tensor
    """Of all tokens of each answer: (pairs, 2), the chosen one first; float32."""
    counts: Tensor
    """Tokens of each answer: (pairs, 2)."""


@dataclass(frozen=True, slots=True)
class PairLoss:
    """What the losses of pairs share: a mean over the pairs of a step, and one over its chosen answers' tokens."""

    layout: Layout
    is_lean: bool
    """Whether log-probabilities are computed without the logits of all tokens (see `probes.has_plain_head`)."""
    beta: float

    def prepared(self, _model: Model, examples: Sequence[Example], _work: Work) -> Sequence[Example]:
        """Return the examples."""
        return examples

    def collate(self, examples: Sequence[Example], part: Part = WHOLE) -> Step:
        """Return the tensors of a part of the pairs of a step, whose `learned` are the tokens of the chosen answers."""
        step = self.layout.collate(examples, part)
        for batch, order in zip(step["micro_batches"], step["order"], strict=True):
            batch["answer_tokens"] = [_learned(one) for index in order for one in examples[index].sequences]
        return {**step, "learned": sum(_learned(one.sequences[0]) for one in examples)}

    def weight(self, step: Step) -> int:
        """Return its pairs."""
        return step["samples"]

    def metrics(self, rewards: Tensor, step: Step) -> Metrics:
        """Return what TRL tells of a step, under its names; of rewards (pairs, 2)."""
        mean = rewards.detach().sum(0) / self.weight(step)
        right = (rewards[:, 0] > rewards[:, 1]).sum() / self.weight(step)
        return {
            "rewards/chosen": mean[0],
            "rewards/rejected": mean[1],
            "rewards/margins": mean[0] - mean[1],
            "rewards/accuracies": right,
        }


@dataclass(frozen=True, slots=True)
class DirectPreferenceLoss(PairLoss):
    """DPO: how much more than before the chosen answer is preferred (Rafailov et al. 2023, eq. 7).

    What the model gave before is asked of it with its adapter off. Where there is none, or where it has learned in
    an earlier run, the model is asked of all pairs before training, so that no second one is in memory.
    """

    rpo_alpha: float
    """How much the mean loss of the chosen answers' tokens counts beside (Pang et al. 2024)."""
    label_smoothing: float
    """The part of the pairs that are taken to be the wrong way round (Mitchell 2023, cDPO)."""
    autocast: str | None
    """Type that matrices are multiplied in, where it is another than the weights'."""

    def prepared(self, model: Model, examples: Sequence[Example], work: Work) -> Sequence[Example]:
        """Return the pairs with their reference, if nothing of the model can be turned off to ask it later."""
        if _has_new_adapter(model):
            return examples
        references: list[tuple[float, float]] = []
        device, is_on = model.device, self.autocast is not None
        dtype = getattr(torch, self.autocast) if self.autocast else None
        model.eval()
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=is_on):
            for start in range(0, len(examples), PREPARED_AT_ONCE):
                if work.stop.is_set():
                    raise Stopped("Stopped while preparing the data.")
                part = examples[start : start + PREPARED_AT_ONCE]
                references += self._references(model, part)
                work.progress(Progress("preparing", start + len(part), len(examples), "rows"))
        model.train()
        return WithReferences(examples, references)

    def _references(self, model: Model, pairs: Sequence[Example]) -> list[tuple[float, float]]:
        step = self.collate(pairs)
        known: dict[int, tuple[float, float]] = {}
        for batch, order in zip(step["micro_batches"], step["order"], strict=True):
            placed: MicroBatch = {
                **batch,
                "input_ids": batch["input_ids"].to(model.device),
                "position_ids": batch["position_ids"].to(model.device),
                "labels": batch["labels"].to(model.device),
            }
            sums = log_probabilities(model, placed, is_lean=self.is_lean).sums.tolist()
            known |= {index: (chosen, rejected) for index, (chosen, rejected) in zip(order, sums, strict=True)}
        return [known[index] for index in range(len(pairs))]

    def collate(self, examples: Sequence[Example], part: Part = WHOLE) -> Step:
        """Return the tensors of a part of the pairs of a step, those of their references among them."""
        step = PairLoss.collate(self, examples, part)
        for batch, order in zip(step["micro_batches"], step["order"], strict=True):
            references = [one.reference for index in order if isinstance(one := examples[index], Pair)]
            if references[0] is not None:
                batch["reference"] = torch.tensor(references)
        return step

    def share(self, model: Model, batch: MicroBatch, step: Step) -> tuple[Tensor, Metrics]:
        """Return the share of a micro-batch in the mean over all pairs of its step."""
        before = self._reference(model, batch)
        answers = log_probabilities(model, batch, is_lean=self.is_lean)
        rewards = self.beta * (answers.sums - before)
        margins = rewards[:, 0] - rewards[:, 1]
        losses = -(1 - self.label_smoothing) * logsigmoid(margins) - self.label_smoothing * logsigmoid(-margins)
        loss = losses.sum() / self.weight(step)
        if self.rpo_alpha:
            loss = loss - self.rpo_alpha * answers.sums[:, 0].sum() / step["learned"]
        return loss, self.metrics(rewards, step)

    def _reference(self, model: Model, batch: MicroBatch) -> Tensor:
        if "reference" in batch:
            return batch["reference"]
        with torch.no_grad(), model.disable_adapter():
            return log_probabilities(model, batch, is_lean=self.is_lean).sums


class WithReferences(Examples):
    """Pairs that stay where they are, each with its reference."""

    def __init__(self, pairs: Sequence[Example], references: Sequence[tuple[float, float]]) -> None:
        """Take as many of the one as of the other."""
        self._pairs, self._references = pairs, references

    def __len__(self) -> int:
        return len(self._pairs)

    def example(self, index: int) -> Example:
        """Return the pair at a place."""
        pair = self._pairs[index]
        return replace(pair, reference=self._references[index]) if isinstance(pair, Pair) else pair


@dataclass(frozen=True, slots=True)
class OddsRatioLoss(PairLoss):
    """ORPO: the loss of the chosen answers, and by how much their odds exceed those of the others (Hong et al. 2024).

    As in the paper, the first term is that of the answers alone; TRL has the prompts in it.
    """

    def share(self, model: Model, batch: MicroBatch, step: Step) -> tuple[Tensor, Metrics]:
        """Return the share of a micro-batch in the mean over all pairs, and over all chosen tokens, of its step."""
        answers = log_probabilities(model, batch, is_lean=self.is_lean)
        means = answers.sums / answers.counts
        odds = means - log_of_one_less_exp(means)
        ratios = logsigmoid(odds[:, 0] - odds[:, 1])
        loss = -answers.sums[:, 0].sum() / step["learned"] - self.beta * ratios.sum() / self.weight(step)
        return loss, self.metrics(self.beta * means, step)


def log_probabilities(model: Model, batch: MicroBatch, *, is_lean: bool) -> Answers:
    """Return the log-probabilities of the answers of a micro-batch in which chosen and rejected ones take turns."""
    if is_lean:
        losses = objectives.gathered(model, partial(_lean_losses, model), batch)
    else:
        targets = batch["labels"][:, 1:]
        kept = targets != IGNORED
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits[:, :-1][kept]
        losses = cross_entropy(logits.float(), targets[kept], reduction="none")
    counts = batch["answer_tokens"]
    sums = torch.stack([-part.sum() for part in losses.split(counts)])  # an index_add would draw lots on a GPU
    return Answers(sums.view(-1, 2), torch.tensor(counts, device=sums.device).view(-1, 2))


def _lean_losses(model: Model, batch: MicroBatch) -> Tensor:
    targets = batch["labels"][:, 1:]
    kept = targets != IGNORED
    hidden = objectives.hidden_states(model, batch)[:, :-1][kept]
    return token_losses(hidden, objectives.head_weights(model), targets[kept])


def log_of_one_less_exp(values: Tensor) -> Tensor:
    """Return log(1 - exp(x)) of negative numbers, exact near 0 and far from it (Mächler 2012)."""
    values = values.clamp(max=-1e-7)
    is_near = values > -math.log(2)
    near = (-torch.expm1(values.where(is_near, -1.0))).log()
    far = torch.log1p(-values.where(~is_near, -1.0).exp())
    return near.where(is_near, far)


def _learned(sample: Sample) -> int:
    """Return how many tokens of a sequence are predicted and learned."""
    return sum(label != IGNORED for label in sample.labels[1:])


def _has_new_adapter(model: Model) -> bool:
    """Return whether the model has an adapter, and is with it what it is without: its B matrices begin at zero."""
    learned = (one for name, one in model.named_parameters() if ".lora_B." in name)
    return hasattr(model, "disable_adapter") and not any(bool(one.any()) for one in learned)
