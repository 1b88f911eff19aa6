"""Gathers what a plan is made of: data, tokens, the model's numbers, this machine, the disk, earlier runs."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.catalog import find
from qwen3ft_jupyter.catalog.memory import Architecture
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import CacheDamaged, JobFailed, LoadError, MissingPackage, Qwen3ftError, UnsafeModel
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.devices import devices_here
from qwen3ft_jupyter.finetune.dry_run import Needs, child, try_in_child
from qwen3ft_jupyter.finetune.fit import MemoryPlan, place_of, training_of
from qwen3ft_jupyter.finetune.plan import FineTunePlan, Rate, check_plan, closeness, make_plan
from qwen3ft_jupyter.finetune.presets import given_by_preset
from qwen3ft_jupyter.finetune.samples import Tokens
from qwen3ft_jupyter.loading.machine import machine_without_torch
from qwen3ft_jupyter.loading.safety import CODE_KEYS
from qwen3ft_jupyter.loading.weights import model_tensors
from qwen3ft_jupyter.messages import Message, Size
from qwen3ft_jupyter.paths import is_file, is_folder, nearest_folder
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import Data
    from qwen3ft_jupyter.finetune.dry_run import DryRun, TryIt
    from qwen3ft_jupyter.finetune.survey import Survey
    from qwen3ft_jupyter.loading.machine import Machine
    from qwen3ft_jupyter.work import Reporter, Work

TRIED_FROM_PARAMETERS = 100_000_000
"""Smaller models are not tried beforehand."""
AMPLE_SHARE = 0.8
"""Of the free memory: a run that is reckoned to take less is not tried in a second way."""
NEAR = 16.0
"""A run whose tokens take so many times more or less work tells nothing: what is no arithmetic then outweighs the rest.
With LoRA, Qwen3-8B takes 14 times the work of Qwen3-0.6B."""


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of a base model."""

    folder: Path | None
    """None: it is not here."""
    numbers: Architecture | None
    config: Mapping[str, object] | None = None
    """What its config.json holds; None: not known."""
    parameters: int = 0
    """Its weights, if somebody has counted them."""


def base_model(repo_id: str, folder: Path | None) -> Base:
    """Return what is known of a model: of one that is here what its files say, else what the catalogue does."""
    if folder is not None:
        return _base_in(folder)
    known = find(repo_id)
    numbers = known.architecture if known else None
    return Base(None, numbers, numbers.to_config() if numbers else None, numbers.parameters if numbers else 0)


def _base_in(folder: Path) -> Base:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if not isinstance(config, dict):
            return Base(folder, None)
        tied = bool(config.get("tie_word_embeddings"))
        counted = sum(tensor.elements for tensor in model_tensors(folder, tied=tied))
    except (OSError, ValueError, RecursionError, Qwen3ftError):
        return Base(folder, None)
    return Base(folder, Architecture.of_config(config, counted), config, counted)


def plan_run(
    config: FineTuneConfig, base: Base, earlier: Iterable[Path], work: Work | None = None, *, is_rough: bool = False
) -> FineTunePlan:
    """Return what a run would be.

    Args:
        config: What is to be done.
        base: The model.
        earlier: Output folders of earlier runs on this machine, the newest first.
        work: Is told of the phase preparing, and says when to stop.
        is_rough: Reckon tokens from characters and memory by formula, also where both could be found out.

    Raises:
        BadData: The data is wrong, or the model's template cannot write it.
        BadInput, BadConfig: This machine lacks the device, or cannot compute in the type.
        Stopped: The work was to stop.
    """
    known = find(config.model)
    with contextlib.ExitStack() as stack:
        # It imports its libraries while the data is read here.
        trying = (
            stack.enter_context(child(is_quantized=config.quantization is not None))
            if not is_rough and _is_tried(config, base)
            else None
        )
        found, notices = _survey(config, base, work, is_rough=is_rough)
        return _plan(
            config,
            base,
            found,
            earlier,
            notices=[*found.notices, *notices, *_preset_notices(config)],
            download_bytes=0 if base.folder else known.download_bytes if known else None,
            is_rough=is_rough,
            trying=trying,
            reporter=work.reporter if work else SILENT,
        )


def _preset_notices(config: FineTuneConfig) -> list[str]:
    """Return what the preset gave."""
    given = ", ".join(f"{name}: {value}" for name, value in given_by_preset(config.to_dict()).items())
    return [Message("Given by the preset {preset}: {fields}", preset=config.preset, fields=given)] if given else []


def _survey(config: FineTuneConfig, base: Base, work: Work | None, *, is_rough: bool) -> tuple[Survey, list[str]]:
    """Count the tokens, or reckon them where the model's tokenizer cannot be had, and say why."""
    from qwen3ft_jupyter.finetune.survey import survey  # a run has its samples already

    if is_rough and base.folder is not None:
        return survey(config, None, work=work), []
    if base.folder is None:
        words = Message("The model is not cached: its tokens are only estimated, from the number of characters.")
        return survey(config, None, work=work), [words]
    try:
        return survey(config, base.folder, work=work), []
    except UnsafeModel:
        raise
    except (MissingPackage, LoadError, CacheDamaged) as error:
        words = Message("Tokens are only estimated, from the number of characters: {problem}", problem=error.message)
        return survey(config, None, work=work), [words]


def _plan(
    config: FineTuneConfig,
    base: Base,
    found: Survey,
    earlier: Iterable[Path],
    *,
    notices: list[str],
    download_bytes: int | None,
    is_rough: bool,
    trying: TryIt | None,
    reporter: Reporter,
) -> FineTunePlan:
    machine = machine_without_torch()
    if trying is not None and base.numbers is not None:
        least = make_plan(config, found.data.report, found.tokens, base.numbers, machine, held_out=found.held_out)
        if words_of_it := first_words(least):
            reporter.notice(words_of_it)
    ask = trying or try_in_child
    tried, words = (None, []) if is_rough else try_run(config, base, found.tokens, machine, ask)
    if base.numbers is None and tried is None:
        notices.append(Message("Memory and disk are not known: this is no model whose parts can be told beforehand."))
    notices += words
    return make_plan(
        config,
        found.data.report,
        found.tokens,
        base.numbers,
        machine,
        tried=tried,
        held_out=found.held_out,
        disk_free=_disk_free(config),
        rate=lambda memory: known_rate(config, base, memory, earlier),
        is_cached=base.folder is not None,
        download_bytes=download_bytes,
        notices=notices,
    )


def check_least(config: FineTuneConfig, base: Base, plan: Callable[[], FineTunePlan] | None) -> None:
    """Raise DoesNotFit or NoSpace, with what would fit, if not even one sample of one token does.

    Args:
        config: What is to be done.
        base: The model.
        plan: Makes the whole plan, which knows what would fit; asked only if this run does not. None: there is no data
            yet to make it of.
    """
    if base.numbers is None:
        return
    from qwen3ft_jupyter.finetune.data import DataReport  # with it comes all that reads data

    nothing, one = DataReport(0, 0, (), 0, 0, ()), Tokens("estimated", 1, 1, 1, 1, (1,))
    least = make_plan(config, nothing, one, base.numbers, machine_without_torch(), disk_free=_disk_free(config))
    if least.fits == "no" or not least.has_room:
        check_plan(plan() if plan is not None else least)


def _disk_free(config: FineTuneConfig) -> int | None:
    """Return what is free for a run; None where checkpoints lie already, which it keeps, or deletes to begin with."""
    folder = Path(config.output_dir)
    if is_folder(folder / results.CHECKPOINTS):
        return None
    return LOCAL.free_bytes(nearest_folder(folder))


def look_ahead(
    config: FineTuneConfig,
    folder: Path,
    data: Data,
    lengths: Sequence[int],
    facts: results.Facts,
    *,
    work: Work,
    earlier: Iterable[Path] = (),
    count: int | None = None,
) -> FineTunePlan:
    """Return the plan of a run whose samples are ready, and have these lengths; tell `work` if memory is close.

    `earlier` are output folders of earlier runs, the newest first: one like this tells how long it will take. `count`
    devices compute together; None: as many as the config asks for.

    Raises:
        DoesNotFit: Memory cannot hold it.
        NoSpace: The disk cannot.
    """
    from qwen3ft_jupyter.finetune.compute.tried import answer  # a run has torch

    base, machine = base_model(config.model, folder), machine_without_torch()
    tokens = replace(Tokens.of(lengths, facts.counts), token_rows=len(facts.token_rows))
    tried, notices = try_run(config, base, tokens, machine, answer)
    for notice in notices:
        work.reporter.notice(notice)
    plan = make_plan(
        config,
        data.report,
        tokens,
        base.numbers,
        machine,
        tried=tried,
        held_out=facts.held_out,
        disk_free=_disk_free(config),
        rate=lambda memory: known_rate(config, base, memory, earlier),
        count=count,
    )
    check_plan(plan)
    if words := closeness(plan):
        work.reporter.notice(words)
    return plan


def try_run(
    config: FineTuneConfig,
    base: Base,
    tokens: Tokens,
    machine: Machine,
    find_out: Callable[[Mapping[str, Any]], DryRun],
) -> tuple[DryRun | None, list[str]]:
    """Return what a dry run finds, and what is to be said of it; None where the arithmetic is all there is.

    Small models are left to the arithmetic: they fit wherever torch does. So are runs that train some layers alone, of
    which a few do not tell what all take.

    Raises BadInput, BadConfig if this machine lacks the device, or cannot compute in the type.
    """
    numbers = base.numbers
    if base.config is None or not _is_tried(config, base):
        return None, []
    place, needs = place_of(config, base.parameters, machine), Needs(config, numbers, token_rows=tokens.token_rows)
    how = training_of(config, needs, place, tokens.longest)
    reckoned = needs.memory(config, how)
    is_ample = reckoned is not None and reckoned.total < AMPLE_SHARE * place.free_bytes
    shares_rows = bool(numbers) and config.packing is not False and sum(sorted(tokens.lengths)[:2]) <= tokens.longest
    asked = {
        "model": {name: value for name, value in base.config.items() if name not in CODE_KEYS},
        "config": config.to_dict(),
        "precision": asdict(place.precision),
        "length": tokens.longest,
        "learned": tokens.trained_tokens / max(1, tokens.tokens),
        "shares_rows": shares_rows,
        "token_rows": tokens.token_rows,
        "checkpointing": [how.is_checkpointed] if how.is_checkpointed or is_ample else [False, True],
    }
    try:
        return find_out(asked), []
    except JobFailed as error:
        return None, [Message("Memory is told by formula: its dry run failed: {problem}", problem=error.message)]


def first_words(plan: FineTunePlan) -> str:
    """Return what is told of a plan before its dry run has ended; "" if nothing of it is known."""
    if plan.memory is None:
        return ""
    return Message(
        "By formula: {needed} of the {free} that are free on {device}, {steps} steps. A dry run checks it now.",
        needed=Size(plan.memory.total),
        free=Size(plan.memory.free),
        device=plan.memory.device_name,
        steps=plan.steps.total,
    )


def _is_tried(config: FineTuneConfig, base: Base) -> bool:
    is_reckoned = base.parameters < TRIED_FROM_PARAMETERS or config.trainable_layers is not None
    return base.config is not None and not is_reckoned and _can_try(config)


def _can_try(config: FineTuneConfig) -> bool:
    needed = ("torch", "transformers", "peft", *(["bitsandbytes"] if config.quantization else []))
    return all(importlib.util.find_spec(name) for name in needed)


def known_rate(config: FineTuneConfig, base: Base, memory: MemoryPlan | None, earlier: Iterable[Path]) -> Rate | None:
    """Return the rate of the newest earlier run on this device that computed the same; else of one that is near.

    A token of another model or method takes more work or less, and a device does about as much work a second.
    """
    reckoned, together = None, config.hosts * len(devices_here(config.device, config.devices))
    for folder in earlier if memory else ():
        record = results.read_record(folder)
        if record is None or not is_file(folder / results.RESULT):
            continue
        try:
            run = results.read_run(folder).result
            then, model = record.plan["memory"], str(record.config["model"])
            if memory is None or (then["device_name"], then["dtype"]) != (memory.device_name, memory.dtype):
                continue
            rate = float(run["tokens"]) / float(run["seconds"])
            how, processes = (run["method"], bool(then["is_checkpointed"])), int(run.get("processes", 1))
        except (LoadError, KeyError, TypeError, ValueError, ZeroDivisionError):  # of another version
            continue
        if (model, *how, processes) == (config.model, config.method, memory.is_checkpointed, together):
            return Rate(rate)
        rate *= together / processes
        work = _work(base_model(model, None), *how), _work(base, config.method, memory.is_checkpointed)
        if reckoned is None and all(work) and 1 / NEAR <= work[0] / work[1] <= NEAR:
            reckoned = Rate(rate * work[0] / work[1], model)
    return reckoned


def _work(base: Base, method: str, is_checkpointed: bool) -> float:  # noqa: FBT001 - as runs record it
    """Return the operations that a token takes, about; 0: not known, or a mixture of experts."""
    if base.numbers is None or base.numbers.experts:
        return 0.0
    # 2 for a weight forward, 2 for the gradient of activations, 2 for that of weights; 2 for what is computed again
    return base.numbers.parameters * (4.0 + 2.0 * (method == "full") + 2.0 * is_checkpointed)
