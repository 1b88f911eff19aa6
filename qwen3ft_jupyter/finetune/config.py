"""What a fine-tune is to do: one frozen model, made from a dict or YAML, every wrong field named at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from annotated_types import MinLen
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
)

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune import rules
from qwen3ft_jupyter.finetune.addresses import read_address
from qwen3ft_jupyter.finetune.devices import Devices, against
from qwen3ft_jupyter.finetune.dlc import DlcConfig
from qwen3ft_jupyter.finetune.group import BASIC, Group
from qwen3ft_jupyter.finetune.names import in_our_words
from qwen3ft_jupyter.finetune.objectives import DEFAULT_LEARNING_RATE, OBJECTIVES
from qwen3ft_jupyter.finetune.presets import Preset, fill_in
from qwen3ft_jupyter.finetune.problems import problems_of
from qwen3ft_jupyter.finetune.rules import Accepts
from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml
from qwen3ft_jupyter.messages import Language, Message, translate
from qwen3ft_jupyter.paths import at_home, current_folder

_Words = Annotated[str, MinLen(1)] | Annotated[list[Annotated[str, MinLen(1)]], MinLen(1)]

_Source = Annotated[
    dict[str, object],
    WithJsonSchema(
        {
            "type": "object",
            "required": ["path"],
            "additionalProperties": False,
            "properties": {
                "path": {"type": "string", "minLength": 1},
                "rows": {"type": "integer", "minimum": 1},
                "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": rules.MOST_WEIGHT},
                "subset": {"type": "string", "minLength": 1},
                "split": {"type": "string", "minLength": 1},
            },
        }
    ),
]
"""One source of data with what is taken of it; `rules.read_paths` reads it."""
_Sources = Annotated[str, MinLen(1)] | _Source | Annotated[list[Annotated[str, MinLen(1)] | _Source], MinLen(1)]

OBJECTIVE_FIELDS = tuple(dict.fromkeys(name for one in OBJECTIVES.values() for name in one.fields))
"""Fields that only some objectives have."""

NEEDS: Mapping[str, Mapping[str, list[str]]] = {
    **{
        name: {"objective": [one.name for one in OBJECTIVES.values() if name in one.fields]}
        for name in OBJECTIVE_FIELDS
    },
    "trainable_layers": {"method": ["full"]},
    "lora": {"method": ["lora"]},
    "dlc": {"launcher": ["pai-dlc"]},
}
"""Fields and groups that are of account only where another field is one of these: forms show them only then."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WORDS = ("title", "description", "x-unit")


def _below_base(path: str, info: ValidationInfo) -> str:
    """Return the absolute path; a relative one starts at the base of the context, or the working folder."""
    base = (info.context or {}).get("base") or current_folder()
    if base is None and not at_home(path).is_absolute():
        raise rules.Unusable(Message("below the working folder, which has been deleted. Give the whole path"))
    return os.path.normpath((base or Path(os.sep)) / os.path.expanduser(path))  # noqa: PTH111 - Path's raises for a ~ of nobody


def _below_base_or_none(path: str | None, info: ValidationInfo) -> str | None:
    return _below_base(path, info) if path else None


_Run = Annotated[
    str | None,
    BeforeValidator(rules.read_text_or_none),
    AfterValidator(_below_base_or_none),
    Accepts(Message("the folder of a fine-tune")),
]


class LoraConfig(Group):
    """The adapter's shape."""

    model_config = ConfigDict(title="Adapter")
    _prefix: ClassVar[str] = "lora."

    r: int = Field(default=16, ge=1, le=1024, title="Rank", json_schema_extra=BASIC)
    """How much the adapter can learn; memory grows with it."""
    alpha: int = Field(default=32, ge=1, le=4096, json_schema_extra=BASIC)
    """The adapter's output is multiplied by alpha / r."""
    dropout: float = Field(default=0.0, ge=0, le=0.9)
    """Part of the adapter's input that is left out at random while training."""
    targets: Annotated[
        Literal["all-linear"] | tuple[rules.Target, ...],
        BeforeValidator(rules.read_targets),
        Accepts(Message("all-linear, or names among {names}", names=", ".join((*rules.LORA_TARGETS, rules.HEAD)))),
    ] = "all-linear"
    """Every linear layer but the head (all-linear), or a list of the names of layers."""
    rslora: bool = Field(default=False, title="rsLoRA")
    """Scale by alpha / √r instead of alpha / r, so that a high r learns as fast as a low one."""
    dora: bool = Field(default=False, title="DoRA")
    """Learn the weights' lengths apart from their directions: slower, closer to a full fine-tune at a low r."""
    loraplus_ratio: float | None = Field(default=None, ge=1, le=1000, title="LoRA+ ratio")
    """How many times learning_rate the B matrices get (LoRA+), customarily 16; without: the same rate for all."""
    trainable_token_indices: Annotated[
        Literal["auto"] | tuple[Annotated[int, Field(ge=0, lt=rules.MOST_TOKEN_IDS)], ...],
        BeforeValidator(rules.read_token_ids),
        Accepts(Message("auto, or a list of the ids of tokens")),
    ] = "auto"  # noqa: S105 - no password
    """Tokens whose rows in embedding and head learn, too; auto: what a base model lacks of its template; []: none."""


class FineTuneConfig(Group):
    """One fine-tune."""

    model_config = ConfigDict(title="Fine-tune")

    model: Annotated[
        str,
        BeforeValidator(rules.read_model),
        MinLen(1),
        Accepts(Message("the name of a model, such as Qwen/Qwen3-0.6B")),
    ] = Field(json_schema_extra=BASIC)
    """Repo id, such as Qwen/Qwen3-0.6B."""
    data: Annotated[
        tuple[Annotated[str, AfterValidator(_below_base)], ...],
        BeforeValidator(rules.read_paths, json_schema_input_type=_Sources),
        Accepts(Message("a file or a list of files (.json, .jsonl, .csv, .tsv, .parquet, .xlsx)")),
    ] = Field(json_schema_extra=BASIC)
    """Files, folders, or owner/name:subset:split of a data set on a hub; #500 takes 500 rows, #x2 each row twice."""
    preset: Preset | None = Field(default=None, json_schema_extra=BASIC)
    """What fields are that are not given: quick, a look in 50 steps; balanced; or thorough, three epochs at rank 32."""
    objective: Literal["sft", "pretrain", "dpo", "orpo"] = Field(default="sft", json_schema_extra=BASIC)
    """What is learned: answers (sft), whole texts (pretrain), or to give the chosen answer, not the rejected one."""
    beta: float | None = Field(default=None, gt=0, le=100)
    """How close dpo keeps to the model as it was, or how much the odds of orpo count; without: 0.1."""
    rpo_alpha: float | None = Field(default=None, ge=0, le=100, title="RPO alpha")
    """How much the loss of the chosen answers counts in dpo; without: not at all."""
    label_smoothing: float | None = Field(default=None, ge=0, le=0.5)
    """The part of the pairs that dpo takes to be the wrong way round; without: none."""
    method: Literal["lora", "full"] = Field(default="lora", json_schema_extra=BASIC)
    """lora: a small adapter; full: every weight."""
    trainable_layers: Annotated[int | None, Accepts(Message("a whole number from -1000 to 1000 but 0, or null"))] = (
        Field(default=None, ge=-1000, le=1000)
    )
    """Of method full: train the last so many layers, below 0 the first, and nothing else; without: every weight."""
    output_dir: Annotated[str, BeforeValidator(rules.read_folder), Accepts(Message("a folder"))] = Field(
        default="", validate_default=True, title="Output folder", json_schema_extra=BASIC
    )
    """Where checkpoints, metrics and the result go; without: a folder named after model, method and time, in runs."""
    epochs: float = Field(default=1.0, gt=0, le=1000, json_schema_extra=BASIC)
    """Passes over the data; ignored where max_steps is given."""
    max_steps: int | None = Field(
        default=None, ge=1, le=10_000_000, title="Steps", json_schema_extra={"x-unit": "steps"}
    )
    """Optimizer steps; without: as many as epochs make."""
    learning_rate: float = Field(default=DEFAULT_LEARNING_RATE["lora"], gt=0, le=1, json_schema_extra=BASIC)
    """The highest rate of the schedule; without: what is customary for objective and method."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate falls after the warm-up."""
    warmup_ratio: float = Field(default=0.03, ge=0, le=0.9)
    """Part of the steps in which the rate rises to learning_rate."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """How strongly the optimizer draws weights towards zero."""
    max_grad_norm: float = Field(default=1.0, gt=0, le=1000, title="Greatest gradient norm")
    """Longer gradients are shortened to this length."""
    batch_size: int = Field(default=2, ge=1, le=4096, json_schema_extra={**BASIC, "x-unit": "samples"})
    """Samples of the greatest length computed at once, more of shorter ones; memory grows with it."""
    auto_find_batch_size: bool = Field(default=False, title="Find the batch size")
    """On a GPU compute a step at once, and in ever smaller parts where memory runs out; batch_size: auto says it."""
    gradient_accumulation: int = Field(default=4, ge=1, le=4096, json_schema_extra={"x-unit": "batches"})
    """Batches that make one step; batch_size times this is what the rate is tuned to."""
    packing: bool | Literal["auto"] = "auto"
    """Several samples in one row, without seeing each other; auto: where the model allows it. It changes no result."""
    max_length: int = Field(default=1024, ge=16, le=262_144, json_schema_extra={**BASIC, "x-unit": "tokens"})
    """Tokens of the longest sample; longer ones lose old turns, then the middle of the question, then are left out."""
    lora: LoraConfig = Field(default=LoraConfig(), title="LoRA", json_schema_extra=BASIC)
    """The adapter's shape; of no account to method: full."""
    data_format: Literal["auto", "messages", "alpaca", "sharegpt"] = "auto"
    """What the rows are; auto: found out."""
    columns: Annotated[
        dict[str, tuple[str, ...]],
        BeforeValidator(rules.read_columns, json_schema_input_type=dict[rules.Part, _Words]),
        Accepts(Message("a group of fields that names columns, at least question and answer")),
    ] = Field(default={})
    """The data's columns by what they hold, where their names do not tell. Others are not learned."""
    skip_bad_rows: bool = False
    """Leave rows out that cannot be mapped, and count them, instead of refusing the file."""
    empty_think_loss: bool = False
    """Learn to write the empty think block of an answer without reasoning. It makes a hybrid model forget to think."""
    eval_fraction: float = Field(default=0.0, ge=0, le=0.5, title="Part held out", json_schema_extra=BASIC)
    """Part of the rows kept out of training and measured."""
    eval_steps: int | None = Field(default=None, ge=1, le=10_000_000, json_schema_extra={"x-unit": "steps"})
    """Held-out rows are measured each so many steps, and at the end; without: after each epoch."""
    early_stopping: int | None = Field(default=None, ge=1, le=1000, json_schema_extra={"x-unit": "measurements"})
    """End after so many measurements in a row without a better one; without: never."""
    load_best_model_at_end: bool = Field(default=False, title="Take the best")
    """The result is what measured best on held-out rows, not the last step."""
    report: bool = True
    """Ask rows and everyday prompts before and after, and score the answers; see report.json of the result."""
    prompts: Annotated[
        tuple[str, ...],
        BeforeValidator(rules.read_prompts, json_schema_input_type=str | list[str]),
        Accepts(Message("a text or a list of at most {count} texts", count=rules.MOST_PROMPTS)),
    ] = ()
    """What else is asked before, while it learns, and after."""
    report_to: Annotated[
        tuple[rules.Tracker, ...],
        BeforeValidator(rules.read_words, json_schema_input_type=rules.Tracker | list[rules.Tracker]),
        Accepts(Message("a list of names among {names}", names=", ".join(rules.TRACKERS))),
    ] = Field(default=(), title="Report to")
    """Where the metrics of each step go, too: tensorboard, swanlab, wandb, mlflow; what sends them is theirs."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """What chance begins with: the order of the rows, the adapter's first weights, dropout."""
    save_steps: int | None = Field(default=None, ge=1, le=10_000_000, json_schema_extra={"x-unit": "steps"})
    """A checkpoint each so many steps; without this and save_minutes: every five minutes, a twentieth of the time."""
    save_minutes: float | None = Field(default=None, gt=0, le=100_000, json_schema_extra={"x-unit": "minutes"})
    """A checkpoint each so many minutes."""
    keep_checkpoints: int = Field(default=2, ge=1, le=100)
    """How many of the last checkpoints stay; the best one stays beside them where it is needed."""
    dtype: Annotated[Literal["auto", "float32", "float16", "bfloat16"], BeforeValidator(rules.read_dtype)] = Field(
        default="auto", title="Precision"
    )
    """What numbers are computed in; auto: what the machine computes best."""
    device: Annotated[str, BeforeValidator(rules.read_device), Accepts(Message("auto, cpu, mps, cuda or cuda:N"))] = (
        Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$")
    )
    """auto, cpu, mps, cuda, or cuda:N for one of several."""
    attn_implementation: Literal[
        "auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"
    ] = Field(default="auto", title="Attention")
    """How transformers computes attention."""
    activation_checkpointing: bool | None = None
    """Recompute activations, not keep them: a fifth slower, a fraction of the memory; without: on a GPU only."""
    overwrite: bool = Field(default=False, json_schema_extra=BASIC)
    """Replace an earlier result in output_dir."""
    revision: Annotated[
        str | None, BeforeValidator(rules.read_word_or_none), Accepts(Message("a commit, branch or tag"))
    ] = None
    """Commit, branch or tag of the model; without: the cached one, or the newest."""
    init_from: _Run = None
    """A finished run, or a checkpoint of one, that is trained further; what is not given is as in that run."""
    from_run: _Run = None
    """A run that is repeated as it was."""
    quantization: Literal["4bit"] | None = Field(default=None, json_schema_extra=BASIC)
    """4bit: the base is kept in NF4, a quarter of the memory, under an adapter in full precision (QLoRA)."""
    devices: Annotated[
        Annotated[int, Field(ge=1, le=rules.MOST_DEVICES)]
        | Literal["auto", "all"]
        | Annotated[tuple[Annotated[int, Field(ge=0, lt=rules.MOST_DEVICES)], ...], MinLen(1)],
        BeforeValidator(rules.read_devices),
        Accepts(Message("a number of GPUs, a list of them such as [0, 2], all, or auto")),
    ] = 1
    """GPUs that train together: how many, which, or all of this machine. A step has the same samples however many."""
    sharding: Literal["auto", "none", "full", "offload"] = "auto"
    """FSDP over several GPUs: none, full, offload (to host); auto: full for method full or where one has no room."""
    hosts: int = Field(default=1, ge=1, le=rules.MOST_HOSTS)
    """Hosts that train together, each with its devices; output_dir and data lie on a mount that all of them share."""
    hosts_address: Annotated[
        str | None, BeforeValidator(read_address), Accepts(Message("HOST:PORT, HOST or :PORT"))
    ] = None
    """Where the first of several hosts listens for the others, as HOST:PORT; without: its own address, any port."""
    launcher: Literal["local", "pai-dlc"] = "local"
    """Where it runs: local, on this machine; pai-dlc, as a job of Alibaba Cloud PAI-DLC."""
    dlc: DlcConfig = Field(default=DlcConfig(), title="PAI-DLC")
    """Where on PAI-DLC; of account to launcher: pai-dlc alone."""

    @classmethod
    def from_dict(
        cls, values: Mapping[str, object], *, base: Path | None = None, now: datetime | None = None
    ) -> FineTuneConfig:
        """Return the checked config; paths become absolute, relative ones from `base` (the working folder).

        `from_dict(config.to_dict())` gives the same config. Raises BadConfig with every wrong field.
        """
        return cls.model_validate(dict(values), context={"base": base, "now": now})

    @classmethod
    def from_yaml(cls, text: str, *, base: Path | None = None) -> FineTuneConfig:
        """Return the config written in YAML (or JSON, which is YAML). Raises BadConfig."""
        return cls.from_dict(parse_yaml(text), base=base)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict that `from_dict` takes back."""
        return self.model_dump(mode="json")

    @classmethod
    def json_schema(cls, language: Language = "en") -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the fields as this project writes them; `from_dict` takes more spellings.

        `title`, `description` and `x-unit` are in a language; `x-group` is basic or advanced; `x-needs` as in `NEEDS`.
        """
        schema = cls.model_json_schema()
        for name, needs in NEEDS.items():
            schema["properties"][name]["x-needs"] = {other: list(values) for other, values in needs.items()}
        for group in (schema, *schema["$defs"].values()):
            for entry in group["properties"].values():
                entry.setdefault("x-group", "advanced")
        schema["patternProperties"] = {"^\\$schema$": {"type": "string"}}  # how a JSON file names it to an editor
        return {"$schema": DIALECT, **map_words(lambda words: translate(words, language), schema)}

    @property
    def keeps_best(self) -> bool:
        """Return whether the checkpoint that measured best is kept."""
        return self.load_best_model_at_end or self.early_stopping is not None

    @property
    def objective_fields(self) -> dict[str, float]:
        """Return the fields that only some objectives have, as far as they are given."""
        return {name: value for name in OBJECTIVE_FIELDS if (value := getattr(self, name)) is not None}

    @property
    def effective_batch_size(self) -> int:
        """Return the samples of one optimizer step."""
        return self.batch_size * self.gradient_accumulation

    @classmethod
    def _complete(cls, values: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
        return fill_in(in_our_words(values, cls.model_fields, problems))

    @field_validator("lora", "dlc", mode="wrap")
    @classmethod
    def _check_group(cls, values: object, check: ValidatorFunctionWrapHandler) -> Group:
        try:
            return cast("Group", check(values))
        except BadConfig as error:
            raise rules.WrongGroup(problems_of(error)) from error  # pydantic gathers ValueErrors

    @field_validator(*OBJECTIVE_FIELDS)
    @classmethod
    def _is_of_objective(cls, value: float | None, info: ValidationInfo) -> float | None:
        objective = OBJECTIVES.get(info.data.get("objective", ""))
        if value is not None and objective is not None and info.field_name not in objective.fields:
            raise rules.Wrong(Message("is for another objective than {name}", name=objective.name))
        return value

    @field_validator("trainable_layers")
    @classmethod
    def _is_of_full(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value == 0:
            raise ValueError(value)
        if value is not None and info.data.get("method") == "lora":
            raise rules.Wrong(Message("goes with method: full; a LoRA is put on all layers"))
        return value

    @field_validator("quantization")
    @classmethod
    def _is_below_an_adapter(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("method") == "full":
            raise rules.Wrong(Message("cannot be trained itself: it goes with method: lora"))
        return value

    @field_validator("sharding")
    @classmethod
    def _is_of_whole_numbers(cls, value: str, info: ValidationInfo) -> str:
        if value in {"full", "offload"} and info.data.get("quantization") is not None:
            raise rules.Wrong(Message("goes without quantization: weights in 4 bits cannot be sharded"))
        return value

    @field_validator("devices")
    @classmethod
    def _goes_with_device(cls, value: Devices, info: ValidationInfo) -> Devices:
        if problem := against(info.data.get("device", "auto"), value):
            raise rules.Wrong(problem)
        return value

    @field_validator("output_dir")
    @classmethod
    def _find_output_dir(cls, path: str, info: ValidationInfo) -> str:
        if not {"model", "method"} <= info.data.keys():
            return path  # they are wrong
        now = (info.context or {}).get("now") or datetime.now().astimezone()
        return _below_base(path or default_output_dir(info.data["model"], info.data["method"], now), info)


def map_words(change: Callable[[str], str], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema with each text in it that is for people changed."""
    return {
        name: map_words(change, value)
        if isinstance(value, dict)
        else change(value)
        if name in _WORDS and isinstance(value, str)
        else value
        for name, value in schema.items()
    }


def default_output_dir(model: str, method: str, now: datetime) -> str:
    """Return where a run goes that names no folder.

    >>> default_output_dir("Qwen/Qwen3-0.6B", "lora", datetime(2025, 3, 1, 9, 30))
    'runs/Qwen3-0.6B-lora-20250301-093000'
    """
    return f"runs/{model.rpartition('/')[2]}-{method}-{now:%Y%m%d-%H%M%S}"
