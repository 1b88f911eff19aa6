"""The optimizer Muon (Keller Jordan, 2024): momentum, with each matrix's update made orthogonal.

On these few steps it learns about twice as much per sample as Adam. torch's own computes in bfloat16, which most CPUs
emulate slowly; this one takes float32 and all matrices of one shape at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOMENTUM: Final = 0.95
WEIGHT_DECAY: Final = 0.05
ROUNDS: Final = 4
"""Rounds of Newton and Schulz; their result need not be exact."""
_A, _B, _C = 3.4445, -4.7750, 2.0315  # Jordan's coefficients: fastest growth of small singular values
_ADAM_SIZE: Final = 0.2
"""Root mean square of Adam's updates: with it the same learning rates fit both."""


class Muon:
    """Updates matrices; vectors and embeddings are for another optimizer."""

    def __init__(self, matrices: Iterable[Any]) -> None:
        import torch

        by_shape: dict[tuple[int, ...], list[Any]] = {}
        for matrix in matrices:
            by_shape.setdefault(tuple(matrix.shape), []).append(matrix)
        self._groups = [(same, torch.zeros(len(same), *shape)) for shape, same in by_shape.items()]

    def step(self, rate: float) -> None:
        """Update each matrix by its gradient."""
        import torch

        with torch.no_grad():
            for matrices, momentum in self._groups:
                gradient = torch.stack([matrix.grad for matrix in matrices])
                momentum.lerp_(gradient, 1 - MOMENTUM)
                update = _orthogonal(gradient.lerp(momentum, MOMENTUM))
                size = rate * _ADAM_SIZE * max(update.shape[1:]) ** 0.5
                for matrix, change in zip(matrices, update, strict=True):
                    matrix.mul_(1 - rate * WEIGHT_DECAY).add_(change, alpha=-size)


def _orthogonal(batch: Any) -> Any:
    """Return for each matrix of a batch one with the same singular vectors and singular values near 1."""
    import torch

    is_tall = batch.shape[1] > batch.shape[2]
    result = batch.mT if is_tall else batch
    result = result / (result.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(ROUNDS):
        square = result @ result.mT
        result = torch.baddbmm(result, torch.baddbmm(square, square, square, beta=_B, alpha=_C), result, beta=_A)
    return result.mT if is_tall else result
