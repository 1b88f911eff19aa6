"""What each field of a fine-tune config accepts: a parser that raises ValueError, and the same in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.settings.kinds import read_bool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a Qwen3 block. Not lm_head: on models with tied embeddings an adapter there breaks merging."""

OTHER_NAMES = {
    "lr": "learning_rate",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation",
    "dataset": "data",
    "train_file": "data",
    "train_data": "data",
    "model_name": "model",
    "model_name_or_path": "model",
    "finetuning_type": "method",
    "train_type": "method",
    "training_method": "method",
    "cutoff_len": "max_length",
    "max_seq_length": "max_length",
    "lora_rank": "lora",
    "lora_r": "lora",
    "lora_alpha": "lora",
    "lora_dropout": "lora",
    "target_modules": "targets",
    "lora_target": "lora",
    "rank": "r",
    "lr_scheduler_type": "schedule",
    "warmup_steps": "warmup_ratio",
    "gradient_checkpointing": "activation_checkpointing",
    "val_size": "eval_fraction",
    "split_dataset_ratio": "eval_fraction",
    "torch_dtype": "dtype",
    "load_in_4bit": "quantization",
}
"""What other trainers call our fields."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`parse` returns the value or raises ValueError or TypeError; `accepted` completes "… is not …"."""

    parse: Callable[[object], Any]  # Any: each field has a type of its own
    accepted: str


def shown(value: object) -> str:
    """Return a value as an error shows it: short, and without a folder of the user's machine."""
    text = repr(value)
    if isinstance(value, str) and ("/" in value or "\\" in value):
        text = repr(value.replace("\\", "/").rstrip("/").rpartition("/")[2])
    return text if len(text) <= 60 else text[:57] + "..."


def whole(low: int, high: int) -> Rule:
    """Accept whole numbers from `low` to `high`."""

    def parse(value: object) -> int:
        number = _number(value)
        if number != int(number) or not low <= number <= high:
            raise ValueError
        return int(number)

    return Rule(parse, Message("a whole number from {low} to {high}", low=low, high=high))


def real(low: float, high: float, *, above: bool = False) -> Rule:
    """Accept numbers from `low` (or above it) to `high`."""

    def parse(value: object) -> float:
        number = _number(value)
        if not low <= number <= high or (above and number == low):
            raise ValueError
        return number

    if above:
        return Rule(parse, Message("a number above {low:g} and at most {high:g}", low=low, high=high))
    return Rule(parse, Message("a number from {low:g} to {high:g}", low=low, high=high))


def one_of(*accepted: str) -> Rule:
    """Accept these words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value.strip().lower() not in accepted:
            raise ValueError
        return value.strip().lower()

    return Rule(parse, Message("one of {names}", names=", ".join(accepted)))


def optional(rule: Rule) -> Rule:
    """Accept what `rule` accepts, and null."""
    accepted = Message("{accepted}, or null", accepted=rule.accepted)
    return Rule(lambda value: None if value is None else rule.parse(value), accepted)


def not_yet(present: int | None, feature: str) -> Rule:
    """Accept only today's value of a field whose other values come later."""

    def parse(value: object) -> object:
        if type(value) is not type(present) or value != present:
            raise ValueError
        return present

    word = "null" if present is None else str(present).lower()
    text = Message(
        "possible yet: {feature} does not exist yet, the value accepted is {word}", feature=feature, word=word
    )
    return Rule(parse, text)


def _number(value: object) -> float:
    """Return a number; YAML reads 1e-4 as text, and true is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or any(ord(character) < 32 for character in value):
        raise ValueError(value)
    return value.strip()


def _folder(value: object) -> str:
    return "" if value is None or value == "" else _text(value)


def _items(value: object) -> tuple[object, ...]:
    if not isinstance(value, Iterable):
        raise TypeError(value)
    return tuple(value)


def _paths(value: object) -> tuple[str, ...]:
    paths = (value,) if isinstance(value, str) else _items(value)
    if not paths:
        raise ValueError(value)
    return tuple(_text(path) for path in paths)


def _targets(value: object) -> str | tuple[str, ...]:
    if value == "all-linear":
        return "all-linear"
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(map(_text, _items(value)))
    if not names or not set(names) <= set(LORA_TARGETS):
        raise ValueError(value)
    return tuple(dict.fromkeys(names))


def _device(value: object) -> str:
    name = _text(value).lower()
    if name in {"auto", "cpu", "mps", "cuda"} or (name.startswith("cuda:") and name[5:].isdigit()):
        return name
    raise ValueError(value)


TRUTH = Rule(read_bool, Message("true or false"))

FIELDS: Mapping[str, Rule] = {
    "model": Rule(_text, Message("the name of a model, such as Qwen/Qwen3-0.6B")),
    "data": Rule(_paths, Message("a file or a list of files (.json, .jsonl, .csv)")),
    "output_dir": Rule(_folder, Message("a folder")),
    "method": one_of("lora", "full"),
    "epochs": real(0, 1000, above=True),
    "max_steps": optional(whole(1, 10_000_000)),
    "learning_rate": optional(real(0, 1, above=True)),
    "schedule": one_of("cosine", "linear", "constant"),
    "warmup_ratio": real(0, 0.9),
    "weight_decay": real(0, 1),
    "max_grad_norm": real(0, 1000, above=True),
    "batch_size": whole(1, 4096),
    "gradient_accumulation": whole(1, 4096),
    "max_length": whole(16, 262_144),
    "data_format": one_of("auto", "messages", "alpaca", "sharegpt"),
    "skip_bad_rows": TRUTH,
    "empty_think_loss": TRUTH,
    "eval_fraction": real(0, 0.5),
    "seed": whole(0, 2**32 - 1),
    "save_steps": optional(whole(1, 10_000_000)),
    "keep_checkpoints": whole(1, 100),
    "dtype": one_of("auto", "float32", "float16", "bfloat16"),
    "device": Rule(_device, Message("auto, cpu, mps, cuda or cuda:N")),
    "attn_implementation": one_of("auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"),
    "activation_checkpointing": optional(TRUTH),
    "overwrite": TRUTH,
    "quantization": not_yet(None, Message("fine-tuning a quantized model (QLoRA)")),
    "packing": not_yet(False, "packing"),
    "devices": not_yet(1, Message("training on several devices")),
}

LORA_FIELDS: Mapping[str, Rule] = {
    "r": whole(1, 1024),
    "alpha": whole(1, 4096),
    "dropout": real(0, 0.9),
    "targets": Rule(_targets, Message("all-linear, or names among {names}", names=", ".join(LORA_TARGETS))),
}
