"""How much memory a model needs, from a handful of numbers of its config. Pure arithmetic, in bytes.

Checked against published figures to about 8 % (see the tests). What it does not see: memory that other programs use,
and longer rows than `context`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from qwen3ft_jupyter.catalog import CatalogModel

Method = Literal["load", "lora", "full", "qlora"]

GIB = 2**30
GPU_OVERHEAD_BYTES = GIB
"""The CUDA context and fragmentation: 0.8 to 1.4 GB are seen."""
CPU_OVERHEAD_BYTES = 200_000_000
"""Buffers and the largest tensor while it is converted."""
DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of one number of each type a model computes in."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / 16384
"""Bytes per weight in 4-bit NF4 with double quantisation: the weight, its block's scale, the scales' scale."""
LOGIT_BYTES = 2 + 4 + 4
"""A logit in 16 bits, its copy in 32, and the gradient."""
CHUNK_TOKENS = 256
"""Tokens whose logits exist at the same time when the loss is computed in chunks."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The numbers of a config that decide on memory."""

    parameters: int
    layers: int
    hidden: int
    query: int
    """Attention heads times head_dim; not the hidden size for most Qwen3."""
    key_value: int
    intermediate: int
    """Of one expert, where there are several."""
    tied: bool
    vocab: int = 151_936
    experts: int = 0
    """0 for a dense model."""

    @property
    def attention_weights(self) -> int:
        """Weights in the linear layers of attention."""
        return self.layers * self.hidden * 2 * (self.query + self.key_value)

    @property
    def linear_weights(self) -> int:
        """Weights in linear layers, the ones that 4-bit loading shrinks and LoRA adapts; experts are no such layers."""
        feed_forward = 0 if self.experts else 3 * self.layers * self.hidden * self.intermediate
        return self.attention_weights + feed_forward

    def lora_weights(self, rank: int) -> int:
        """Return how many weights LoRA of this rank adds to all linear layers."""
        attention = 2 * (self.hidden + self.query) + 2 * (self.hidden + self.key_value)
        feed_forward = 0 if self.experts else 3 * (self.hidden + self.intermediate)
        return rank * self.layers * (attention + feed_forward)


def linear_bytes(quantization: str | None, dtype_bytes: int, columns: int) -> float:
    """Return the bytes of one weight of a linear layer with so many columns, loaded in 4bit (NF4), 8bit, or neither."""
    if quantization == "4bit":
        return NF4_BYTES
    return 1 + 4 / max(1, columns) if quantization == "8bit" else dtype_bytes  # 8bit: a 32-bit scale for each row


def trained_bytes(dtype_bytes: int, *, state_bytes: int = 4) -> int:
    """Return the bytes of one trained weight: itself, its gradient, and Adam's two states.

    >>> trained_bytes(4), trained_bytes(2, state_bytes=2)
    (16, 8)
    """
    return 2 * dtype_bytes + 2 * state_bytes


def estimate_bytes(
    model: CatalogModel | Architecture,
    method: Method,
    *,
    dtype_bytes: int = 2,
    context: int = 1024,
    batch: int = 1,
    lora_rank: int = 16,
    is_loss_chunked: bool = False,
    overhead_bytes: int = GPU_OVERHEAD_BYTES,
) -> int:
    """Return the bytes of one device that `method` needs at its peak.

    Args:
        model: A model of the catalogue, or the numbers of any config.
        method: load (and generate), lora, full, or qlora.
        dtype_bytes: Bytes per weight: 2 for bfloat16, 4 for float32.
        context: Tokens in the longest row.
        batch: Rows at a time.
        lora_rank: The rank of the adapters.
        is_loss_chunked: Whether the logits of a whole row never exist at once.
        overhead_bytes: What the runtime takes; 0 on a CPU.

    Training is reckoned with gradient checkpointing and Adam in 32 bits.

    >>> from qwen3ft_jupyter.catalog import find
    >>> round(estimate_bytes(find("Qwen/Qwen3-0.6B"), "load") / GIB, 1)
    2.2
    """
    numbers = model if isinstance(model, Architecture) else model.architecture
    tokens = context * batch
    if method == "load":
        cache = 2 * numbers.layers * numbers.key_value * tokens * dtype_bytes
        return dtype_bytes * numbers.parameters + cache + overhead_bytes
    if method == "full":
        weights = trained_bytes(dtype_bytes) * numbers.parameters
    else:
        weights = _frozen_bytes(numbers, method, dtype_bytes) + trained_bytes(4) * numbers.lora_weights(lora_rank)
    logits = _logit_bytes(numbers, tokens, is_loss_chunked=is_loss_chunked)
    return weights + _activation_bytes(numbers, tokens) + logits + overhead_bytes


def _frozen_bytes(numbers: Architecture, method: Method, dtype_bytes: int) -> int:
    if method != "qlora":
        return dtype_bytes * numbers.parameters
    small = round(linear_bytes("4bit", dtype_bytes, numbers.hidden) * numbers.linear_weights)
    widest = dtype_bytes * numbers.hidden * max(numbers.query, 0 if numbers.experts else numbers.intermediate)
    return small + dtype_bytes * (numbers.parameters - numbers.linear_weights) + widest


def _activation_bytes(numbers: Architecture, tokens: int) -> int:
    """Each layer's input is kept; one layer at a time is alive in full."""
    kept = tokens * numbers.hidden * 2 * (numbers.layers + 1)
    widths = 4 * numbers.query + 4 * numbers.key_value + 4 * numbers.intermediate + 8 * numbers.hidden
    return kept + tokens * widths * 2


def _logit_bytes(numbers: Architecture, tokens: int, *, is_loss_chunked: bool) -> int:
    if is_loss_chunked:
        return CHUNK_TOKENS * numbers.vocab * 8 + tokens * numbers.hidden * 2
    return tokens * numbers.vocab * LOGIT_BYTES
