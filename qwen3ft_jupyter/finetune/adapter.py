"""What a LoRA adapter changes of its base model, tensor by tensor; one that cannot be merged exactly is refused."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.catalog.usable import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from qwen3ft_jupyter.errors import LoadError
from qwen3ft_jupyter.finetune.rules import LORA_TARGETS
from qwen3ft_jupyter.loading.safety import check_adapter_folder, read_config
from qwen3ft_jupyter.loading.weights import read_tensors
from qwen3ft_jupyter.messages import Message, Names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


EMBEDDING: Final = "model.embed_tokens.weight"
HEAD: Final = "lm_head.weight"

_TEXT: Final = "model.language_model."

_UNDERSTOOD: Final = frozenset(
    {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "ensure_weight_tying",
        "exclude_modules",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "target_modules",
        "task_type",
        "trainable_token_indices",
        "use_dora",
        "use_rslora",
    }
)
"""Fields of adapter_config.json that are read below, or that change nothing. Any other has to be off: it may stand for
arithmetic that is not known here."""

_KEY: Final = re.compile(
    r"base_model\.model\.(.+)\.(lora_A\.weight|lora_B\.weight|lora_magnitude_vector|token_adapter\.trainable_tokens_delta)"
)
_PARTS: Final = {
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_magnitude_vector": "magnitude",
    "token_adapter.trainable_tokens_delta": "rows",
}


@dataclass(slots=True)
class Change:
    """What the adapter holds for one tensor of the base; the values are names of its own tensors."""

    down: str = ""
    up: str = ""
    magnitude: str = ""
    """Of DoRA: the length that each row of the result has."""
    rows: str = ""
    """Rows of an embedding that were trained themselves, and take the place of the base's."""
    scale: float = 0.0
    row_ids: tuple[int, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that can be merged."""

    folder: Path
    base_model: str
    """As its config names it: a repo id, or anything."""
    revision: str
    """The branch, tag or commit of the base, where the config names one; else ""."""
    changes: Mapping[str, Change]
    """By the name of the base's tensor."""
    targets: frozenset[str] = frozenset(LORA_TARGETS)
    """Names of the layers that it adapts, as its config has them."""

    @property
    def weights(self) -> Path:
        """Return the file with its tensors."""
        return self.folder / ADAPTER_WEIGHTS


def text_name(name: str) -> str:
    """Return the name that the libraries give to a tensor of a file. A repo that sees holds its text in a part.

    >>> text_name("model.language_model.embed_tokens.weight"), text_name("lm_head.weight")
    ('model.embed_tokens.weight', 'lm_head.weight')
    """
    return f"model.{name.removeprefix(_TEXT)}" if name.startswith(_TEXT) else name


def read_adapter(folder: Path) -> Adapter:
    """Return what the adapter in `folder` changes. Reads headers alone, and needs no torch.

    Raises:
        UnsafeModel: Its weights are pickles, or its config names code.
        LoadError: It is no LoRA adapter, or one of a form whose merging is not known here; the message names what.
    """
    check_adapter_folder(folder)
    config = read_config(folder / ADAPTER_CONFIG)
    _check_fields(config)
    changes: dict[str, Change] = {}
    for tensor in read_tensors(folder / ADAPTER_WEIGHTS):
        match = _KEY.fullmatch(tensor.name)
        if match is None:
            raise _refused(Message("it holds {what}, which is no part of a LoRA", what=tensor.name[:80]))
        part = _PARTS[match[2]]
        change = changes.setdefault(f"{match[1]}.weight", Change())
        setattr(change, part, tensor.name)
        change.shapes[part] = tensor.shape
    for name, change in changes.items():
        _complete(name, change, config)
    if not changes:
        raise _refused(Message("it holds nothing"))
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    return Adapter(folder, str(base or ""), str(revision or ""), changes, _targets(config))


def check_applies(adapter: Adapter, shapes: Mapping[str, tuple[int, ...]], *, tied: bool) -> None:
    """Make sure that every change is one of a base with tensors of these shapes.

    Raises:
        LoadError: The base lacks a tensor or has it in another shape, or output layer and embedding are one there.
    """
    for name, change in adapter.changes.items():
        layer = name.split(".")[-2]
        if change.up and tied and name in (HEAD, EMBEDDING):
            raise _refused(Message("it adapts the output layer, which in its base is the embedding as well"))
        if change.up and layer not in adapter.targets and name != HEAD:
            raise _refused(
                Message("it adapts {what}, which is none of the linear layers that its config names", what=layer[:80])
            )
        if change.rows and name not in (HEAD, EMBEDDING):
            raise _refused(Message("it trains rows of {what}", what=layer[:80]))
        if not _fits(change, shapes.get(name, ())):
            raise LoadError(
                "The adapter does not fit its base model: {name} is not there in the shape that it changes.",
                hint="Use the base model that its adapter_config.json names, at the commit it was trained on.",
                name=name[:80],
            )


def _fits(change: Change, shape: tuple[int, ...]) -> bool:
    """Return whether a change is one of a tensor of this shape."""
    if len(shape) != 2 or (change.up and shape != (change.shapes["up"][0], change.shapes["down"][1])):
        return False
    return not change.rows or (change.shapes["rows"][1] == shape[1] and max(change.row_ids) < shape[0])


def _check_fields(config: Mapping[str, object]) -> None:
    unknown = sorted(name for name, value in config.items() if value and name not in _UNDERSTOOD)
    if unknown:
        raise _refused(Message("its config sets {what}", what=Names(unknown)))
    if config.get("bias", "none") != "none":
        raise _refused(Message("it trains biases"))
    started = config.get("init_lora_weights", True)
    if not isinstance(started, bool) and started not in ("gaussian", "orthogonal", "eva"):
        # PiSSA, OLoRA, LoftQ and others change the base as well, which the file does not hold
        raise _refused(
            Message("init_lora_weights is {what}: it needs a base that was changed, too", what=str(started)[:40])
        )
    if config.get("alpha_pattern"):
        raise _refused(Message("its config sets {what}", what="alpha_pattern"))


def _targets(config: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the layers that are adapted: those of Qwen3, and what the config lists beside."""
    listed = config.get("target_modules")
    names = {str(name).rpartition(".")[2] for name in listed} if isinstance(listed, list) else set()
    return frozenset({*LORA_TARGETS, *names})


def _complete(name: str, change: Change, config: Mapping[str, object]) -> None:
    """Work out what the tensors of one change mean. Raises LoadError if some are missing, or contradict each other."""
    down, up = change.shapes.get("down", ()), change.shapes.get("up", ())
    is_whole = bool(down) == bool(up) and (not change.magnitude or bool(up))
    if up:
        is_whole = is_whole and len(down) == len(up) == 2 and down[0] == up[1] > 0
    if change.magnitude:
        is_whole = is_whole and change.shapes["magnitude"] == (up[0],) and bool(config.get("use_dora"))
    if change.rows:
        change.row_ids = _row_ids(name, config)
        is_whole = is_whole and change.shapes["rows"][:1] == (len(change.row_ids),) and len(change.shapes["rows"]) == 2
    if not is_whole:
        raise _refused(Message("what it holds for {what} is not whole", what=name[:80]))
    if up:
        change.scale = _scale(config, rank=down[0])


def _scale(config: Mapping[str, object], *, rank: int) -> float:
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise _refused(Message("its config sets {what}", what="lora_alpha"))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _row_ids(name: str, config: Mapping[str, object]) -> tuple[int, ...]:
    written = config.get("trainable_token_indices")
    ids = written.get(name.split(".")[-2]) if isinstance(written, dict) else written
    if not isinstance(ids, list) or not all(isinstance(one, int) and one >= 0 for one in ids):
        raise _refused(Message("its config sets {what}", what="trainable_token_indices"))
    return tuple(ids)


def _refused(why: str) -> LoadError:
    return LoadError(
        "The adapter cannot be merged: {why}.",
        hint="Load it on its base model instead, or merge it with the program that made it.",
        why=why,
    )
