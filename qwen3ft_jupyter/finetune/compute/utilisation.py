"""How much of what a device can compute a run has used: model flops utilisation.

As in Chowdhery et al. 2022, "PaLM: Scaling Language Modeling with Pathways", appendix B: the operations that a token
needs, whatever is recomputed or padded, times tokens a second, over the peak. The peak is measured on this device, as
the best of a few products of large matrices: a share of what is reached here, not of what a data sheet promises.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from qwen3ft_jupyter.finetune.compute.objectives import causal_model, head_of
from qwen3ft_jupyter.loading.machine import fitting_threads
from qwen3ft_jupyter.loading.token_rows import base_of

if TYPE_CHECKING:
    from qwen3ft_jupyter.loading.libraries import Model

SIDE = {"cpu": 1024, "cuda": 4096, "mps": 4096}
"""Rows and columns of the matrices: of 2·n³ operations a core of a CPU does 2.1·10⁹ in some 50 ms."""
ROUNDS = 5


def flops_a_token(model: Model, parameters: int, *, length: float, is_adapter: bool) -> float:
    """Return the floating-point operations that training takes for a token; not for a mixture of experts.

    6N + 12·L·H·Q·T for all weights: 2 of 6 each for forward, for the gradient of activations, and for that of weights.
    With frozen weights the last third is missing: 4N + 8·L·H·Q·T.

    Args:
        model: The base, or an adapter on it.
        parameters: Of the base.
        length: T, the mean tokens of a sample.
        is_adapter: Whether the base is frozen.
    """
    base = causal_model(model)
    embedding = base_of(base.get_input_embeddings()).weight
    is_tied = embedding is head_of(model).weight
    multiplied = parameters - (0 if is_tied else embedding.shape[0] * embedding.shape[1])  # looking up costs nothing
    config = base.config.get_text_config()
    layers, heads = (getattr(config, name, 0) for name in ("num_hidden_layers", "num_attention_heads"))
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // max(1, heads))
    passes = 2 if is_adapter else 3
    return float(passes * (2.0 * multiplied + 4.0 * layers * width * length))


def utilisation(
    model: Model, parameters: int, tokens_per_s: float, *, length: float, is_adapter: bool, dtype: str
) -> float | None:
    """Return the part of the measured peak that a run has used, 0 to 1; None for a mixture of experts.

    Args:
        model: As in `flops_a_token`, as are `parameters`, `length` and `is_adapter`.
        parameters: As there.
        tokens_per_s: What was reached, padding left out.
        length: As there.
        is_adapter: As there.
        dtype: What matrices were multiplied in.
    """
    if "moe" in str(model.config.model_type):
        return None
    with fitting_threads(model):
        peak = measured_peak(str(model.device), dtype)
    return tokens_per_s * flops_a_token(model, parameters, length=length, is_adapter=is_adapter) / peak


def measured_peak(device: str, dtype: str) -> float:
    """Return the operations a second that products of matrices reach on a device, in a type such as bfloat16."""
    kind = device.partition(":")[0]
    side = SIDE.get(kind, SIDE["cpu"])
    matrix = torch.ones((side, side), dtype=getattr(torch, dtype), device=device)
    best = float("inf")
    for _ in range(ROUNDS):
        _wait(device)
        began = time.perf_counter()
        matrix @ matrix
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()
