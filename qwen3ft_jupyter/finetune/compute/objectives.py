"""What is learned, and how its loss is computed: all that will differ between kinds of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.compute.loss import next_token_loss
from qwen3ft_jupyter.finetune.samples import IGNORED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from qwen3ft_jupyter.finetune.batches import Layout, MicroBatch, Step
    from qwen3ft_jupyter.finetune.samples import Sample
    from qwen3ft_jupyter.loading.libraries import Model


@dataclass(frozen=True, slots=True)
class SupervisedTuning:
    """Learns the answers: the cross-entropy of each of their tokens."""

    layout: Layout
    is_lean: bool
    """Whether the loss is computed without the logits of all tokens (see `probes.has_plain_head`), not by the model."""

    def collate(self, samples: Sequence[Sample]) -> Step:
        """Return the tensors of the samples of a step."""
        return self.layout.collate(samples)

    def loss(self, model: Model, batch: MicroBatch, learned: int) -> Tensor:
        """Return the share that a micro-batch has in the mean loss of a step which learns so many tokens: a scalar."""
        if not self.is_lean:
            share = (batch["labels"][:, 1:] != IGNORED).sum() / learned
            loss: Tensor = model(**batch).loss * share
            return loss
        return next_token_loss(hidden_states(model, batch), head_of(model).weight, batch["labels"]) / learned


def hidden_states(model: Model, batch: MicroBatch) -> Tensor:
    """Return what the model's head is given, (rows, tokens, width)."""
    decoder = causal_model(model).get_decoder()
    states: Tensor = decoder(
        input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
    ).last_hidden_state
    return states


def causal_model(model: Model) -> Model:
    """Return the model inside of an adapter's, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def head_of(model: Model) -> nn.Module:
    """Return what makes logits of hidden states."""
    return causal_model(model).get_output_embeddings()
