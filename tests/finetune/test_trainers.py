"""Configs of LLaMA-Factory and ms-swift: what means the same is taken, all else is named with the word used here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig, LoraConfig
from qwen3ft_jupyter.finetune.names import SAME, note_on
from qwen3ft_jupyter.finetune.problems import UNKNOWN
from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml
from qwen3ft_jupyter.messages import Message
from tests.finetune.trainers import LLAMA_FACTORY, MS_SWIFT, TRANSFORMERS, TRL

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS = {*FineTuneConfig.model_fields, *(f"lora.{name}" for name in LoraConfig.model_fields)}


@pytest.mark.parametrize("names", [MS_SWIFT, LLAMA_FACTORY, TRANSFORMERS, TRL], ids=["swift", "factory", "hf", "trl"])
def test_every_argument_of_another_trainer_is_known(names: str) -> None:
    assert [name for name in names.split() if name not in OURS and name not in SAME and note_on(name) is None] == []


def test_what_means_the_same_is_a_field_of_ours() -> None:
    assert set(SAME.values()) <= OURS
    assert not set(SAME) & set(FineTuneConfig.model_fields)


def told(values: Mapping[str, Any]) -> set[str]:
    """Return the fields that a config names as not taken; each is there with what to do instead."""
    with pytest.raises(BadConfig) as caught:
        FineTuneConfig.from_dict(values)
    message = caught.value.message
    assert isinstance(message, Message)
    assert UNKNOWN not in message
    problems: Any = message.values["problems"]
    return {name for problem in problems.parts for name in problem.values["names"].split(", ")}


FACTORY_FULL = """
### model
model_name_or_path: Qwen/Qwen3-1.7B
flash_attn: fa2
use_unsloth_gc: true
### method
stage: sft
do_train: true
finetuning_type: full
deepspeed: examples/deepspeed/ds_z2_config.json
### dataset
dataset: data/chats.jsonl
cutoff_len: 4096
packing: true
neat_packing: true
### output
output_dir: saves/qwen3-1.7b/full
logging_steps: 5
save_steps: 200
save_total_limit: null
### train
per_device_train_batch_size: 2
gradient_accumulation_steps: 4
learning_rate: 5.0e-6
num_train_epochs: 2.0
max_steps: -1
lr_scheduler_type: cosine
warmup_ratio: 0.05
weight_decay: 0.01
bf16: true
val_size: 0.02
per_device_eval_batch_size: 1
eval_strategy: steps
eval_steps: 200
"""
FACTORY_LORA = """
model_name_or_path: Qwen/Qwen3-8B
quantization_bit: 4
quantization_method: bnb
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 16
lora_alpha: 32
lora_dropout: 0.05
lora_target: q_proj,v_proj
loraplus_lr_ratio: 16.0
dataset: data/chats.json
template: qwen3
enable_thinking: false
mask_history: true
cutoff_len: 2048
max_samples: 5000
overwrite_cache: true
preprocessing_num_workers: 16
output_dir: saves/qwen3-8b/lora
use_swanlab: true
swanlab_project: qwen3
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: constant_with_warmup
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
"""
SWIFT_LORA = """
model: Qwen/Qwen3-4B
torch_dtype: bfloat16
tuner_type: lora
lora_rank: 8
lora_alpha: 32
target_modules:
  - all-linear
use_rslora: true
dataset:
  - data/one.jsonl
  - data/two.jsonl#500
split_dataset_ratio: 0.01
max_length: 2048
loss_scale: ignore_empty_think
system: You are a helpful assistant.
model_author: swift
model_name: swift-robot
num_train_epochs: 1
per_device_train_batch_size: 1
learning_rate: 1e-4
gradient_accumulation_steps: 16
eval_steps: 50
save_steps: 50
save_total_limit: 2
logging_steps: 5
output_dir: output
warmup_ratio: 0.05
dataset_num_proc: 4
dataloader_num_workers: 4
"""
SWIFT_FULL = """
model: Qwen/Qwen3-0.6B
tuner_type: full
attn_impl: flash_attn
dataset: data/chats.jsonl
packing: true
padding_free: true
max_length: 8192
truncation_strategy: delete
num_train_epochs: 3
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1e-5
weight_decay: 0.1
adam_beta2: 0.95
gradient_checkpointing: true
use_liger_kernel: true
save_strategy: epoch
save_only_model: true
deepspeed: zero3
report_to: [tensorboard, swanlab]
ENV:
  MAX_PIXELS: '1003520'
"""
FACTORY_ARGUMENTS = {
    "model_name_or_path": "Qwen/Qwen3-0.6B",
    "finetuning_type": "lora",
    "lora_target": "all",
    "lora_rank": "8",
    "use_dora": "True",
    "dataset": "data/chats.json",
    "cutoff_len": "1024",
    "learning_rate": "5e-05",
    "num_train_epochs": "3.0",
    "max_steps": "-1",
    "per_device_train_batch_size": "2",
    "lr_scheduler_type": "cosine",
    "max_grad_norm": "1.0",
    "output_dir": "saves/Qwen3-0.6B/lora/train_2026-08-18",
    "flash_attn": "auto",
    "fp16": "True",
    "plot_loss": "True",
    "optim": "adamw_torch",
    "include_num_input_tokens_seen": "True",
}
FACTORY_FULL_ARGUMENTS = {
    **FACTORY_ARGUMENTS,
    "finetuning_type": "full",
    "lora_target": None,
    "use_galore": "True",
    "galore_rank": "16",
    "disable_gradient_checkpointing": "True",
    "flash_attn": "disabled",
}
SWIFT_ARGUMENTS = {
    "model": "Qwen/Qwen3-4B",
    "train_type": "lora",
    "dataset": ["data/chats.jsonl#1000"],
    "num_train_epochs": "1",
    "learning_rate": "1e-4",
    "lora_rank": "8",
    "lora_alpha": "32",
    "target_modules": "all-linear",
    "gradient_accumulation_steps": "16",
    "max_length": "2048",
    "output_dir": "output",
    "quant_bits": "4",
    "quant_method": "bnb",
    "model_author": "swift",
    "model_name": "swift-robot",
}
SWIFT_OLD_ARGUMENTS = {
    "model_id_or_path": "Qwen/Qwen3-4B",
    "sft_type": "lora",
    "dataset": "data/chats.jsonl",
    "dataset_test_ratio": "0.01",
    "lora_target_modules": ["q_proj", "k_proj"],
    "lora_dropout": "0.05",
    "batch_size": "1",
    "use_flash_attn": "true",
    "lisa_activated_layers": "2",
}


@pytest.mark.parametrize(
    ("given", "named", "taken"),
    [
        (
            FACTORY_FULL,
            """
            use_unsloth_gc do_train deepspeed neat_packing logging_steps bf16 per_device_eval_batch_size
            eval_strategy
            """,
            {
                "method": "full",
                "attn_implementation": "flash_attention_2",
                "max_length": 4096,
                "packing": True,
                "save_steps": 200,
                "keep_checkpoints": 2,
                "batch_size": 2,
                "learning_rate": 5e-6,
                "epochs": 2.0,
                "max_steps": None,
                "eval_fraction": 0.02,
                "weight_decay": 0.01,
            },
        ),
        (
            FACTORY_LORA,
            """
            quantization_method do_train template enable_thinking mask_history max_samples
            overwrite_cache preprocessing_num_workers use_swanlab swanlab_project bf16 ddp_timeout
            """,
            {
                "model": "Qwen/Qwen3-8B",
                "schedule": "constant",
                "epochs": 3.0,
                "lora": LoraConfig(r=16, alpha=32, dropout=0.05, targets=("q_proj", "v_proj"), loraplus_ratio=16.0),
            },
        ),
        (
            SWIFT_LORA,
            """
            loss_scale system model_author model_name logging_steps dataset_num_proc dataloader_num_workers
            """,
            {
                "model": "Qwen/Qwen3-4B",
                "dtype": "bfloat16",
                "eval_fraction": 0.01,
                "learning_rate": 1e-4,
                "gradient_accumulation": 16,
                "lora": LoraConfig(r=8, alpha=32, rslora=True),
            },
        ),
        (
            SWIFT_FULL,
            """
            padding_free truncation_strategy adam_beta2 use_liger_kernel save_strategy save_only_model deepspeed
            ENV
            """,
            {"method": "full", "attn_implementation": "flash_attention_2", "activation_checkpointing": True},
        ),
        (
            FACTORY_ARGUMENTS,
            "fp16 plot_loss optim include_num_input_tokens_seen",
            {
                "learning_rate": 5e-5,
                "max_steps": None,
                "attn_implementation": "auto",
                "lora": LoraConfig(r=8, dora=True),
            },
        ),
        (
            FACTORY_FULL_ARGUMENTS,
            """
            fp16 plot_loss optim include_num_input_tokens_seen use_galore galore_rank disable_gradient_checkpointing
            """,
            {"method": "full", "attn_implementation": "eager"},
        ),
        (
            SWIFT_ARGUMENTS,
            "quant_method model_author model_name",
            {"model": "Qwen/Qwen3-4B", "max_length": 2048, "lora": LoraConfig(r=8, alpha=32)},
        ),
        (
            SWIFT_OLD_ARGUMENTS,
            "use_flash_attn lisa_activated_layers",
            {
                "model": "Qwen/Qwen3-4B",
                "eval_fraction": 0.01,
                "batch_size": 1,
                "lora": LoraConfig(dropout=0.05, targets=("q_proj", "k_proj")),
            },
        ),
    ],
    ids=[
        "LLaMA-Factory, full",
        "LLaMA-Factory, QLoRA",
        "ms-swift, LoRA",
        "ms-swift, full",
        "LLaMA-Factory, arguments of a LoRA",
        "LLaMA-Factory, arguments of a full fine-tune",
        "ms-swift, arguments of QLoRA",
        "ms-swift 2, arguments",
    ],
)
def test_a_config_of_another_trainer_needs_only_what_is_named_left_out(
    given: str | dict[str, Any], named: str, taken: dict[str, Any]
) -> None:
    values = parse_yaml(given) if isinstance(given, str) else given

    assert told(values) == set(named.split())
    config = FineTuneConfig.from_dict({name: value for name, value in values.items() if name not in named.split()})
    assert {name: getattr(config, name) for name in taken} == taken


def test_the_name_that_swift_gives_its_robot_is_not_taken_for_the_model() -> None:
    assert FineTuneConfig.from_dict({"model_name": "Qwen/Qwen3-4B", "data": "a.jsonl"}).model == "Qwen/Qwen3-4B"
    assert told({"model": "Qwen/Qwen3-4B", "model_name": "robot", "data": "a.jsonl"}) == {"model_name"}


def test_only_a_field_of_another_trainer_may_be_null_where_ours_may_not() -> None:
    values = {"model": "a/b", "data": "a.jsonl"}

    theirs = {"num_train_epochs": None, "lora_rank": None, "galore_rank": None, "eval_steps": None}
    assert FineTuneConfig.from_dict({**values, **theirs}).lora.r == 16
    with pytest.raises(BadConfig, match="3 wrong fields"):
        FineTuneConfig.from_dict({**values, "epochs": None, "eval_fraction": None, "lora": {"r": None}})


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("eval_fractoin", "did you mean eval_fraction?"),
        ("lora_rnak", "did you mean lora.r?"),
        ("dataloader_num_worker", "not needed here"),
        ("model_nmae", "did you mean model?"),
    ],
)
def test_a_slip_in_a_name_is_answered_before_its_family(slip: str, meant: str) -> None:
    with pytest.raises(BadConfig, match=re.escape(meant)):
        FineTuneConfig.from_dict({"model": "a/b", "data": "a.jsonl", slip: 1})
