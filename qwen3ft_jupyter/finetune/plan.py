"""What a fine-tune will be, before it starts: steps, tokens, memory, disk, time, and what to change if it will not fit.

Pure arithmetic over values that others have measured; see `planning` for those.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.catalog.memory import (
    DTYPE_BYTES,
)
from qwen3ft_jupyter.errors import DoesNotFit, NoSpace
from qwen3ft_jupyter.finetune.arguments import total_steps
from qwen3ft_jupyter.finetune.batches import Layout, Unit, packed_rows
from qwen3ft_jupyter.finetune.dry_run import Needs
from qwen3ft_jupyter.finetune.fit import Fits, place_of, plan_memory, training_of
from qwen3ft_jupyter.finetune.spool import IN_MEMORY, TOKEN_BYTES
from qwen3ft_jupyter.messages import Message, Size, Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qwen3ft_jupyter.catalog.memory import Architecture
    from qwen3ft_jupyter.finetune.absent import AbsentData
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import DataReport
    from qwen3ft_jupyter.finetune.dry_run import DryRun
    from qwen3ft_jupyter.finetune.fit import Change, MemoryPlan
    from qwen3ft_jupyter.finetune.samples import Tokens
    from qwen3ft_jupyter.loading.machine import Machine

TOKENIZER_BYTES = 16_000_000
"""Of a Qwen3 tokenizer, which is saved with every result."""
MOST_LAID_OUT = 100_000
"""Samples that are laid out to reckon the padding."""


@dataclass(frozen=True, slots=True)
class DataPlan:
    """What was read."""

    rows: int
    conversations: int
    """Those that are learned from."""
    held_out: int
    """Those that are kept for measuring."""
    empty: int
    bad: int
    notices: tuple[str, ...]
    """What is not learned, and why."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The optimizer's steps."""

    total: int
    an_epoch: int
    warmup: int
    checkpoints: int | None
    """That are written; None: the clock decides, or what is measured."""
    tokens: int
    """Seen in all of them, padding left out."""
    padding: float
    """Part of what is computed that is padding, 0 to 1."""


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """The room in the volume of output_dir, in bytes."""

    checkpoint: int
    """One."""
    result: int
    needed: int
    """At most: the result, the checkpoints that are kept at once, and many samples while it trains."""
    certain: int
    """For certain."""
    free: int | None


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast this machine will be."""

    tokens_per_s: float
    reckoned_from: str | None = None
    """The model of an earlier run that computed something else; None: an earlier run computed the same."""


@dataclass(frozen=True, slots=True)
class FineTunePlan:
    """What a fine-tune will be."""

    model: str
    objective: str
    method: str
    output_dir: str
    is_cached: bool
    download_bytes: int | None
    """Before it can begin; None: nobody knows how many."""
    data: DataPlan
    tokens: Tokens
    steps: StepPlan
    memory: MemoryPlan | None
    """None: nobody knows what the model is made of."""
    disk: DiskPlan | None
    tokens_per_s: float | None
    """By an earlier run on this machine; None: there was none to go by."""
    seconds: float | None
    rate_from: str | None = None
    """The model of that run, if it computed something else: then the rate is reckoned. None: it was measured."""
    notices: tuple[str, ...] = ()
    absent: tuple[AbsentData, ...] = ()
    """Data sets that are not here: none of the numbers counts their rows."""

    @property
    def fits(self) -> Fits:
        """Return whether the memory is enough."""
        return self.memory.fits if self.memory else "unknown"

    @property
    def has_room(self) -> bool:
        """Return whether the disk is."""
        return self.disk is None or self.disk.free is None or self.disk.certain <= self.disk.free

    @property
    def summary(self) -> dict[str, int]:
        """Return what a run's result is compared with: steps, tokens, and memory and time where they are known."""
        known = {"memory_bytes": self.memory.total} if self.memory else {}
        known |= {"seconds": round(self.seconds)} if self.seconds is not None else {}
        return {"steps": self.steps.total, "tokens": self.steps.tokens, **known}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        told = asdict(self)
        del told["tokens"]["lengths"]
        return {**told, "fits": self.fits, "has_room": self.has_room}


def make_plan(
    config: FineTuneConfig,
    report: DataReport,
    tokens: Tokens,
    numbers: Architecture | None,
    machine: Machine,
    *,
    tried: DryRun | None = None,
    held_out: int = 0,
    disk_free: int | None = None,
    rate: Callable[[MemoryPlan | None], Rate | None] = lambda _memory: None,
    is_cached: bool = True,
    download_bytes: int | None = 0,
    notices: Sequence[str] = (),
    count: int | None = None,
) -> FineTunePlan:
    """Return the plan of a run.

    Raises BadInput, BadConfig if the machine lacks the device that is asked for.

    Args:
        config: What is to be done.
        report: What was read.
        tokens: What is learned from.
        numbers: Of the model; None: not known.
        machine: Where it will be computed.
        tried: What a dry run found; None: there was none.
        held_out: Conversations kept for measuring.
        disk_free: Bytes free in the volume of output_dir; None: not known.
        rate: Returns what earlier runs on this machine tell of its speed; None if there were none to go by.
        is_cached: Whether the model is here.
        download_bytes: What has to be fetched before.
        notices: What else a person should know.
        count: Devices that compute together; None: as many as the config asks for.
    """
    steps = plan_steps(config, tokens)
    needs = Needs(config, numbers, tried, tokens.token_rows)
    memory = plan_memory(config, tokens, needs, machine, count)
    known = rate(memory)
    data = DataPlan(
        report.rows, report.conversations - held_out, held_out, report.empty, report.bad, tuple(report.notices)
    )
    return FineTunePlan(
        model=config.model,
        objective=config.objective,
        method=config.method,
        output_dir=config.output_dir,
        is_cached=is_cached,
        download_bytes=download_bytes,
        data=data,
        tokens=tokens,
        steps=steps,
        memory=memory,
        disk=plan_disk(config, tokens, needs, machine, steps=steps, free=disk_free),
        tokens_per_s=known.tokens_per_s if known else None,
        seconds=steps.tokens / known.tokens_per_s if known and known.tokens_per_s else None,
        rate_from=known.reckoned_from if known else None,
        notices=tuple(notices),
    )


def check_plan(plan: FineTunePlan) -> None:
    """Raise DoesNotFit or NoSpace for a run that cannot end well, with what would."""
    memory, disk = plan.memory, plan.disk
    if memory is not None and memory.fits == "no":
        raise DoesNotFit(
            "This fine-tune of {name} needs at least {needed} of memory on {device}, {free} are free.",
            hint="What fits: {changes}."
            if memory.changes
            else "Free memory (other kernels hold some), or use a larger machine.",
            name=plan.model,
            needed=Size(memory.certain),
            device=memory.device_name,
            free=Size(memory.free),
            changes=Texts(map(change_words, memory.changes)),
        )
    if disk is not None and not plan.has_room:
        raise NoSpace(
            "This fine-tune needs {needed} of disk for result and checkpoints, {free} are free.",
            hint="Free some, name an output_dir on another volume, or lower keep_checkpoints.",
            needed=Size(disk.certain),
            free=Size(disk.free),
        )


def closeness(plan: FineTunePlan) -> str:
    """Return a warning where the arithmetic cannot tell whether the memory is enough; "" elsewhere."""
    memory = plan.memory
    if memory is None or memory.fits != "unknown":
        return ""
    return Message(
        "It may not fit: about {needed} of memory are needed, {free} are free on {device}. What fits: {changes}."
        if memory.changes
        else "It may not fit: about {needed} of memory are needed, {free} are free on {device}.",
        needed=Size(memory.total),
        free=Size(memory.free),
        device=memory.device_name,
        changes=Texts(map(change_words, memory.changes)),
    )


def change_words(change: Change) -> str:
    """Return a change as it is written in a config, with what it comes to."""
    fields = ", ".join(
        f"{name}: {str(value).lower() if value is True else value}" for name, value in change.fields.items()
    )
    if change.shortened:
        return Message(
            "{fields} (about {needed}; shortens {count} samples)",
            fields=fields,
            needed=Size(change.total_bytes),
            count=change.shortened,
        )
    return Message("{fields} (about {needed})", fields=fields, needed=Size(change.total_bytes))


def plan_steps(config: FineTuneConfig, tokens: Tokens) -> StepPlan:
    """Return the steps: the arithmetic is that of the run itself."""
    total = total_steps(config, tokens.samples)
    an_epoch = total_steps(config.model_copy(update={"max_steps": None, "epochs": 1.0}), tokens.samples)
    epochs = total / an_epoch
    is_open = config.keeps_best or config.save_minutes is not None
    return StepPlan(
        total=total,
        an_epoch=an_epoch,
        warmup=round(total * config.warmup_ratio),
        checkpoints=(total - 1) // config.save_steps if config.save_steps and not is_open else None,
        tokens=round(tokens.tokens * epochs),
        padding=padding_share(tokens.lengths, config),
    )


def padding_share(lengths: Sequence[int], config: FineTuneConfig) -> float:
    """Return the part of padding where each step's samples are drawn by chance, and laid out as training does it."""
    if not lengths:
        return 0.0
    chance, whole = random.Random(config.seed), range(len(lengths))  # noqa: S311 - not a secret
    chosen = whole if len(whole) <= MOST_LAID_OUT else chance.sample(whole, MOST_LAID_OUT)
    drawn = [lengths[index] for index in chosen]
    chance.shuffle(drawn)
    layout = Layout(0, most_tokens=config.batch_size * max(drawn))
    computed = 0
    for start in range(0, len(drawn), config.effective_batch_size):
        step = drawn[start : start + config.effective_batch_size]
        packs = config.packing is not False
        rows = packed_rows(step, max(step)) if packs else [[index] for index in range(len(step))]
        widths = sorted((sum(step[index] for index in row) for row in rows), reverse=True)
        groups = layout.groups([Unit([[]], width, []) for width in widths], len(widths))
        computed += sum(group[0].width * len(group) for group in groups)
    return round(1 - sum(drawn) / computed, 4)


def plan_disk(
    config: FineTuneConfig,
    tokens: Tokens,
    needs: Needs,
    machine: Machine,
    *,
    steps: StepPlan,
    free: int | None,
) -> DiskPlan | None:
    """Return what is written; None if nobody knows what the model is made of."""
    if not needs.parameters:
        return None
    how = training_of(config, needs, place_of(config, needs.parameters, machine), 1)
    is_full = config.method == "full"
    saved = needs.parameters if is_full else how.adapter_weights
    each = how.weight_bytes if is_full else DTYPE_BYTES["float32"]
    trained = how.trained_weights(needs.numbers) if needs.numbers else saved
    checkpoint = saved * each + trained * 2 * how.state_bytes
    result = saved * (DTYPE_BYTES["bfloat16"] if is_full else each) + TOKENIZER_BYTES
    kept = config.keep_checkpoints + 1 + config.keeps_best  # the new one is written before the oldest goes
    most = kept if steps.checkpoints is None else min(kept, steps.checkpoints)
    certain = result if steps.checkpoints is None else result + most * checkpoint
    samples = 0 if tokens.basis == "counted" else TOKEN_BYTES * tokens.tokens  # who counted all has written them
    samples = samples if samples > IN_MEMORY else 0
    return DiskPlan(checkpoint, result, result + most * checkpoint + samples, certain + samples, free)
