"""Where and in which number types a fine-tune computes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.loading.machine import choose

if TYPE_CHECKING:
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.loading.machine import Machine


@dataclass(frozen=True, slots=True)
class Precision:
    """Where and in which types training computes."""

    device: str
    weights: str
    """Type of the frozen or trained weights as they are kept."""
    autocast: str | None
    """Type matrices are multiplied in, where it is another one."""

    @property
    def compute(self) -> str:
        """Return the type matrices are multiplied in."""
        return self.autocast or self.weights


def choose_precision(machine: Machine, config: FineTuneConfig, parameters: int) -> Precision:
    """Return how to train on `machine`. Pure. Raises BadInput, BadConfig.

    A LoRA's base stays in 16 bits where the hardware has them, the adapter is float32. A full fine-tune keeps float32
    weights under 16-bit arithmetic: steps of 1e-5 vanish in bfloat16's eight bits. `dtype: bfloat16` asks for pure
    bfloat16 all the same.
    """
    choice = choose(machine, device=config.device, dtype=config.dtype, parameters=parameters)
    is_cuda = choice.device.startswith("cuda")
    if choice.dtype == "float16" and not is_cuda:  # no gradient scaling outside CUDA: half precision would overflow
        if config.dtype == "float16":
            raise BadConfig(
                "dtype: float16 trains on CUDA only, not on {device}.",
                hint="Use auto or float32.",
                device=choice.device,
            )
        choice = replace(choice, dtype="float32")
    if choice.dtype == "float32":
        return Precision(choice.device, "float32", None)
    if config.method == "lora":
        return Precision(choice.device, choice.dtype, choice.dtype)
    if config.dtype == "bfloat16":
        return Precision(choice.device, "bfloat16", None)
    return Precision(choice.device, "float32", choice.dtype)
