from __future__ import annotations

import pytest

from scripts.practice.muon import Muon

pytestmark = pytest.mark.train


@pytest.mark.parametrize("shape", [(8, 8), (6, 12), (12, 6)])
def test_an_update_has_equal_strength_in_every_direction(shape: tuple[int, int]) -> None:
    import torch

    generator = torch.Generator().manual_seed(1)
    left, _, right = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    matrix = torch.nn.Parameter(torch.zeros(shape))
    matrix.grad = left @ torch.diag(torch.linspace(1, 0.1, min(shape))) @ right

    Muon([matrix]).step(1.0)

    strengths = torch.linalg.svdvals(matrix.detach())
    assert float(strengths.max() / strengths.min()) < 3, "it was 10 before"


def test_it_goes_downhill() -> None:
    import torch

    generator = torch.Generator().manual_seed(2)
    target = torch.randn(4, 6, generator=generator)
    matrix = torch.nn.Parameter(torch.zeros(4, 6))
    muon = Muon([matrix])
    for _ in range(200):
        matrix.grad = matrix.detach() - target
        muon.step(0.05)

    assert float((matrix.detach() - target).norm()) < float(target.norm()) / 4
