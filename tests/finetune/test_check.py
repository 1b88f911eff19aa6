"""What is told before a fine-tune starts, and in how many ways its fields may be written."""

from __future__ import annotations

import datetime as dt
import json
import os
from argparse import Namespace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from qwen3ft_jupyter.catalog import check_published
from qwen3ft_jupyter.errors import BadConfig, BadData, BadInput, MissingPackage, Qwen3ftError
from qwen3ft_jupyter.finetune import check
from qwen3ft_jupyter.finetune.check import check_fine_tune
from qwen3ft_jupyter.finetune.config import FineTuneConfig, LoraConfig
from qwen3ft_jupyter.finetune.data import read_data_of
from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml
from qwen3ft_jupyter.loading.machine import Gpu, Machine, choose_device

LEAST: dict[str, Any] = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"}
ROW: dict[str, Any] = {"question": "q", "answer": "a"}


class Number:
    """A number of numpy, torch or pandas: it has no more in common with others than `item`."""

    shape = ()

    def __init__(self, value: object) -> None:
        self.value = value

    def item(self) -> object:
        return self.value


class Frame:
    """As much of a DataFrame as is asked for."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.columns = rows, SimpleNamespace(is_unique=True)

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return self.rows


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    Path("train.jsonl").write_text(json.dumps(ROW))
    return {**LEAST, "output_dir": "runs/a"}


def problems(values: dict[str, Any]) -> str:
    with pytest.raises(BadConfig) as caught:
        FineTuneConfig.from_dict({**LEAST, **values})
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "ours", "becomes"),
    [
        ("num_train_epochs", 3, "epochs", 3),
        ("lr", "1e-4", "learning_rate", 1e-4),
        ("per_device_train_batch_size", 4, "batch_size", 4),
        ("cutoff_len", 2048, "max_length", 2048),
        ("model_name_or_path", "Qwen/Qwen3-4B", "model", "Qwen/Qwen3-4B"),
        ("finetuning_type", "full", "method", "full"),
        ("lr_scheduler_type", "constant_with_warmup", "schedule", "constant"),
        ("val_size", 0.1, "eval_fraction", 0.1),
        ("save_total_limit", 3, "keep_checkpoints", 3),
        ("torch_dtype", "bf16", "dtype", "bfloat16"),
        ("lora_rank", 8, "lora.r", 8),
        ("lora_alpha", 16, "lora.alpha", 16),
        ("lora_target", "all", "lora.targets", "all-linear"),
        ("target_modules", ["q_proj"], "lora.targets", ("q_proj",)),
    ],
)
def test_a_name_of_another_trainer_that_means_the_same_is_taken(
    name: str, value: object, ours: str, becomes: object
) -> None:
    given = {key: item for key, item in LEAST.items() if key != ours}
    found: object = FineTuneConfig.from_dict({**given, name: value})

    for part in ours.split("."):
        found = getattr(found, part)
    assert found == becomes


def test_a_field_of_another_trainer_that_says_nothing_is_nothing() -> None:
    assert FineTuneConfig.from_dict({**LEAST, "resume_from_checkpoint": None, "deepspeed": None}).epochs == 1


def test_names_within_lora_are_taken_too() -> None:
    config = FineTuneConfig.from_dict({**LEAST, "lora": {"rank": 4, "lora_alpha": 9, "target_modules": "q_proj"}})

    assert (config.lora.r, config.lora.alpha, config.lora.targets) == (4, 9, ("q_proj",))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lr": 1e-4, "learning_rate": 1e-3}, "lr and learning_rate are the same field"),
        ({"lora_rank": 4, "lora": {"r": 8}}, "lora.r and lora_rank are the same field"),
        ({"lora": {"r": 8, "lora_r": 4}}, "lora.r and lora.lora_r are the same field"),
        ({"val_data": "x"}, "val_data: eval_fraction keeps a part of data out"),
        ({"max_samples": 9}, "max_samples: data says it: file.jsonl#500"),
        ({"overwrite_cache": True}, "overwrite_cache: not needed here"),
        ({"overwrite_output_dir": True}, "overwrite_output_dir: overwrite: true replaces an earlier result"),
        ({"resume_from_checkpoint": "x"}, "resume_from_checkpoint: the command jobs resume goes on"),
        ({"quantization_bit": 8}, "quantization_bit: quantization says it"),
        ({"rlhf_type": "grpo"}, "objective: 'grpo' is not one of sft, pretrain, dpo"),
        ({"max_sampels": 9}, "max_sampels: unknown field; max_samples: data says it: file.jsonl#500"),
        ({"num_train_epoch": 9}, "num_train_epoch: unknown field, did you mean epochs?"),
        ({"nnodes": 2, "node_rank": 0}, "nnodes, node_rank: hosts says how many there are"),
        ({"fsdp": "full_shard", "zero_stage": 3}, "fsdp, zero_stage: sharding says it"),
        ({"gpus": 2, "CUDA_VISIBLE_DEVICES": "0,1"}, "gpus, CUDA_VISIBLE_DEVICES: devices says it"),
        ({"dlc": {"gpus": 8}}, "dlc.gpus: devices says it"),
        ({"zzzz": 4}, "zzzz: unknown field. Correct them all. The fields are: model, data"),
        ({"data": {"train": "a", "validation": "b"}}, "is a group of fields (train, validation); give a file"),
        ({"model": "./Qwen3-0.6B"}, "is a folder; a fine-tune names its base by repo id"),
        ({"model": "/models/Qwen3"}, "MODEL_CACHE_OTHER_DIRS"),
        ({"model": "~nobody"}, "is a folder"),
        ({"output_dir": "“runs/a”"}, "has typographic quotation marks"),
        ({"columns": {"question": "q"}}, "columns: {'question': 'q'} names neither messages, nor both"),
        ({"columns": {"quest": "q"}}, "quest is not one of question, reasoning"),
        ({"columns": {"question": "q", "answer": ["a", "b"]}}, "answer: only question may name several columns"),
        ({"seed": float("inf")}, "seed: inf is not a whole number"),
        ({"epochs": [1]}, "epochs: [1] is not a number"),
    ],
)
def test_what_cannot_be_taken_is_told_with_the_word_to_use(values: dict[str, Any], words: str) -> None:
    assert words in problems(values)


def test_a_config_of_another_trainer_is_answered_in_a_few_lines() -> None:
    """LLaMA-Factory's example for LoRA, as it stands in its repository."""
    text = """
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: identity,alpaca_en_demo
template: qwen3_nothink
cutoff_len: 2048
max_samples: 1000
preprocessing_num_workers: 16
dataloader_num_workers: 4
output_dir: saves/qwen3-4b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
"""
    with pytest.raises(BadConfig) as caught:
        FineTuneConfig.from_yaml(text)

    assert len(caught.value.message) < 15 * 60
    assert "trust_remote_code, do_train, template, preprocessing_num_workers" in caught.value.message
    assert "lora_rank" not in caught.value.message


@pytest.mark.parametrize(
    "values",
    [
        {"lora_rank": 4, "lora": {"alpha": 9}},
        {"lora": {"alpha": 9}, "lora_rank": 4},
        {"lora": LoraConfig(r=4, alpha=9)},
        {"lora": MappingProxyType({"r": 4, "lora_alpha": 9})},
    ],
)
def test_fields_of_lora_inside_and_outside_the_group_are_joined(values: dict[str, Any]) -> None:
    config = FineTuneConfig.from_dict({**LEAST, **values})

    assert (config.lora.r, config.lora.alpha) == (4, 9)


LAUGHS = "".join(f"x{line}: &x{line} [{', '.join([f'*x{line - 1}' if line else 'ha'] * 9)}]\n" for line in range(12))
"""Twelve lines that say themselves nine times each: 9¹² values, were each written out."""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rate: 1e-4\nepochs: 1\nlearning_rate: 1e-2\n", "at line 3: learning_rate stands twice"),
        ("lora:\n  r: 8\n  r: 16\n", "at line 3: r stands twice"),
        ("model: a/b\ndata: &all\n- *all\n", "at line 2: a part of it holds itself"),
        (LAUGHS, "it repeats itself too often"),
        ('model: "\\ud800"\n', "at line 1: half of a character"),
        ('"\\udfff": 1\n', "at line 1: half of a character"),
        ("model：Qwen/Qwen3-0.6B\n", "has a full-width colon (：) in line 1"),
        ("model: a/b\ndata：train.jsonl\n", "has a full-width colon (：) in line 2"),
        ("model:Qwen/Qwen3-0.6B\n", "lacks the space after the colon in line 1"),
    ],
)
def test_what_yaml_would_drop_or_misread_is_named(text: str, words: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse_yaml(text)

    assert words in str(caught.value)


def test_what_is_merged_into_a_group_may_be_overruled_in_it() -> None:
    values = parse_yaml("lora: {<<: {r: 8, alpha: 4}, alpha: 9}\n")

    assert values == {"lora": {"r": 8, "alpha": 9}}


def test_a_group_that_merges_another_may_be_merged_itself_wherever_it_stands() -> None:
    values = parse_yaml("a: &a {x: 0}\ntop: {inner: &b {<<: *a, x: 1}}\nc: {<<: *b}\n")

    assert values == {"a": {"x": 0}, "top": {"inner": {"x": 1}}, "c": {"x": 1}}


@pytest.mark.parametrize(
    ("field", "value", "becomes"),
    [
        ("output_dir", Path("runs") / "b", str(Path("runs") / "b")),
        ("learning_rate", Decimal("0.001"), 0.001),
        ("learning_rate", Number(0.001), 0.001),
        ("eval_fraction", Fraction(1, 4), 0.25),
        ("batch_size", Number(4), 4),
        ("batch_size", 4.0, 4),
        ("skip_bad_rows", Number(True), True),
        ("epochs", "3", 3.0),
        ("device", 1, "cuda:1"),
        ("dtype", "torch.bfloat16", "bfloat16"),
    ],
)
def test_a_value_that_a_notebook_holds_is_taken_as_what_it_means(field: str, value: object, becomes: object) -> None:
    found = getattr(FineTuneConfig.from_dict({**LEAST, field: value}, base=Path()), field)

    assert found == becomes or str(found).endswith(str(becomes))


@pytest.mark.train
def test_values_of_numpy_and_torch_are_taken() -> None:
    import numpy as np
    import torch

    config = FineTuneConfig.from_dict(
        {
            **LEAST,
            "learning_rate": np.float32(0.5),
            "batch_size": np.int64(3),
            "skip_bad_rows": np.bool_(True),
            "epochs": torch.tensor(2),
            "device": torch.device("cpu"),
            "dtype": torch.float32,
            "data": np.array(["a.jsonl", "b.jsonl"]),
        }
    )

    assert (config.learning_rate, config.batch_size, config.skip_bad_rows, config.epochs) == (0.5, 3, True, 2.0)
    assert (config.device, config.dtype, len(config.data)) == ("cpu", "float32", 2)


@pytest.mark.parametrize("data", [Path("train.jsonl"), [Path("train.jsonl")], (Path("train.jsonl"),), {"train.jsonl"}])
def test_paths_are_data(base: dict[str, Any], data: object) -> None:
    assert check_fine_tune(base, {"data": data}).data == (str(Path.cwd() / "train.jsonl"),)


@pytest.mark.parametrize(
    "data",
    [
        [ROW, ROW],
        (ROW, ROW),
        Frame([ROW, {**ROW, "score": float("nan"), "day": dt.date(2026, 1, 1)}]),
        SimpleNamespace(column_names=["question"], to_list=lambda: [ROW, ROW]),
        SimpleNamespace(to_pylist=lambda: [ROW, ROW]),
        SimpleNamespace(to_dicts=lambda: [ROW, {"question": Number("q"), "answer": "a"}]),
    ],
    ids=["list", "tuple", "DataFrame", "Dataset", "pyarrow", "polars"],
)
def test_a_table_in_memory_is_data(base: dict[str, Any], data: object) -> None:
    config = check_fine_tune(base, {"data": data})

    assert read_data_of(config).report.conversations == 2
    assert Path(config.data[0]).parent == Path.cwd() / "runs"
    assert check_fine_tune(base, {"data": data}).data == config.data


def test_a_table_never_takes_the_place_of_a_file_that_somebody_edited(base: dict[str, Any]) -> None:
    written = Path(check_fine_tune(base, {"data": [ROW, ROW]}).data[0])
    edited = {written: "mine", written.with_name(f"{written.stem}-2.jsonl"): "mine, too"}
    for path, text in edited.items():
        path.write_text(text)

    again = Path(check_fine_tune(base, {"data": [ROW, ROW]}).data[0])

    assert {path: path.read_text() for path in edited} == edited
    assert again.name == f"{written.stem}-3.jsonl"
    assert check_fine_tune(base, {"data": [ROW, ROW]}).data == (str(again),)


@pytest.mark.parametrize("model", ["runs/first", "out", "."])
def test_the_result_of_a_fine_tune_is_not_taken_for_a_repo(base: dict[str, Any], model: str) -> None:
    for folder in (Path("runs/first"), Path("out")):
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")

    with pytest.raises(BadConfig, match="The result of a fine-tune is trained further by init_from"):
        check_fine_tune(base, {"model": model})


def test_a_table_that_is_wrong_is_refused_by_its_row(base: dict[str, Any]) -> None:
    with pytest.raises(BadConfig, match="data: row 2 holds what is no JSON"):
        check_fine_tune(base, {"data": [ROW, {"question": object()}]})


@pytest.mark.parametrize(
    "config",
    [
        FineTuneConfig.from_dict(LEAST, base=Path("/nowhere")),
        MappingProxyType(LEAST),
        Namespace(**LEAST),
        "config.yaml",
        Path("config.yaml"),
    ],
    ids=["FineTuneConfig", "mapping", "Namespace", "path as text", "path"],
)
def test_a_config_comes_in_many_forms(base: dict[str, Any], config: object) -> None:
    Path("config.yaml").write_text("model: Qwen/Qwen3-0.6B\ndata: x.jsonl\n")

    assert check_fine_tune(config, base).model == "Qwen/Qwen3-0.6B"


def test_every_wrong_field_file_and_folder_is_named_at_once(base: dict[str, Any]) -> None:
    Path("bad.jsonl").write_text('{"question": "q", "answer": "a", "answer": "b"}\n')
    Path("taken").write_text("")

    with pytest.raises(BadConfig) as fields:
        check_fine_tune(
            base,
            {
                "epochs": "x",
                "epoch": 1,
                "data": ["missing.jsonl", "bad.jsonl"],
                "output_dir": "taken",
                "model": "Qwen/Qwen3-7B",
            },
            lambda config: check_published(config.model),
        )
    with pytest.raises(Qwen3ftError) as others:
        check_fine_tune(base, {"output_dir": "taken", "data": "bad.jsonl"})

    for words in (
        "epochs: 'x' is not a number",
        "epoch: unknown field",
        'Qwen never published "Qwen/Qwen3-7B"',
        "output_dir: taken is not a folder",
        "missing.jsonl does not exist",
        "bad.jsonl row 1: 'answer' stands",
    ):
        assert words in str(fields.value)
    assert "output_dir: taken is not a folder" in str(others.value)
    assert "bad.jsonl row 1" in str(others.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("data/traiin.jsonl", 'Did you mean "data/train.jsonl"?'),
        ("dta/train.json", 'Did you mean "data/train.jsonl"?'),
        ("data/test.jsonl", "Check the path; relative ones start at the notebook's folder."),
    ],
)
def test_a_file_that_is_spelled_wrong_is_answered_by_the_one_there_is(
    base: dict[str, Any], given: str, meant: str
) -> None:
    Path("data").mkdir()
    for name in ("train.jsonl", "config.yaml"):
        Path("data", name).write_text("")

    with pytest.raises(BadData) as data:
        check_fine_tune(base, {"data": given})
    with pytest.raises(BadConfig) as config:
        check_fine_tune("data/config.yam", {})

    assert data.value.hint == meant
    assert config.value.hint == 'Did you mean "data/config.yaml"?'


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("oss://me:secret@bucket/runs", "'runs' is an address, not a folder"),
        ("$HOME_OF_NOBODY/runs", "begins with a variable"),
        ("~nosuchuser/runs", "nobody here has that home folder"),
    ],
)
def test_an_output_folder_that_is_none_is_refused(base: dict[str, Any], folder: str, problem: str) -> None:
    with pytest.raises(BadConfig) as caught:
        check_fine_tune(base, {"output_dir": folder})

    assert problem in caught.value.message


@pytest.mark.parametrize("data", ["https://me:secret@host/x.jsonl", "https://host/x.jsonl?a=1&token=secret"])
def test_an_address_is_told_without_its_login_and_keys(base: dict[str, Any], data: str) -> None:
    with pytest.raises(BadData, match="is an address") as caught:
        check_fine_tune(base, {"data": data})

    assert "secret" not in f"{caught.value} {caught.value.details} {caught.value.to_json()}"


def test_the_error_of_one_thing_alone_keeps_its_kind(base: dict[str, Any]) -> None:
    with pytest.raises(BadData, match=r"^missing\.jsonl does not exist\. Check the path"):
        check_fine_tune(base, {"data": "missing.jsonl"})


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("AI-ModelScope/alpaca-gpt4-data-zh", "A data set on a hub is fetched before"),
        ("https://example.org/t.jsonl", "t.jsonl is an address: data is not fetched"),
        ("train.jsonl#0", "asks for no rows"),
        ("empty", "empty holds no files of data"),
        ("no*.jsonl", "no file is called so"),
        (["train.jsonl", "./train.jsonl"], "train.jsonl is named twice"),
        ("train.jsonl,other.jsonl", "Several files are a list"),
        ("x" * 300 + ".jsonl", "cannot be read: File name too long"),
        ("~nobody-of-this-name/t.jsonl", "t.jsonl does not exist"),
    ],
)
def test_data_that_is_no_file_is_told_for_what_it_is(base: dict[str, Any], named: object, words: str) -> None:
    Path("empty").mkdir()

    with pytest.raises(BadData) as caught:
        check_fine_tune(base, {"data": named})

    assert words in str(caught.value)
    assert str(Path.cwd()) not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_not_waited_for(base: dict[str, Any]) -> None:
    os.mkfifo("pipe.jsonl")

    with pytest.raises(BadData, match=r"pipe\.jsonl is no file"):
        check_fine_tune(base, {"data": "pipe.jsonl"})


def test_an_attention_whose_package_is_not_installed_is_refused(base: dict[str, Any]) -> None:
    with pytest.raises(MissingPackage, match=r"flash_attn.*pip install flash-attn"):
        check_fine_tune(base, {"attn_implementation": "flash_attention_2"})


@pytest.mark.parametrize(
    ("fields", "devices", "words"),
    [
        ({"device": "cuda"}, ["cpu"], "device: cuda is not on this machine. It has cpu"),
        ({"device": "cuda:2"}, ["cpu", "cuda", "cuda:0"], "device: cuda:2 is not on this machine"),
        ({"dtype": "float16"}, ["cpu"], "dtype: float16 trains on CUDA only"),
        ({"devices": "2"}, ["cpu", "cuda", "cuda:0"], "devices: 2 GPUs are asked for, this machine has 1"),
        ({"devices": "0,1"}, ["cpu", "cuda", "cuda:0"], "devices: this machine has no GPU 1. Its GPUs are 0 to 0"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    base: dict[str, Any], monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], devices: list[str], words: str
) -> None:
    monkeypatch.setattr(check, "_devices", lambda: devices)

    with pytest.raises(BadInput) as caught:
        check_fine_tune(base, fields)

    assert words in str(caught.value)
    monkeypatch.setattr(check, "_devices", lambda: ["cpu", "cuda", "cuda:0", "cuda:1", "cuda:2"])
    check_fine_tune(base, fields)


def test_a_device_that_is_not_there_is_told_once_though_the_plan_asks_for_it_too(
    base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu("T4", (7, 5), 10**9, 10**9)
    monkeypatch.setattr(check, "_devices", lambda: ["cpu", "cuda", "cuda:0"])

    with pytest.raises(BadInput) as caught:
        check_fine_tune(
            base,
            {"device": "cuda:7"},
            lambda config: choose_device(Machine(10**9, 10**9, gpus=(gpu,)), config.device),
        )

    assert str(caught.value).count("is not on this machine") == 1
