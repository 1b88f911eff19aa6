"""Runs one fine-tune in this process: data, model, `transformers.Trainer`, result."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune import checkpoints, output, results
from qwen3ft_jupyter.finetune.arguments import steps_an_epoch, training_arguments
from qwen3ft_jupyter.finetune.data import read_data_of, split
from qwen3ft_jupyter.finetune.earlier import check_parent, check_same
from qwen3ft_jupyter.finetune.fit import sharding_of
from qwen3ft_jupyter.finetune.metrics import MetricsFile, best_step
from qwen3ft_jupyter.finetune.model import load_for_training, load_weights, loraplus_optimizer
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.out_of_memory import telling_what_fits
from qwen3ft_jupyter.finetune.outcome import Trained, median_utilisation, outcome_of, tell_of_result, used_a_token
from qwen3ft_jupyter.finetune.own import OutputFolder, is_scratch
from qwen3ft_jupyter.finetune.planning import base_model, look_ahead
from qwen3ft_jupyter.finetune.preparing import Prepared, objective_of, prepare, tell_of_base_model, with_references
from qwen3ft_jupyter.finetune.ranks import ALONE
from qwen3ft_jupyter.finetune.report.answering import ASK, Asking
from qwen3ft_jupyter.finetune.report.card import number_rows
from qwen3ft_jupyter.finetune.report.reporting import report_on
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.finetune.token_rows import row_notices
from qwen3ft_jupyter.finetune.volume import TENSORBOARD_VARIABLE, naming
from qwen3ft_jupyter.finetune.watch import Follower, Watch, make_callback
from qwen3ft_jupyter.loading.load import load_tokenizer, require
from qwen3ft_jupyter.loading.machine import fitting_threads, peak_bytes
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.work import Progress, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from transformers import Trainer, TrainerCallback

    from qwen3ft_jupyter.finetune.compute.longest import Trial
    from qwen3ft_jupyter.finetune.compute.objectives import TrainingLoss
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.fit import Sharding
    from qwen3ft_jupyter.finetune.model import Trainable
    from qwen3ft_jupyter.finetune.plan import FineTunePlan
    from qwen3ft_jupyter.finetune.ranks import Ranks
    from qwen3ft_jupyter.finetune.report.reporting import Reporting
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.finetune.watch import TrainerState
    from qwen3ft_jupyter.loading.libraries import Tokenizer


def train(
    config: FineTuneConfig,
    *,
    model_folder: Path,
    work: Work | None = None,
    resume: bool = False,
    run_id: str | None = None,
    base_commit: str | None = None,
    datasets: Mapping[str, str] | None = None,
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
        datasets: Which data sets on a hub its data is, by the path, for the record.
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
    start = Start(model_folder, resume, run_id, base_commit, datasets or {}, tuple(earlier))
    return lead(config, start, work or Work())


def lead(config: FineTuneConfig, start: Start, work: Work, ranks: Ranks = ALONE) -> Outcome:
    """Fine-tune as `train` does; of several `ranks`, which compute each step together, this is the first.

    Raises what that raises.
    """
    with _at_work(config):
        begun = _begin(config, start, work, ranks)
        planned, ready, samples, ahead = begun.planned, begun.ready, begun.samples, begun.ahead
        output.begin(config, planned, work.reporter)
        reporting = _reporting(config, begun, work, ranks) if config.report else None
        with telling_what_fits(config, base_model(config.model, start.model_folder).numbers, ahead):
            trained = _train_steps(config, begun, reporting=reporting, work=work, ranks=ranks)
        outcome = outcome_of(config, planned, ready, trained, samples.facts)
        outcome = replace(outcome, planned=ahead.summary, peak_bytes=peak_bytes(outcome.device))
        outcome = replace(outcome, mfu=median_utilisation(trained), processes=ranks.part.count, sharding=begun.sharding)
        report = reporting.after(outcome.eval_loss, outcome.planned, outcome.actual) if reporting else None
        if report:
            outcome = replace(outcome, report={name: (before, after) for name, before, after in number_rows(report)})
        work.progress(Progress("saving", 0, None, "files"))
        sharers = _sharers(ranks)
        sharers.call("send", ready.base_dtype if config.method == "full" else None)
        results.save_result(
            ready,
            begun.tokenizer,
            config,
            outcome,
            samples.facts,
            report=report,
            reporter=work.reporter,
            on_gathered=lambda: sharers.from_first(lambda: None),  # they need not wait until it is written
        )
        tell_of_result(outcome, ready, work)
        output.finish(planned, outcome, work.reporter)
        work.progress(Progress("saving", 1, 1, "files"))
    return outcome


def follow(config: FineTuneConfig, start: Start, work: Work, ranks: Ranks) -> None:
    """Compute this process's part of each step of a fine-tune, which the first of `ranks` does by `lead`.

    Raises BadConfig, BadData, LoadError, DoesNotFit as that, of what this process finds.
    """
    with _at_work(config):
        begun = _begin(config, start, work, ranks)
        checkpoint = begun.planned.checkpoint
        with (
            telling_what_fits(config, base_model(config.model, start.model_folder).numbers, begun.ahead),
            tempfile.TemporaryDirectory(prefix="qwen3ft-") as folder,  # libraries ask for one; nothing is saved there
            fitting_threads(begun.ready.model),
        ):
            callback = make_callback(Follower(), ranks)
            trial = _trial(config, begun.samples, None, ranks) if ranks.is_sharded else None
            trainer = _trainer(config, begun, callback, save_to=Path(folder), trial=trial, ranks=ranks)
            ranks.handlers = _handlers(begun, trainer, ranks)
            ranks.from_first(lambda: None)  # it measures and asks the untrained model
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if ranks.is_sharded:
                ranks.from_first(lambda: None)  # it asks what was trained, and saves it


def _handlers(begun: _Begun, trainer: Trainer, ranks: Ranks) -> Mapping[str, Callable[..., object]]:
    """Return what a process that follows does when the first one calls it."""
    model = begun.ready.model

    def send(dtype: str | None) -> None:
        with whole(model, is_first=False, dtype=None if dtype is None else getattr(torch, dtype)):
            pass

    import torch

    from qwen3ft_jupyter.finetune.compute.sharding import whole

    return {
        "evaluate": trainer.evaluate,
        "load": lambda folder: load_weights(model, Path(folder)),
        "send": send,
        ASK: Asking(model, begun.tokenizer, begun.samples.facts.end_ids, ranks=ranks).follow,
    }


def _sharers(ranks: Ranks) -> Ranks:
    """Return those that share the model out: this process alone where it has all of it."""
    return ranks if ranks.is_sharded else ALONE


@contextlib.contextmanager
def _at_work(config: FineTuneConfig) -> Iterator[None]:
    require("torch", "transformers", "peft", "accelerate")
    with no_network(), quiet_libraries(), naming(Path(config.output_dir)):
        yield


@dataclass(frozen=True, slots=True)
class _Begun:
    """All that a run has before its first step."""

    planned: output.Plan
    tokenizer: Tokenizer
    ready: Trainable
    samples: Prepared
    objective: TrainingLoss
    ahead: FineTunePlan
    sharding: Sharding


def _begin(config: FineTuneConfig, start: Start, work: Work, ranks: Ranks) -> _Begun:
    """Read the data and load the model; nothing is written yet."""
    check_parent(config)
    data = read_data_of(config, work)
    planned = ranks.from_first(
        lambda: output.plan(
            config,
            data.digests,
            resume=start.resume,
            run_id=start.run_id,
            base_commit=start.base_commit,
            datasets=start.datasets,
            overwrites=start.overwrites,
        )
    )
    if start.overwrites and not planned.is_resumed:
        work.notice("output_dir holds an unfinished fine-tune of other data. overwrite is true: it begins anew.")
    if planned.is_resumed:
        name = planned.checkpoint.name if planned.checkpoint else None
        if name:
            work.notice("Resuming from {name}.", name=name)
        else:
            work.notice("No complete checkpoint: starting again.")
    if config.from_run:
        for notice in check_same(config, data.digests, commit=planned.record.base_commit):
            work.reporter.notice(notice)
    tokenizer = load_tokenizer(start.model_folder)
    parts = split(data.conversations, config.eval_fraction, config.seed)
    samples = prepare(config, data, parts, tokenizer, work)
    ahead = look_ahead(
        config,
        start.model_folder,
        data,
        samples.lengths,
        samples.facts,
        work=work,
        earlier=start.earlier,
        count=ranks.part.count,
    )
    planned = replace(planned, record=replace(planned.record, plan=ahead.to_dict()))
    sharding = ranks.from_first(lambda: _sharding(config, ahead, ranks.part.count))
    _tell_of_sharding(sharding, config, ranks.part.count, work)
    ready = load_for_training(
        config,
        start.model_folder,
        reporter=work.reporter,
        token_rows=samples.token_rows,
        ranks=ranks,
        sharding=sharding,
    )
    if planned.parent:
        load_weights(ready.model, planned.parent.weights)
        work.notice("Trains {run} further.", run=planned.parent.folder.name)
    objective = objective_of(config, ready, samples, work, is_sharded=ranks.is_sharded)
    samples = with_references(samples, objective, ready, work)
    tell_of_base_model(config, ready.model, samples, work)
    return _Begun(planned, tokenizer, ready, samples, objective, ahead, sharding)


def _sharding(config: FineTuneConfig, ahead: FineTunePlan, count: int) -> Sharding:
    """Return how the model is shared out: as planned; where nothing is known of it, as if it fitted."""
    return ahead.memory.sharding if ahead.memory else sharding_of(config, count, fits_one=True)


def _tell_of_sharding(sharding: Sharding, config: FineTuneConfig, count: int, work: Work) -> None:
    if sharding == "full":
        work.notice("The model is sharded (FSDP): each of the {count} processes keeps a part of it.", count=count)
    elif sharding == "offload":
        work.notice(
            "The model is sharded (FSDP) and offloaded: each of the {count} processes keeps a part of it in the memory "
            "of the host, where the optimizer computes. That is slow.",
            count=count,
        )
    elif config.sharding in {"full", "offload"}:
        work.notice("sharding: {value} has no effect: one device alone has all of the model.", value=config.sharding)


def _reporting(config: FineTuneConfig, begun: _Begun, work: Work, ranks: Ranks) -> Reporting:
    """Return what makes the report card, with what an earlier attempt found out for it."""
    samples, planned = begun.samples, begun.planned
    reporting = report_on(
        config,
        Asking(begun.ready.model, begun.tokenizer, samples.facts.end_ids, ranks=_sharers(ranks)),
        planned.folder,
        samples.training,
        held_out=samples.held_out,
        work=work,
        notices=row_notices(config, samples.facts.counts),
    )
    if planned.is_resumed:
        reporting.go_on()
    return reporting


def _train_steps(
    config: FineTuneConfig, begun: _Begun, *, reporting: Reporting | None, work: Work, ranks: Ranks
) -> Trained:
    """Train to the end, or raise what `_fit` raises."""
    planned, ready, samples = begun.planned, begun.ready, begun.samples
    last_step = checkpoints.step_of(planned.checkpoint) if planned.checkpoint else 0
    own = OutputFolder(planned.folder)
    folder, written_to = planned.folder / results.CHECKPOINTS, own.begin_writing(results.CHECKPOINTS)
    if is_scratch(written_to):
        work.notice(
            "The mount of output_dir takes files as a whole only: what is saved is written to the folder for temporary "
            "files (TMPDIR) first."
        )
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
                used_a_token=used_a_token(config, ready, samples, ranks.part.count),
                processes=ranks.part.count,
            )
            trainer = _trainer(
                config,
                begun,
                make_callback(watch, ranks),
                save_to=written_to,
                trial=_trial(config, samples, watch, ranks),
                on_parted=partial(_tell_of_parts, work),
                ranks=ranks,
            )
            with fitting_threads(ready.model):
                if reporting:
                    ranks.from_first(lambda: reporting.before(lambda: _measure(trainer, ranks)))
                else:
                    ranks.from_first(lambda: None)
                state = _fit(trainer, watch, planned.checkpoint)
            trained = Trained(state, metrics, watch.seconds, state.global_step)
            best = _best(config, folder, trained, work)
            if best is not None:
                _sharers(ranks).call("load", str(best))
                load_weights(ready.model, best)
                trained = replace(trained, step=checkpoints.step_of(best) or trained.step)
    finally:
        with contextlib.suppress(OSError):  # what is wrong, the training says; the next run clears up
            own.note(results.METRICS)
            own.clear_writing()
    return trained


def _measure(trainer: Trainer, ranks: Ranks) -> float | None:
    """Return the loss on held-out rows, which all processes compute."""
    ranks.call("evaluate")
    loss: float | None = trainer.evaluate()["eval_loss"]
    return loss


def _best(config: FineTuneConfig, folder: Path, trained: Trained, work: Work) -> Path | None:
    """Return the checkpoint that measured best on held-out rows, if it is to be the result and not the last step is."""
    best = best_step(trained.metrics.rows)
    if not config.load_best_model_at_end or best is None or best == trained.step:
        return None
    checkpoint = folder / f"checkpoint-{best}"
    if not checkpoints.is_complete(checkpoint):
        work.notice("The result is that of the last step: the best one, {name}, is not whole.", name=checkpoint.name)
        return None
    work.notice("The result is that of step {step}, which measured best on held-out rows.", step=best)
    return checkpoint


def _trainer(
    config: FineTuneConfig,
    begun: _Begun,
    callback: TrainerCallback,
    *,
    save_to: Path,
    trial: Trial | None = None,
    on_parted: Callable[[int], None] = lambda _most_tokens: None,
    ranks: Ranks,
) -> Trainer:
    from qwen3ft_jupyter.finetune.compute.trainer import StepTrainer

    ready, samples = begun.ready, begun.samples
    arguments = training_arguments(config, ready.precision, checkpoints=save_to, samples=len(samples.training))
    if not ranks.is_first:
        arguments.report_to = []
    is_loraplus = config.method == "lora" and config.lora.loraplus_ratio is not None
    with _tensorboard_in(Path(config.output_dir) / results.TENSORBOARD):
        return StepTrainer(
            ready.model,
            arguments,
            begun.objective,
            samples=samples.training,
            held_out=samples.held_out,
            callback=callback,
            optimizer=loraplus_optimizer(ready.model, config) if is_loraplus else None,
            trial=trial,
            on_parted=on_parted if config.auto_find_batch_size and not ranks.is_sharded else None,
            ranks=ranks,
            metrics=OBJECTIVES[config.objective].metrics,
        )


def _tell_of_parts(work: Work, most_tokens: int) -> None:
    work.notice(
        "Memory ran out: from now on {count} tokens are computed at once. A step has the same samples, in more parts.",
        count=most_tokens,
    )


@contextlib.contextmanager
def _tensorboard_in(folder: Path) -> Iterator[None]:
    """Have TensorBoard's files written to `folder` by trainers that are made meanwhile, unless the user said where."""
    if TENSORBOARD_VARIABLE in os.environ:
        yield
        return
    os.environ[TENSORBOARD_VARIABLE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(TENSORBOARD_VARIABLE, None)


def _trial(config: FineTuneConfig, samples: Prepared, watch: Watch | None, ranks: Ranks) -> Trial:
    """Return the longest batch, from which the first time that is left is told, if somebody watches."""
    from qwen3ft_jupyter.finetune.compute.longest import Trial

    tokens_a_step = config.effective_batch_size * samples.facts.counts.tokens / max(1, len(samples.lengths))
    own_tokens = tokens_a_step / ranks.part.count
    return Trial(
        samples.training,
        samples.lengths,
        config.effective_batch_size,
        on_begin=watch.on_try_begin if watch else lambda: None,
        on_end=lambda tokens, took: watch.on_try_end(took, took * own_tokens / tokens) if watch else None,
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
