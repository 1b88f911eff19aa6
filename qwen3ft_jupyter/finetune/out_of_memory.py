"""Tells which memory ran out while training, and what of the same fine-tune fits instead."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from qwen3ft_jupyter.errors import DoesNotFit
from qwen3ft_jupyter.finetune.dry_run import Needs
from qwen3ft_jupyter.finetune.fit import MOST_CHANGES, changes_that_fit
from qwen3ft_jupyter.finetune.plan import change_words
from qwen3ft_jupyter.loading.machine import machine_without_torch
from qwen3ft_jupyter.messages import Command, Message, Size, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.catalog.memory import Architecture
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.fit import Change
    from qwen3ft_jupyter.finetune.plan import FineTunePlan

HELD_SHARE = 0.9
"""Of the memory that was not enough, libraries left out: what is proposed needs less than that."""
_HOST_WORDS = ("can't allocate memory", "not enough memory", "Cannot allocate memory")
"""In what torch raises where the system gives a process no more, on Linux and on Windows."""


def memory_that_ran_out(error: BaseException) -> Literal["gpu", "host"] | None:
    """Return which memory an error tells of; None: it is of something else.

    >>> memory_that_ran_out(MemoryError()), memory_that_ran_out(RuntimeError("shapes differ"))
    ('host', None)
    """
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return "gpu"
    is_host = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _HOST_WORDS)
    )
    return "host" if is_host else None


@contextlib.contextmanager
def telling_what_fits(config: FineTuneConfig, numbers: Architecture | None, plan: FineTunePlan) -> Iterator[None]:
    """Raise DoesNotFit, with what fits, where memory runs out.

    Args:
        config: What was to be done.
        numbers: Of the model; None: not known.
        plan: What it was to need.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        memory = memory_that_ran_out(error)
        if memory is None:
            raise
        changes = smaller(config, numbers, plan)
        planned = Size(plan.memory.total if plan.memory else None)
        raise DoesNotFit(
            "The GPU's memory ran out while training; {planned} were planned."
            if memory == "gpu"
            else "The computer's memory ran out while training; {planned} were planned.",
            hint="What fits: {changes}. Set it in the config, and run {command}"
            if changes
            else "Lower batch_size or max_length, or set activation_checkpointing: true.",
            planned=planned if plan.memory else Message("none"),
            changes=Texts(map(change_words, changes)),
            command=Command("finetune", "CONFIG.yaml"),
        ) from error


def smaller(config: FineTuneConfig, numbers: Architecture | None, plan: FineTunePlan) -> list[Change]:
    """Return what fits in less memory than was not enough, the cheapest first."""
    if plan.memory is None:
        return []
    machine, memory = machine_without_torch(), plan.memory
    most = min(memory.free, round(memory.margin + HELD_SHARE * (memory.total - memory.margin)))
    gpus = tuple(replace(gpu, free_bytes=most) for gpu in machine.gpus)
    held = replace(machine, ram_free_bytes=most * memory.devices, gpus=gpus)
    needs = Needs(config, numbers, token_rows=plan.tokens.token_rows)
    return list(itertools.islice(changes_that_fit(config, plan.tokens, needs, held, memory.devices), MOST_CHANGES))
