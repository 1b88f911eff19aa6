"""Tries on a loaded model what its name does not tell: a few tokens, a few forward passes, no random number drawn."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.compute.objectives import causal_model, gathered, head_of, hidden_states
from qwen3ft_jupyter.finetune.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from qwen3ft_jupyter.finetune.batches import MicroBatch
    from qwen3ft_jupyter.loading.libraries import Model

LENGTHS = (16, 9, 6)
"""Tokens of the samples that are tried: rows of 16 take the second and the third together."""

ROUNDING = 0.05
"""Of what its neighbours would change in a sample without a border: so much may differ for rounding, in bfloat16."""


def has_plain_head(model: Model) -> bool:
    """Return whether the model's logits are its hidden states times the head's weights, and its loss is theirs alone.

    Rows that an adapter trains are weights of the head. Not so with an adapter on the head, a bias, logits that are
    scaled or capped, a loss that balances experts.
    """
    if not has_linear_head(model):
        return False
    head = causal_model(model).get_output_embeddings()
    with _evaluating(model):
        batch = _batch(model, _ALONE, [_tokens(model)])
        logits = gathered(model, lambda given: head(hidden_states(model, given)), batch)
        return bool(torch.equal(logits, model(**batch).logits))


def has_linear_head(model: Model) -> bool:
    """Return whether the head is one that `has_plain_head` may be true of, by its kind; nothing is computed."""
    head = head_of(model)
    if type(head) is not torch.nn.Linear or head.bias is not None:
        return False
    return not getattr(causal_model(model).config, "output_router_logits", False)


def packs_exactly(model: Model, layout: Layout) -> bool:
    """Return whether samples that share a row, told apart by their positions, come out as each by itself.

    Not so where a layer carries state along the row (linear attention, recurrence), or where the attention in use does
    not look at positions. The measure is what the neighbours would change if nothing kept the samples apart.
    """
    tokens = _tokens(model)
    starts = [0, LENGTHS[0], LENGTHS[0] + LENGTHS[1]]
    parts = [tokens[start : start + length] for start, length in zip(starts, LENGTHS, strict=True)]
    with _evaluating(model):
        alone = torch.cat([_states(model, _batch(model, _ALONE, [part]))[0] for part in parts])
        mixed = _states(model, _batch(model, _ALONE, [tokens]))[0]
        together = replace(layout, packs=True, most_tokens=2 * LENGTHS[0])
        packed = _states(model, _batch(model, together, parts)).flatten(0, 1)[: len(tokens)]
        return _distance(packed, alone) < ROUNDING * _distance(mixed, alone)


def _states(model: Model, batch: MicroBatch) -> Tensor:
    return gathered(model, partial(hidden_states, model), batch)


_ALONE = Layout(pad_id=0, most_tokens=2 * LENGTHS[0])


def _tokens(model: Model) -> list[int]:
    """Return a row of different tokens of the model."""
    vocabulary = head_of(model).weight.shape[0]
    return [(7919 * place + 11) % vocabulary for place in range(sum(LENGTHS))]


def _batch(model: Model, layout: Layout, parts: list[list[int]]) -> MicroBatch:
    """Return the samples of these tokens on the model's device."""
    batch = layout.collate([Sample.of(part, part) for part in parts])["micro_batches"][0]
    device = model.device
    return {
        "input_ids": batch["input_ids"].to(device),
        "position_ids": batch["position_ids"].to(device),
        "labels": batch["labels"].to(device),
    }


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).abs().max())


@contextlib.contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """Compute without dropout and gradients."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
