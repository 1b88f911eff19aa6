"""What a fine-tune leaves behind: adapter or model, model card, result; and how to find it again."""

from __future__ import annotations

import contextlib
import json
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.disk import read_json, write_atomic, write_json
from qwen3ft_jupyter.errors import LoadError
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.own import MADE_BY, OutputFolder
from qwen3ft_jupyter.finetune.report.card import markdown
from qwen3ft_jupyter.finetune.rules import HEAD
from qwen3ft_jupyter.messages import size
from qwen3ft_jupyter.paths import is_file, names_in
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from transformers import GenerationConfig

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.fit import Sharding
    from qwen3ft_jupyter.finetune.model import Trainable
    from qwen3ft_jupyter.finetune.report.card import ReportCard
    from qwen3ft_jupyter.finetune.samples import SampleReport
    from qwen3ft_jupyter.loading.libraries import Tokenizer
    from qwen3ft_jupyter.work import Reporter

ADAPTER, MODEL, CONFIG, METRICS, REPORT, RESULT, CARD, CHECKPOINTS = (
    "adapter", "model", "config.json", "metrics.jsonl", "report.json", "result.json", "README.md", "checkpoints",
)  # fmt: skip
"""Names in an output folder. result.json is written last: with it the run is finished."""

TENSORBOARD = "tensorboard"
"""Folder for what TensorBoard reads, if a run is to report to it; it is TensorBoard's, and no run deletes it."""

PREVIOUS = "previous"
"""Folder that holds the result which a run with `overwrite` replaces, until there is a new one."""

VERSIONS_OF = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")
"""Packages whose version belongs to the result."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fine-tune came to, as result.json holds it."""

    output_dir: str
    method: str
    steps: int
    first_loss: float
    last_loss: float
    seconds: float
    parameters: int
    """Of the base model."""
    trainable_parameters: int
    dtype: str
    device: str
    tokens: int
    """Seen in training, padding left out."""
    base_commit: str | None = None
    parent: Mapping[str, Any] = field(default_factory=dict)
    """What was trained further; see `Record.parent`."""
    result_step: int | None = None
    """The step that the result is of: the last, or the one that measured best. None: a run of an older version."""
    eval_loss: float | None = None
    """Of the result on held-out rows; None without an eval_fraction."""
    data: Mapping[str, int] = field(default_factory=dict)
    """What became of the data; see `Facts.to_dict`."""
    diverged: bool = False
    """Whether the loss ended far above where it began."""
    planned: Mapping[str, int] = field(default_factory=dict)
    """What was to be: steps, tokens, memory_bytes; see `FineTunePlan.summary`."""
    peak_bytes: int | None = None
    """The most memory that was used at once, by torch on a GPU, by the process on a CPU. None: not counted."""

    mfu: float | None = None
    """Model flops utilisation, 0 to 1, of the median step; see `compute.utilisation`. None: not known."""
    report: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Loss and scores before and after, as its report card writes them."""
    token_rows: Sequence[str] = ()
    """Tokens whose rows in embedding and head were trained beside a LoRA."""
    processes: int = 1
    """That computed each step together, one a device."""
    sharding: Sharding = "none"
    """How they shared the model out."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; what a run has nothing of is left out (`eval_loss`, `diverged` …)."""
        left_out = {"eval_loss"} if self.eval_loss is None else set()
        left_out |= {"processes"} if self.processes == 1 else set()
        left_out |= {"sharding"} if self.sharding == "none" else set()
        left_out |= {name for name in ("diverged", "parent", "report", "token_rows") if not getattr(self, name)}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @property
    def actual(self) -> dict[str, float]:
        """Return what `planned` is compared with."""
        told = {"steps": self.steps, "tokens": self.tokens, "seconds": self.seconds, "memory_bytes": self.peak_bytes}
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored. Raises TypeError if any is missing."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


@dataclass(frozen=True, slots=True)
class Record:
    """What config.json of an output folder says: what was to be done, and whose run it is."""

    config: Mapping[str, object]
    """The fields as `FineTuneConfig.to_dict` gives them, of whichever version."""
    run_id: object
    base_commit: str | None
    data_sha256: tuple[str, ...]
    versions: Mapping[str, str]
    plan: Mapping[str, Any] = field(default_factory=dict)
    """What it was to be, as `FineTunePlan.to_dict` gives it; empty: a run of an older version."""
    parent: Mapping[str, Any] = field(default_factory=dict)
    """What it trains further, as `earlier.Parent.told` gives it; empty: its base model."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Which data sets on a hub its data is, by the path; see `FineTuneParams.datasets`. Older versions wrote none."""

    def to_json(self) -> object:
        """Return what the file holds."""
        return {
            **self.config,
            "made_by": MADE_BY,
            "run_id": self.run_id,
            "base_commit": self.base_commit,
            "data_sha256": list(self.data_sha256),
            "versions": dict(self.versions),
            "plan": dict(self.plan),
            **({"parent": dict(self.parent)} if self.parent else {}),
            **({"datasets": dict(self.datasets)} if self.datasets else {}),
        }

    @classmethod
    def from_json(cls, data: object) -> Record | None:
        """Rebuild from `to_json`; None: it is no fine-tune's."""
        if not isinstance(data, dict) or data.get("made_by") != MADE_BY:
            return None
        rest = dict(data)
        del rest["made_by"]
        digests, commit = rest.pop("data_sha256", None), rest.pop("base_commit", None)
        made_with, plan, parent = (rest.pop(name, None) for name in ("versions", "plan", "parent"))
        datasets = rest.pop("datasets", None)
        return cls(
            run_id=rest.pop("run_id", None),
            base_commit=str(commit) if commit else None,
            data_sha256=tuple(digests) if isinstance(digests, list) else (),
            versions=made_with if isinstance(made_with, dict) else {},
            plan=plan if isinstance(plan, dict) else {},
            parent=parent if isinstance(parent, dict) else {},
            datasets=datasets if isinstance(datasets, dict) else {},
            config=rest,
        )


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished fine-tune. Either `adapter_folder` (put it on `base_model`) or `model_folder` is set."""

    base_model: str
    method: str
    adapter_folder: Path | None
    model_folder: Path | None
    config: Mapping[str, Any]  # Any: JSON as it lies in the folder; other versions had other fields
    result: Mapping[str, Any]
    base_commit: str | None = None
    """Commit of the base model it was trained on; None: not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What preparing the data found out."""

    rows: int
    """Read, before any was left out."""
    held_out: int
    """Conversations kept for measuring."""
    counts: SampleReport
    """Of what is learned from."""
    end_ids: tuple[int, ...]
    """Tokens that end a turn."""
    token_rows: tuple[str, ...] = ()
    """Tokens whose rows in embedding and head are trained beside a LoRA."""

    def to_dict(self) -> dict[str, int]:
        """Return what became of the data, for result.json: rows and conversations, and answers."""
        counts = self.counts
        return {
            "rows": self.rows,
            "conversations": counts.conversations,
            "held_out": self.held_out,
            "answers": counts.answers,
            "shortened": counts.shortened,
            "left_out": counts.dropped + counts.refused,
            "trained_tokens": counts.trained_tokens,
        }


def comparison(outcome: Outcome) -> list[str]:
    """Return what was planned beside what it came to, for each that is known of both.

    >>> comparison(Outcome("o", "lora", 9, 1.0, 0.5, 1.0, 1, 1, "float32", "cpu", 80, planned={"tokens": 90}))
    ['tokens 90, 80']
    """
    planned = outcome.planned
    actual = {"steps": outcome.steps, "tokens": outcome.tokens}
    told = [f"{name} {planned[name]:,}, {count:,}" for name, count in actual.items() if name in planned]
    if "seconds" in planned:
        told.append(f"seconds {planned['seconds']:,}, {outcome.seconds:,.0f}")
    if "memory_bytes" in planned and outcome.peak_bytes:
        told.append(f"memory {size(planned['memory_bytes'])}, {size(outcome.peak_bytes)}")
    return told


def is_run(folder: Path) -> bool:
    """Return whether `folder` is the output folder of a fine-tune, finished or not, by its own record. Quick."""
    try:
        return read_record(folder) is not None
    except OSError:
        return False


def read_record(folder: Path) -> Record | None:
    """Return the config.json of a fine-tune's output folder; None: there is none, or it is no fine-tune's.

    Raises OSError if it cannot be read.
    """
    try:
        return Record.from_json(read_json(folder / CONFIG))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None


def read_run(folder: Path) -> RunResult:
    """Return what the finished fine-tune in `folder` left. Raises LoadError."""
    try:
        config, result = read_json(folder / CONFIG), read_json(folder / RESULT)
        method, base_model = str(result["method"]), str(config["model"])
    except FileNotFoundError as error:
        raise LoadError(
            "{folder} holds no finished fine-tune.",
            hint="Resume it, or give its output_dir. The result it is to replace is kept in its folder {previous}."
            if is_file(folder / PREVIOUS / RESULT)
            else "Resume it, or give its output_dir.",
            folder=folder.name,
            previous=PREVIOUS,
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError("{folder}: the record of the fine-tune cannot be read.", folder=folder.name) from error
    adapter = folder / ADAPTER if method == "lora" else None
    model = folder / MODEL if method == "full" else None
    return RunResult(base_model, method, adapter, model, config, result, config.get("base_commit"))


def save_result(
    ready: Trainable,
    tokenizer: Tokenizer,
    config: FineTuneConfig,
    outcome: Outcome,
    facts: Facts,
    *,
    report: ReportCard | None = None,
    reporter: Reporter = SILENT,
    on_gathered: Callable[[], object] = lambda: None,
) -> None:
    """Write the adapter or the model, safetensors only, and the model card. Nothing is looked up on a network.

    A model is written in its base's number type: trained in float32, an 8B would take 33 GB instead of 16. `reporter`
    is told what had to make way, and where it is; `on_gathered` is called when no other process is needed any more.
    """
    from qwen3ft_jupyter.finetune.compute.sharding import whole

    output_dir, model = Path(config.output_dir), ready.model
    own, name = OutputFolder(output_dir, reporter), ADAPTER if config.method == "lora" else MODEL
    folder = own.begin_writing(name)
    if config.method == "lora":
        # "auto" would ask a hub for the base model's config to compare vocabularies; ours does not change
        with whole(model):
            on_gathered()
            model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
        _name_base(folder / "adapter_config.json", config.model)
    else:
        import torch

        _end_turns(model.generation_config, facts.end_ids)
        model.config.use_cache = True
        with whole(model, dtype=getattr(torch, ready.base_dtype)):
            on_gathered()
            model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    text = card(config, outcome, facts, report).encode(errors="backslashreplace")
    write_atomic(folder / CARD, text)
    _share(folder)
    own.place(folder, name)
    own.clear_writing()
    own.write(CARD, text)


def _share(folder: Path) -> None:
    """Give all files the permissions that the user's umask gives: safetensors keeps its files to the user alone."""
    mode = (folder / "tokenizer_config.json").stat().st_mode
    for name in names_in(folder):
        with contextlib.suppress(OSError):  # a mount without permissions
            (folder / name).chmod(stat.S_IMODE(mode))


def _name_base(path: Path, base_model: str) -> None:
    """Name the base model by its repo id: the folder it was loaded from means nothing elsewhere."""
    config = json.loads(path.read_bytes())
    config["base_model_name_or_path"] = base_model
    write_json(path, config)


def _end_turns(generation: GenerationConfig, end_ids: Sequence[int]) -> None:
    """Let the end-of-turn token end an answer; a Base model's own config does not."""
    present = generation.eos_token_id
    ids = [present] if isinstance(present, int) else list(present or [])
    merged = [*end_ids, *(one for one in ids if one not in end_ids)]
    generation.eos_token_id = merged if len(merged) != 1 else merged[0]


def versions() -> dict[str, str]:
    """Return the versions of the packages that made the result."""
    import importlib.metadata  # it takes longer than all else here, and whoever reads a result needs it not

    found = {}
    for name in VERSIONS_OF:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _objective(config: FineTuneConfig) -> str:
    objective = OBJECTIVES[config.objective]
    given = {**objective.fields, **config.objective_fields}
    return ", ".join([objective.title, *(f"{name} {value:g}" for name, value in given.items())])


def _method(config: FineTuneConfig) -> str:
    if config.method == "full":
        layers = config.trainable_layers
        if layers is None:
            return "full fine-tune"
        return f"fine-tune of the {'last' if layers > 0 else 'first'} {abs(layers)} layers, all else frozen"
    lora = config.lora
    kind = ("rsLoRA, " if lora.rslora else "") + ("DoRA" if lora.dora else "LoRA")
    if config.quantization:
        kind = f"Q{kind} (base in 4 bits: NF4, double quantization)"
    words = f"{kind}, r {lora.r}, alpha {lora.alpha}, dropout {lora.dropout:g}"
    return words if lora.loraplus_ratio is None else f"{words}, LoRA+ ratio {lora.loraplus_ratio:g}"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _token_rows(config: FineTuneConfig, facts: Facts) -> str:
    where = "embedding" if HEAD in config.lora.targets else "embedding and head"
    return f"{', '.join(f'`{name}`' for name in facts.token_rows)} in {where}"


def _parent(parent: Mapping[str, Any]) -> str:
    """Return what was trained further: folder, checkpoint, run."""
    return ", ".join(str(parent[name]) for name in ("folder", "checkpoint", "run_id") if parent.get(name))


def _devices(outcome: Outcome) -> str:
    """Return what computed, how many of it, and whether each had a part of the model."""
    many = f"{outcome.processes} x {outcome.device.partition(':')[0]}" if outcome.processes > 1 else outcome.device
    sharded = {"full": ", sharded (FSDP)", "offload": ", sharded (FSDP), offloaded"}
    return many + sharded.get(outcome.sharding, "")


def card(config: FineTuneConfig, outcome: Outcome, facts: Facts, report: ReportCard | None = None) -> str:
    """Return the model card in Markdown; it names files, never folders, because people publish it."""
    title, counts = Path(config.output_dir).name, facts.counts
    read, learned = OBJECTIVES[config.objective].counted
    library = "peft" if config.method == "lora" else "transformers"
    tags = [f"- {tag}" for tag in ("qwen3", config.method, config.objective)]
    head = ["---", f"base_model: {config.model}", f"library_name: {library}", "pipeline_tag: text-generation", "tags:"]
    head += [*tags, "---", ""]
    rows = {
        "Base model": f"{config.model}, commit {commit}" if (commit := outcome.base_commit) else config.model,
        **({"Trained further from": _parent(outcome.parent)} if outcome.parent else {}),
        **({"Repeats": Path(config.from_run).name} if config.from_run else {}),
        "Objective": _objective(config),
        "Method": _method(config),
        **({"Trained token rows": _token_rows(config, facts)} if facts.token_rows else {}),
        "Trained parameters": f"{outcome.trainable_parameters:,} of {outcome.parameters:,}",
        "Data": ", ".join(Path(path).name for path in config.data),
        read: f"{counts.conversations:,} of {facts.rows:,} rows; {facts.held_out:,} more held out",
        learned: f"{counts.answers:,}; {counts.trained_tokens:,} tokens in the loss; {counts.shortened:,} samples "
        f"shortened; {counts.dropped + counts.refused:,} answers left out",
        "Steps": f"{outcome.steps} of {config.effective_batch_size} samples"
        + (f"; the result is that of step {outcome.result_step}" if outcome.result_step != outcome.steps else ""),
        "Learning rate": f"{config.learning_rate:g}, {config.schedule}, warm-up {config.warmup_ratio:.0%}",
        "Longest sample": f"{config.max_length} tokens",
        "Loss, first and last step": f"{outcome.first_loss:.4f}, {outcome.last_loss:.4f}"
        + (" (diverged)" if outcome.diverged else ""),
        **({"Loss on held-out rows": f"{outcome.eval_loss:.4f}"} if outcome.eval_loss is not None else {}),
        **({"Planned and actual": compared} if (compared := "; ".join(comparison(outcome))) else {}),
        "Seed": config.seed,
        "Computed": f"{outcome.seconds:.0f} s on {_devices(outcome)} in {outcome.dtype}"
        + (f", {outcome.mfu:.1%} of its measured peak" if outcome.mfu is not None else ""),
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
    table = [
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {_cell(value)} |" for name, value in rows.items()),
    ]
    about = [f"# {title}", "", f"{config.model}, fine-tuned with qwen3ft-jupyter.", ""]
    return "\n".join([*head, *about, *table, "", *(markdown(report) if report else [])])
