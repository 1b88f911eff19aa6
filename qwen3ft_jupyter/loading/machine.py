"""What this machine is, and which device and number type suit it: measured once, decided by a pure function."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.catalog.memory import DTYPE_BYTES
from qwen3ft_jupyter.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.loading.libraries import Model

CPU_BF16_FROM_PARAMETERS = 100_000_000
"""Below this a CPU computes in float32 even where it knows bfloat16: it is quick enough, and exact."""


ONE_THREAD_BELOW = 20_000_000
"""Parameters under which a CPU computes on one thread (see `fitting_threads`)."""


DRIVER_S = 10.0
"""For the driver to answer: one that keeps no state between programs takes seconds."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One CUDA device; `capability` is (major, minor), sizes are bytes."""

    name: str
    capability: tuple[int, int]
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices a model can be loaded on."""

    ram_free_bytes: int
    ram_total_bytes: int
    gpus: tuple[Gpu, ...] = ()
    has_mps: bool = False
    has_mps_bf16: bool = False
    """Metal computes bfloat16 from macOS 14 on."""
    has_cpu_bf16: bool = False
    """The CPU multiplies bfloat16 natively (AVX512-BF16, AMX, ARM BF16); others emulate it, slowly."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a fine-tune has for itself on this machine at most: the memory of the largest GPU, else that of the host."""

    name: str
    """What the GPU is called; "" where it is the host's memory."""
    total_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """Where and in which number type to compute, and why, in a few words."""

    device: str
    """cpu, mps, cuda or cuda:N."""
    dtype: str
    """float32, float16 or bfloat16."""
    reason: str


def choose(machine: Machine, *, device: str = "auto", dtype: str = "auto", parameters: int = 0) -> Choice:
    """Return the device and number type for a model of that many parameters on `machine`.

    What the caller names is taken as it is, if the machine has it. Raises BadInput.
    """
    chosen = choose_device(machine, device)
    if dtype != "auto":
        return Choice(chosen, check_dtype(dtype), "as asked")
    return Choice(chosen, *choose_dtype(machine, chosen, parameters))


def choose_device(machine: Machine, device: str = "auto") -> str:
    """Return "cuda", "cuda:N", "mps" or "cpu". Raises BadInput for a device this machine lacks."""
    if device == "auto":
        return "cuda" if machine.gpus else "mps" if machine.has_mps else "cpu"
    available = ["cpu", *(["mps"] if machine.has_mps else []), *(["cuda"] if machine.gpus else [])]
    available += [f"cuda:{index}" for index in range(len(machine.gpus))]
    if device not in available:
        raise BadInput(
            "device: {device} is not on this machine.",
            hint="It has {names}; or say auto.",
            device=device,
            names=", ".join(available),
        )
    return device


def choose_dtype(machine: Machine, device: str, parameters: int = 0) -> tuple[str, str]:
    """Return the number type for `device`, and the reason.

    bfloat16 wherever the hardware multiplies it: Qwen3 was trained in it, and it cannot overflow as float16 can. On a
    CPU with AVX512-BF16 the shape of Qwen3-0.6B takes 0.11 s of one core for a token in bfloat16 and 0.19 s in float32,
    and trains 2.6 times as fast; small models are quick either way and stay exact.
    """
    if device.startswith("cuda"):
        gpu = machine.gpus[int(device.partition(":")[2] or 0)]
        if gpu.capability >= (8, 0):
            return "bfloat16", f"{gpu.name} computes bfloat16"
        return "float16", f"{gpu.name} is older than bfloat16"
    if device == "mps":
        dtype = "bfloat16" if machine.has_mps_bf16 else "float16"
        return dtype, f"this macOS is {'new enough' if machine.has_mps_bf16 else 'too old'} for bfloat16 on Metal"
    if not machine.has_cpu_bf16:
        return "float32", "this CPU would emulate 16-bit numbers"
    if parameters < CPU_BF16_FROM_PARAMETERS:
        return "float32", "the model is small: quick enough in float32, and exact"
    return "bfloat16", "this CPU computes bfloat16"


def check_dtype(dtype: object) -> str:
    """Return "float32", "float16" or "bfloat16" for a name, an alias or a torch.dtype. Raises BadInput."""
    aliases = {"fp32": "float32", "float": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}
    name = str(dtype).removeprefix("torch.")
    name = aliases.get(name, name)
    if name not in DTYPE_BYTES:
        raise BadInput(
            "dtype {value!r} is not known.",
            hint="Accepted: auto, {names}.",
            value=str(dtype),
            names=", ".join(DTYPE_BYTES),
        )
    return name


def this_machine() -> Machine:
    """Measure this machine. Imports torch."""
    import torch

    total, free = _ram()
    mps = getattr(torch.backends, "mps", None)
    has_mps = bool(mps and mps.is_available())
    return Machine(
        ram_free_bytes=free,
        ram_total_bytes=total,
        gpus=_gpus(),
        has_mps=has_mps,
        has_mps_bf16=has_mps and int(platform.mac_ver()[0].partition(".")[0] or 0) >= 14,
        has_cpu_bf16=_has_cpu_bf16(),
    )


def machine_without_torch() -> Machine:
    """Measure this machine as `this_machine` does, without torch: it may be missing here, and takes memory of a GPU."""
    total, free = _ram()
    is_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return Machine(
        ram_free_bytes=free,
        ram_total_bytes=total,
        gpus=_gpus_of_driver() if _may_use_cuda() else (),
        has_mps=is_apple,
        has_mps_bf16=is_apple and int(platform.mac_ver()[0].partition(".")[0] or 0) >= 14,
        has_cpu_bf16=_has_cpu_bf16(),
    )


@functools.cache
def room() -> Room:
    """Return what this machine has. Asks the driver once: what there is does not change, and it may take seconds."""
    machine = machine_without_torch()
    largest = max(machine.gpus, key=lambda gpu: gpu.total_bytes, default=None)
    return Room("", machine.ram_total_bytes) if largest is None else Room(largest.name, largest.total_bytes)


def _ram() -> tuple[int, int]:
    """Return the bytes there are, and those that are free."""
    import psutil

    memory = psutil.virtual_memory()
    limit, used = cgroup_memory()
    if limit is None:
        return memory.total, memory.available
    return min(memory.total, limit), min(memory.available, max(0, limit - used))  # the host's figures are not ours


def _may_use_cuda() -> bool:
    """Return whether the torch that is installed is made for CUDA; True where there is none, which tells nothing."""
    with contextlib.suppress(OSError, ValueError, ImportError):
        if (spec := importlib.util.find_spec("torch")) and spec.origin:
            text = Path(spec.origin).with_name("version.py").read_text("utf-8")
            return not any(line.startswith("cuda") and line.rstrip().endswith("None") for line in text.splitlines())
    return True


def _gpus_of_driver() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [
        program,
        "--query-gpu=index,uuid,name,compute_cap,memory.free,memory.total",
        "--format=csv,noheader,nounits",
    ]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(query, capture_output=True, text=True, timeout=DRIVER_S, check=True)
        return read_gpus(done.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return ()


def read_gpus(listing: str, visible: str | None) -> tuple[Gpu, ...]:
    r"""Return the GPUs that a driver lists and this process may see, in its order.

    Args:
        listing: index, uuid, name, capability, MiB free and MiB in all of each, with commas between.
        visible: `CUDA_VISIBLE_DEVICES`: indices, or beginnings of uuids; None: all.

    >>> [gpu.name for gpu in read_gpus("0, GPU-a1, T4, 7.5, 15000, 15360\n1, GPU-b2, A10, 8.6, 1, 2", "GPU-b,0")]
    ['A10', 'T4']
    """
    found: dict[str, tuple[str, Gpu]] = {}
    for line in listing.splitlines():
        with contextlib.suppress(ValueError):  # what a driver does not tell is [N/A]
            index, uuid, name, capability, free, total = (part.strip() for part in line.split(","))
            major, _, minor = capability.partition(".")
            found[index] = uuid, Gpu(name, (int(major), int(minor)), int(free) << 20, int(total) << 20)
    if visible is None:
        return tuple(gpu for _, gpu in found.values())
    chosen = []
    for word in filter(None, map(str.strip, visible.split(","))):
        named = found.get(word) or next((one for one in found.values() if one[0].startswith(word)), None)
        if named is None:  # CUDA sees what is named before
            break
        chosen.append(named[1])
    return tuple(chosen)


def peak_bytes(device: str) -> int | None:
    """Return the most memory that this process has had on a device at once; None where nobody counts it.

    On a GPU that of torch alone, on a CPU all of the process.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_reserved())
    return _counted("VmHWM:") if device == "cpu" else None


def held_bytes(device: str) -> int | None:
    """Return the memory that this process has on a device now, counted as `peak_bytes` does; None: nobody counts it."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.memory_reserved())
    return _counted("VmRSS:") if device == "cpu" else None


def _counted(name: str) -> int | None:
    """Return what the system says of our memory; only Linux does."""
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        text = Path("/proc/self/status").read_text("ascii", errors="replace")
        line = next(line for line in text.splitlines() if line.startswith(name))
        return int(line.split()[1]) << 10
    return None


def _gpus() -> tuple[Gpu, ...]:
    import torch

    if not torch.cuda.is_available():
        return ()
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
        found.append(Gpu(name, (capability[0], capability[1]), free, total))
    return tuple(found)


def _has_cpu_bf16() -> bool:
    """Return whether the CPU has bfloat16 instructions. Only Linux lists them; float32 always works."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
        return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(line.partition(":")[2].split()))
    return False


def cgroup_memory(root: Path = Path("/sys/fs/cgroup")) -> tuple[int | None, int]:
    """Return this container's memory limit in bytes (None: no limit) and what is in use, caches left out."""
    for limit_name, used_name, cache_key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            limit, used = int((root / limit_name).read_text()), int((root / used_name).read_text())
            stat = (root / limit_name).with_name("memory.stat").read_text()
            cache = next((int(line.split()[1]) for line in stat.splitlines() if line.startswith(f"{cache_key} ")), 0)
            if limit < 1 << 60:  # cgroup v1 says "no limit" with a number near 2**63
                return limit, max(0, used - cache)
    return None, 0


@contextlib.contextmanager
def fitting_threads(model: Model) -> Iterator[None]:
    """Let this thread compute a small model on one CPU core.

    Its matrices are too small to share out, and threads that wait for each other spin: on two cores with other work on
    them, twelve steps of a tiny model took 0.3 s on one thread and 25.7 s on two.
    """
    import torch

    before = torch.get_num_threads()
    if model.device.type == "cpu" and sum(one.numel() for one in model.parameters()) < ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
