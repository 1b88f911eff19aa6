"""What a fine-tune will be, before it starts: steps, tokens, memory, disk, time, and what to change if it will not fit.

Pure arithmetic over values that others have measured; see `planning` for those.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from qwen3ft_jupyter.catalog import catalog
from qwen3ft_jupyter.catalog.memory import (
    DTYPE_BYTES,
    GPU_OVERHEAD_BYTES,
    TRAINER_OVERHEAD_BYTES,
    Training,
)
from qwen3ft_jupyter.errors import DoesNotFit, NoSpace
from qwen3ft_jupyter.finetune.arguments import has_activation_checkpointing, total_steps
from qwen3ft_jupyter.finetune.batches import Layout, Unit, packed_rows
from qwen3ft_jupyter.finetune.dry_run import Needs
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.precision import choose_precision
from qwen3ft_jupyter.finetune.spool import IN_MEMORY, TOKEN_BYTES
from qwen3ft_jupyter.messages import Message, Size, Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.catalog.memory import Architecture
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import DataReport
    from qwen3ft_jupyter.finetune.dry_run import DryRun
    from qwen3ft_jupyter.finetune.precision import Precision
    from qwen3ft_jupyter.finetune.samples import Tokens
    from qwen3ft_jupyter.loading.machine import Machine

Fits = Literal["yes", "no", "unknown"]
"""unknown: nobody knows the model or the machine, or it is too close for the arithmetic to tell."""

MemoryBasis = Literal["formula", "dry run"]
"""How memory is known: by arithmetic on the model's numbers, or from a step that was tried without weights."""

TOKENIZER_BYTES = 16_000_000
"""Of a Qwen3 tokenizer, which is saved with every result."""
CERTAIN_SHARE = 0.8
"""Of the reckoned working memory, what is needed for certain: a run is refused only for what cannot be otherwise."""
SHORTEST = 16
"""The least max_length that a config may have."""
MOST_TOKENS = 262_144
"""The greatest."""
MOST_CHANGES = 3
"""Proposals of what would make it fit."""
MOST_LAID_OUT = 100_000
"""Samples that are laid out to reckon the padding."""
SHORTENED_SHARE = 0.1
"""Of the samples; a max_length that shortens more of them is not proposed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where training computes, and what is free there."""

    precision: Precision
    name: str
    """Of the GPU, or cpu."""
    free_bytes: int


def place_of(config: FineTuneConfig, parameters: int, machine: Machine) -> Place:
    """Return where a run is computed, and what is free there. Raises BadInput, BadConfig for a device it lacks."""
    precision = choose_precision(machine, config, parameters)
    if precision.device.startswith("cuda"):
        gpu = machine.gpus[int(precision.device.partition(":")[2] or 0)]
        return Place(precision, gpu.name, gpu.free_bytes)
    return Place(precision, precision.device, machine.ram_free_bytes)


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
class Change:
    """Fields of the config with which a run fits."""

    fields: Mapping[str, Any]
    total_bytes: int
    shortened: int = 0
    """Samples that would be shortened."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory at the worst moment, in bytes; the parts add up to `total`."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    margin: int
    total: int
    device: str
    """cpu, mps, cuda or cuda:N."""
    device_name: str
    dtype: str
    """That matrices are multiplied in."""
    is_checkpointed: bool
    free: int
    fits: Fits
    basis: MemoryBasis = "formula"
    changes: tuple[Change, ...] = ()
    """What makes it fit, the cheapest first; empty if it fits."""
    largest_batch: int = 0
    """Samples of the longest length that fit at once."""
    largest_length: int = 0
    """Tokens of the longest sample that fits, at this batch size."""

    @property
    def certain(self) -> int:
        """Return the bytes that are needed for certain, however the arithmetic errs."""
        states = self.weights + self.adapter + self.gradients + self.optimizer
        return round(states + CERTAIN_SHARE * (self.activations + self.logits))


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
    """As measured in an earlier run like this one on this machine; None: there was none."""
    seconds: float | None
    notices: tuple[str, ...] = ()

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
    rate: Callable[[MemoryPlan | None], float | None] = lambda _memory: None,
    is_cached: bool = True,
    download_bytes: int | None = 0,
    notices: Sequence[str] = (),
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
        rate: Returns the tokens a second of earlier runs like this one; None if there were none.
        is_cached: Whether the model is here.
        download_bytes: What has to be fetched before.
        notices: What else a person should know.
    """
    steps = plan_steps(config, tokens)
    needs = Needs(config, numbers, tried, tokens.token_rows)
    memory = plan_memory(config, tokens, needs, machine)
    tokens_per_s = rate(memory)
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
        tokens_per_s=tokens_per_s,
        seconds=steps.tokens / tokens_per_s if tokens_per_s else None,
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


def training_of(config: FineTuneConfig, needs: Needs, place: Place, length: int) -> Training:
    """Return how a config trains, as far as that decides on memory."""
    precision, is_full = place.precision, config.method == "full"
    weight_bytes, is_cpu = DTYPE_BYTES[precision.weights], precision.device == "cpu"
    layers = config.trainable_layers if is_full and needs.numbers else None
    count = needs.numbers.layers if needs.numbers else 0
    return Training(
        "full" if is_full else "qlora" if config.quantization else "lora",
        length,
        config.batch_size,
        weight_bytes=weight_bytes,
        is_mixed=is_full and precision.compute != precision.weights,
        state_bytes=weight_bytes if is_full else DTYPE_BYTES["float32"],  # torch's Adam keeps the weights' type
        adapter_weights=needs.adapter_weights(config),
        trained_layers=None if layers is None else min(abs(layers), count),
        passed_layers=layers if layers is not None and 0 < layers < count else None,
        is_accumulated=config.gradient_accumulation > 1,
        is_checkpointed=has_activation_checkpointing(config, precision),
        overhead_bytes=TRAINER_OVERHEAD_BYTES if is_cpu else GPU_OVERHEAD_BYTES,
        is_stepped_at_once=not is_cpu,
    )


def plan_memory(config: FineTuneConfig, tokens: Tokens, needs: Needs, machine: Machine) -> MemoryPlan | None:
    """Return what the run needs where it will be computed, whether it fits, and what would; None: nobody knows."""
    place = place_of(config, needs.parameters, machine)
    how, free = training_of(config, needs, place, tokens.longest), place.free_bytes
    needed = needs.memory(config, how)
    if needed is None:
        return None

    def fits(**changed: int) -> bool:
        memory = needs.memory(config, replace(how, **changed))  # type: ignore[arg-type]  # length and batch are int
        return memory is not None and memory.total <= free

    plan = MemoryPlan(
        **asdict(needed),
        total=needed.total,
        device=place.precision.device,
        device_name=place.name,
        dtype=place.precision.compute,
        is_checkpointed=how.is_checkpointed,
        free=free,
        fits="yes",
        basis="dry run" if needs.is_tried(config, how) else "formula",
        largest_batch=_largest(lambda batch: fits(batch=batch), 4096),
        largest_length=_largest(lambda length: fits(length=length), MOST_TOKENS),
    )
    if needed.total <= free:
        return plan
    changes = itertools.islice(changes_that_fit(config, tokens, needs, machine), MOST_CHANGES)
    return replace(plan, fits="no" if plan.certain > free else "unknown", changes=tuple(changes))


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest number up to `most` that fits, 0 if 1 does not; more never fits where less does not."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def changes_that_fit(config: FineTuneConfig, tokens: Tokens, of_model: Needs, machine: Machine) -> Iterator[Change]:
    """Yield what fits, the cheapest first: what costs time, what shortens samples, what learns otherwise or less."""
    length = tokens.longest

    def needs(fields: Mapping[str, Any], width: int = length, of: Needs = of_model) -> Change | None:
        changed = config.model_copy(update={name: value for name, value in fields.items() if name != "model"})
        place = place_of(changed, of.parameters, machine)
        memory = of.memory(changed, training_of(changed, of, place, width))
        if memory is None or memory.total > place.free_bytes:
            return None
        return Change(dict(fields), memory.total, sum(one > width for one in tokens.lengths))

    again: dict[str, Any] = {}
    if not training_of(config, of_model, place_of(config, of_model.parameters, machine), length).is_checkpointed:
        again = {"activation_checkpointing": True}
        yield from filter(None, [needs(again)])
    whole = config.effective_batch_size
    batches = [batch for batch in range(config.batch_size - 1, 0, -1) if whole % batch == 0]
    smaller = [{**again, "batch_size": batch, "gradient_accumulation": whole // batch} for batch in batches]
    yield from itertools.islice(filter(None, map(needs, smaller)), 1)
    least = smaller[-1] if smaller else again
    width = _largest(lambda each: needs(least, each) is not None, length)
    each = width // OBJECTIVES[config.objective].sequences
    if each >= SHORTEST and width < length:
        shorter = needs({**least, "max_length": each}, width)
        if shorter and shorter.shortened <= SHORTENED_SHARE * len(tokens.lengths):
            yield shorter
    ways: list[dict[str, Any]] = [{}]
    if config.method == "full":
        ways.append({"method": "lora"})
    if config.quantization is None:
        ways.append({"method": "lora", "quantization": "4bit"} if config.method == "full" else {"quantization": "4bit"})
    for way in ways[1:]:
        yield from itertools.islice(filter(None, map(needs, (way, {**least, **way}))), 1)
    models = sorted(catalog(), key=lambda model: -model.parameters)
    smaller_models = [one for one in models if one.role and one.parameters < of_model.parameters]
    others = [(one.repo_id, Needs(config, one.architecture, token_rows=tokens.token_rows)) for one in smaller_models]
    for way in ways:
        proposed = (needs({**more, **way, "model": name}, of=of) for name, of in others for more in ({}, least))
        yield from itertools.islice(filter(None, proposed), 1)
