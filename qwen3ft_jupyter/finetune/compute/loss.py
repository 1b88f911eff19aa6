"""Cross-entropy without the logits of all tokens: at Qwen3's vocabulary those of 2,048 tokens take 1.2 GB, thrice.

Logits are made a few rows at a time, and so is the gradient, while they are there. The result is that of the usual way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from qwen3ft_jupyter.finetune.samples import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_ELEMENTS = 1 << 25
"""Logits computed at once: 128 MiB of float32, 220 rows of Qwen3's vocabulary."""


def next_token_loss(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each position's next token, summed; where the next label is IGNORED it costs nothing.

    Args:
        hidden: What the head is given, (rows, tokens, width).
        weight: The head's, (vocabulary, width).
        labels: (rows, tokens), as transformers has them: not yet shifted.

    Returns:
        A float32 scalar. Its gradient for `hidden` and `weight` is exact; sums are float32, products of matrices have
        the type that autocast asks for, else that of `hidden`.
    """
    targets = labels[:, 1:]
    kept = targets != IGNORED
    return summed_cross_entropy(hidden[:, :-1][kept], weight, targets[kept])


def summed_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, *, chunk: int | None = None) -> Tensor:
    """Return the summed cross-entropy of `targets` (n,) for `hidden` (n, width) @ `weight`ᵀ, `chunk` rows at a time."""
    total: Tensor = _SummedCrossEntropy.apply(hidden, weight, targets, _chunk(weight, chunk), _dtype(hidden))
    return total


def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor, *, chunk: int | None = None) -> Tensor:
    """Return the cross-entropy of each of `targets` (n,) for `hidden` (n, width) @ `weight`ᵀ: float32, (n,).

    What a loss makes of them it says only in the backward pass, so the logits are made anew there: a product more of
    the head than `summed_cross_entropy` needs.
    """
    losses: Tensor = _TokenCrossEntropy.apply(hidden, weight, targets, _chunk(weight, chunk), _dtype(hidden))
    return losses


def _chunk(weight: Tensor, chunk: int | None) -> int:
    return chunk or max(1, CHUNK_ELEMENTS // weight.shape[0])


def _dtype(hidden: Tensor) -> torch.dtype:
    """Return the type that products of matrices have."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def _slopes(logits: Tensor, normalizer: Tensor, wanted: Tensor) -> Tensor:
    """Return the gradient of the cross-entropies for the logits, in their memory."""
    slopes = logits.sub_(normalizer).exp_()  # the probabilities …
    return slopes.scatter_add_(-1, wanted, torch.full_like(slopes[:, :1], -1.0))  # … less what should be


class _SummedCrossEntropy(torch.autograd.Function):  # type: ignore[misc]  # the train extra has no types
    """Computes the gradients in forward, where each chunk's logits exist; backward scales them."""

    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any,  # Any: torch's context, to which everything may be attached
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        chunk: int,
        dtype: torch.dtype,
    ) -> Tensor:
        """Return the sum."""
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hidden_grad = torch.empty_like(hidden) if wants_hidden else None
        weight_grad = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        with torch.autocast(hidden.device.type, enabled=False):
            matrix = weight.to(dtype)
            for start in range(0, len(targets), chunk):
                rows, wanted = hidden[start : start + chunk].to(dtype), targets[start : start + chunk, None]
                logits = (rows @ matrix.T).float()
                normalizer = logits.logsumexp(-1, keepdim=True)
                total += (normalizer - logits.gather(-1, wanted)).sum()
                if hidden_grad is None and weight_grad is None:
                    continue
                slopes = _slopes(logits, normalizer, wanted).to(dtype)
                if hidden_grad is not None:
                    hidden_grad[start : start + chunk] = slopes @ matrix
                if weight_grad is not None:
                    weight_grad += slopes.T @ rows
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """Return the gradients for hidden and weight."""
        hidden_grad, weight_grad = ctx.saved_tensors
        return (
            None if hidden_grad is None else (hidden_grad * slope).to(hidden_grad.dtype),
            None if weight_grad is None else (weight_grad * slope).to(ctx.weight_dtype),
            None,
            None,
            None,
        )


class _TokenCrossEntropy(torch.autograd.Function):  # type: ignore[misc]  # the train extra has no types
    """Keeps no logits: backward makes each chunk's again."""

    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any,  # Any: torch's context, to which everything may be attached
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        chunk: int,
        dtype: torch.dtype,
    ) -> Tensor:
        """Return each one's."""
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            matrix = weight.to(dtype)
            for start in range(0, len(targets), chunk):
                logits = (hidden[start : start + chunk].to(dtype) @ matrix.T).float()
                chosen = logits.gather(-1, targets[start : start + chunk, None])
                losses[start : start + chunk] = (logits.logsumexp(-1, keepdim=True) - chosen).squeeze(-1)
        ctx.save_for_backward(hidden, weight, targets)
        ctx.chunk, ctx.dtype = chunk, dtype
        return losses

    @staticmethod
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """Return the gradients for hidden and weight."""
        hidden, weight, targets = ctx.saved_tensors
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        hidden_grad = torch.empty_like(hidden) if wants_hidden else None
        weight_grad = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        with torch.autocast(hidden.device.type, enabled=False):
            matrix = weight.to(ctx.dtype)
            for start in range(0, len(targets), ctx.chunk):
                part = slice(start, start + ctx.chunk)
                rows = hidden[part].to(ctx.dtype)
                logits = (rows @ matrix.T).float()
                slopes = _slopes(logits, logits.logsumexp(-1, keepdim=True), targets[part, None])
                slopes = slopes.mul_(factors[part, None]).to(ctx.dtype)
                if hidden_grad is not None:
                    hidden_grad[part] = slopes @ matrix
                if weight_grad is not None:
                    weight_grad += slopes.T @ rows
        return hidden_grad, None if weight_grad is None else weight_grad.to(weight.dtype), None, None, None
