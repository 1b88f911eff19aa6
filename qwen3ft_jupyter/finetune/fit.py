"""The memory of a fine-tune: what it needs where it is computed, whether that fits, and what would. Pure arithmetic."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from qwen3ft_jupyter.catalog import catalog
from qwen3ft_jupyter.catalog.memory import (
    DTYPE_BYTES,
    GPU_OVERHEAD_BYTES,
    TRAINER_OVERHEAD_BYTES,
    Training,
)
from qwen3ft_jupyter.finetune.arguments import has_activation_checkpointing
from qwen3ft_jupyter.finetune.devices import count_devices
from qwen3ft_jupyter.finetune.dry_run import Needs
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.precision import choose_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.precision import Precision
    from qwen3ft_jupyter.finetune.samples import Tokens
    from qwen3ft_jupyter.loading.machine import Machine

Sharding = Literal["none", "full", "offload"]
"""What each device has of the model: all of it; a part; a part that is in the memory of the host."""

Fits = Literal["yes", "no", "unknown"]
"""unknown: nobody knows the model or the machine, or it is too close for the arithmetic to tell."""

MemoryBasis = Literal["formula", "dry run"]
"""How memory is known: by arithmetic on the model's numbers, or from a step that was tried without weights."""

CERTAIN_SHARE = 0.8
"""Of the reckoned working memory, what is needed for certain: a run is refused only for what cannot be otherwise."""
SHORTEST = 16
"""The least max_length that a config may have."""
MOST_TOKENS = 262_144
"""The greatest."""
MOST_CHANGES = 3
"""Proposals of what would make it fit."""
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


def sharding_of(config: FineTuneConfig, count: int, *, fits_one: bool) -> Sharding:
    """Return how a model is shared out among `count` devices, on each of which it fits whole or not.

    >>> from qwen3ft_jupyter.finetune.config import FineTuneConfig
    >>> config = FineTuneConfig.from_dict({"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"})
    >>> sharding_of(config, 2, fits_one=True), sharding_of(config, 2, fits_one=False)
    ('none', 'full')
    """
    if count < 2 or config.quantization is not None:
        return "none"
    if config.sharding != "auto":
        return config.sharding
    return "full" if config.method == "full" or not fits_one else "none"


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
    devices: int = 1
    """That compute together; all else is of each of them."""
    sharding: Sharding = "none"
    largest_model: str = ""
    """The largest of the catalogue that fits devices like these when it is trained like that, at this length."""

    @property
    def certain(self) -> int:
        """Return the bytes that are needed for certain, however the arithmetic errs."""
        states = self.weights + self.adapter + self.gradients + self.optimizer
        return round(states + CERTAIN_SHARE * (self.activations + self.logits))


def training_of(config: FineTuneConfig, needs: Needs, place: Place, length: int, count: int = 1) -> Training:
    """Return how a config trains on `count` devices, as far as that decides on memory."""
    how = _unsharded(config, needs, place, length)
    memory = needs.memory(config, how) if count > 1 else None
    sharding = sharding_of(config, count, fits_one=memory is None or memory.total <= place.free_bytes)
    return how if sharding == "none" else replace(how, shards=count, is_offloaded=sharding == "offload")


def _unsharded(config: FineTuneConfig, needs: Needs, place: Place, length: int) -> Training:
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


def plan_memory(
    config: FineTuneConfig, tokens: Tokens, needs: Needs, machine: Machine, count: int | None = None
) -> MemoryPlan | None:
    """Return what the run needs where it will be computed, whether it fits, and what would; None: nobody knows.

    `count` devices compute it; None: as many as the config asks for.
    """
    if count is None:
        count = config.hosts * count_devices(config.device, config.devices, len(machine.gpus))
    place = _place_of_each(config, needs.parameters, machine, count)
    how, free = training_of(config, needs, place, tokens.longest, count), place.free_bytes
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
        devices=count,
        sharding="none" if how.shards == 1 else "offload" if how.is_offloaded else "full",
        largest_model=_largest_model(config, tokens, place, count) if count > 1 else "",
    )
    if needed.total <= free:
        return plan
    changes = itertools.islice(changes_that_fit(config, tokens, needs, machine, count), MOST_CHANGES)
    return replace(plan, fits="no" if plan.certain > free else "unknown", changes=tuple(changes))


def _place_of_each(config: FineTuneConfig, parameters: int, machine: Machine, count: int) -> Place:
    """Return where each of `count` processes computes: those on a CPU share the memory of the host."""
    place = place_of(config, parameters, machine)
    of_host = max(1, count // config.hosts)
    return replace(place, free_bytes=place.free_bytes // of_host) if place.precision.device == "cpu" else place


def _largest_model(config: FineTuneConfig, tokens: Tokens, place: Place, count: int) -> str:
    """Return the largest model of the catalogue that fits `count` such devices; "" if none does."""
    for model in sorted(catalog(), key=lambda model: -model.parameters):
        needs = Needs(config, model.architecture, token_rows=tokens.token_rows)
        memory = needs.memory(config, training_of(config, needs, place, tokens.longest, count))
        if model.role and memory is not None and memory.total <= place.free_bytes:
            return str(model.repo_id)
    return ""


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest number up to `most` that fits, 0 if 1 does not; more never fits where less does not."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def changes_that_fit(
    config: FineTuneConfig, tokens: Tokens, of_model: Needs, machine: Machine, count: int = 1
) -> Iterator[Change]:
    """Yield what fits, the cheapest first: what costs time, more GPUs, what shortens samples, what learns otherwise.

    `count` devices compute it now. Last comes what learns less, and what keeps all in the memory of the host.
    """
    length = tokens.longest

    def needs(fields: Mapping[str, Any], width: int = length, of: Needs = of_model) -> Change | None:
        changed = config.model_copy(update={name: value for name, value in fields.items() if name != "model"})
        many = config.hosts * int(fields["devices"]) if "devices" in fields else count
        place = _place_of_each(changed, of.parameters, machine, many)
        how = training_of(changed, of, place, width, many)
        memory = of.memory(changed, how)
        if memory is None or memory.total > place.free_bytes or not _host_holds(changed, of, how, machine):
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
    yield from itertools.islice(filter(None, map(needs, _with_more_gpus(config, machine, count, least))), 1)
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
    offloaded = [{"sharding": "offload"}, {**least, "sharding": "offload"}] if count > 1 and machine.gpus else []
    yield from itertools.islice(filter(None, map(needs, offloaded)), 1)


def _with_more_gpus(
    config: FineTuneConfig, machine: Machine, count: int, least: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield fields with more GPUs of this machine, which share the model out; the fewest first."""
    if config.sharding in {"auto", "full"} and not config.device.startswith("cuda:"):
        for way in ({}, least):
            for many in range(count // config.hosts + 1, len(machine.gpus) + 1):
                yield {"devices": many, **way}


def _host_holds(config: FineTuneConfig, needs: Needs, how: Training, machine: Machine) -> bool:
    """Return whether the host has the memory for what is offloaded to it."""
    memory = needs.memory(config, replace(how, shards=1, is_offloaded=False)) if how.is_offloaded else None
    return memory is None or memory.states <= machine.ram_free_bytes
