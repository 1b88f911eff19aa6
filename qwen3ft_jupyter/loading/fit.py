"""Whether a model fits: bytes needed by its tensors against bytes free, and what would fit instead. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog.memory import CPU_OVERHEAD_BYTES, DTYPE_BYTES, GPU_OVERHEAD_BYTES, linear_bytes
from qwen3ft_jupyter.errors import DoesNotFit
from qwen3ft_jupyter.loading.weights import ONE_BYTE_DTYPES
from qwen3ft_jupyter.messages import Message, Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qwen3ft_jupyter.loading.machine import Machine
    from qwen3ft_jupyter.loading.weights import Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a model, and how they are to be loaded."""

    tensors: Sequence[Tensor]
    """What the safetensors files declare."""
    dtype: str
    """The type the model computes in."""
    quantization: str | None = None
    """None, "8bit" or "4bit" (bitsandbytes): shrinks the linear layers, not embedding and output layer."""
    is_stored: bool = False
    """The files are quantized already and stay as they are."""

    @property
    def size_bytes(self) -> int:
        """Return the memory they take once loaded."""
        return int(sum(map(self._tensor_bytes, self.tensors)))

    def _tensor_bytes(self, tensor: Tensor) -> float:
        if self.is_stored and tensor.dtype in ONE_BYTE_DTYPES:
            return tensor.elements
        dtype_bytes = DTYPE_BYTES[self.dtype]
        per_weight = linear_bytes(self.quantization, dtype_bytes, tensor.shape[1]) if tensor.is_linear else dtype_bytes
        return tensor.elements * per_weight

    def cures(self, free: int) -> list[str]:
        """Return the arguments with which they would fit into so many bytes."""
        cures = []
        if self.dtype == "float32" and replace(self, dtype="bfloat16", is_stored=False).size_bytes <= free:
            cures.append('dtype="bfloat16"')
        for other in () if self.is_stored else ("8bit", "4bit"):
            smaller = replace(self, dtype="bfloat16", quantization=other)
            if other != self.quantization and smaller.size_bytes <= free:
                cures.append(f'quantization="{other}"')
        return cures


def free_bytes(machine: Machine, device: str, *, spread: bool) -> int:
    """Return what is free on `device`, less what the libraries themselves take; all GPUs together if `spread`."""
    if not device.startswith("cuda"):  # Metal shares the computer's memory
        return max(0, machine.ram_free_bytes - CPU_OVERHEAD_BYTES)
    if spread:
        return sum(max(0, gpu.free_bytes - GPU_OVERHEAD_BYTES) for gpu in machine.gpus)
    index = int(device.partition(":")[2] or 0)
    return max(0, machine.gpus[index].free_bytes - GPU_OVERHEAD_BYTES)


def needs_several_gpus(weights: Weights, machine: Machine, device: str) -> bool:
    """Return whether the weights do not fit on `device`, and there is more than one GPU to spread them over."""
    return len(machine.gpus) > 1 and weights.size_bytes > free_bytes(machine, device, spread=False)


def check_fits(weights: Weights, free: int, *, name: str, device: str, smaller: Callable[[int], str]) -> None:
    """Raise DoesNotFit, with what would fit, if the weights need more than `free` bytes.

    Args:
        weights: What is to be loaded.
        free: Bytes free on the device.
        name: The model, for the message.
        device: Where.
        smaller: Names a model that fits in so many bytes, or "".
    """
    needed = weights.size_bytes
    if needed <= free:
        return
    cures = weights.cures(free)
    if model := smaller(free):
        cures.append(Message("the smaller {name}", name=model))
    raise DoesNotFit(
        "{name} needs {needed} of GPU memory in {numbers}, {free} are free."
        if device.startswith("cuda")
        else "{name} needs {needed} of memory in {numbers}, {free} are free.",
        hint="What fits: {cures}." if cures else "Free memory (other kernels hold some), or use a larger machine.",
        name=name,
        needed=gigabytes(needed),
        numbers=weights.quantization or weights.dtype,
        free=gigabytes(free),
        cures=Texts(cures, ", "),
    )


def gigabytes(size: int) -> str:
    """Return a size as people read it.

    >>> gigabytes(8_044_936_192)
    '8.0 GB'
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
