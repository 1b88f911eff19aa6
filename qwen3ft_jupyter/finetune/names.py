"""What other trainers call the fields of a fine-tune: those that mean the same are taken, the others are explained."""

from __future__ import annotations

from collections.abc import Mapping

from qwen3ft_jupyter.messages import Message

SAME = {
    "lr": "learning_rate",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation",
    "dataset": "data",
    "train_file": "data",
    "train_data": "data",
    "data_path": "data",
    "model_name": "model",
    "model_name_or_path": "model",
    "model_id_or_path": "model",
    "base_model": "model",
    "finetuning_type": "method",
    "train_type": "method",
    "tuner_type": "method",
    "sft_type": "method",
    "training_method": "method",
    "cutoff_len": "max_length",
    "max_seq_length": "max_length",
    "max_seq_len": "max_length",
    "lr_scheduler_type": "schedule",
    "gradient_checkpointing": "activation_checkpointing",
    "val_size": "eval_fraction",
    "split_dataset_ratio": "eval_fraction",
    "save_total_limit": "keep_checkpoints",
    "attn_impl": "attn_implementation",
    "torch_dtype": "dtype",
    "freeze_trainable_layers": "trainable_layers",
    "stage": "objective",
    "rlhf_type": "objective",
    "rl_method": "objective",
    "pref_beta": "beta",
    "lora_rank": "lora.r",
    "lora_r": "lora.r",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "lora_target": "lora.targets",
    "target_modules": "lora.targets",
    "lora_target_modules": "lora.targets",
    "use_rslora": "lora.rslora",
    "use_dora": "lora.dora",
    "loraplus_ratio": "lora.loraplus_ratio",
    "loraplus_lr_ratio": "lora.loraplus_ratio",
    "lorap_lr_ratio": "lora.loraplus_ratio",
}
"""Names of the same, in LLaMA-Factory, ms-swift, TRL and peft. A dot leads into the group `lora`."""

SAME_IN_LORA = {
    "rank": "r",
    "lora_rank": "r",
    "lora_r": "r",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "lora_target": "targets",
    "target_modules": "targets",
    "use_rslora": "rslora",
    "use_dora": "dora",
    "loraplus_lr_ratio": "loraplus_ratio",
    "lorap_lr_ratio": "loraplus_ratio",
}

SAME_VALUES = {
    ("schedule", "constant_with_warmup"): "constant",
    ("targets", "all"): "all-linear",
    ("objective", "pt"): "pretrain",
}
"""Values of the same, by our field."""

NOT_NEEDED = Message("not needed here, leave it out")
_HELD_OUT = Message("eval_fraction keeps a part of data out and measures it")
_DTYPE = Message("dtype says it; auto takes what the machine computes best")
_QUANTIZED = Message("quantization says it: 4bit (NF4), or null")
_ROWS = Message("data says it: file.jsonl#500 takes 500 rows of a file")
_GO_ON = Message("the command jobs resume goes on with a stopped run; a finished one cannot be trained further yet")

OTHERS: Mapping[str, str] = {
    **dict.fromkeys(("val_data", "val_file", "val_dataset", "eval_dataset", "eval_data", "validation_file"), _HELD_OUT),
    **dict.fromkeys(("bf16", "fp16", "tf32", "pure_bf16", "fp32", "mixed_precision"), _DTYPE),
    **dict.fromkeys(("load_in_4bit", "load_in_8bit", "quantization_bit", "quant_bits", "quant_method"), _QUANTIZED),
    **dict.fromkeys(("max_samples", "num_samples", "max_train_samples", "train_dataset_sample"), _ROWS),
    **dict.fromkeys(("resume_from_checkpoint", "adapter_name_or_path", "adapters", "init_from", "resume"), _GO_ON),
    **dict.fromkeys(
        ("overwrite_output_dir", "overwrite_output"),
        Message("overwrite: true replaces an earlier result; it is off unless you say so"),
    ),
    "warmup_steps": Message("warmup_ratio is our word: a part of all steps"),
    **dict.fromkeys(
        ("pref_loss", "loss_type"), Message("objective says it: dpo (the sigmoid loss) or orpo; no other exists here")
    ),
    "pref_ftx": Message("rpo_alpha is our word, beside objective: dpo; it weighs tokens, not answers, alike"),
    **dict.fromkeys(
        ("kl_coef", "reward_model", "ref_model", "ref_model_name_or_path"),
        Message("objective says what is learned; the model as it was before is the reference"),
    ),
    **dict.fromkeys(
        (
            "freeze_parameters_ratio", "freeze_parameters", "trainable_parameters", "freeze_trainable_modules",
            "freeze_extra_modules", "num_layer_trainable", "freeze_layers",
        ),
        Message("trainable_layers is our word: how many of the last layers are trained"),
    ),
    **dict.fromkeys(
        ("system", "system_prompt", "default_system"), Message("a column system of the data says it, row by row")
    ),
    **dict.fromkeys(
        ("neftune_noise_alpha", "neftune_alpha"),
        Message("noise on embeddings (NEFTune) does not exist here; leave it out"),
    ),
    **dict.fromkeys(
        ("init_lora_weights", "init_weights", "pissa_init", "use_pissa", "modules_to_save", "additional_target"),
        Message("does not exist here, leave it out; the fields of an adapter are those of the group lora"),
    ),
    "flash_attn": Message("attn_implementation is our word"),
    **dict.fromkeys(
        ("neat_packing", "padding_free", "packing_strategy", "eval_packing"),
        Message("packing says it; samples that share a row never see each other here"),
    ),
    **dict.fromkeys(("deepspeed", "fsdp", "num_gpus", "nproc_per_node"), Message("devices says it; only 1 works yet")),
    **dict.fromkeys(("eval_steps", "eval_strategy", "evaluation_strategy"), Message("measured after each epoch")),
    "save_strategy": Message("save_steps says it; without, a checkpoint is saved every five minutes"),
    **dict.fromkeys(
        ("dataset_dir", "dataset_info", "media_dir"), Message("data takes paths of files and folders, no names of sets")
    ),
    **dict.fromkeys(
        ("hub", "use_hf", "use_modelscope", "use_hub"), Message("the setting USE_MODELSCOPE says it")
    ),
    **dict.fromkeys(("prompt_column", "question_column", "input_column"), Message("columns says it: question")),
    **dict.fromkeys(
        ("response_column", "answer_column", "output_column"), Message("columns says it: answer")
    ),
    **dict.fromkeys(
        (
            "do_train", "do_eval", "do_predict", "template", "overwrite_cache",
            "preprocessing_num_workers", "dataloader_num_workers", "dataset_num_proc", "ddp_timeout", "plot_loss",
            "logging_steps", "logging_dir", "report_to", "run_name", "save_only_model",
            "include_num_input_tokens_seen", "trust_remote_code", "remove_unused_columns", "optim",
            "eval_on_start", "model_type", "task_type", "bias", "per_device_eval_batch_size", "eval_batch_size",
            "streaming", "load_from_cache_file", "truncation_strategy", "enable_liger_kernel",
            "use_liger_kernel", "use_liger", "group_by_length", "train_sampling_strategy",
            "use_fast_tokenizer", "push_to_hub",
        ),
        NOT_NEEDED,
    ),
}  # fmt: skip
"""Names of other trainers' fields that have no equal here, and what to do about each. A guess would do harm."""


def in_our_words(values: Mapping[str, object], problems: list[str]) -> dict[str, object]:
    """Return the config with the names of other trainers replaced by ours; one that is given twice is a problem."""
    values = _with_layers_named(_with_bits_named(_with_loss_named(values)))
    own: dict[str, object] = {}
    given: dict[str, str] = {}
    lora: list[tuple[str, str, object]] = []
    """Name given, ours, value."""
    for name, value in values.items():
        if name in OTHERS and value is None:  # it says nothing
            continue
        target = SAME.get(name, name)
        group, _, inner = target.rpartition(".")
        if group:
            lora.append((name, inner, value))
        elif target in given:
            problems.append(Message("{one} and {other} are the same field", one=given[target], other=name))
        else:
            given[target] = name
            own[target] = _value(target, value)
    inside = own.get("lora", {})
    if hasattr(inside, "model_dump"):  # a LoraConfig
        inside = inside.model_dump()
    if isinstance(inside, Mapping):
        named = [(f"lora.{name}", SAME_IN_LORA.get(str(name), str(name)), value) for name, value in inside.items()]
        lora = [*named, *lora]
        if lora or "lora" in own:
            own["lora"] = _merge(lora, problems)
    return own


def _with_loss_named(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields with LLaMA-Factory's `stage: dpo` and its `pref_loss` as what they mean together."""
    losses = {"sigmoid": "dpo", "orpo": "orpo"}
    loss = losses.get(str(values.get("pref_loss")))
    if loss is None or values.get("stage") != "dpo":
        return values
    return {name: loss if name == "stage" else value for name, value in values.items() if name != "pref_loss"}


def _with_bits_named(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields with the ways to say QLoRA as ours; 8 bits are left to be explained."""
    four = {"load_in_4bit": "true", "quantization_bit": "4", "quant_bits": "4"}
    said = [name for name, value in four.items() if str(values.get(name)).lower() == value]
    methods = [name for name, value in values.items() if SAME.get(name, name) == "method" and value == "qlora"]
    if not said and not methods:
        return values
    kept = {name: value for name, value in values.items() if name not in said}
    return {**kept, **dict.fromkeys(methods, "lora"), "quantization": values.get("quantization") or "4bit"}


def _with_layers_named(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields with LLaMA-Factory's method freeze as ours; it trains two layers unless told otherwise."""
    frozen = [name for name, value in values.items() if SAME.get(name, name) == "method" and value == "freeze"]
    if not frozen:
        return values
    is_told = bool({"freeze_trainable_layers", "trainable_layers"} & values.keys())
    return {**values, **dict.fromkeys(frozen, "full"), **({} if is_told else {"trainable_layers": 2})}


def _merge(named: list[tuple[str, str, object]], problems: list[str]) -> dict[str, object]:
    merged: dict[str, object] = {}
    given: dict[str, str] = {}
    for name, target, value in named:
        if target in given:
            problems.append(Message("{one} and {other} are the same field", one=given[target], other=name))
        else:
            given[target] = name
            merged[target] = _value(target, value)
    return merged


def _value(target: str, value: object) -> object:
    text = value.strip().lower() if isinstance(value, str) else None
    return SAME_VALUES.get((target, text), value) if text is not None else value
