"""Shards a model over the processes that train it together, by FSDP2 (`torch.distributed.fsdp.fully_shard`).

Each process keeps a part of every parameter, of its gradient and of the optimizer's states. A decoder layer is gathered
where it is computed, and so is what lies outside of the layers: embedding, last norm, head. Numbers keep the types that
they have in one process, which is what makes the losses the same.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from qwen3ft_jupyter.finetune.compute.objectives import causal_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor
    from torch.distributed.device_mesh import DeviceMesh
    from torch.optim import Optimizer

    from qwen3ft_jupyter.loading.libraries import Model

T = TypeVar("T")


def mesh_of(device: str) -> DeviceMesh:
    """Return the processes of the group that is there, in one row. All of them have to call it."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh(torch.device(device).type, (dist.get_world_size(),))


def shard(model: Model, mesh: DeviceMesh, *, is_offloaded: bool) -> None:
    """Keep this process's part of a model that lies on the CPU whole; nothing is sent.

    Gradients are added up, as they are in one process, not averaged. Offloaded parts stay on the CPU, where the
    optimizer then computes.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, fully_shard, register_fsdp_forward_method

    options: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": True}
    if is_offloaded:
        options["offload_policy"] = CPUOffloadPolicy(pin_memory=mesh.device_type == "cuda")
    root = causal_model(model)
    for layer in root.get_decoder().layers:
        fully_shard(layer, **options)
    fully_shard(root, **options)
    root.compute_gathered = _compute
    register_fsdp_forward_method(root, "compute_gathered")
    for module in root.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no other


def mesh_of_model(model: nn.Module) -> DeviceMesh | None:
    """Return over which processes a model is sharded; None: it is whole."""
    return next((one.device_mesh for one in model.parameters() if isinstance(one, DTensor)), None)


def part_of(whole: Tensor, mesh: DeviceMesh) -> DTensor:
    """Return this process's part of a tensor that all of them have."""
    return distribute_tensor(whole, mesh, [Shard(0)], src_data_rank=None)


def part_states(optimizer: Optimizer, states: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimizer's states, as one process saves them, with this process's part of those that are sharded."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    parted = {
        place: {
            name: part_of(value, parameters[place].device_mesh)
            if isinstance(value, torch.Tensor) and value.shape == parameters[place].shape and value.dim()
            else value
            for name, value in state.items()
        }
        for place, state in states["state"].items()
    }
    return {**states, "state": parted}


def whole_states(optimizer: Optimizer, *, is_first: bool) -> dict[str, Any]:
    """Return an optimizer's states as one process has them; to the others than the first, nothing of any use.

    All processes have to call it. One tensor at a time is gathered, and goes to the CPU of the first.
    """
    states: dict[str, Any] = optimizer.state_dict()
    found = {
        place: {name: _gather(value, is_kept=is_first) for name, value in state.items()}
        for place, state in states["state"].items()
    }
    return {**states, "state": found}


@contextlib.contextmanager
def whole(model: Model, *, is_first: bool = True, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Have what is to be saved of a model whole for the block: on the CPU of the first process, and nowhere else.

    All processes have to call it. Of a model with an adapter only what is trained is saved. A model that is not
    sharded is whole. Numbers get the type `dtype`, of a model that is not sharded for good.
    """
    if mesh_of_model(model) is None:
        if dtype is not None:
            model.to(dtype)
        yield
        return
    gathered: dict[nn.Parameter, nn.Parameter] = {}
    places = list(_places(model))
    for module, name in places:
        one = module._parameters[name]  # noqa: SLF001 - assigning a parameter to a sharded module is more than that
        if one not in gathered:
            found = _gather(one, is_kept=is_first, dtype=dtype)
            gathered[one] = nn.Parameter(found, requires_grad=one.requires_grad) if is_first else one
    parts = [module._parameters[name] for module, name in places]  # noqa: SLF001
    try:
        for (module, name), one in zip(places, parts, strict=True):
            module._parameters[name] = gathered[one]  # noqa: SLF001
        del gathered
        yield
    finally:
        for (module, name), one in zip(places, parts, strict=True):
            module._parameters[name] = one  # noqa: SLF001


def _places(model: Model) -> Iterator[tuple[nn.Module, str]]:
    """Yield where the parameters are that are saved; one that is tied has several places."""
    is_adapted = hasattr(model, "peft_config")
    for module in model.modules():
        for name, one in module._parameters.items():  # noqa: SLF001
            if isinstance(one, DTensor) and (one.requires_grad or not is_adapted):
                yield module, name


def _gather(value: object, *, is_kept: bool, dtype: torch.dtype | None = None) -> Any:  # Any: what it was given
    """Return the whole of a part, on the CPU; where it is not kept, only take part in it."""
    if not isinstance(value, DTensor):
        return value
    on_device = value.detach()
    if on_device.device.type != on_device.device_mesh.device_type:  # offloaded: what gathers is on the GPU
        local = on_device.to_local().to(on_device.device_mesh.device_type)
        on_device = DTensor.from_local(
            local, on_device.device_mesh, on_device.placements, shape=on_device.shape, stride=on_device.stride()
        )
    found = on_device.full_tensor()
    return found.to("cpu", dtype or found.dtype) if is_kept else None


def _compute(call: Any, *given: Any) -> Any:  # Any: what the caller's function takes and gives
    return call(*given)
