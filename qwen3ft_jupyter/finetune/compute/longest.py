"""The longest batch of a run, which is computed once before its first step: what does not fit shows at once."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.optim import Optimizer

    from qwen3ft_jupyter.finetune.batches import Step
    from qwen3ft_jupyter.finetune.compute.objectives import TrainingLoss
    from qwen3ft_jupyter.finetune.samples import Example


@dataclass(frozen=True, slots=True)
class Trial:
    """What is computed before the first step, and who is told."""

    samples: Sequence[Example]
    lengths: Sequence[int]
    """Of the samples."""
    count: int
    """Samples of a step."""
    on_begin: Callable[[], None]
    on_end: Callable[[int, float], None]
    """Is given the tokens, and the seconds they took."""

    def step(self, objective: TrainingLoss) -> Step:
        """Return a step of the longest samples; its first micro-batch has the most tokens."""
        longest = heapq.nlargest(self.count, range(len(self.lengths)), key=self.lengths.__getitem__)
        return objective.collate([self.samples[index] for index in longest])


def reserve_states(optimizer: Optimizer) -> list[torch.Tensor]:
    """Return room on a GPU for the states that Adam will keep from its first step on; nothing if they are there.

    On a CPU memory is taken only when it is written to, so that this would reserve nothing.
    """
    plain = getattr(optimizer, "optimizer", optimizer)  # accelerate's wrapper has the optimizer inside
    if type(plain) is not torch.optim.AdamW or plain.state:
        return []
    trained = [one for group in plain.param_groups for one in group["params"] if one.is_cuda]
    return [torch.empty_like(one) for one in trained for _ in ("mean", "variance")]


def seconds_on(device: torch.device) -> float:
    """Return the clock's seconds once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()


def generators_of(device: torch.device) -> list[torch.device]:
    """Return the devices whose generators `fork_rng` is to keep beside that of the CPU."""
    return [device] if device.type == "cuda" else []
