"""How the loss of an objective is computed, and that of those that learn each token of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from qwen3ft_jupyter.finetune.batches import WHOLE
from qwen3ft_jupyter.finetune.compute.loss import HeadWeights, next_token_loss
from qwen3ft_jupyter.finetune.samples import IGNORED
from qwen3ft_jupyter.loading.token_rows import base_of, trained_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from qwen3ft_jupyter.finetune.batches import Layout, MicroBatch, Part, Step
    from qwen3ft_jupyter.finetune.samples import Example
    from qwen3ft_jupyter.loading.libraries import Model
    from qwen3ft_jupyter.work import Work

T = TypeVar("T")

Metrics = dict[str, "Tensor"]
"""What is told of a step beside its loss, by name."""


class TrainingLoss(Protocol):
    """What a step computes. All shares of a step's micro-batches add up to its mean."""

    def prepared(self, model: Model, examples: Sequence[Example], work: Work) -> Sequence[Example]:
        """Return the examples with what has to be known of the model before it is trained."""

    def collate(self, examples: Sequence[Example], part: Part = WHOLE) -> Step:
        """Return the tensors of a part of the examples of a step."""

    def weight(self, step: Step) -> int:
        """Return how much a step counts in a mean over several."""

    def share(self, model: Model, batch: MicroBatch, step: Step) -> tuple[Tensor, Metrics]:
        """Return the share that a micro-batch has in the loss of its step, a scalar, and in its metrics."""


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """Learns tokens: the mean of their cross-entropies."""

    layout: Layout
    is_lean: bool
    """Whether the loss is computed without the logits of all tokens (see `probes.has_plain_head`), not by the model."""

    def prepared(self, _model: Model, examples: Sequence[Example], _work: Work) -> Sequence[Example]:
        """Return the examples."""
        return examples

    def collate(self, examples: Sequence[Example], part: Part = WHOLE) -> Step:
        """Return the tensors of a part of the examples of a step."""
        return self.layout.collate(examples, part)

    def weight(self, step: Step) -> int:
        """Return its learned tokens."""
        return step["learned"]

    def share(self, model: Model, batch: MicroBatch, step: Step) -> tuple[Tensor, Metrics]:
        """Return the share of a micro-batch in the mean over all learned tokens of its step."""
        if not self.is_lean:
            part = (batch["labels"][:, 1:] != IGNORED).sum() / step["learned"]
            return model(**batch).loss * part, {}
        return gathered(model, partial(_summed_loss, model), batch) / step["learned"], {}


def _summed_loss(model: Model, batch: MicroBatch) -> Tensor:
    return next_token_loss(hidden_states(model, batch), head_weights(model), batch["labels"])


def gathered(model: Model, compute: Callable[[MicroBatch], T], batch: MicroBatch) -> T:
    """Return what `compute` makes of a batch with parts of the model; of one that is sharded they are gathered for it.

    All that does not go through the model's own forward has to be computed like that; see `sharding.shard`.
    """
    through: Callable[..., T] | None = getattr(causal_model(model), "compute_gathered", None)
    return compute(batch) if through is None else through(compute, batch)


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
    """Return what makes logits of hidden states: the base's, below rows of it that an adapter trains."""
    return base_of(causal_model(model).get_output_embeddings())


def head_weights(model: Model) -> HeadWeights:
    """Return what the head multiplies with now: an adapter that is off has no rows in it."""
    head = causal_model(model).get_output_embeddings()
    return HeadWeights(base_of(head).weight, *(trained_rows(head) or ()))
