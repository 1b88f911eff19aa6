"""Model flops utilisation: the operations of a token counted by torch itself, and the peak of this machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train


@pytest.mark.parametrize("is_adapter", [False, True])
def test_the_formula_counts_what_torch_counts(tiny: Path, *, is_adapter: bool) -> None:
    """Forward of a full row by torch's own counter, all positions through the head; two or three times that."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from qwen3ft_jupyter.finetune.compute.utilisation import flops_a_token
    from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer

    model = load_model_and_tokenizer(tiny, LoadOptions(device="cpu", attn_implementation="eager")).model
    ids = torch.arange(64)[None]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids)

    told = flops_a_token(model, model.num_parameters(), length=64, is_adapter=is_adapter)

    passes = 2 if is_adapter else 3
    assert told * 64 == pytest.approx(passes * counter.get_total_flops(), rel=0.01)


def test_the_peak_is_that_of_a_product_of_matrices() -> None:
    from qwen3ft_jupyter.finetune.compute.utilisation import measured_peak

    assert 1e8 < measured_peak("cpu", "float32") < 1e14


def test_a_part_of_the_peak_is_told_and_none_of_experts(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qwen3ft_jupyter.finetune.compute import utilisation
    from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer

    model = load_model_and_tokenizer(tiny, LoadOptions(device="cpu")).model
    count = model.num_parameters()
    monkeypatch.setattr(utilisation, "measured_peak", lambda _device, _dtype: 1e9)
    needed = utilisation.flops_a_token(model, count, length=10, is_adapter=False)
    used = partial(utilisation.utilisation, model, count, 1000, length=10, is_adapter=False, dtype="float32")

    assert used() == pytest.approx(1000 * needed / 1e9)
    model.config.model_type = "qwen3_moe"
    assert used() is None
