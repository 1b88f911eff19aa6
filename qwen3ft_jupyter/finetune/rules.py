"""What each field of a fine-tune config accepts: a parser that raises ValueError, and the same in words."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.settings.kinds import folder_fault, read_bool

if TYPE_CHECKING:
    from collections.abc import Callable

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a Qwen3 block."""

HEAD = "lm_head"
"""Can be adapted, too, where it is not the embedding as well."""

QUOTES = "“”„‟‘’‚‛«»「」『』＂＇"
"""Quotation marks that YAML takes for text: word processors and Chinese input methods write them."""

PARTS = ("question", "reasoning", "answer", "system", "history", "messages", "tools")
"""What `columns` can name the columns of."""

MOST_PROMPTS = 16
"""Of those that a run is to answer: they are asked before, while it learns, and after."""


class Wrong(ValueError):
    """A value that is not accepted for a reason of its own, which the message tells."""


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


def natural(value: object) -> object:
    """Return what a value of another library stands for: a notebook holds paths, and numbers of numpy, pandas, torch.

    >>> natural(Path("a") / "b.jsonl"), natural(Decimal("0.5"))
    ('a/b.jsonl', 0.5)
    """
    if isinstance(value, (str, os.PathLike)):
        return os.fsdecode(value) if isinstance(value, os.PathLike) else str(value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    item, shape = getattr(value, "item", None), getattr(value, "shape", ())
    if callable(item) and tuple(shape) in {(), (1,)} and not isinstance(value, type):
        return natural(item())
    if isinstance(value, (numbers.Real, Decimal)):
        value = float(value)
    elif type(value).__module__.partition(".")[0] == "torch":  # torch.device, torch.dtype
        value = str(value).removeprefix("torch.")
    return value


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
    text = value.strip()
    if text[0] in QUOTES or text[-1] in QUOTES:
        raise Wrong(Message("has typographic quotation marks; write {plain} or none", plain='"…"'))
    return text


def _model(value: object) -> str:
    name = _text(value)
    looks_like_one = Path(name).is_absolute() or name.startswith((".", "~")) or "\\" in name
    inside = os.path.join(name, "result.json") if "/" in name else ""  # noqa: PTH118 - owner/name, or a run's folder
    if looks_like_one or os.path.exists(inside or name):  # noqa: PTH110 - Path's raises for long names
        raise Wrong(
            Message(
                "is a folder; a fine-tune names its base by repo id, such as Qwen/Qwen3-0.6B. A model that is on this "
                "disk already is not fetched again if MODEL_CACHE_OTHER_DIRS names the folder it is in. The result of "
                "a fine-tune is trained further by init_from"
            )
        )
    return name


def _folder(value: object) -> str:
    text = "" if value is None or value == "" else _text(value)
    if text and (fault := folder_fault(text)):
        raise Wrong(fault[0])
    return text


def _items(value: object) -> tuple[object, ...]:
    if not isinstance(value, Iterable):
        raise TypeError(value)
    return tuple(value)


def _paths(value: object) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        raise Wrong(
            Message(
                "is a group of fields ({names}); give a file or a list of files. eval_fraction keeps rows out for "
                "measuring",
                names=", ".join(map(str, value)),
            )
        )
    paths = (value,) if isinstance(value, str) else _items(value)
    if not paths:
        raise ValueError(value)
    return tuple(_text(natural(path)) for path in paths)


def _prompts(value: object) -> tuple[str, ...]:
    prompts = (value,) if isinstance(value, str) else _items(value or ())
    if len(prompts) > MOST_PROMPTS or not all(isinstance(prompt, str) and prompt.strip() for prompt in prompts):
        raise ValueError(value)
    return tuple(str(prompt) for prompt in prompts)


def _columns(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    named = {}
    for part, names in value.items():
        if part not in PARTS:
            raise Wrong(Message("{name} is not one of {names}", name=part, names=", ".join(PARTS)))
        found = (names,) if isinstance(names, str) else _items(names)
        if not found or (len(found) > 1 and part != "question"):
            raise Wrong(Message("{name}: only question may name several columns", name=part))
        named[str(part)] = tuple(map(_text, found))
    if named and "messages" not in named and not {"question", "answer"} <= named.keys():
        raise Wrong(Message("names neither messages, nor both question and answer"))
    return named


def _targets(value: object) -> str | tuple[str, ...]:
    if value == "all-linear":
        return "all-linear"
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(map(_text, _items(value)))
    if not names or not set(names) <= {*LORA_TARGETS, HEAD}:
        raise ValueError(value)
    return tuple(dict.fromkeys(names))


def _device(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return f"cuda:{value}"  # as torch counts them
    name = _text(value).lower()
    if name in {"auto", "cpu", "mps", "cuda"} or (name.startswith("cuda:") and name[5:].isdigit()):
        return name
    raise ValueError(value)


def _dtype(value: object) -> str:
    name = _text(value).lower().removeprefix("torch.")
    name = {"fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}.get(name, name)
    if name not in {"auto", "float32", "float16", "bfloat16"}:
        raise ValueError(value)
    return name


def _auto_or_truth(value: object) -> bool | str:
    return "auto" if isinstance(value, str) and value.strip().lower() == "auto" else read_bool(value)


TRUTH = Rule(read_bool, Message("true or false"))

FIELDS: Mapping[str, Rule] = {
    "model": Rule(_model, Message("the name of a model, such as Qwen/Qwen3-0.6B")),
    "data": Rule(_paths, Message("a file or a list of files (.json, .jsonl, .csv, .tsv, .parquet)")),
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
    "packing": Rule(_auto_or_truth, Message("auto, true or false")),
    "max_length": whole(16, 262_144),
    "data_format": one_of("auto", "messages", "alpaca", "sharegpt"),
    "columns": Rule(_columns, Message("a group of fields that names columns, at least question and answer")),
    "skip_bad_rows": TRUTH,
    "empty_think_loss": TRUTH,
    "eval_fraction": real(0, 0.5),
    "eval_steps": optional(whole(1, 10_000_000)),
    "early_stopping": optional(whole(1, 1000)),
    "load_best_model_at_end": TRUTH,
    "report": TRUTH,
    "prompts": Rule(_prompts, Message("a text or a list of at most {count} texts", count=MOST_PROMPTS)),
    "seed": whole(0, 2**32 - 1),
    "save_steps": optional(whole(1, 10_000_000)),
    "save_minutes": optional(real(0, 100_000, above=True)),
    "keep_checkpoints": whole(1, 100),
    "dtype": Rule(_dtype, Message("one of auto, float32, float16, bfloat16")),
    "device": Rule(_device, Message("auto, cpu, mps, cuda or cuda:N")),
    "attn_implementation": one_of("auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"),
    "activation_checkpointing": optional(TRUTH),
    "overwrite": TRUTH,
    "revision": optional(Rule(_text, Message("a commit, branch or tag"))),
    "init_from": optional(Rule(_text, Message("the folder of a fine-tune or of a checkpoint"))),
    "from_run": optional(Rule(_text, Message("the folder of a fine-tune"))),
    "quantization": not_yet(None, Message("fine-tuning a quantized model (QLoRA)")),
    "devices": not_yet(1, Message("training on several devices")),
}

LORA_FIELDS: Mapping[str, Rule] = {
    "r": whole(1, 1024),
    "alpha": whole(1, 4096),
    "dropout": real(0, 0.9),
    "targets": Rule(_targets, Message("all-linear, or names among {names}", names=", ".join((*LORA_TARGETS, HEAD)))),
    "rslora": TRUTH,
    "dora": TRUTH,
    "loraplus_ratio": optional(real(1, 1000)),
}
