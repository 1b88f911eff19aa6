"""Trains a model of a config's shape for a step without weights, on fake tensors, and tells what memory it took."""

from __future__ import annotations

import contextlib
import copy
import json
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from qwen3ft_jupyter.errors import JobFailed
from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.compute.fakes import TooSlow, fake_tensors
from qwen3ft_jupyter.finetune.compute.four_bits import elements_of, in_four_bits, scales_of
from qwen3ft_jupyter.finetune.compute.objectives import causal_model
from qwen3ft_jupyter.finetune.compute.probes import has_linear_head
from qwen3ft_jupyter.finetune.compute.storages import Storages, Tracking
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.dry_run import LIMIT_S, DryRun, Peaks, Tried, line
from qwen3ft_jupyter.finetune.model import loraplus_optimizer, with_fresh_adapter
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.precision import Precision
from qwen3ft_jupyter.finetune.samples import IGNORED, Example, Pair, Sample
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch.optim import Optimizer
    from transformers import PretrainedConfig

    from qwen3ft_jupyter.loading.libraries import Model


@dataclass(frozen=True, slots=True)
class Case:
    """What is tried."""

    config: FineTuneConfig
    precision: Precision
    length: int
    """Tokens of each row of the batch."""
    learned: float
    """Share of them in the loss."""
    shares_rows: bool
    """Whether rows hold several samples, which attention keeps apart with a mask."""
    is_checkpointed: bool
    token_rows: int
    """Tokens whose rows in embedding and head are trained with an adapter."""
    until: float
    """`time.process_time()` at which it ends."""

    @property
    def learned_rows(self) -> int:
        """Return the tokens in the loss."""
        learned = (label for one in _example(self).sequences for label in one.labels[1:])
        return sum(label != IGNORED for label in learned) * self.config.batch_size


def dry_run(
    model: Mapping[str, Any],
    config: FineTuneConfig,
    precision: Precision,
    *,
    length: int,
    learned: float,
    shares_rows: bool,
    checkpointing: tuple[bool, ...],
    token_rows: int = 0,
    limit_s: float = LIMIT_S,
) -> DryRun:
    """Return the memory of a fine-tune.

    Args:
        model: What the model's config.json holds.
        config: How it is trained.
        precision: Where, and in which types.
        length: Tokens of the longest sample.
        learned: Share of them in the loss.
        shares_rows: Whether rows hold several samples.
        token_rows: Tokens whose rows in embedding and head are trained with an adapter.
        checkpointing: Whether activations are computed again: what of the two is tried, the first in any case.
        limit_s: Seconds of the processor's time after which TooSlow is raised.

    Raises whatever the libraries raise for a model that they cannot build or train.
    """
    until = time.process_time() + limit_s
    shape, found = model_config(model), DryRun(0, 0)
    lengths = sorted({length, -(-length // 2)}, reverse=True)
    for is_checkpointed in checkpointing:
        case = Case(config, precision, length, learned, shares_rows, is_checkpointed, token_rows, until)
        try:
            steps = [(each, *_try_few_layers(replace(case, length=each), shape)) for each in lengths]
        except TooSlow:
            if not found.parameters:
                raise
            break
        tried = tuple(Tried(each * config.batch_size, peaks) for each, _, peaks in steps)
        found = replace(found, parameters=steps[0][1]["parameters"], trained=steps[0][1]["trained"])
        found = replace(found, checkpointed=tried) if is_checkpointed else replace(found, kept=tried)
    return found


def model_config(model: Mapping[str, Any]) -> PretrainedConfig:
    """Return the config of the model's text, as transformers reads it."""
    whole = AutoConfig.for_model(**{"model_type": "qwen3", **model})
    return whole.get_text_config() if hasattr(whole, "vision_config") else whole


def period_of(kinds: list[str]) -> int:
    """Return after how many layers their kinds begin again; 0: they do not.

    >>> period_of(["full"] * 6), period_of(["linear", "linear", "full"] * 3), period_of(["full", "full", "linear"])
    (1, 3, 0)
    """
    halves = range(1, len(kinds) // 2 + 1)
    return next((each for each in halves if len(kinds) % each == 0 and kinds == kinds[:each] * (len(kinds) // each)), 0)


def _try_few_layers(case: Case, shape: PretrainedConfig) -> tuple[dict[str, int], Peaks]:
    """Return the weights and the peaks of a model from those of two with fewer layers of the same kinds."""
    layers = shape.num_hidden_layers
    period = 0 if getattr(shape, "mlp_only_layers", None) else period_of(_kinds(shape))
    few = period if period > 3 else 2 * period
    more = few + period
    if not period or layers <= more:
        return _try(case, shape)
    (counts, peaks), (more_counts, more_peaks) = (_try(case, _with_layers(shape, each)) for each in (few, more))
    return line(counts, more_counts, few, more, layers), {
        phase: line(peaks[phase], more_peaks[phase], few, more, layers) for phase in peaks
    }


def _kinds(shape: PretrainedConfig) -> list[str]:
    return list(getattr(shape, "layer_types", None) or ["full_attention"] * shape.num_hidden_layers)


def _with_layers(shape: PretrainedConfig, layers: int) -> PretrainedConfig:
    changed = copy.deepcopy(shape)
    changed.num_hidden_layers = layers
    if getattr(shape, "layer_types", None):
        changed.layer_types = shape.layer_types[:layers]
    return changed


def _try(case: Case, shape: PretrainedConfig) -> tuple[dict[str, int], Peaks]:
    """Return the weights and the peaks of one step."""
    config, storages = case.config, Storages()
    with fake_tensors(chosen=case.learned_rows, shares_rows=case.shares_rows, until=case.until):
        model = _build(case, shape)
        trained = [one for one in model.parameters() if one.requires_grad]
        counts = _count(model, config)
        for one in [*model.parameters(), *model.buffers(), *scales_of(model)]:
            storages.see(one, "adapter" if one.requires_grad and config.method != "full" else "weights")
        optimizer = _optimizer(case, model, trained)
        for one in trained:
            one.grad = torch.empty_like(one)
        optimizer.step()  # its states are there from the second step on
        optimizer.zero_grad()
        for state in optimizer.state.values():
            for value in state.values():
                storages.see(value, "optimizer")
        for one in trained:
            one.register_post_accumulate_grad_hook(lambda each: storages.see(each.grad, "gradients"))
        _follow(model, storages)
        with Tracking(storages):
            _step(case, model, optimizer, storages)
    return counts, storages.peaks


def _count(model: Model, config: FineTuneConfig) -> dict[str, int]:
    """Return how many weights the base model has, and how many are trained."""
    whole = sum(map(elements_of, model.parameters()))
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return {"parameters": whole if config.method == "full" else whole - trained, "trained": trained}


def _build(case: Case, shape: PretrainedConfig) -> Model:
    """Return the model in training mode, as `model.load_for_training` makes it and Trainer prepares it."""
    config, precision = case.config, case.precision
    attention = {} if config.attn_implementation != "eager" else {"attn_implementation": "eager"}
    model = AutoModelForCausalLM.from_config(shape, dtype=getattr(torch, precision.weights), **attention)
    if config.quantization:
        model = in_four_bits(model, getattr(torch, precision.weights))
    if config.method == "lora":
        model = with_fresh_adapter(model, config, SILENT, range(case.token_rows))
    if case.is_checkpointed:
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False, "preserve_rng_state": False})
    model.config.use_cache = False
    return model.train()


def _optimizer(case: Case, model: Model, trained: list[torch.nn.Parameter]) -> Optimizer:
    config, on_gpu = case.config, case.precision.device.startswith("cuda")
    if config.method == "lora" and config.lora.loraplus_ratio is not None:
        optimizer = loraplus_optimizer(model, config)
        for group in optimizer.param_groups:
            group["foreach"] = on_gpu
        return optimizer
    return torch.optim.AdamW(trained, foreach=on_gpu)  # torch's own choice on real tensors


def _follow(model: Model, storages: Storages) -> None:
    """Have the phases told apart by what the model has computed."""
    decoder = causal_model(model).get_decoder()
    decoder.register_forward_pre_hook(lambda *_: storages.begin("forward"))
    decoder.register_forward_hook(lambda *_: storages.begin("loss", "logits"))
    layers = decoder.layers

    def at_gradient_of(place: int, begin: Any) -> None:
        def hook(_module: object, _given: object, answer: Any) -> None:
            states = answer[0] if isinstance(answer, tuple) else answer
            if states.requires_grad:
                states.register_hook(begin)

        layers[place].register_forward_hook(hook)

    if len(layers) > 2:
        at_gradient_of(len(layers) - 2, lambda _: storages.begin("middle layers"))
    if len(layers) > 1:
        at_gradient_of(0, lambda _: storages.begin("last layers"))


def _step(case: Case, model: Model, optimizer: Optimizer, storages: Storages) -> None:
    """Compute as `StepTrainer.training_step` does, and let the optimizer learn from it."""
    config, precision = case.config, case.precision
    layout = Layout(0, config.batch_size * case.length, multiple_of=8 if precision.device.startswith("cuda") else 1)
    objective = OBJECTIVES[config.objective].loss(config, layout, precision, is_lean=has_linear_head(model))
    step = objective.collate([_example(case)] * config.batch_size)
    dtype = getattr(torch, precision.autocast) if precision.autocast else None
    with torch.autocast("cpu", dtype=dtype) if dtype else contextlib.nullcontext():
        loss, _ = objective.share(model, step["micro_batches"][0], step)
    storages.begin("first layers")
    loss.backward()
    del loss
    storages.begin("step")
    optimizer.step()


def _example(case: Case) -> Example:
    """Return what is learned from: a sample, or where two answers are compared a pair of half the length each."""
    sequences = OBJECTIVES[case.config.objective].sequences
    ids = [1] * (case.length // sequences)
    asked = max(1, len(ids) - max(1, round(len(ids) * case.learned)))
    sample = Sample.of(ids, [IGNORED] * asked + ids[asked:])
    if sequences == 1:
        return sample
    return Pair(sample, sample, None if case.config.method == "lora" else (0.0, 0.0))


def answer(asked: Mapping[str, Any]) -> DryRun:
    """Return what a dry run finds of what `planning.try_run` asks. Raises JobFailed."""
    given = dict(asked)
    try:
        with no_network(), quiet_libraries():
            return dry_run(
                given.pop("model"),
                FineTuneConfig.from_dict(given.pop("config")),
                Precision(**given.pop("precision")),
                checkpointing=tuple(given.pop("checkpointing")),
                **given,
            )
    except TooSlow as error:
        raise JobFailed("it took longer than {seconds:.0f} s", seconds=LIMIT_S) from error
    except Exception as error:  # whatever libraries raise of a model that is new to them: a plan is no reason to end
        raise JobFailed("{problem}", problem=f"{type(error).__name__}: {error}".splitlines()[0]) from error


def main() -> int:
    """Answer what the standard input asks, on the standard output."""
    told, asked = sys.stdout, json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # libraries print
        try:
            found = answer(asked).to_dict()
        except JobFailed as error:
            found = {"problem": error.message}
    json.dump(found, told)
    return 0
