"""Runs one fine-tune in this process: data, model, `transformers.Trainer`, result."""

from __future__ import annotations

import contextlib
import os
import statistics
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadConfig, Stopped
from qwen3ft_jupyter.finetune import checkpoints, output, results
from qwen3ft_jupyter.finetune.arguments import steps_an_epoch, training_arguments
from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.data import read_data_of, split
from qwen3ft_jupyter.finetune.earlier import check_parent, check_same
from qwen3ft_jupyter.finetune.examples import encode_all
from qwen3ft_jupyter.finetune.metrics import MetricsFile, best_step, evaluations
from qwen3ft_jupyter.finetune.model import load_for_training, load_weights, loraplus_optimizer
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.out_of_memory import telling_what_fits
from qwen3ft_jupyter.finetune.own import OutputFolder
from qwen3ft_jupyter.finetune.planning import look_ahead
from qwen3ft_jupyter.finetune.report.answering import Asking
from qwen3ft_jupyter.finetune.report.card import number_rows
from qwen3ft_jupyter.finetune.report.reporting import report_on
from qwen3ft_jupyter.finetune.results import Outcome
from qwen3ft_jupyter.finetune.volume import naming
from qwen3ft_jupyter.finetune.watch import Watch, make_callback
from qwen3ft_jupyter.loading.load import load_tokenizer, require
from qwen3ft_jupyter.loading.machine import fitting_threads, peak_bytes
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.paths import nearest_folder
from qwen3ft_jupyter.work import SILENT, Progress, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from transformers import Trainer

    from qwen3ft_jupyter.finetune.compute.longest import Trial
    from qwen3ft_jupyter.finetune.compute.objectives import TrainingLoss
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import Data
    from qwen3ft_jupyter.finetune.model import Trainable
    from qwen3ft_jupyter.finetune.report.reporting import Reporting
    from qwen3ft_jupyter.finetune.samples import Example, SampleReport
    from qwen3ft_jupyter.finetune.watch import TrainerState
    from qwen3ft_jupyter.loading.libraries import Model, Tokenizer


def train(
    config: FineTuneConfig,
    *,
    model_folder: Path,
    work: Work | None = None,
    resume: bool = False,
    run_id: str | None = None,
    base_commit: str | None = None,
    earlier: Iterable[Path] = (),
) -> Outcome:
    """Fine-tune the model in `model_folder` and return what came out.

    Args:
        config: What to do.
        model_folder: The cached model. Nothing is looked up on a network.
        work: Is told of the phases preparing (rows), loading, training (steps), saving, and of each step's metrics.
            When it is to stop, the step at hand is finished, a checkpoint saved, and Stopped raised.
        resume: Go on from the last complete checkpoint in `config.output_dir`, to the losses of a run never
            interrupted. A folder that does not hold this run is treated as by a new one.
        run_id: Names this run in its record; only a run of the same name is resumed. None: a run without a name.
        base_commit: The commit of the model in `model_folder`, for the record; a resumed run must have the same. None:
            not known.
        earlier: Output folders of earlier runs, the newest first: one like this tells how long it will take.

    Raises:
        BadConfig: The output_dir cannot be used (see `check_output`), packing or adapter do not suit the model, or the
            run to resume was begun with other fields or another commit.
        BadData: The data is wrong, or has changed since the run to resume.
        Stopped: The work was to stop.
        JobFailed: The loss became NaN, or the output_dir cannot be used any more.
        LoadError: The model cannot be loaded.
        DoesNotFit, NoSpace: Memory or disk cannot hold it; or the volume of the output_dir has become full: what was
            saved before is kept.
    """
    require("torch", "transformers", "peft", "accelerate")
    work = work or Work()
    with no_network(), quiet_libraries(), naming(Path(config.output_dir)):
        check_parent(config)
        data = read_data_of(config, work)
        planned = output.plan(config, data.digests, resume=resume, run_id=run_id, base_commit=base_commit)
        if planned.is_resumed:
            name = planned.checkpoint.name if planned.checkpoint else None
            if name:
                work.notice("Resuming from {name}.", name=name)
            else:
                work.notice("No complete checkpoint: starting again.")
        if config.from_run:
            for notice in check_same(config, data.digests, commit=planned.record.base_commit):
                work.reporter.notice(notice)
        tokenizer = load_tokenizer(model_folder)
        samples = _prepare_samples(config, data, tokenizer, work)
        ahead = look_ahead(config, model_folder, data, samples.lengths, samples.facts, work=work, earlier=earlier)
        planned = replace(planned, record=replace(planned.record, plan=ahead.to_dict()))
        ready = load_for_training(config, model_folder, reporter=work.reporter)
        if planned.parent:
            load_weights(ready.model, planned.parent.weights)
            work.notice("Trains {run} further.", run=planned.parent.folder.name)
        objective = _objective(config, ready, samples, work)
        samples = _with_references(samples, objective, ready, work)
        _tell_of_base_model(ready.model, samples.facts.end_ids, work)
        output.begin(config, planned, work.reporter)
        reporting = None
        if config.report:
            asking = Asking(ready.model, tokenizer, samples.facts.end_ids)
            reporting = report_on(
                config, asking, planned.folder, samples.training, held_out=samples.held_out, work=work
            )
            if planned.is_resumed:
                reporting.go_on()
        with telling_what_fits(config, model_folder, ahead):
            trained = _train_steps(config, planned, ready, samples, objective, reporting=reporting, work=work)
        outcome = _outcome(config, planned, ready, trained, samples.facts)
        outcome = replace(outcome, planned=ahead.summary, peak_bytes=peak_bytes(outcome.device))
        outcome = replace(outcome, mfu=_utilisation(trained))
        report = reporting.after(outcome.eval_loss, outcome.planned, outcome.actual) if reporting else None
        if report:
            outcome = replace(outcome, report={name: (before, after) for name, before, after in number_rows(report)})
        work.progress(Progress("saving", 0, None, "files"))
        results.save_result(ready, tokenizer, config, outcome, samples.facts, report=report, reporter=work.reporter)
        _tell_of_result(outcome, ready, work)
        output.finish(planned, outcome, work.reporter)
        work.progress(Progress("saving", 1, 1, "files"))
    return outcome


@dataclass(frozen=True, slots=True)
class _Samples:
    """What is learned from, and what is kept out of training."""

    training: Sequence[Example]
    held_out: Sequence[Example]
    facts: results.Facts
    pad_id: int
    lengths: Sequence[int]
    """Of those that are learned from."""
    widest: int
    """The greatest `padded_length` of them."""


@dataclass(frozen=True, slots=True)
class _Trained:
    """What the steps came to."""

    state: TrainerState
    metrics: MetricsFile
    seconds: float
    step: int
    """Of which the result is."""


def _train_steps(
    config: FineTuneConfig,
    planned: output.Plan,
    ready: Trainable,
    samples: _Samples,
    objective: TrainingLoss,
    *,
    reporting: Reporting | None,
    work: Work,
) -> _Trained:
    """Train to the end, or raise what `_fit` raises."""
    last_step = checkpoints.step_of(planned.checkpoint) if planned.checkpoint else 0
    own = OutputFolder(planned.folder)
    folder, written_to = planned.folder / results.CHECKPOINTS, own.begin_writing(results.CHECKPOINTS)
    try:
        with MetricsFile(planned.folder / results.METRICS, last_step=last_step or 0) as metrics:
            every = (config.eval_steps or steps_an_epoch(config, len(samples.training))) if samples.held_out else None
            watch = Watch(
                config,
                folder=folder,
                written_to=written_to,
                metrics=metrics,
                work=work,
                evaluate_every=every,
                between=reporting.during if reporting else None,
                device=ready.precision.device,
                used_a_token=_used_a_token(config, ready, samples),
            )
            trainer = _trainer(config, ready, samples, objective, watch, save_to=written_to, work=work)
            with fitting_threads(ready.model):
                if reporting:
                    reporting.before(lambda: trainer.evaluate()["eval_loss"])
                state = _fit(trainer, watch, planned.checkpoint)
            trained = _take_best(
                config, ready, folder, _Trained(state, metrics, watch.seconds, state.global_step), work
            )
    finally:
        with contextlib.suppress(OSError):  # what is wrong, the training says; the next run clears up
            own.note(results.METRICS)
            own.clear_writing()
    return trained


def _take_best(config: FineTuneConfig, ready: Trainable, folder: Path, trained: _Trained, work: Work) -> _Trained:
    """Put what measured best on held-out rows into the model, if that is wanted, and say which step it is of."""
    best = best_step(trained.metrics.rows)
    if not config.load_best_model_at_end or best is None or best == trained.step:
        return trained
    checkpoint = folder / f"checkpoint-{best}"
    if not checkpoints.is_complete(checkpoint):
        work.notice("The result is that of the last step: the best one, {name}, is not whole.", name=checkpoint.name)
        return trained
    load_weights(ready.model, checkpoint)
    work.notice("The result is that of step {step}, which measured best on held-out rows.", step=best)
    return replace(trained, step=best)


def _prepare_samples(config: FineTuneConfig, data: Data, tokenizer: Tokenizer, work: Work) -> _Samples:
    """Split, render and tokenize."""
    for notice in data.report.notices:
        work.reporter.notice(notice)
    training, held_out = split(data.conversations, config.eval_fraction, config.seed)
    if config.eval_fraction and not held_out:
        work.notice("Nothing is measured on held-out rows: there is only one row.")
    folder = nearest_folder(Path(config.output_dir))
    with OBJECTIVES[config.objective].encoding(config, tokenizer) as encoding:
        encoder, evaluation = encoding.encoder(), encoding.encoder()
        samples = encode_all(training, encoder, work, folder=folder)
        silent = replace(work, reporter=SILENT)
        held_out_samples = encode_all(held_out, evaluation, silent, folder=folder, may_be_none=True)
    counts = encoder.report
    work.notice(
        "{samples} samples, {tokens} tokens, {trained_tokens} of them in the loss.",
        samples=counts.samples,
        tokens=counts.tokens,
        trained_tokens=counts.trained_tokens,
    )
    for notice in counts.notices(config.max_length):
        work.reporter.notice(notice)
    _tell_of_held_out(evaluation.report, len(held_out), work)
    facts = results.Facts(data.report.rows, len(held_out), counts, encoding.end_ids)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return _Samples(samples, held_out_samples, facts, int(pad_id or 0), samples.lengths, samples.widest)


def _tell_of_held_out(report: SampleReport, rows: int, work: Work) -> None:
    left_out = report.dropped + report.refused
    if rows and not report.samples:
        work.notice(
            "Nothing is measured on held-out rows: none of the {count} answers in them fits max_length.", count=left_out
        )
    elif left_out:
        work.notice("Held-out rows: {count} answers left out of the measurement; they do not fit.", count=left_out)


def _objective(config: FineTuneConfig, ready: Trainable, samples: _Samples, work: Work) -> TrainingLoss:
    """Return how this model is taught: packed and lean as far as that is exact on it. Raises BadConfig."""
    from qwen3ft_jupyter.finetune.compute.probes import has_plain_head, packs_exactly

    is_found = config.auto_find_batch_size and ready.precision.device.startswith("cuda")  # elsewhere nothing runs out
    batch_size = config.effective_batch_size if is_found else config.batch_size
    layout = Layout(
        samples.pad_id,
        most_tokens=batch_size * samples.widest,
        is_flat="flash" in str(ready.model.config._attn_implementation),  # noqa: SLF001 - it has no public name
        multiple_of=8 if ready.precision.device.startswith("cuda") else 1,  # tensor cores like 8
    )
    with fitting_threads(ready.model):
        packs = config.packing is not False and packs_exactly(ready.model, layout)
        is_lean = has_plain_head(ready.model)
    if config.packing is True and not packs:
        raise BadConfig(
            "packing: true is not exact on this model: samples in one row would see each other.", hint="Use auto."
        )
    if config.packing == "auto" and not packs:
        work.notice("Packing is off: on this model samples in one row would see each other.")
    laid_out = replace(layout, packs=packs)
    return OBJECTIVES[config.objective].loss(config, laid_out, ready.precision, is_lean=is_lean)


def _with_references(samples: _Samples, objective: TrainingLoss, ready: Trainable, work: Work) -> _Samples:
    """Return the samples with what the objective has to know of the model before it is trained."""
    with fitting_threads(ready.model):
        training, held_out = (
            objective.prepared(ready.model, part, work) for part in (samples.training, samples.held_out)
        )
    return replace(samples, training=training, held_out=held_out)


def _trainer(
    config: FineTuneConfig,
    ready: Trainable,
    samples: _Samples,
    objective: TrainingLoss,
    watch: Watch,
    *,
    save_to: Path,
    work: Work,
) -> Trainer:
    from qwen3ft_jupyter.finetune.compute.trainer import StepTrainer

    arguments = training_arguments(config, ready.precision, checkpoints=save_to, samples=len(samples.training))
    is_loraplus = config.method == "lora" and config.lora.loraplus_ratio is not None
    with _tensorboard_in(Path(config.output_dir) / results.TENSORBOARD):
        return StepTrainer(
            ready.model,
            arguments,
            objective,
            samples=samples.training,
            held_out=samples.held_out,
            callback=make_callback(watch),
            optimizer=loraplus_optimizer(ready.model, config) if is_loraplus else None,
            trial=_trial(config, samples, watch),
            on_parted=partial(_tell_of_parts, work) if config.auto_find_batch_size else None,
        )


def _tell_of_parts(work: Work, most_tokens: int) -> None:
    work.notice(
        "Memory ran out: from now on {count} tokens are computed at once. A step has the same samples, in more parts.",
        count=most_tokens,
    )


@contextlib.contextmanager
def _tensorboard_in(folder: Path) -> Iterator[None]:
    """Have TensorBoard's files written to `folder` by trainers that are made meanwhile, unless the user said where."""
    name = "TENSORBOARD_LOGGING_DIR"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(name, None)


def _trial(config: FineTuneConfig, samples: _Samples, watch: Watch) -> Trial:
    """Return the longest batch, from which the first time that is left is told."""
    from qwen3ft_jupyter.finetune.compute.longest import Trial

    tokens_a_step = config.effective_batch_size * samples.facts.counts.tokens / max(1, len(samples.lengths))
    return Trial(
        samples.training,
        samples.lengths,
        config.effective_batch_size,
        on_begin=watch.on_try_begin,
        on_end=lambda tokens, took: watch.on_try_end(took, took * tokens_a_step / tokens),
    )


def _fit(trainer: Trainer, watch: Watch, checkpoint: Path | None) -> TrainerState:
    """Train, and return the trainer's last state. Raises Stopped."""
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state: TrainerState = trainer.state
    if watch.is_stopped:
        raise Stopped(
            "Stopped after step {step} of {steps}; the checkpoint is kept.",
            hint="Resume goes on from there.",
            step=state.global_step,
            steps=state.max_steps,
        )
    return state


def _outcome(
    config: FineTuneConfig, planned: output.Plan, ready: Trainable, trained: _Trained, facts: results.Facts
) -> Outcome:
    losses, model, precision = trained.metrics.losses, ready.model, ready.precision
    return Outcome(
        output_dir=config.output_dir,
        method=config.method,
        steps=trained.state.global_step,
        first_loss=losses[0],
        last_loss=losses[-1],
        seconds=round(trained.seconds, 2),
        parameters=_parameters(config, model),
        trainable_parameters=_trainable(model),
        dtype=precision.compute,
        device=precision.device,
        tokens=int(trained.state.num_input_tokens_seen),
        result_step=trained.step,
        eval_loss=evaluations(trained.metrics.rows).get(trained.step),
        base_commit=planned.record.base_commit,
        parent=planned.record.parent,
        data=facts.to_dict(),
        diverged=has_diverged(losses),
    )


def _parameters(config: FineTuneConfig, model: Model) -> int:
    """Return how many parameters the base model has."""
    adapter = _trainable(model) if config.method == "lora" else 0
    return int(model.num_parameters()) - adapter  # sees through 4 bits


def _trainable(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _used_a_token(config: FineTuneConfig, ready: Trainable, samples: _Samples) -> float | None:
    """Return the part of the device's peak that one token a second uses; None: nobody knows."""
    from qwen3ft_jupyter.finetune.compute.utilisation import utilisation

    sequences = len(samples.lengths) * OBJECTIVES[config.objective].sequences
    return utilisation(
        ready.model,
        _parameters(config, ready.model),
        1.0,
        length=sum(samples.lengths) / sequences,
        is_adapter=config.method == "lora",
        dtype=ready.precision.compute,
    )


def _utilisation(trained: _Trained) -> float | None:
    """Return the part of the device's peak that the median step has used."""
    used = [row["mfu"] for row in trained.metrics.rows if row.get("mfu")]
    return round(statistics.median(used), 4) if used else None


def has_diverged(losses: Sequence[float]) -> bool:
    """Return whether the loss ended far above where it began.

    >>> has_diverged([7.9, 8.1, 100.0, 218.0]), has_diverged([3.0, 9.0, 2.0, 1.0]), has_diverged([0.1, 0.3])
    (True, False, False)
    """
    few = max(1, min(3, len(losses) // 4))
    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    return last > max(1.5 * first, first + 1)


def _tell_of_result(outcome: Outcome, ready: Trainable, work: Work) -> None:
    if outcome.diverged:
        work.notice(
            "WARNING: the run diverged: the loss rose from {first:.2f} to {last:.2f}. The result is worse than its "
            "base model; lower learning_rate, or max_grad_norm.",
            first=outcome.first_loss,
            last=outcome.last_loss,
        )
    if outcome.method == "full" and ready.base_dtype != ready.precision.weights:
        work.notice(
            "Trained in {trained}, saved in {saved}, which is the base model's type.",
            trained=ready.precision.weights,
            saved=ready.base_dtype,
        )


def _tell_of_base_model(model: Model, end_ids: Sequence[int], work: Work) -> None:
    known = model.generation_config.eos_token_id
    if not set(end_ids) & set(known if isinstance(known, list) else [known]):
        work.notice(
            "This looks like a Base model: it has not learned to end its turns. It learns that here from your data; "
            "with few rows, an instruct model is the better start."
        )
