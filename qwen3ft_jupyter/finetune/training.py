"""Runs one fine-tune in this process: data, model, `transformers.Trainer`, result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import DoesNotFit, Stopped
from qwen3ft_jupyter.finetune import checkpoints, output, results
from qwen3ft_jupyter.finetune.arguments import training_arguments
from qwen3ft_jupyter.finetune.batches import Collator
from qwen3ft_jupyter.finetune.data import read_data_of, split
from qwen3ft_jupyter.finetune.metrics import MetricsFile
from qwen3ft_jupyter.finetune.model import load_for_training
from qwen3ft_jupyter.finetune.rendering import Encoder, encode_all, end_of_turn_ids
from qwen3ft_jupyter.finetune.watch import Watch, make_callback
from qwen3ft_jupyter.loading.load import load_tokenizer, require
from qwen3ft_jupyter.loading.machine import fitting_threads
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.loading.templates import TemplateRenderer
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import SILENT, Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import Data
    from qwen3ft_jupyter.finetune.model import Precision
    from qwen3ft_jupyter.finetune.rendering import Sample
    from qwen3ft_jupyter.work import Reporter


def train(
    config: FineTuneConfig,
    *,
    model_folder: Path,
    output_dir: Path | None = None,
    reporter: Reporter = SILENT,
    stop: threading.Event | None = None,
    resume: bool = False,
    run_id: str | None = None,
    base_commit: str | None = None,
) -> dict[str, Any]:
    """Fine-tune the model in `model_folder` and return what came out.

    Args:
        config: What to do.
        model_folder: The cached model. Nothing is looked up on a network.
        output_dir: Where everything goes; None: `config.output_dir`.
        reporter: Is told of the phases preparing (rows), loading, training (steps), saving, and of each step's metrics.
        stop: When set, the step at hand is finished, a checkpoint saved, and Stopped raised.
        resume: Go on from the last complete checkpoint in `output_dir`, to the losses of a run never interrupted. A
            folder that does not hold this run is treated as by a new one.
        run_id: Names this run in its record; only a run of the same name is resumed. None: a run without a name.
        base_commit: The commit of the model in `model_folder`, for the record; a resumed run must have the same. None:
            not known.

    Returns:
        output_dir, method, steps, first_loss, last_loss, seconds, parameters, trainable_parameters, dtype, device,
        tokens, base_commit, and eval_loss if there is an eval_fraction.

    Raises:
        BadConfig: `output_dir` cannot be used (see `check_output`), or the run to resume was begun with other fields or
            another commit.
        BadData: The data is wrong, or has changed since the run to resume.
        Stopped: `stop` was set.
        JobFailed: The loss became NaN.
        LoadError: The model cannot be loaded, or does not fit.
    """
    require("torch", "transformers", "peft", "accelerate")
    if output_dir is not None:
        config = replace(config, output_dir=str(output_dir))
    with no_network(), quiet_libraries():
        data = read_data_of(config)
        planned = output.plan(config, data.digests, resume=resume, run_id=run_id, base_commit=base_commit)
        if planned.is_resumed:
            name = planned.checkpoint.name if planned.checkpoint else None
            reporter.notice(
                Message("Resuming from {name}.", name=name) if name else "No complete checkpoint: starting again."
            )
        tokenizer = load_tokenizer(model_folder)
        samples, held_out, facts = _prepare_samples(config, data, tokenizer, reporter, stop)
        model, precision = load_for_training(config, model_folder, reporter=reporter)
        _tell_of_base_model(model, facts.end_ids, reporter)
        output.begin(config, planned)
        trained = _train_steps(
            config,
            planned,
            model=model,
            precision=precision,
            data=(samples, held_out),
            tokenizer=tokenizer,
            reporter=reporter,
            stop=stop,
        )
        reporter.progress(Progress("saving", 0, None, "files"))
        saved = results.save_result(model, tokenizer, config, planned.folder, end_ids=facts.end_ids)
        result = {**_result(config, model=model, precision=precision, trained=trained),
                  "base_commit": planned.record["base_commit"]}  # fmt: skip
        results.write_card([planned.folder, saved], config, result, facts)
        output.finish(planned, result)
        reporter.progress(Progress("saving", 1, 1, "files"))
    return result


@dataclass(frozen=True, slots=True)
class _Trained:
    """What the steps came to."""

    state: Any
    metrics: MetricsFile
    seconds: float


def _train_steps(
    config: FineTuneConfig,
    planned: output.Plan,
    *,
    model: Any,
    precision: Precision,
    data: tuple[list[Sample], list[Sample]],
    tokenizer: Any,
    reporter: Reporter,
    stop: threading.Event | None,
) -> _Trained:
    """Train to the end, or raise what `_fit` raises."""
    last_step = checkpoints.step_of(planned.checkpoint) if planned.checkpoint else 0
    folder = planned.folder / results.CHECKPOINTS
    with MetricsFile(planned.folder / results.METRICS, last_step=last_step or 0) as metrics:
        watch = Watch(config, folder=folder, metrics=metrics, reporter=reporter, stop=stop)
        trainer = _trainer(
            config, model=model, precision=precision, data=data, watch=watch, tokenizer=tokenizer, save_to=folder
        )
        with fitting_threads(model):
            state = _fit(trainer, watch, planned.checkpoint)
    return _Trained(state, metrics, watch.seconds)


def _prepare_samples(
    config: FineTuneConfig, data: Data, tokenizer: Any, reporter: Reporter, stop: threading.Event | None
) -> tuple[list[Sample], list[Sample], results.Facts]:
    """Split, render and tokenize; return samples, held-out samples and facts for the card."""
    for notice in data.report.notices:
        reporter.notice(notice)
    training, held_out = split(data.conversations, config.eval_fraction, config.seed)
    with TemplateRenderer.of(tokenizer) as renderer:
        encoder, evaluation = (
            Encoder(tokenizer, renderer, max_length=config.max_length, empty_think_loss=config.empty_think_loss)
            for _ in "ab"
        )
        samples = encode_all(training, encoder, reporter=reporter, stop=stop)
        held_out_samples = encode_all(held_out, evaluation, stop=stop)
        end_ids = end_of_turn_ids(tokenizer, renderer)
    counts = encoder.report
    reporter.notice(
        Message(
            "{samples} samples, {tokens} tokens, {trained_tokens} of them in the loss.",
            samples=counts.samples,
            tokens=counts.tokens,
            trained_tokens=counts.trained_tokens,
        )
    )
    for number, what in (
        (counts.shortened, "samples shortened to max_length"),
        (counts.dropped, "answers left out: they do not fit max_length"),
        (counts.without_reasoning, "answers learned without their reasoning: this model's template does not write it"),
    ):
        if number:
            reporter.notice(Message("{number} {what}.", number=number, what=what))
    return samples, held_out_samples, results.Facts(len(training), counts.trained_tokens, tuple(end_ids))


def _trainer(
    config: FineTuneConfig,
    *,
    model: Any,
    precision: Precision,
    data: tuple[list[Sample], list[Sample]],
    watch: Watch,
    tokenizer: Any,
    save_to: Path,
) -> Any:
    from transformers import PrinterCallback, Trainer

    training, held_out = data
    arguments = training_arguments(
        config, precision, checkpoints=save_to, samples=len(training), evaluate=bool(held_out)
    )
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    collator = Collator(int(pad_id or 0), multiple_of=8 if precision.device.startswith("cuda") else 1)
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=collator,
        train_dataset=training,
        eval_dataset=held_out or None,
        callbacks=[make_callback(watch)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _fit(trainer: Any, watch: Watch, checkpoint: Path | None) -> Any:
    """Train, and return the trainer's last state. Raises Stopped, DoesNotFit."""
    import torch

    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        raise DoesNotFit(
            "The GPU's memory ran out while training.",
            hint="Lower batch_size or max_length, or set activation_checkpointing: true.",
        ) from error
    if watch.is_stopped:
        state = trainer.state
        raise Stopped(
            "Stopped after step {global_step} of {max_steps}; the checkpoint is kept.",
            hint="Resume goes on from there.",
            global_step=state.global_step,
            max_steps=state.max_steps,
        )
    return trainer.state


def _result(config: FineTuneConfig, *, model: Any, precision: Precision, trained: _Trained) -> dict[str, Any]:
    losses = trained.metrics.losses
    evaluated = [row["eval_loss"] for row in trained.metrics.rows if "eval_loss" in row]
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    adapter = trainable if config.method == "lora" else 0
    return {
        "output_dir": config.output_dir,
        "method": config.method,
        "steps": trained.state.global_step,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "seconds": round(trained.seconds, 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()) - adapter,
        "trainable_parameters": trainable,
        "dtype": precision.compute,
        "device": precision.device,
        "tokens": int(trained.state.num_input_tokens_seen),
        **({"eval_loss": evaluated[-1]} if evaluated else {}),
    }


def _tell_of_base_model(model: Any, end_ids: Sequence[int], reporter: Reporter) -> None:
    known = model.generation_config.eos_token_id
    if not set(end_ids) & set(known if isinstance(known, list) else [known]):
        reporter.notice(
            "This looks like a Base model: it has not learned to end its turns. It learns that here from your data; "
            "with few rows, an instruct model is the better start."
        )
