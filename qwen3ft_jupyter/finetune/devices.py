"""Which devices a fine-tune computes on. Without torch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.loading.machine import machine_without_torch
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

Devices: TypeAlias = int | Literal["auto", "all"] | tuple[int, ...]
"""How many GPUs, or which, or all there are."""


def pick_gpus(device: str, devices: Devices, count: int, taken: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the GPUs of a fine-tune, among equals those that fewest others want; none if it is to use none.

    Args:
        device: What its config says: auto, cpu, mps, cuda or cuda:N.
        devices: How many, or which.
        count: GPUs of this machine.
        taken: Those of the jobs at work on one, and of those that wait, once for each.

    Raises:
        BadConfig: This machine has fewer.

    >>> pick_gpus("auto", 1, 2, ["cuda:0"]), pick_gpus("cuda", 1, 2, ["cuda:0"]), pick_gpus("auto", 1, 0)
    (('cuda:1',), ('cuda:0',), ())
    >>> pick_gpus("auto", 2, 4, ["cuda:0", "cuda:2"]), pick_gpus("auto", "all", 2), pick_gpus("auto", (1, 3), 4)
    (('cuda:1', 'cuda:3'), ('cuda:0', 'cuda:1'), ('cuda:1', 'cuda:3'))
    """
    if isinstance(devices, tuple) and not count:
        raise BadConfig(
            "devices: {value} names GPUs, and this machine has none.",
            hint="Say how many processes, for example devices: {number}; without a GPU they run on the CPU.",
            value=str(list(devices)),
            number=len(devices),
        )
    if not count or device in {"cpu", "mps"}:
        return ()
    if isinstance(devices, tuple):
        if lacking := [index for index in devices if index >= count]:
            raise BadConfig(
                "devices: this machine has no GPU {index}.",
                hint="Its GPUs are 0 to {last}; or say all.",
                index=lacking[0],
                last=count - 1,
            )
        return tuple(f"cuda:{index}" for index in devices)
    wanted = count if isinstance(devices, str) else devices
    if wanted > count:
        raise BadConfig(
            "devices: {wanted} GPUs are asked for, this machine has {count}.",
            hint="Say all, or a smaller number: a step has the same samples whatever their number.",
            wanted=wanted,
            count=count,
        )
    if wanted == 1 and device != "auto":
        return ("cuda:0" if device == "cuda" else device,)
    others = Counter(taken)
    chosen = sorted(range(count), key=lambda index: (others[f"cuda:{index}"], index))[:wanted]
    return tuple(f"cuda:{index}" for index in sorted(chosen))


def against(device: str, devices: Devices) -> str | None:
    """Return why `devices` would be of no account beside `device`, or that beside it; None: they go together."""
    index = device.partition(":")[2]
    if (
        devices == 1
        or device in {"auto", "cuda"}
        or (device == "cpu" and not isinstance(devices, tuple))
        or (device == "mps" and isinstance(devices, str))
        or (index and devices == (int(index),))
    ):
        return None
    return Message(
        "does not go with device: {device}. With auto or cuda it says how many GPUs or which, with cpu how many "
        "processes; any other device is one",
        device=device,
    )


def computed_on(device: str, devices: Devices, gpus: tuple[str, ...]) -> tuple[str, ...]:
    """Return the device of each process, given the GPUs that were picked. A CPU has as many processes as are asked for.

    >>> computed_on("auto", 2, ("cuda:1", "cuda:3")), computed_on("cpu", 2, ()), computed_on("auto", "all", ())
    (('cuda:1', 'cuda:3'), ('cpu', 'cpu'), ('auto',))
    """
    if gpus:
        return gpus
    return ("cpu",) * devices if isinstance(devices, int) and devices > 1 else (device,)


def count_devices(device: str, devices: Devices, gpus: int) -> int:
    """Return how many devices compute on a machine with so many GPUs. Raises BadConfig if there are fewer.

    >>> count_devices("auto", "all", 4), count_devices("cpu", 2, 4), count_devices("auto", 1, 4)
    (4, 2, 1)
    """
    return len(computed_on(device, devices, pick_gpus(device, devices, gpus)))


def devices_here(device: str, devices: Devices, gpus: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the device of each process on this machine, given the GPUs if they were picked. Raises BadConfig."""
    if not gpus and devices != 1:
        gpus = pick_gpus(device, devices, len(machine_without_torch().gpus))
    return computed_on(device, devices, gpus)


def gpus_of_host(device: str, devices: Devices, launcher: str) -> int | None:
    """Return the GPUs that a launcher is asked for on each host; None: all of it. A fine-tune on CPU or MPS needs none.

    All of them (PAI-DLC, Kubernetes, Slurm, Ray) hand out GPUs by number, and what they start counts its own from 0.

    Raises:
        BadConfig: The config names GPUs.

    >>> gpus_of_host("auto", 2, "Slurm"), gpus_of_host("cuda", "all", "Slurm"), gpus_of_host("mps", "all", "Slurm")
    (2, None, 0)
    """
    if device in {"cpu", "mps"}:
        return 0
    if isinstance(devices, tuple):
        raise BadConfig(
            "devices: {value} names GPUs, and {launcher} gives each host's part GPUs of its own, counted from 0.",
            hint="Say how many: devices: {count}",
            value=str(list(devices)),
            launcher=launcher,
            count=len(devices),
        )
    if device.partition(":")[2] not in {"", "0"}:
        raise BadConfig(
            "device: {value} names a GPU, and {launcher} gives each host's part GPUs of its own, counted from 0.",
            hint="Say device: cuda, and how many: devices: 1",
            value=device,
            launcher=launcher,
        )
    return devices if isinstance(devices, int) else None
