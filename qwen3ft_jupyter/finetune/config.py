"""What a fine-tune is to do: one frozen value, made from a dict or YAML, every wrong field named at once."""

from __future__ import annotations

import difflib
import os
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune import rules
from qwen3ft_jupyter.finetune.names import OTHERS, SAME, SAME_IN_LORA, in_our_words
from qwen3ft_jupyter.finetune.near import nearest_file
from qwen3ft_jupyter.messages import Message, Texts
from qwen3ft_jupyter.paths import at_home, current_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_LEARNING_RATE = {"lora": 2e-4, "full": 1e-5}
"""A LoRA learns with about ten times the rate of a full fine-tune, or more; these are the customary ones for Qwen3."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """The adapter's shape."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    """"all-linear", or names among `rules.LORA_TARGETS` and lm_head."""
    rslora: bool = False
    """Scale by alpha / √r instead of alpha / r, so that a high r learns as fast as a low one."""
    dora: bool = False
    """Learn the weights' lengths apart from their directions (DoRA): slower, closer to a full fine-tune at a low r."""
    loraplus_ratio: float | None = None
    """How many times learning_rate the B matrices get (LoRA+); 16 is customary. None: the same rate for all."""


@dataclass(frozen=True, slots=True)
class FineTuneConfig:
    """One fine-tune. Make it with `from_dict` or `from_yaml`: they check it and fill in what follows from others."""

    model: str
    """Repo id, such as Qwen/Qwen3-0.6B."""
    data: tuple[str, ...]
    """Files of conversations: .json, .jsonl, .csv."""
    output_dir: str
    """Where checkpoints, metrics and the result go."""
    method: str = "lora"
    """lora: a small adapter; full: every weight."""
    epochs: float = 1.0
    """Passes over the data; ignored where max_steps is given."""
    max_steps: int | None = None
    """Optimizer steps."""
    learning_rate: float = DEFAULT_LEARNING_RATE["lora"]
    """The highest rate of the schedule."""
    schedule: str = "cosine"
    """cosine, linear or constant, after the warm-up."""
    warmup_ratio: float = 0.03
    """Part of the steps in which the rate rises to learning_rate."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    batch_size: int = 2
    """Samples of the greatest length computed at once, more of shorter ones; memory grows with it."""
    gradient_accumulation: int = 4
    """Batches that make one step; batch_size times this is what the rate is tuned to."""
    packing: bool | str = "auto"
    """Several samples in one row, without seeing each other; auto: where the model allows it. It changes no result."""
    max_length: int = 1024
    """Tokens of the longest sample; longer ones lose old turns, then the middle of the question, then are left out."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    data_format: str = "auto"
    """auto, messages, alpaca or sharegpt."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The data's columns by what they hold (`rules.PARTS`), where their names do not tell. Others are not learned."""
    skip_bad_rows: bool = False
    """Leave rows out that cannot be mapped, and count them, instead of refusing the file."""
    empty_think_loss: bool = False
    """Learn to write the empty think block of an answer without reasoning. It makes a hybrid model forget to think."""
    eval_fraction: float = 0.0
    """Part of the rows kept out of training and measured."""
    eval_steps: int | None = None
    """Held-out rows are measured each so many steps, and at the end; None: after each epoch."""
    early_stopping: int | None = None
    """End after so many measurements in a row without a better one. None: never."""
    load_best_model_at_end: bool = False
    """The result is what measured best on held-out rows, not the last step."""
    report: bool = True
    """Ask a few rows and everyday prompts before and after, and score the answers; see report.json of the result."""
    prompts: tuple[str, ...] = ()
    """What else is asked before, while it learns, and after."""
    seed: int = 42
    save_steps: int | None = None
    """A checkpoint each so many steps; without save_minutes as well: every five minutes, a twentieth of the time."""
    save_minutes: float | None = None
    """A checkpoint each so many minutes, too."""
    keep_checkpoints: int = 2
    """The last so many, and the best one where early_stopping or load_best_model_at_end needs it."""
    dtype: str = "auto"
    device: str = "auto"
    attn_implementation: str = "auto"
    activation_checkpointing: bool | None = None
    """Recompute activations instead of keeping them: a fifth slower, a fraction of the memory. None: on a GPU only."""
    overwrite: bool = False
    """Replace an earlier result in output_dir."""
    revision: str | None = None
    """Commit, branch or tag of the model. None: the cached one, or the newest."""
    init_from: str | None = None
    """A finished run, or a checkpoint, that is trained further; fields that are not given are that run's."""
    from_run: str | None = None
    """A run that is repeated: every field is that run's."""
    quantization: str | None = None
    """Not yet: only null."""
    devices: int = 1
    """Not yet: only 1."""

    @classmethod
    def from_dict(
        cls, values: Mapping[str, object], *, base: Path | None = None, now: datetime | None = None
    ) -> FineTuneConfig:
        """Return the checked config; paths become absolute, relative ones from `base` (the working folder).

        `from_dict(config.to_dict())` gives the same config. Raises BadConfig with every wrong field.
        """
        problems: list[str] = []
        values = in_our_words({str(name): value for name, value in values.items()}, problems)
        group = _Group(values, "", problems)
        group.find_unknown({entry.name for entry in fields(cls)})
        checked = group.checked(rules.FIELDS)
        if "lora" in values:
            checked["lora"] = _lora(values["lora"], problems)
        problems += [
            Message("{name}: missing ({accepted})", name=name, accepted=rules.FIELDS[name].accepted)
            for name in ("model", "data")
            if name not in values
        ]
        _refuse(problems)
        base = base or _working_folder(checked)
        model, method = checked["model"], checked.get("method", "lora")
        output_dir = checked.get("output_dir") or default_output_dir(model, method, now or datetime.now().astimezone())
        checked["output_dir"] = _absolute(base, output_dir)
        checked["data"] = tuple(_absolute(base, path) for path in checked["data"])
        for name in ("init_from", "from_run"):
            if checked.get(name):
                checked[name] = _absolute(base, checked[name])
        if checked.get("learning_rate") is None:
            checked["learning_rate"] = DEFAULT_LEARNING_RATE[method]
        return cls(**checked)

    @classmethod
    def from_yaml(cls, text: str, *, base: Path | None = None) -> FineTuneConfig:
        """Return the config written in YAML (or JSON, which is YAML). Raises BadConfig."""
        return cls.from_dict(parse_yaml(text), base=base)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that `from_dict` takes back."""
        values = asdict(self)
        values["data"], values["prompts"] = list(self.data), list(self.prompts)
        values["columns"] = {part: list(names) for part, names in self.columns.items()}
        targets = self.lora.targets
        values["lora"]["targets"] = targets if isinstance(targets, str) else list(targets)
        return values

    @property
    def keeps_best(self) -> bool:
        """Return whether the checkpoint that measured best is kept."""
        return self.load_best_model_at_end or self.early_stopping is not None

    @property
    def effective_batch_size(self) -> int:
        """Return the samples of one optimizer step."""
        return self.batch_size * self.gradient_accumulation


CLOSE = 0.85
"""How alike a field's name has to be to that of another trainer's to be taken for a slip of it."""

UNKNOWN = Message("unknown field")
THE_CONFIG = Message("The fine-tune config")


def read_config(path: Path) -> dict[str, object]:
    """Return the fields in a YAML (or JSON) file, unchecked. Raises BadConfig, naming the file."""
    try:
        text = at_home(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        near = nearest_file(path) if isinstance(error, FileNotFoundError) else None
        raise BadConfig(
            "{name} cannot be read: {reason}.",
            hint='Did you mean "{near}"?' if near else "Give the path of a YAML file.",
            details={"file": str(path)},
            name=path.name or path,
            near=near,
            reason=getattr(error, "strerror", None) or Message("it is not UTF-8"),
        ) from error
    return parse_yaml(text, name=path.name)


def parse_yaml(text: str, *, name: str = THE_CONFIG) -> dict[str, object]:
    """Return the fields written in YAML (or JSON, which is YAML), unchecked. Raises BadConfig, calling it `name`."""
    import yaml

    from qwen3ft_jupyter.finetune.strict_yaml import find_slip, load_yaml

    try:
        values: object = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the last two: no date, nested without end
        if slip := find_slip(text, name):
            raise slip from error
        mark = getattr(error, "problem_mark", None)
        raise BadConfig(
            "{name} is not YAML at line {line}: {problem}." if mark else "{name} is not YAML.",
            hint="Write one `field: value` a line.",
            name=name,
            line=mark.line + 1 if mark else None,
            problem=getattr(error, "problem", None),
        ) from error
    if not isinstance(values, dict):
        if slip := find_slip(text, name):
            raise slip
        raise BadConfig("{name} is not a list of fields.", hint="Write for example: model: Qwen/Qwen3-0.6B", name=name)
    return {str(field_name): value for field_name, value in values.items()}


def default_output_dir(model: str, method: str, now: datetime) -> str:
    """Return where a run goes that names no folder.

    >>> default_output_dir("Qwen/Qwen3-0.6B", "lora", datetime(2025, 3, 1, 9, 30))
    'runs/Qwen3-0.6B-lora-20250301-093000'
    """
    return f"runs/{model.rpartition('/')[2]}-{method}-{now:%Y%m%d-%H%M%S}"


def _working_folder(checked: Mapping[str, Any]) -> Path:
    """Return where relative paths start. Raises BadConfig if there are some, and it has been deleted."""
    folder = current_folder()
    paths = {"data": checked["data"], "output_dir": (checked.get("output_dir", ""),)}
    relative = [name for name, given in paths.items() if not all(at_home(path).is_absolute() for path in given)]
    if folder is None and relative:
        raise BadConfig(
            "{names}: below the working folder, which has been deleted.",
            hint="Give the whole path.",
            names=", ".join(relative),
        )
    return folder or Path(os.sep)


def _absolute(base: Path, path: str) -> str:
    return os.path.normpath(base / os.path.expanduser(path))  # noqa: PTH111 - Path's raises for a ~ of nobody


def _refuse(problems: list[str]) -> None:
    """Raise BadConfig if there are any."""
    if problems:
        raise BadConfig(
            "The fine-tune config has 1 wrong field: {problems}."
            if len(problems) == 1
            else "The fine-tune config has {count} wrong fields: {problems}.",
            hint="Correct them all. The fields are: {names}."
            if any("unknown field" in problem for problem in problems)
            else "Correct them all.",
            names=", ".join(rules.FIELDS),
            count=len(problems),
            problems=Texts(problems),
        )


def _lora(values: object, problems: list[str]) -> LoraConfig:
    if not isinstance(values, dict):
        problems.append(
            Message(
                "lora: {value} is not a group of fields ({names})",
                value=rules.shown(values),
                names=", ".join(rules.LORA_FIELDS),
            )
        )
        return LoraConfig()
    group = _Group(values, "lora.", problems)
    group.find_unknown({entry.name for entry in fields(LoraConfig)})
    return LoraConfig(**group.checked(rules.LORA_FIELDS))


@dataclass(frozen=True, slots=True)
class _Group:
    """Fields as they were given; what is wrong with them goes to `problems`."""

    values: Mapping[str, object]
    prefix: str
    problems: list[str]

    def find_unknown(self, known: set[str]) -> None:
        """Note the fields that there are none of, with what may have been meant; those not needed in one go."""
        by_note: dict[str, list[str]] = {}
        theirs = SAME_IN_LORA if self.prefix else {**SAME, **dict.fromkeys(OTHERS, "")}
        for name in map(str, self.values):
            if name in known:
                continue
            close = difflib.get_close_matches(name, theirs, 1, CLOSE) or difflib.get_close_matches(name, known, 1)
            near = close[0] if close else ""
            shown = f"{self.prefix}{rules.shown(name)[1:-1]}"
            if name in OTHERS:
                by_note.setdefault(OTHERS[name], []).append(shown)
            elif near in OTHERS:
                words = Message("{name}: unknown field; {near}: {note}", name=shown, near=near, note=OTHERS[near])
                self.problems.append(words)
            elif near:
                near = theirs.get(near, near)
                self.problems.append(Message("{name}: unknown field, did you mean {near}?", name=shown, near=near))
            else:
                by_note.setdefault(UNKNOWN, []).append(shown)
        self.problems.extend(
            Message("{names}: {note}", names=", ".join(names), note=note) for note, names in by_note.items()
        )

    def checked(self, known: Mapping[str, rules.Rule]) -> dict[str, Any]:
        """Return the values that pass their rule, each of its field's type."""
        checked: dict[str, Any] = {}
        for name, rule in known.items():
            if name not in self.values:
                continue
            try:
                checked[name] = rule.parse(rules.natural(self.values[name]))
            except rules.Wrong as error:
                value = rules.shown(self.values[name])
                self.problems.append(
                    Message(
                        "{name}: {value} {problem}", name=f"{self.prefix}{name}", value=value, problem=error.args[0]
                    )
                )
            except (ValueError, TypeError, OverflowError):  # how a rule says no
                self.problems.append(
                    Message(
                        "{name}: {value} is not {accepted}",
                        name=f"{self.prefix}{name}",
                        value=rules.shown(self.values[name]),
                        accepted=rule.accepted,
                    )
                )
        return checked
