"""How the values of a fine-tune config are read, and what each field accepts, in words. Imports no pydantic."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.settings.kinds import folder_fault, read_bool

Target = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]

HEAD = "lm_head"
"""Can be adapted, too, where it is not the embedding as well."""

LORA_TARGETS = tuple(name for name in get_args(Target) if name != HEAD)
"""The linear layers of a Qwen3 block."""

MOST_TOKEN_IDS = 10_000_000
"""Ids of tokens are less: no vocabulary is that large."""

MOST_DEVICES = 64
"""GPUs of one machine."""
MOST_HOSTS = 1024

QUOTES = "“”„‟‘’‚‛«»「」『』＂＇"
"""Quotation marks that YAML takes for text: word processors and Chinese input methods write them."""

Part = Literal[
    "question", "reasoning", "answer", "system", "history", "messages", "tools", "chosen", "rejected", "text"
]
"""What `columns` can name the columns of."""

PARTS = get_args(Part)

Tracker = Literal["tensorboard", "swanlab", "wandb", "mlflow"]
"""What can be told of metrics beside us, as transformers calls it."""

TRACKERS = get_args(Tracker)

MOST_PROMPTS = 16
"""Of those that a run is to answer: they are asked before, while it learns, and after."""


class Wrong(ValueError):
    """A value that is not accepted for a reason of its own, which completes "name: value …"."""


class Unusable(ValueError):
    """A field that cannot be used whatever its value; what it says completes "names: …" for all it is true of."""


class WrongGroup(ValueError):
    """A group of fields in which the problems are that it holds; none: it is no group."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a field accepts, where its type does not tell; completes "name: value is not …"."""

    words: str


def shown(value: object) -> str:
    """Return a value as an error shows it: short, and without a folder of the user's machine."""
    text = repr(value)
    if isinstance(value, str) and ("/" in value or "\\" in value):
        text = repr(value.replace("\\", "/").rstrip("/").rpartition("/")[2])
    return text if len(text) <= 60 else text[:57] + "..."


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


def read(value: object, annotation: object) -> object:
    """Return what was written as a value of a type: text may stand for a number or a truth, capitals do not count.

    >>> read("1e-4", float), read("Yes", bool), read(" Auto", bool | Literal["auto"]), read(None, int | None)
    (0.0001, True, 'auto', None)

    Raises:
        ValueError: It is none; or TypeError, OverflowError.
    """
    value, kinds = natural(value), set(_kinds(annotation))
    if value is None:
        return value
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, str) and word in kinds:
        return word
    if any(get_origin(kind) is tuple for kind in kinds):  # a list, or what stands for one: the field reads it itself
        return value
    if bool in kinds:
        return read_bool(value)
    return _number(value) if kinds & {int, float} else value


def accepted(annotation: object, metadata: Iterable[object] = ()) -> str:
    """Return in words what a field of this type accepts; `metadata` holds its bounds, and `Accepts`.

    >>> str(accepted(bool | None)), str(accepted(Literal["lora", "full"]))
    ('true or false, or null', 'one of lora, full')
    """
    metadata = list(metadata)
    if said := next((item.words for item in metadata if isinstance(item, Accepts)), None):
        return said
    kinds = list(_kinds(annotation))
    names = ", ".join(kind for kind in kinds if isinstance(kind, str))
    words: str = Message("one of {names}", names=names) if names else ""
    for kind in kinds:
        if kind in {bool, int, float}:
            kind_words = Message("true or false") if kind is bool else _bounds(kind, [*metadata, *_within(annotation)])
            words = Message("{names}, {accepted}", names=names, accepted=kind_words) if names else kind_words
    return Message("{accepted}, or null", accepted=words) if NoneType in kinds else words


def _kinds(annotation: object) -> Iterator[object]:
    """Yield the types in an annotation, and the values of its Literals."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield from parts
    elif origin in {Union, UnionType} or origin is Annotated:
        yield from (kind for part in (parts[:1] if origin is Annotated else parts) for kind in _kinds(part))
    else:
        yield NoneType if annotation is None else annotation


def _within(annotation: object) -> Iterator[object]:
    """Yield the bounds that are within an annotation."""
    for part in get_args(annotation):
        if get_origin(part) is Annotated:
            yield from (bound for item in get_args(part)[1:] for bound in getattr(item, "metadata", [item]))


def _bounds(kind: object, metadata: Sequence[object]) -> str:
    """Return what numbers are accepted; all have bounds, of annotated_types."""
    bound = {name: getattr(item, name) for item in metadata for name in ("ge", "gt", "le") if hasattr(item, name)}
    high = bound["le"]
    if kind is int:
        return Message("a whole number from {low} to {high}", low=bound["ge"], high=high)
    if "gt" in bound:
        return Message("a number above {low:g} and at most {high:g}", low=bound["gt"], high=high)
    return Message("a number from {low:g} to {high:g}", low=bound["ge"], high=high)


def _number(value: object) -> float:
    """Return a number; YAML reads 1e-4 as text, and true is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def read_text(value: object) -> str:
    """Return a text in one line. Raises ValueError."""
    if not isinstance(value, str) or not value.strip() or any(ord(character) < 32 for character in value):
        raise ValueError(value)
    text = value.strip()
    if text[0] in QUOTES or text[-1] in QUOTES:
        raise Wrong(Message("has typographic quotation marks; write {plain} or none", plain='"…"'))
    return text


def read_text_or_none(value: object) -> str | None:
    """Return a text in one line, None for one that is empty. Raises ValueError."""
    return None if value is None or value == "" else read_text(value)


def read_word_or_none(value: object) -> str | None:
    """Return an id in one line, None for an empty one; YAML reads some of them as numbers. Raises ValueError."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return read_text_or_none(str(value) if is_number else value)


def read_words(value: object) -> tuple[str, ...]:
    """Return words in small letters, from a list or with commas between them. Raises ValueError."""
    words = value.split(",") if isinstance(value, str) else map(read_text, _items(value or ()))
    return tuple(dict.fromkeys(word.strip().lower() for word in words if word.strip().lower() not in {"", "none"}))


def read_prompts(value: object) -> tuple[str, ...]:
    """Return texts to ask. Raises ValueError."""
    prompts = (value,) if isinstance(value, str) else _items(value or ())
    if len(prompts) > MOST_PROMPTS or not all(isinstance(prompt, str) and prompt.strip() for prompt in prompts):
        raise ValueError(value)
    return tuple(map(str, prompts))


def read_model(value: object) -> str:
    """Return a repo id. Raises ValueError."""
    name = read_text(value)
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


def read_folder(value: object) -> str:
    """Return the path of a folder, "" if none was given. Raises ValueError."""
    text = "" if value is None or value == "" else read_text(value)
    if text and (fault := folder_fault(text)):
        raise Wrong(fault[0])
    return text


SOURCE = ("path", "rows", "weight", "subset", "split")
"""Fields of one of several sources of data."""

MOST_WEIGHT = 1000


def read_paths(value: object) -> tuple[str, ...]:
    """Return paths of files; behind each may stand how many rows are taken, and how often. Raises ValueError."""
    if isinstance(value, Mapping) and any(name in SOURCE for name in value):
        return (_read_source(value),)
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
    return tuple(_read_source(path) if isinstance(path, Mapping) else read_text(natural(path)) for path in paths)


def is_source(value: Mapping[str, object]) -> bool:
    """Return whether these are the fields of a source of data, not a row of it."""
    return "path" in value and all(name in SOURCE for name in value)


def _read_source(value: Mapping[str, object]) -> str:
    """Return a path with what is taken of it in one text: a.jsonl#500x2, owner/name:subset:split. Raises ValueError."""
    if unknown := [str(name) for name in value if name not in SOURCE]:
        raise Wrong(Message("{name} is not one of {names}", name=unknown[0], names=", ".join(SOURCE)))
    path, rows, weight = (natural(value.get(name)) for name in ("path", "rows", "weight"))
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 1):
        raise Wrong(Message("{name}: {value} is not a whole number above 0", name="rows", value=shown(rows)))
    if weight is not None and (not isinstance(weight, (int, float)) or not 0 < weight <= MOST_WEIGHT):
        raise Wrong(
            Message(
                "{name}: {value} is not a number above 0 and at most {most}",
                name="weight",
                value=shown(weight),
                most=MOST_WEIGHT,
            )
        )
    share = f"{rows or ''}{'' if weight in (None, 1) else f'x{weight:.6f}'.rstrip('0').rstrip('.')}"
    subset, split = (read_text(part) if part is not None else "" for part in (value.get("subset"), value.get("split")))
    choice = f":{subset}:{split}" if split else f":{subset}" if subset else ""
    return read_text(path) + choice + (f"#{share}" if share else "")


def read_columns(value: object) -> dict[str, tuple[str, ...]]:
    """Return names of columns by what they hold. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError(value)  # noqa: TRY004 - pydantic takes no TypeError for a wrong value
    named = {}
    for part, names in value.items():
        if part not in PARTS:
            raise Wrong(Message("{name} is not one of {names}", name=part, names=", ".join(PARTS)))
        found = (names,) if isinstance(names, str) else _items(names)
        if not found or (len(found) > 1 and part != "question"):
            raise Wrong(Message("{name}: only question may name several columns", name=part))
        named[str(part)] = tuple(map(read_text, found))
    columns = [name for names in named.values() for name in names]
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise Wrong(Message("names {name} twice: a column holds one thing", name=twice[0]))
    is_asked = "question" in named and bool(named.keys() & {"answer", "chosen"})
    if named and not is_asked and not named.keys() & {"messages", "text"}:
        raise Wrong(Message("names neither messages, nor both question and answer"))
    return named


def read_targets(value: object) -> object:
    """Return names of layers, one of which is all-linear only if it stands alone. Raises ValueError."""
    names = (
        [part.strip() for part in value.split(",")] if isinstance(value, str) else list(map(read_text, _items(value)))
    )
    if names == ["all-linear"]:
        return names[0]
    if not names or not set(names) <= set(get_args(Target)):
        raise ValueError(value)
    return tuple(dict.fromkeys(names))


def read_token_ids(value: object) -> object:
    """Return auto, or ids of tokens in their order. Raises ValueError."""
    if isinstance(value, str):
        words = [word.strip().lower() for word in value.split(",")]
        if words == ["auto"]:
            return words[0]
        value = words
    return tuple(sorted(set(map(_whole, _items(value)))))


def _whole(value: object) -> int:
    number = int(value) if isinstance(value, str) else natural(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(value)  # noqa: TRY004 - pydantic takes no TypeError for a wrong value
    return number


def read_device(value: object) -> str:
    """Return a device as torch names it. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return f"cuda:{value}"  # as torch counts them
    return read_text(value).lower()


def read_devices(value: object) -> object:
    """Return a number, auto, all, or the numbers of devices in their order; `cuda:1` is which, not how many.

    Raises:
        ValueError: It is none of these.
    """
    items: Iterable[object] | None = value if isinstance(value, list | tuple) else None
    if isinstance(value, str):
        word = value.strip().lower()
        if word in {"auto", "all"}:
            return word
        items = word.strip("[] ").split(",") if set(word) & set(",[:") else None
    return _whole(value) if items is None else tuple(sorted(set(map(_device_index, items))))


def _device_index(value: object) -> int:
    return _whole(value.strip().lower().removeprefix("cuda:") if isinstance(value, str) else value)


def read_dtype(value: object) -> str:
    """Return a precision by its long name. Raises ValueError."""
    name = read_text(value).lower().removeprefix("torch.")
    return {"fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}.get(name, name)


def _items(value: object) -> tuple[object, ...]:
    if not isinstance(value, Iterable):
        raise ValueError(value)  # noqa: TRY004 - pydantic takes no TypeError for a wrong value
    return tuple(value)
