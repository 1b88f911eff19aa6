"""What a run came to, in numbers, and what is said of it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.metrics import evaluations
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.results import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune import output, results
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.metrics import MetricsFile
    from qwen3ft_jupyter.finetune.model import Trainable
    from qwen3ft_jupyter.finetune.preparing import Prepared
    from qwen3ft_jupyter.finetune.watch import TrainerState
    from qwen3ft_jupyter.loading.libraries import Model
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class Trained:
    """What the steps came to."""

    state: TrainerState
    metrics: MetricsFile
    seconds: float
    step: int
    """Of which the result is."""


def outcome_of(
    config: FineTuneConfig, planned: output.Plan, ready: Trainable, trained: Trained, facts: results.Facts
) -> Outcome:
    """Return what is known of a run before its result is asked anything."""
    losses, model, precision = trained.metrics.losses, ready.model, ready.precision
    return Outcome(
        output_dir=config.output_dir,
        method=config.method,
        steps=trained.state.global_step,
        first_loss=losses[0],
        last_loss=losses[-1],
        seconds=round(trained.seconds, 2),
        parameters=_parameters(config, model),
        trainable_parameters=_trainable(model),
        dtype=precision.compute,
        device=precision.device,
        tokens=int(trained.state.num_input_tokens_seen),
        result_step=trained.step,
        eval_loss=evaluations(trained.metrics.rows).get(trained.step),
        base_commit=planned.record.base_commit,
        parent=planned.record.parent,
        data=facts.to_dict(),
        token_rows=facts.token_rows,
        diverged=has_diverged(losses),
    )


def _parameters(config: FineTuneConfig, model: Model) -> int:
    """Return how many parameters the base model has."""
    adapter = _trainable(model) if config.method == "lora" else 0
    return int(model.num_parameters()) - adapter  # sees through 4 bits


def _trainable(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def used_a_token(config: FineTuneConfig, ready: Trainable, samples: Prepared, devices: int) -> float | None:
    """Return the part of the peak of all devices that one token a second uses; None: nobody knows."""
    from qwen3ft_jupyter.finetune.compute.utilisation import utilisation

    sequences = len(samples.lengths) * OBJECTIVES[config.objective].sequences
    return utilisation(
        ready.model,
        _parameters(config, ready.model),
        1.0 / devices,
        length=sum(samples.lengths) / sequences,
        is_adapter=config.method == "lora",
        dtype=ready.precision.compute,
    )


def median_utilisation(trained: Trained) -> float | None:
    """Return the part of the device's peak that the median step has used."""
    used = [row["mfu"] for row in trained.metrics.rows if row.get("mfu")]
    return round(statistics.median(used), 4) if used else None


def has_diverged(losses: Sequence[float]) -> bool:
    """Return whether the loss ended far above where it began.

    >>> has_diverged([7.9, 8.1, 100.0, 218.0]), has_diverged([3.0, 9.0, 2.0, 1.0]), has_diverged([0.1, 0.3])
    (True, False, False)
    """
    few = max(1, min(3, len(losses) // 4))
    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    return last > max(1.5 * first, first + 1)


def tell_of_result(outcome: Outcome, ready: Trainable, work: Work) -> None:
    """Say what a person should know of a result."""
    if outcome.diverged:
        work.notice(
            "WARNING: the run diverged: the loss rose from {first:.2f} to {last:.2f}. The result is worse than its "
            "base model; lower learning_rate, or max_grad_norm.",
            first=outcome.first_loss,
            last=outcome.last_loss,
        )
    if outcome.method == "full" and ready.base_dtype != ready.precision.weights:
        work.notice(
            "Trained in {trained}, saved in {saved}, which is the base model's type.",
            trained=ready.precision.weights,
            saved=ready.base_dtype,
        )
