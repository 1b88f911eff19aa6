"""Merges the adapter of a fine-tune into its base model: a folder that any program loads as it loads the base.

Each shard of the base is copied, and in it only what the adapter changes is replaced: computed in float32, rounded to
the number type that the base has. Headers, names, tokenizer and config are the base's own bytes, so that whatever read
the base reads the result, whichever version of a library it has, and no more than a few rows are in memory.

All is written to a hidden folder beside the target. config.json, without which no program takes a folder for a model,
is written last, into the target itself. Only files are renamed, one by one: mounts of object stores have no rename of
folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.catalog import whole_repo
from qwen3ft_jupyter.catalog.usable import ADAPTER_CONFIG
from qwen3ft_jupyter.catalog.weights import INDEX_NAME
from qwen3ft_jupyter.disk import LOCAL, read_json
from qwen3ft_jupyter.errors import BadInput, LoadError
from qwen3ft_jupyter.finetune.adapter import EMBEDDING, HEAD, check_applies, text_name
from qwen3ft_jupyter.finetune.merged import GENERATION, LAST, MergeResult, read_merge_record
from qwen3ft_jupyter.finetune.own import MADE_BY
from qwen3ft_jupyter.finetune.results import CARD, versions
from qwen3ft_jupyter.finetune.shards import TORCH_TYPES, read_file, write_weights
from qwen3ft_jupyter.finetune.target import (
    Folder,
    check_room,
    check_target,
    delete_earlier,
    delete_temporary,
    disk_error,
    find_ours,
)
from qwen3ft_jupyter.hubs.names import as_repo_id
from qwen3ft_jupyter.loading.safety import check_model_folder
from qwen3ft_jupyter.loading.weights import read_tensors, weight_files
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.paths import is_file
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.finetune.adapter import Adapter, Change
    from qwen3ft_jupyter.finetune.dequantized import Dequantized
    from qwen3ft_jupyter.finetune.merged import BaseWeights
    from qwen3ft_jupyter.finetune.selftest import SelfTest
    from qwen3ft_jupyter.loading.machine import Machine
    from qwen3ft_jupyter.work import Work

_COPIED: Final = (
    INDEX_NAME,
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "configuration.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "LICENSE",
    "LICENSE.txt",
)
"""Files of the base that are the result's as they are: transformers would write them in the form of its own version,
which older ones, and programs that still use them, cannot read."""

_MARGIN_BYTES: Final = 1 << 20
"""For the small files, and what a volume takes beside the bytes."""


@dataclass(frozen=True, slots=True)
class Base:
    """The base model on this disk."""

    folder: Path
    repo_id: str
    commit: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by file, as the hub has it; empty where nobody knows."""
    weights: BaseWeights = "original"
    """Which of its weights are merged into."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an adapter comes from."""

    name: str
    """What to call it in front of people."""
    run: Path | None = None
    """The output folder of the fine-tune that made it; None: somebody else did."""
    run_id: str | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    """The fine-tune's fields."""
    dtype: str = ""
    """Number type that it computed in; "" where nobody knows."""
    given: str = ""
    """How it was named, for a command that goes on with it."""

    @property
    def is_of_4_bits(self) -> bool:
        """Return whether it was trained on a base in 4 bits."""
        return self.config.get("quantization") == "4bit"


@dataclass(frozen=True, slots=True)
class MergePlan:
    """A merge that can begin."""

    adapter: Adapter
    base: Base
    origin: Origin
    target: Path
    is_tied: bool
    needed_bytes: int
    """Room that is needed where the target lies."""
    may_overwrite: bool
    """Whether an earlier merge in the target may be replaced."""

    @property
    def is_of_others(self) -> bool:
        """Return whether the adapter was trained on other weights than those it is merged into."""
        return self.base.weights == "original" and (self.origin.is_of_4_bits or bool(self.other_repo))

    @property
    def other_repo(self) -> str:
        """Return the repo that the adapter names as its base, if it is another: one with the weights in 4 bits, say.

        Many trainers write a folder of their machine instead. That tells nothing, and nobody is to read it.
        """
        named = as_repo_id(self.adapter.base_model) or ""
        return "" if named.lower() == self.base.repo_id.lower() else named

    @property
    def temporary(self) -> Path:
        """Return the folder that is written to; a later merge into the same target deletes what is left there."""
        return self.target.with_name(f".{self.target.name}.merging")

    def change_of(self, name: str) -> Change | None:
        """Return what is changed of a tensor of the base; files of tied models may hold the embedding twice."""
        return self.adapter.changes.get(EMBEDDING if self.is_tied and name == HEAD else text_name(name))


def plan_merge(
    adapter: Adapter, base: Base, origin: Origin, target: Path, *, overwrite: bool, disk: Disk = LOCAL
) -> MergePlan:
    """Return the plan of a merge that can begin. Quick, changes nothing, needs no torch.

    Args:
        adapter: What is merged.
        base: Into what.
        origin: Where the adapter comes from.
        target: The folder that gets the model.
        overwrite: Whether an earlier merge there may be replaced. Where this very merge may be there, ask
            `find_merged` before.
        disk: Where it lies.

    Raises:
        LoadError: The adapter does not fit the base, or the base is quantized.
        BadInput: The target holds other files, or cannot be written; or the run was not trained in 4 bits.
        MissingPackage: What makes weights of 4 bits is not installed.
        NoSpace: There is no room.
    """
    config = check_model_folder(base.folder)
    files = weight_files(base.folder)
    tensors = [tensor for path in files for tensor in read_tensors(path)]
    types = {text_name(tensor.name): tensor.dtype for tensor in tensors}
    if config.is_quantized or not {types.get(name, "F32") for name in adapter.changes} <= set(TORCH_TYPES):
        raise LoadError(
            "{name} is stored quantized: nothing can be merged into it.",
            hint="Merge it into the model's weights of 16 bits: {fetch}, then {command}"
            if (whole := whole_repo(base.repo_id))
            else "Download the repo with the model's weights of 16 bits, and name it: {command}",
            name=base.repo_id,
            fetch=Command("download", whole or ""),
            command=Command("merge", origin.given or origin.name, "--base", whole or "OWNER/NAME"),
        )
    if base.weights == "dequantized":
        _check_in_4_bits(origin)
    check_applies(adapter, {text_name(tensor.name): tensor.shape for tensor in tensors}, tied=config.is_tied)
    copied = [base.folder / name for name in _COPIED if is_file(base.folder / name)]
    sizes = [path.stat().st_size for path in (*files, *copied)]
    plan = MergePlan(adapter, base, origin, target, config.is_tied, sum(sizes) + _MARGIN_BYTES, overwrite)
    check_target(target, {path.name for path in (*files, *copied)}, overwrite=overwrite)
    check_room(target, plan.needed_bytes, max(sizes), disk)
    return plan


def _check_in_4_bits(origin: Origin) -> None:
    from qwen3ft_jupyter.loading.load import require

    if origin.run is not None and not origin.is_of_4_bits:
        raise BadInput(
            "{name} was not trained in 4 bits: there are no weights of its base to dequantize.",
            hint="Merge it into the original ones.",
            name=origin.name,
        )
    require("bitsandbytes")


def merge(plan: MergePlan, work: Work, *, disk: Disk = LOCAL, machine: Machine | None = None) -> MergeResult:
    """Merge, compare the result with base and adapter, and put it into the target. What fails leaves nothing there.

    Args:
        plan: What and where.
        work: Is told of the phases merging, loading, comparing and saving.
        disk: Where the target lies.
        machine: What to compare on; None measures this one.

    Raises:
        Stopped: The work was to stop.
        CacheDamaged: A file of the base is not what the hub has.
        DoesNotFit: There is not enough memory to compare.
        LoadError: The merged model does not answer as base and adapter do; or numbers of the adapter are none.
        NoSpace, BadInput: The disk refuses.
    """
    from qwen3ft_jupyter.finetune.selftest import check_fits, compare
    from qwen3ft_jupyter.loading.load import require

    require("torch", "transformers", "peft")
    started = time.monotonic()
    if plan.other_repo:
        work.notice(
            "The adapter was trained on {trained}; it is merged into {name}, which has to be the same model.",
            trained=plan.other_repo,
            name=plan.base.repo_id,
        )
    elif plan.is_of_others:
        work.notice(
            "The adapter was trained on {name} in 4 bits; it is merged into its whole weights, as they are served. "
            "base: dequantized merges it into the weights that it was trained on.",
            name=plan.base.repo_id,
        )
    check_model_folder(plan.base.folder)  # again: the job may have waited
    dtype = check_fits(plan, machine)
    dequantized = _dequantized(plan, work, machine)
    try:
        delete_temporary(plan.temporary, disk)
        written = Folder(plan.temporary, disk)
        write_weights(plan, written, work, dequantized)
        _write_others(plan, written)
        tested = compare(plan, dtype, work, machine, dequantized)
        changed = len({*plan.adapter.changes, *(dequantized.names if dequantized else ())})
        work.progress(Progress("saving", 0, None, "files"))
        result = _commit(plan, written, tested, changed, seconds=time.monotonic() - started)
    except OSError as error:
        raise disk_error(error, plan.target) from error
    finally:
        with contextlib.suppress(OSError):  # the next merge into this target tries again
            delete_temporary(plan.temporary, disk)
    work.progress(Progress("saving", 1, 1, "files"))
    return result


def _dequantized(plan: MergePlan, work: Work, machine: Machine | None) -> Dequantized | None:
    """Return the weights that the adapter was trained on, if it is merged into those; None: into the base's own."""
    from qwen3ft_jupyter.finetune.dequantized import Dequantized

    if plan.base.weights == "original":
        return None
    dtype = plan.origin.dtype or _dtype(plan)
    return Dequantized(plan.base.folder, plan.adapter.folder, dtype, machine, reporter=work.reporter)


def _write_others(plan: MergePlan, written: Folder) -> None:
    """Write tokenizer, settings of generation and card. The base's own card would claim what is not so any more."""
    for name in _COPIED:
        if is_file(plan.base.folder / name):
            written.write(name, read_file(plan.base, name))
    written.write(GENERATION, _generation(plan))
    written.write_last(read_file(plan.base, LAST))


def _generation(plan: MergePlan) -> bytes:
    """Return the base's settings of generation, with the token that ends a turn among those that end an answer.

    A Base model's own end only texts: a server that reads them would go on for ever.
    """
    from qwen3ft_jupyter.finetune.rendering import end_of_turn_ids
    from qwen3ft_jupyter.loading.load import load_tokenizer
    from qwen3ft_jupyter.loading.templates import TemplateRenderer

    path = plan.base.folder / GENERATION
    settings = read_json(path) if is_file(path) else {}
    tokenizer = load_tokenizer(plan.base.folder)
    ids: list[int] = []
    if tokenizer.chat_template:
        with TemplateRenderer.of(tokenizer) as renderer:
            ids = end_of_turn_ids(tokenizer, renderer)
    present = settings.get("eos_token_id", tokenizer.eos_token_id)
    ids += [one for one in (present if isinstance(present, list) else [present]) if one not in ids and one is not None]
    return (json.dumps({**settings, "eos_token_id": ids}, indent=2) + "\n").encode()


# The end


def _commit(plan: MergePlan, written: Folder, tested: SelfTest, changed: int, *, seconds: float) -> MergeResult:
    """Move what was written into the target, our record first and config.json last. Raises OSError, BadInput."""
    target = plan.target
    written.write(CARD, _card(plan, tested).encode())
    files = written.all_files()
    check_target(target, set(files), overwrite=plan.may_overwrite)  # again: much may have happened meanwhile
    delete_earlier(target, written.disk)
    result = MergeResult(
        output_dir=str(target),
        base_model=plan.base.repo_id,
        base_commit=plan.base.commit,
        dtype=_dtype(plan),
        size=sum(one["size"] for one in files.values()),
        changed=changed,
        self_test=tested.to_dict(),
        seconds=round(seconds, 2),
        base=plan.base.weights,
    )
    written.move_to(target, _record(plan, files, result))
    return result


def _record(plan: MergePlan, files: Mapping[str, object], result: MergeResult) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "run_id": plan.origin.run_id,
        **_identity(plan.adapter, plan.base),
        "dtype": result.dtype,
        "changed": result.changed,
        "seconds": result.seconds,
        "self_test": dict(result.self_test),
        "versions": versions(),
        "files": dict(files),
    }


_IMPLIED: Final[Mapping[str, object]] = {"weights": "original"}
"""What a record means that lacks the key: earlier versions merged into nothing else."""


def _identity(adapter: Adapter, base: Base) -> dict[str, Any]:
    """Return what tells one merge from another."""
    return {
        "base": {"repo_id": base.repo_id, "commit": base.commit, "sha256": dict(base.digests)},
        "weights": base.weights,
        "adapter": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (adapter.weights, adapter.folder / ADAPTER_CONFIG)
        },
    }


def find_merged(adapter: Adapter, base: Base, target: Path) -> MergeResult | None:
    """Return the result of this very merge, if `target` holds it as it was written; large files go by their size."""
    record = read_merge_record(target)
    if record is None or not is_file(target / LAST) or {*find_ours(target, record)} != {*record["files"]}:
        return None
    known = {**_IMPLIED, **record}
    if any(known.get(key) != value for key, value in _identity(adapter, base).items()):
        return None
    return MergeResult(
        output_dir=str(target),
        base_model=base.repo_id,
        base_commit=base.commit,
        dtype=record["dtype"],
        size=sum(one["size"] for one in record["files"].values()),
        changed=record["changed"],
        self_test=record["self_test"],
        seconds=record["seconds"],
        base=base.weights,
    )


def _dtype(plan: MergePlan) -> str:
    """Return the number type of what was changed."""
    tensors = [tensor for path in weight_files(plan.base.folder) for tensor in read_tensors(path)]
    types = {text_name(tensor.name): tensor.dtype for tensor in tensors}
    return TORCH_TYPES[types[next(iter(plan.adapter.changes))]]


def _card(plan: MergePlan, tested: SelfTest) -> str:
    """Return the model card: that of the run and what the merge adds. It names no folder, because people publish it."""
    base = plan.base
    head = ["---", f"base_model: {base.repo_id}", "base_model_relation: finetune", "library_name: transformers"]
    head += [*_licence(base), "pipeline_tag: text-generation", "tags:", "- qwen3", "- merged", "---", ""]
    body = ""
    if plan.origin.run is not None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            body = (plan.origin.run / CARD).read_text("utf-8").partition("\n---\n")[2].strip()
    commit = f", commit {base.commit}" if base.commit else ""
    body = body or f"# {plan.target.name}\n\nA LoRA adapter merged into {base.repo_id}{commit}."
    merged = f"The adapter is merged into the base model's weights, in {_dtype(plan)}. {tested.sentence()}"
    if plan.other_repo:
        merged += f" It was trained on {plan.other_repo}, whose answers may be a little different."
    elif plan.is_of_others:
        merged += " It was trained on the base in 4 bits, whose answers are a little different."
    if base.weights == "dequantized":
        merged += " The base's weights are those it was trained on: in 4 bits (NF4), dequantized."
    return "\n".join([*head, body, "", "## Merged", "", merged, ""])


def _licence(base: Base) -> list[str]:
    """Return what the base's card says of its licence, line by line."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        lines = (base.folder / CARD).read_text("utf-8").partition("\n---\n")[0].splitlines()
        return [line for line in lines if line.startswith(("license:", "license_name:", "license_link:"))]
    return []
