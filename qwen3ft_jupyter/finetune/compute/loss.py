"""Cross-entropy without the logits of all tokens: at Qwen3's vocabulary those of 2,048 tokens take 1.2 GB, thrice.

Logits are made a few rows at a time, and so is the gradient, while they are there. The result is that of the usual way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from qwen3ft_jupyter.finetune.samples import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_ELEMENTS = 1 << 25
"""Logits computed at once: 128 MiB of float32, 220 rows of Qwen3's vocabulary."""


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """What a head multiplies hidden states with."""

    matrix: Tensor
    """(vocabulary, width)."""
    ids: Tensor | None = None
    """Tokens whose rows an adapter trains, (count,); None: there are none."""
    rows: Tensor | None = None
    """Those that stand for theirs, (count, width)."""


def next_token_loss(hidden: Tensor, head: HeadWeights, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each position's next token, summed; where the next label is IGNORED it costs nothing.

    Args:
        hidden: What the head is given, (rows, tokens, width).
        head: The head's weights.
        labels: (rows, tokens), as transformers has them: not yet shifted.

    Returns:
        A float32 scalar. Its gradient for `hidden` and the weights is exact; sums are float32, products of matrices
        have the type that autocast asks for, else that of `hidden`.
    """
    targets = labels[:, 1:]
    kept = targets != IGNORED
    return summed_cross_entropy(hidden[:, :-1][kept], head, targets[kept])


def summed_cross_entropy(hidden: Tensor, head: HeadWeights, targets: Tensor, *, chunk: int | None = None) -> Tensor:
    """Return the summed cross-entropy of `targets` (n,) for `hidden` (n, width) and a head, `chunk` rows at a time."""
    total: Tensor = _SummedCrossEntropy.apply(*_given(hidden, head, targets, chunk))
    return total


def token_losses(hidden: Tensor, head: HeadWeights, targets: Tensor, *, chunk: int | None = None) -> Tensor:
    """Return the cross-entropy of each of `targets` (n,) for `hidden` (n, width) and a head: float32, (n,).

    What a loss makes of them it says only in the backward pass, so the logits are made anew there: a product more of
    the head than `summed_cross_entropy` needs.
    """
    losses: Tensor = _TokenCrossEntropy.apply(*_given(hidden, head, targets, chunk))
    return losses


def _given(hidden: Tensor, head: HeadWeights, targets: Tensor, chunk: int | None) -> tuple[Any, ...]:
    """Return what a `_Walk` is made of, one by one: torch finds gradients of what it is passed by itself."""
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    chunk = chunk or max(1, CHUNK_ELEMENTS // head.matrix.shape[0])
    return hidden, head.matrix, head.rows, head.ids, targets, chunk, dtype


_Gradients = tuple["Tensor | None", "Tensor | None", "Tensor | None"]
"""Those of hidden states, of the matrix and of the rows in it, the last two in float32; None: not wanted."""


@dataclass(slots=True)
class _Walk:
    """Goes through hidden states, a chunk at a time."""

    hidden: Tensor
    matrix: Tensor
    rows: Tensor | None
    ids: Tensor | None
    targets: Tensor
    chunk: int
    dtype: torch.dtype
    """Of products of matrices."""

    def go(self, wanted: tuple[bool, bool, bool], factors: Tensor | None = None) -> tuple[Tensor, _Gradients]:
        """Return each target's cross-entropy, and the gradients that are wanted of their sum, weighted by `factors`."""
        losses = torch.empty(len(self.targets), dtype=torch.float32, device=self.hidden.device)
        gradients: _Gradients = (
            torch.empty_like(self.hidden) if wanted[0] else None,
            torch.zeros_like(self.matrix, dtype=torch.float32) if wanted[1] else None,
            torch.zeros_like(self.rows, dtype=torch.float32) if wanted[2] else None,
        )
        with torch.autocast(self.hidden.device.type, enabled=False):
            matrix = self.matrix.to(self.dtype)
            rows = None if self.rows is None else self.rows.to(self.matrix.dtype).to(self.dtype)
            for start in range(0, len(self.targets), self.chunk):
                part = slice(start, start + self.chunk)
                states, targets = self.hidden[part].to(self.dtype), self.targets[part, None]
                logits = (states @ matrix.T).float()
                if rows is not None:
                    logits.index_copy_(-1, self.ids, (states @ rows.T).float())
                normalizer = logits.logsumexp(-1, keepdim=True)
                losses[part] = (normalizer - logits.gather(-1, targets)).squeeze(-1)
                if not any(wanted):
                    continue
                slopes = logits.sub_(normalizer).exp_()  # the probabilities …
                slopes.scatter_add_(-1, targets, torch.full_like(slopes[:, :1], -1.0))  # … less what should be
                if factors is not None:
                    slopes.mul_(factors[part, None])
                self._add(gradients, part, slopes.to(self.dtype), states, matrix, rows)
        return losses, gradients

    def _add(  # noqa: PLR0917 - what a chunk is made of
        self,
        gradients: _Gradients,
        part: slice,
        slopes: Tensor,
        states: Tensor,
        matrix: Tensor,
        rows: Tensor | None,
    ) -> None:
        of_hidden, of_matrix, of_rows = gradients
        through_rows: Tensor | float = 0.0
        if rows is not None:
            own = slopes.index_select(-1, self.ids)
            slopes.index_fill_(-1, self.ids, 0.0)
            through_rows = own @ rows
            if of_rows is not None:
                of_rows += own.T @ states
        if of_hidden is not None:
            of_hidden[part] = slopes @ matrix + through_rows
        if of_matrix is not None:
            of_matrix += slopes.T @ states


class _SummedCrossEntropy(torch.autograd.Function):  # type: ignore[misc]  # the train extra has no types
    """Computes the gradients in forward, where each chunk's logits exist; backward scales them."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:  # Any: torch's context, to which everything may be attached
        """Return the sum."""
        losses, gradients = _Walk(*given).go(ctx.needs_input_grad[:3])
        ctx.save_for_backward(*gradients)
        ctx.dtypes = [None if one is None else one.dtype for one in given[:3]]
        return losses.sum()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients for hidden states, matrix and rows."""
        found = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *(None if one is None else (one * slope).to(dtype) for one, dtype in found), *(None,) * 4


class _TokenCrossEntropy(torch.autograd.Function):  # type: ignore[misc]  # the train extra has no types
    """Keeps no logits: backward makes each chunk's again."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:  # Any: torch's context, to which everything may be attached
        """Return each one's."""
        ctx.save_for_backward(*given[:5])
        ctx.rest = given[5:]
        return _Walk(*given).go((False, False, False))[0]

    @staticmethod
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients for hidden states, matrix and rows."""
        _, gradients = _Walk(*ctx.saved_tensors, *ctx.rest).go(ctx.needs_input_grad[:3], factors)
        found = zip(gradients, ctx.saved_tensors, strict=False)
        return *(None if one is None else one.to(given.dtype) for one, given in found), *(None,) * 4
