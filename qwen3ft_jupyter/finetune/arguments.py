"""Translates a fine-tune config into `transformers.TrainingArguments` of whichever 5.x is installed."""

from __future__ import annotations

import inspect
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from transformers import TrainingArguments

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.precision import Precision

RENAMED = {"activation_checkpointing": "gradient_checkpointing",
           "activation_checkpointing_kwargs": "gradient_checkpointing_kwargs"}  # fmt: skip
"""Today's name of an argument, and the one it had in earlier 5.x."""

OPTIONAL = frozenset({"logging_nan_inf_filter", "dataloader_pin_memory", "eval_on_start"})
"""Arguments a version may lack without harm to the result."""

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
"""Our names of the schedules, and theirs."""


def training_arguments(
    config: FineTuneConfig, precision: Precision, *, checkpoints: Path, samples: int
) -> TrainingArguments:
    """Return the TrainingArguments. Nothing reports where it is not told to, saves or evaluates by itself or prints."""
    from transformers import TrainingArguments

    steps = total_steps(config, samples)
    wanted = {
        "output_dir": str(checkpoints),
        "max_steps": steps,
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": config.effective_batch_size,  # a batch is a step; see StepTrainer
        "per_device_eval_batch_size": config.effective_batch_size,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": SCHEDULES[config.schedule],
        "warmup_steps": round(steps * config.warmup_ratio),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "optim": "adamw_torch",
        "bf16": precision.autocast == "bfloat16",
        "fp16": precision.autocast == "float16",
        "use_cpu": precision.device == "cpu",
        "activation_checkpointing": has_activation_checkpointing(config, precision),
        "activation_checkpointing_kwargs": {"use_reentrant": False},
        "seed": config.seed,
        "data_seed": config.seed,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would show an average in place of a NaN
        "save_strategy": "no",  # our callback says when: at set steps, by the clock, and on stop
        "eval_strategy": "no",  # and when to evaluate
        "prediction_loss_only": True,
        "report_to": list(config.report_to) or "none",
        "run_name": PurePath(config.output_dir).name,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": precision.device.startswith("cuda"),
        "push_to_hub": False,
    }
    arguments = TrainingArguments(**filtered(wanted, inspect.signature(TrainingArguments).parameters))
    if precision.device.startswith("cuda"):
        arguments._n_gpu = 1  # noqa: SLF001 - several visible GPUs would make Trainer wrap the model in DataParallel
    return arguments


def filtered(wanted: Mapping[str, object], known: Collection[str]) -> dict[str, object]:
    """Return the arguments under the names this version knows; drop those it may lack. Raises TypeError for others."""
    kept = {}
    for name, value in wanted.items():
        target = name if name in known else RENAMED.get(name, name)
        if target in known:
            kept[target] = value
        elif name not in OPTIONAL:
            raise TypeError(f"this transformers has no training argument {name!r}")
    return kept


def total_steps(config: FineTuneConfig, samples: int) -> int:
    """Return the optimizer steps of the run: an epoch's last, smaller step counts as one."""
    if config.max_steps is not None:
        return config.max_steps
    return max(1, round(config.epochs * steps_an_epoch(config, samples)))


def steps_an_epoch(config: FineTuneConfig, samples: int) -> int:
    """Return the optimizer steps of a pass over the samples."""
    return max(1, -(-samples // config.effective_batch_size))


def has_activation_checkpointing(config: FineTuneConfig, precision: Precision) -> bool:
    """Return whether activations are recomputed: on a GPU, memory is what runs out; on a CPU it is time."""
    if config.activation_checkpointing is None:
        return precision.device.startswith("cuda")
    return config.activation_checkpointing
