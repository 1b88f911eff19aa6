"""Whether a model fits: bytes needed by its tensors against bytes free, and what would fit instead. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog.memory import CPU_OVERHEAD_BYTES, DTYPE_BYTES, GPU_OVERHEAD_BYTES, linear_bytes
from qwen3ft_jupyter.errors import DoesNotFit
from qwen3ft_jupyter.loading.weights import ONE_BYTE_DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qwen3ft_jupyter.loading.machine import Machine
    from qwen3ft_jupyter.loading.weights import Tensor


def load_bytes(tensors: Iterable[Tensor], *, dtype: str, quantization: str | None = None, stored: bool = False) -> int:
    """Return the memory the weights take once loaded.

    Args:
        tensors: What the safetensors files declare.
        dtype: The type the model computes in.
        quantization: None, "8bit" or "4bit" (bitsandbytes): shrinks the linear layers, not embedding and output layer.
        stored: The files are quantized already and stay as they are.
    """
    total = 0.0
    for tensor in tensors:
        if stored and tensor.dtype in ONE_BYTE_DTYPES:
            total += tensor.elements
        elif tensor.is_linear:
            total += tensor.elements * linear_bytes(quantization, DTYPE_BYTES[dtype], tensor.shape[1])
        else:
            total += tensor.elements * DTYPE_BYTES[dtype]
    return int(total)


def free_bytes(machine: Machine, device: str, *, spread: bool) -> int:
    """Return what is free on `device`, less what the libraries themselves take; all GPUs together if `spread`."""
    if not device.startswith("cuda"):  # Metal shares the computer's memory
        return max(0, machine.ram_free_bytes - CPU_OVERHEAD_BYTES)
    if spread:
        return sum(max(0, gpu.free_bytes - GPU_OVERHEAD_BYTES) for gpu in machine.gpus)
    index = int(device.partition(":")[2] or 0)
    return max(0, machine.gpus[index].free_bytes - GPU_OVERHEAD_BYTES)


def check_fits(
    tensors: Sequence[Tensor],
    *,
    name: str,
    free: int,
    dtype: str,
    device: str,
    quantization: str | None = None,
    stored: bool = False,
    smaller: Callable[[int], str] = lambda free: "",  # noqa: ARG005 - the default knows no models
) -> None:
    """Raise DoesNotFit, with what would fit, if the weights need more than `free` bytes.

    Args:
        tensors: What the files declare.
        name: The model, for the message.
        free: Bytes free on the device.
        dtype: What it would be loaded in.
        device: Where.
        quantization: None, "8bit" or "4bit".
        stored: The files are quantized already.
        smaller: Names a model that fits in so many bytes, or "".
    """
    needed = load_bytes(tensors, dtype=dtype, quantization=quantization, stored=stored)
    if needed <= free:
        return
    cures = []
    if dtype == "float32" and load_bytes(tensors, dtype="bfloat16", quantization=quantization) <= free:
        cures.append('dtype="bfloat16"')
    if not stored:
        for other in ("8bit", "4bit"):
            fits = load_bytes(tensors, dtype="bfloat16", quantization=other) <= free
            if fits and other != quantization:
                cures.append(f'quantization="{other}"')
    cures += [f"the smaller {model}"] if (model := smaller(free)) else []
    where = "of GPU memory" if device.startswith("cuda") else "of memory"
    hint = (
        f"What fits: {', '.join(cures)}."
        if cures
        else "Free memory (other kernels hold some), or use a larger machine."
    )
    raise DoesNotFit(
        f"{name} needs {gigabytes(needed)} {where} in {quantization or dtype}, {gigabytes(free)} are free.", hint=hint
    )


def gigabytes(size: int) -> str:
    """Return a size as people read it.

    >>> gigabytes(8_044_936_192)
    '8.0 GB'
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
