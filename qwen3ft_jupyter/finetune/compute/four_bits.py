"""Linear layers in 4 bits without numbers: bitsandbytes packs real tensors only, so they are made as it leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily

from qwen3ft_jupyter.finetune.compute.objectives import head_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.loading.libraries import Model

BLOCK, OUTER_BLOCK = 64, 256
"""Weights that share a scale, and scales that share one: NF4 with double quantisation (Dettmers et al. 2023)."""


def in_four_bits(model: Model, dtype: torch.dtype) -> Model:
    """Return the model with its linear layers but the head in NF4, as `loading.load` loads it."""
    head = head_of(model)
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Linear and module is not head:
            model.set_submodule(name, _packed(module, dtype))
    model.is_loaded_in_4bit = True  # what peft asks
    return model


def scales_of(model: Model) -> Iterator[torch.Tensor]:
    """Yield what is kept beside packed weights."""
    for weight in model.parameters():
        if (state := getattr(weight, "quant_state", None)) is not None:
            yield from (state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code)


def elements_of(weight: torch.nn.Parameter) -> int:
    """Return how many weights a parameter stands for."""
    state = getattr(weight, "quant_state", None)
    return int(weight.numel() if state is None else state.shape.numel())


def _packed(linear: torch.nn.Linear, dtype: torch.dtype) -> torch.nn.Module:
    from bitsandbytes.functional import QuantState
    from bitsandbytes.nn import Linear4bit

    shape = (linear.in_features, linear.out_features)
    with unset_fake_temporarily(), torch.device("meta"):  # its own weight is of a class that fake tensors cannot be
        made = Linear4bit(*shape, bias=linear.bias is not None, compute_dtype=dtype, quant_type="nf4")
    count = linear.weight.numel()
    blocks = -(-count // BLOCK)
    outer = QuantState(
        torch.empty(-(-blocks // OUTER_BLOCK)), code=torch.empty(256), blocksize=OUTER_BLOCK, dtype=torch.float32
    )
    weight = torch.nn.Parameter(torch.empty(-(-count // 2), 1, dtype=torch.uint8), requires_grad=False)
    weight.quant_state = QuantState(
        torch.empty(blocks, dtype=torch.uint8),
        shape=linear.weight.shape,
        code=torch.empty(16),
        blocksize=BLOCK,
        quant_type="nf4",
        dtype=dtype,
        offset=torch.empty(()),
        state2=outer,
    )
    weight.compress_statistics, weight.quant_type, weight.quant_storage = True, "nf4", torch.uint8
    made._parameters |= {"weight": weight, "bias": linear.bias}  # noqa: SLF001 - past the check of the class
    made.support_avx512bf16_for_cpu = False  # see `model.evaluate_as_trained`
    return made
