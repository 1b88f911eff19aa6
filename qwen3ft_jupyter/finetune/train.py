"""Runs one fine-tune in this process: data, model, `transformers.Trainer`, result."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.disk import read_json, write_json
from qwen3ft_jupyter.errors import BadConfig, BadData, DoesNotFit, Stopped
from qwen3ft_jupyter.finetune import checkpoints, results
from qwen3ft_jupyter.finetune.arguments import training_arguments
from qwen3ft_jupyter.finetune.batches import Collator
from qwen3ft_jupyter.finetune.data import read_data, split
from qwen3ft_jupyter.finetune.metrics import MetricsFile
from qwen3ft_jupyter.finetune.model import load_for_training
from qwen3ft_jupyter.finetune.rendering import Encoder, encode_all, end_of_turn_ids
from qwen3ft_jupyter.finetune.watch import Watch, make_callback
from qwen3ft_jupyter.loading import TemplateRenderer, fitting_threads, load_tokenizer, no_network, quiet_libraries
from qwen3ft_jupyter.loading.load import require
from qwen3ft_jupyter.reporting import SILENT, Progress

if TYPE_CHECKING:
    import threading

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.model import Precision
    from qwen3ft_jupyter.finetune.rendering import Sample
    from qwen3ft_jupyter.reporting import Reporter

logger = logging.getLogger(__name__)

MAY_DIFFER_ON_RESUME = frozenset({"save_steps", "keep_checkpoints", "overwrite", "output_dir", "data"})
"""Fields that do not change what is computed; the data is compared by its digest, wherever it lies now."""


def train(
    config: FineTuneConfig,
    *,
    model_folder: Path,
    output_dir: Path | None = None,
    reporter: Reporter = SILENT,
    stop: threading.Event | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Fine-tune the model in `model_folder` and return what came out.

    Args:
        config: What to do.
        model_folder: The cached model. Nothing is looked up on a network.
        output_dir: Where everything goes; None: `config.output_dir`.
        reporter: Is told of the phases preparing (rows), loading, training (steps), saving, and of each step's metrics.
        stop: When set, the step at hand is finished, a checkpoint saved, and Stopped raised.
        resume: Go on from the last complete checkpoint in `output_dir`, to the losses of a run never interrupted.

    Returns:
        output_dir, method, steps, first_loss, last_loss, seconds, parameters, trainable_parameters, dtype, device,
        tokens, and eval_loss if there is an eval_fraction.

    Raises:
        BadConfig: `output_dir` holds another result, or the run to resume was another one.
        BadData: The data is wrong, or has changed since the run to resume.
        Stopped: `stop` was set.
        JobFailed: The loss became NaN.
        LoadError: The model cannot be loaded, or does not fit.
    """
    require("torch", "transformers", "peft", "accelerate")
    output_dir = Path(output_dir or config.output_dir)
    with no_network(), quiet_libraries():
        checkpoint = _prepare_output(config, output_dir, reporter, resume=resume)
        tokenizer, samples, held_out, facts = _prepare_samples(config, model_folder, reporter, stop)
        model, precision = load_for_training(config, model_folder, reporter=reporter)
        _tell_of_base_model(model, facts["end_ids"], reporter)
        last_step = checkpoints.step_of(checkpoint) if checkpoint else 0
        with MetricsFile(output_dir / results.METRICS, last_step=last_step or 0) as metrics:
            watch = Watch(
                config, folder=output_dir / results.CHECKPOINTS, metrics=metrics, reporter=reporter, stop=stop
            )
            trainer = _trainer(
                config,
                model=model,
                precision=precision,
                data=(samples, held_out),
                watch=watch,
                tokenizer=tokenizer,
                output_dir=output_dir,
            )
            with fitting_threads(model):
                state = _fit(trainer, watch, checkpoint)
        reporter.progress(Progress("saving", 0, None, "files"))
        saved = results.save_result(model, tokenizer, config, output_dir, end_ids=facts["end_ids"])
        result = _result(
            config, output_dir, model=model, precision=precision, metrics=metrics, watch=watch, state=state
        )
        results.write_card([output_dir, saved], config, result, facts)
        write_json(output_dir / results.RESULT, result)
        reporter.progress(Progress("saving", 1, 1, "files"))
    return result


def _prepare_output(config: FineTuneConfig, output_dir: Path, reporter: Reporter, *, resume: bool) -> Path | None:
    """Make the output folder and write config.json; return the checkpoint to go on from."""
    recorded = {**config.to_dict(), "data_sha256": _digests(config), "versions": results.versions()}
    folder = output_dir / results.CHECKPOINTS
    if resume and (output_dir / results.CONFIG).is_file():
        _check_same_run(read_json(output_dir / results.CONFIG), recorded)
        checkpoint = checkpoints.last_complete(folder)
        reporter.notice(
            f"Resuming from {checkpoint.name}." if checkpoint else "No complete checkpoint: starting again."
        )
    else:
        checkpoint = None
        _make_room(config, output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    write_json(output_dir / results.CONFIG, recorded)
    return checkpoint


def _make_room(config: FineTuneConfig, output_dir: Path) -> None:
    """Refuse to mix two runs in one folder; with overwrite, delete what is ours in it."""
    names = (results.ADAPTER, results.MODEL, results.CHECKPOINTS, results.RESULT, results.METRICS)
    present = [output_dir / name for name in names if (output_dir / name).exists()]
    if present and not config.overwrite:
        raise BadConfig(
            f"output_dir: {output_dir.name} holds an earlier fine-tune.",
            hint="Name another folder, resume that run, or set overwrite: true.",
        )
    for path in present:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _check_same_run(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Make sure that what is resumed is what was begun."""
    if before.get("data_sha256") != now["data_sha256"]:
        raise BadData("The data has changed since this fine-tune began.", hint="Start a new one, or restore the files.")
    compared = set(now) - MAY_DIFFER_ON_RESUME - {"versions", "data_sha256"}
    changed = sorted(name for name in compared if before.get(name) != now[name])
    if changed:
        raise BadConfig(
            f"The fine-tune to resume was begun with another {', '.join(changed)}.", hint="Start a new one."
        )


def _digests(config: FineTuneConfig) -> list[str]:
    digests = []
    for path in map(Path, config.data):
        try:
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise BadData(
                f"{path.name} cannot be read.", hint="Check the path.", details={"path": str(path)}
            ) from error
        digests.append(digest.hexdigest())
    return digests


def _prepare_samples(
    config: FineTuneConfig, model_folder: Path, reporter: Reporter, stop: threading.Event | None
) -> tuple[Any, list[Sample], list[Sample], dict[str, Any]]:
    """Read, split, render and tokenize; return the tokenizer, samples, held-out samples and facts for the card."""
    data = read_data(
        [Path(path) for path in config.data], data_format=config.data_format, skip_bad_rows=config.skip_bad_rows
    )
    for notice in data.report.notices:
        reporter.notice(notice)
    tokenizer = load_tokenizer(model_folder)
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
    reporter.notice(f"{counts.samples} samples, {counts.tokens} tokens, {counts.trained_tokens} of them in the loss.")
    for number, what in (
        (counts.shortened, "samples shortened to max_length"),
        (counts.dropped, "answers left out: they do not fit max_length"),
        (counts.without_reasoning, "answers learned without their reasoning: this model's template does not write it"),
    ):
        if number:
            reporter.notice(f"{number} {what}.")
    facts = {**counts.to_dict(), "conversations": len(training), "end_ids": end_ids, "versions": results.versions()}
    return tokenizer, samples, held_out_samples, facts


def _trainer(
    config: FineTuneConfig,
    *,
    model: Any,
    precision: Precision,
    data: tuple[list[Sample], list[Sample]],
    watch: Watch,
    tokenizer: Any,
    output_dir: Path,
) -> Any:
    from transformers import PrinterCallback, Trainer

    training, held_out = data
    arguments = training_arguments(
        config, precision, checkpoints=output_dir / results.CHECKPOINTS, samples=len(training), evaluate=bool(held_out)
    )
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    collator = Collator(int(pad_id or 0), multiple_of=8 if precision.device.startswith("cuda") else 1)
    trainer = Trainer(
        model=model, args=arguments, data_collator=collator, train_dataset=training, eval_dataset=held_out or None,
        callbacks=[make_callback(watch)],
    )  # fmt: skip
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
        raise Stopped(f"Stopped after step {state.global_step} of {state.max_steps}; the checkpoint is kept.",
                      hint="Resume goes on from there.")  # fmt: skip
    return trainer.state


def _result(
    config: FineTuneConfig,
    output_dir: Path,
    *,
    model: Any,
    precision: Precision,
    metrics: MetricsFile,
    watch: Watch,
    state: Any,
) -> dict[str, Any]:
    losses = metrics.losses
    evaluated = [row["eval_loss"] for row in metrics.rows if "eval_loss" in row]
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    adapter = trainable if config.method == "lora" else 0
    return {
        "output_dir": str(output_dir),
        "method": config.method,
        "steps": state.global_step,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "seconds": round(watch.seconds, 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()) - adapter,
        "trainable_parameters": trainable,
        "dtype": precision.compute,
        "device": precision.device,
        "tokens": int(state.num_input_tokens_seen),
        **({"eval_loss": evaluated[-1]} if evaluated else {}),
    }


def _tell_of_base_model(model: Any, end_ids: list[int], reporter: Reporter) -> None:
    known = model.generation_config.eos_token_id
    if not set(end_ids) & set(known if isinstance(known, list) else [known]):
        reporter.notice(
            "This looks like a Base model: it has not learned to end its turns. It learns that here from your data; "
            "with few rows, an instruct model is the better start."
        )
