"""The mean loss of a model on samples, without training it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.compute.loss import next_token_loss
from qwen3ft_jupyter.finetune.compute.objectives import head_weights, hidden_states
from qwen3ft_jupyter.finetune.compute.probes import has_plain_head
from qwen3ft_jupyter.finetune.samples import IGNORED
from qwen3ft_jupyter.loading.machine import fitting_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from qwen3ft_jupyter.finetune.batches import MicroBatch
    from qwen3ft_jupyter.finetune.samples import Sample
    from qwen3ft_jupyter.loading.libraries import Model

AT_ONCE = 16
"""Samples between two looks at whether to stop."""


def mean_loss(
    model: Model, samples: Sequence[Sample], *, pad_id: int, most_tokens: int, on_done: Callable[[int], None]
) -> float:
    """Return the mean cross-entropy of all learned tokens, as training measures it.

    Args:
        model: It is left in evaluation mode.
        samples: At least one.
        pad_id: A token to fill rows with.
        most_tokens: That are computed at once, padding included.
        on_done: Is told how many samples are measured; may raise to end it.
    """
    layout = Layout(pad_id, most_tokens)
    model.eval()
    total, learned = 0.0, 0
    with torch.inference_mode(), fitting_threads(model):
        is_lean = has_plain_head(model)
        for start in range(0, len(samples), AT_ONCE):
            on_done(start)
            step = layout.collate(samples[start : start + AT_ONCE])
            learned += step["learned"]
            for batch in step["micro_batches"]:
                placed: MicroBatch = {
                    "input_ids": batch["input_ids"].to(model.device),
                    "position_ids": batch["position_ids"].to(model.device),
                    "labels": batch["labels"].to(model.device),
                }
                total += float(_summed(model, placed, is_lean=is_lean))
    on_done(len(samples))
    return total / learned


def _summed(model: Model, batch: MicroBatch, *, is_lean: bool) -> Tensor:
    if is_lean:
        return next_token_loss(hidden_states(model, batch), head_weights(model), batch["labels"])
    loss: Tensor = model(**batch).loss * (batch["labels"][:, 1:] != IGNORED).sum()
    return loss
