"""The processes that train one model together, each on a part of every step.

A step has the same samples and the same loss however many there are. Each process computes the gradients of its part,
and all are added up before the optimizer moves: no number of a run depends on how many took part but by the order in
which floats are added. Each holds the whole model, or a part of it, see `compute.sharding`. The first of them decides,
writes and tells; the others follow it.

`Trainer` is told nothing of this: to it each process is alone, so it wraps no model and parts no data.
"""

from __future__ import annotations

import contextlib
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, TypeVar, cast

from qwen3ft_jupyter.finetune.batches import WHOLE, Part
from qwen3ft_jupyter.finetune.pace import Pace, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor
    from torch.nn import Parameter

T = TypeVar("T")

KEY_VARIABLE = "QWEN3FT_RANK_KEY"
"""Has what a process shows to whoever started it."""
STOP, LEAVE = b"stop", b"leave"
"""What it is told then: to end after the step at hand; to go at once, for all is over."""

BUCKET_ELEMENTS = 1 << 24
"""Numbers that are added up at once: 64 MB of float32 beside the gradients, and few messages."""


class Ranks:
    """One process alone; see `Together` for one of several."""

    part: Part = WHOLE
    """Which of them this is."""
    is_sharded: bool = False
    """Whether each has a part of the model, so that all of them have to compute whatever one of them does."""
    handlers: Mapping[str, Callable[..., object]] = {}
    """What a process that follows does when the first one calls it, by name."""

    @property
    def is_first(self) -> bool:
        """Return whether this process decides and writes."""
        return self.part.index == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what `make` returns in the first process; it is called there alone. A value has to be picklable."""
        return make()

    def call(self, name: str, *values: object) -> None:
        """Have the others do what they have a handler for; they hear of it when they next ask what the first made."""

    def most(self, count: int) -> int:
        """Return the greatest of a count in all processes."""
        return count

    def begin(self, parameters: Iterable[Parameter]) -> None:
        """Give all processes the first one's trained weights."""

    def computing(self, _device: str, _tokens: float) -> AbstractContextManager[None]:
        """Return what measures, while it is open, how long this process computes its part of a step."""
        return contextlib.nullcontext()

    def at(self, _step: int, _device: str) -> AbstractContextManager[None]:
        """Return what says, while it is open, that this process has its part of a step and waits for the others."""
        return contextlib.nullcontext()

    def paces(self) -> list[Pace]:
        """Return what each process did since they were last asked; all of them have to ask. Empty: not measured."""
        return []

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum of a small tensor over all processes."""
        return values

    def add_up_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Give all processes the sum of their gradients. One that none of them has stays none."""


ALONE = Ranks()


class RankLost(Exception):
    """Another of the processes is gone: what they compute together ends here, and begins again from a checkpoint."""


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Raise RankLost where the others do not answer."""
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's
        raise RankLost(str(error)) from error


def is_lost(error: BaseException) -> bool:
    """Return whether an error says that another of the processes is gone; that of a sharded model torch raises."""
    import torch.distributed as dist

    is_of_gloo = isinstance(error, RuntimeError) and "gloo/" in str(error)  # it names its file, and has no class
    return is_of_gloo or isinstance(error, RankLost | dist.DistError)


class Together(Ranks):
    """One of several processes of a `torch.distributed` group that is there already."""

    def __init__(self, tell: Callable[[str, Any], None]) -> None:
        """Take who is told that this process is "at" the end of a step, when it is "past" it, and the "paces" of all.

        The last is told by the first process alone.
        """
        import torch.distributed as dist

        self.part, self._tell = Part(dist.get_rank(), dist.get_world_size()), tell
        self._stopwatch = Stopwatch()

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what `make` returns in the first process; do meanwhile what that calls."""
        if self.is_first:
            made = make()
            self._send((None, made))
            return made
        while True:
            name, value = self._send(None)
            if name is None:
                return cast("T", value)
            self.handlers[name](*value)

    def call(self, name: str, *values: object) -> None:
        """Have the others do what they have a handler for."""
        self._send((name, values))

    def _send(self, message: tuple[str | None, Any] | None) -> tuple[str | None, Any]:
        """Return the first process's message."""
        import torch.distributed as dist

        box = [message]
        with together():
            dist.broadcast_object_list(box)
        return cast("tuple[str | None, Any]", box[0])

    def most(self, count: int) -> int:
        """Return the greatest of a count in all processes."""
        import torch
        import torch.distributed as dist

        box = torch.tensor([count])
        with together():
            dist.all_reduce(box, dist.ReduceOp.MAX)
        return int(box)

    def begin(self, parameters: Iterable[Parameter]) -> None:
        """Give all processes the first one's trained weights: devices of different kinds draw different lots.

        What is sharded has been drawn on CPUs, which draw the same.
        """
        if self.is_sharded:
            return
        import torch
        import torch.distributed as dist

        with torch.no_grad(), together():
            for parameter in parameters:
                if parameter.requires_grad:
                    dist.broadcast(parameter.data, src=0)

    def computing(self, device: str, tokens: float) -> AbstractContextManager[None]:
        """Measure it."""
        return super().computing(device, tokens) if self.is_sharded else self._stopwatch.computing(device, tokens)

    @contextlib.contextmanager
    def at(self, step: int, device: str) -> Iterator[None]:
        """Tell whoever watches, and measure it."""
        self._tell("at", step)
        with contextlib.nullcontext() if self.is_sharded else self._stopwatch.exchanging(device):
            yield
        self._tell("past", step)

    def paces(self) -> list[Pace]:
        """Return what each process did: a message of three numbers by gloo.

        A sharded model is exchanged while it is computed, layer by layer: there is nothing to measure it by.
        """
        if self.is_sharded:
            return []
        import torch
        import torch.distributed as dist

        own = torch.tensor(astuple(self._stopwatch.take()), dtype=torch.float64)
        found = [torch.empty_like(own) for _ in range(self.part.count)]
        with together():
            dist.all_gather(found, own)
        paces = [Pace(*one.tolist()) for one in found]
        if self.is_first:
            self._tell("paces", [astuple(pace) for pace in paces])
        return paces

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum of a small tensor over all processes."""
        import torch.distributed as dist

        with together():
            dist.all_reduce(values)
        return values

    def add_up_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Give all processes the sum of their gradients; what is sharded has it from the backward pass."""
        if self.is_sharded:
            return
        import torch
        import torch.distributed as dist

        trained = [one for one in parameters if one.requires_grad]
        has = torch.tensor([one.grad is not None for one in trained], dtype=torch.int32, device=trained[0].device)
        with together():
            dist.all_reduce(has)
        found = [one for one, count in zip(trained, has.tolist(), strict=True) if count]
        for bucket in _buckets(found):
            flat = torch.cat([_gradient(one).reshape(-1) for one in bucket])
            with together():
                dist.all_reduce(flat)
            for one, part in zip(bucket, flat.split([one.numel() for one in bucket]), strict=True):
                one.grad = part.view_as(one).clone()


def _gradient(parameter: Parameter) -> Tensor:
    """Return the gradient, or zeros where this process's part had nothing to do with a parameter."""
    import torch

    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _buckets(parameters: Sequence[Parameter]) -> Iterable[list[Parameter]]:
    """Yield neighbours of one type that are added up at once."""
    bucket: list[Parameter] = []
    size = 0
    for one in parameters:
        if bucket and (one.dtype != bucket[0].dtype or size + one.numel() > BUCKET_ELEMENTS):
            yield bucket
            bucket, size = [], 0
        bucket.append(one)
        size += one.numel()
    if bucket:
        yield bucket
