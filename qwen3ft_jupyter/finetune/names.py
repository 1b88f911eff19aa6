"""What other trainers call the fields of a fine-tune: those that mean the same are taken, the others are explained."""

from __future__ import annotations

from collections.abc import Container, Mapping

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
    "model_revision": "revision",
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
    "dataset_test_ratio": "eval_fraction",
    "val_set_size": "eval_fraction",
    "micro_batch_size": "batch_size",
    "sequence_len": "max_length",
    "sample_packing": "packing",
    "save_total_limit": "keep_checkpoints",
    "early_stopping_patience": "early_stopping",
    "early_stop_interval": "early_stopping",
    "attn_impl": "attn_implementation",
    "flash_attn": "attn_implementation",
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
    "trainable_token_indices": "lora.trainable_token_indices",
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

SAME_VALUES: Mapping[tuple[str, object], object] = {
    ("schedule", "constant_with_warmup"): "constant",
    ("targets", "all"): "all-linear",
    ("objective", "pt"): "pretrain",
    ("attn_implementation", "fa2"): "flash_attention_2",
    ("attn_implementation", "flash_attn"): "flash_attention_2",
    ("attn_implementation", "fa3"): "flash_attention_3",
    ("attn_implementation", "disabled"): "eager",
    ("max_steps", -1): None,
    ("max_steps", "-1"): None,
}
"""Values of the same, by our field."""

NOT_NEEDED = Message("not needed here, leave it out")
_NOT_HERE = Message("does not exist here; leave it out")
_HELD_OUT = Message("eval_fraction keeps a part of data out and measures it")
_QUANTIZED = Message("quantization says it: 4bit (NF4), or null")
_DEVICES = Message("devices says it: 1, a number of GPUs, a list of them, or all")
_HOSTS = Message("hosts says how many there are; the job says how the others join, or --node and --master do")
_SHARDING = Message("sharding says it: auto, none, full (FSDP) or offload, beside devices")
_OBJECTIVE = Message("objective says what is learned: sft, pretrain, dpo or orpo; no other exists here")
_ADAPTER = Message("does not exist here, leave it out; the fields of an adapter are those of the group lora")
_NO_TRAINED_PART = Message("does not exist here, leave it out; method: full learns every weight")
_LAYERS = Message("trainable_layers is our word: how many of the last layers are trained")
_ANSWERS = Message("what is learned are the answers; a turn with loss: false in the data is not")
_THOUGHTS = Message("thoughts are learned where the data has them; empty_think_loss says it of empty ones")
_SHUFFLED = Message("rows are always shuffled, by seed")
_TEXT_ONLY = Message("only text is learned here; leave it out")
_GENERATED = Message("no answers are generated while training; leave it out")
_CHOICE = Message("it stands behind the name of a data set: data: owner/name:subset:split, or owner/name::split")
_NOT_UPLOADED = Message("a fine-tune uploads nothing; leave it out")

_NOTES: Mapping[str, str] = {
    _CHOICE: "split subset subset_name train_split dataset_split dataset_config dataset_train_split dataset_subset",
    _HELD_OUT: """
        val_data val_file val_dataset eval_dataset eval_data validation_file cached_val_dataset
    """,
    Message("dtype says it; auto takes what the machine computes best"): """
        bf16 fp16 tf32 pure_bf16 fp32 mixed_precision compute_dtype lora_dtype fp8
    """,
    _QUANTIZED: """
        load_in_4bit load_in_8bit quantization_bit quant_bits quant_method double_quantization hqq_axis
    """,
    Message("data says it: file.jsonl#500 takes 500 rows of a file"): """
        max_samples num_samples max_train_samples train_dataset_sample
    """,
    Message("data says it: file.jsonl#x2 weighs a file twice"): """
        mix_strategy interleave_prob interleave_probs stopping_strategy
    """,
    Message("the command jobs resume goes on with a stopped run; init_from trains a finished one further"): """
        resume_from_checkpoint adapter_name_or_path adapters resume resume_only_model ignore_data_skip
        adapter_folder create_new_adapter restore_callback_states_from_checkpoint
    """,
    Message("overwrite: true replaces an earlier result; it is off unless you say so"): """
        overwrite_output_dir overwrite_output
    """,
    Message("warmup_ratio is our word: a part of all steps"): "warmup_steps",
    _OBJECTIVE: "task_type num_labels problem_type mrl_dims use_chat_template",
    Message("objective says it: dpo (the sigmoid loss) or orpo; no other exists here"): "pref_loss loss_type",
    Message("rpo_alpha is our word, beside objective: dpo; it weighs tokens, not answers, alike"): "pref_ftx",
    Message("objective says what is learned; the model as it was before is the reference"): """
        kl_coef reward_model ref_model ref_model_name_or_path
    """,
    Message("a column system of the data says it, row by row"): "system system_prompt default_system",
    Message("noise on embeddings (NEFTune) does not exist here; leave it out"): "neftune_noise_alpha neftune_alpha",
    _ADAPTER: """
        init_lora_weights init_weights use_pissa modules_to_save additional_target target_regex
        target_parameters loraplus_lr_embedding lora_bias module_dropout bias
    """,
    Message("packing says it; samples that share a row never see each other here"): """
        neat_packing padding_free packing_strategy packing_length packing_num_proc eval_packing block_diag_attn
        group_by_length train_sampling_strategy
    """,
    _DEVICES: """
        gpus gpu num_gpus n_gpu n_gpus ngpus gpu_ids visible_devices cuda_visible_devices CUDA_VISIBLE_DEVICES
        nproc_per_node num_processes world_size use_ray device_groups local_rank parallelism_config
        sequence_parallel_size tensor_parallel_size pipeline_parallel_size average_tokens_across_devices
        log_on_each_node save_on_each_node use_mca
    """,
    _HOSTS: """
        nnodes num_nodes num_machines node_rank machine_rank rank master_addr master_port main_process_ip
        main_process_port rdzv_endpoint
    """,
    _SHARDING: "zero_stage zero_hpz_partition_size accelerator_config offload_optimizer offload_param",
    Message("eval_steps says it; without, measured after each epoch"): """
        eval_strategy evaluation_strategy eval_delay eval_on_start
    """,
    Message("the best is what has the least loss on held-out rows"): "metric_for_best_model greater_is_better",
    Message("save_steps or save_minutes says it; without, a checkpoint is saved every five minutes"): "save_strategy",
    Message("data names files, folders, or the sets that a dataset_info.json knows: FOLDER/NAME"): """
        dataset_dir dataset_info media_dir custom_dataset_info tokenized_path cached_dataset
    """,
    Message("the setting USE_MODELSCOPE says it"): "hub use_hf use_modelscope use_hub",
    Message("the setting MODEL_CACHE_DIR says it"): "cache_dir",
    Message("the settings HF_TOKEN and MODELSCOPE_API_TOKEN say it"): """
        hub_token hf_hub_token ms_hub_token om_hub_token
    """,
    Message("set variables before Jupyter or the command starts"): "ENV env",
    Message("attn_implementation is our word"): "use_flash_attn",
    Message("columns says it: question"): "prompt_column question_column input_column",
    Message("columns says it: answer"): "response_column answer_column output_column",
    Message("columns says it: messages"): "dataset_text_field",
    Message("skip_bad_rows says it; a wrong row is refused without"): "strict",
    Message("seed says it"): "data_seed full_determinism",
    Message("device says it"): "device_map max_memory use_cpu no_cuda",
    Message("activation_checkpointing: false says it"): "disable_gradient_checkpointing",
    Message("epochs or max_steps says it"): "max_epochs",
    _ANSWERS: "train_on_prompt mask_history loss_scale is_binary_loss_scale completion_only_loss assistant_only_loss",
    _THOUGHTS: "enable_thinking preserve_thinking disable_ignore_empty_think add_non_thinking_prefix response_prefix",
    _SHUFFLED: "disable_shuffling dataset_shuffle val_dataset_shuffle train_dataloader_shuffle shuffle_dataset",
    Message("{{NAME}} and {{AUTHOR}} in data are not filled in: write the names there"): "model_name model_author",
    _NOT_UPLOADED: "push_to_hub",
    Message("the command merge does it afterwards"): "merge_lora",
    _LAYERS: "num_layer_trainable",
    _NO_TRAINED_PART: """
        trainable_parameters trainable_parameters_regex use_llama_pro use_badam use_galore use_apollo
        optim_target_modules
    """,
    _TEXT_ONLY: "crop_to_patches use_audio_in_video max_pixels norm_bbox aligner_lr",
    _GENERATED: """
        do_sample temperature top_p top_k num_beams max_new_tokens repetition_penalty length_penalty stream
        stop_words logprobs top_logprobs structured_outputs_regex predict_with_generate infer_backend
        use_kv_cache infer_dtype acc_strategy compute_accuracy skip_special_tokens use_cache include_for_metrics
        batch_eval_metrics
    """,
    _NOT_HERE: """
        rope_scaling max_model_len model_max_length new_special_tokens new_special_tokens_config
        add_tokens add_special_tokens init_special_tokens resize_vocab split_special_tokens train_from_scratch
        init_strategy mixture_of_depths shift_attn lr_scheduler_kwargs label_smoothing_factor optimizer
        use_dft_loss use_asft_loss asft_alpha use_eaft_loss eaft_alpha enable_dft_loss
        enable_channel_loss use_muon use_adam_mini moe_aux_loss_coef router_aux_loss_coef callbacks
        external_plugins early_stopping_steps activation_offloading upcast_layernorm
        upcast_lmhead_output
        tool_format agent_template model_init_kwargs model_kwargs eos_token pad_token chat_template_path debug
        project
    """,
    NOT_NEEDED: """
        do_train do_eval do_predict template overwrite_cache ddp_timeout plot_loss run_name
        save_only_model trust_remote_code remove_unused_columns optim optim_args model_type streaming
        load_from_cache_file truncation_strategy truncation_mode enable_liger_kernel use_liger_kernel use_liger
        liger_kernel_config use_fast_tokenizer tuner_backend use_unsloth use_unsloth_gc use_reentrant_gc
        gradient_checkpointing_kwargs activation_checkpointing_kwargs low_cpu_mem_usage offload_folder
        print_param_status use_v1_kernels preprocessing_num_workers preprocessing_batch_size dataset_num_proc
        dataset_kwargs buffer_size shuffle_buffer_size data_shared_file_system ignore_pad_token_for_loss
        download_mode disable_auto_column_mapping padding_side template_backend lazy_tokenize use_logits_to_keep
        add_version check_model create_checkpoint_symlink use_flash_ckpt safe_serialization max_shard_size
        load_args load_data_args ignore_args_error enable_npu_model_patch experts_impl local_repo_path
        prediction_loss_only label_names length_column_name sortish_sampler skip_memory_metrics disable_tqdm
        log_level log_level_replica enable_jit_checkpoint pad_to_multiple_of torch_empty_cache_steps
        profile_modules enable_torch_profiler eval_use_gather_object eval_do_concat_batches
        save_safetensors eval_accumulation_steps per_device_eval_batch_size eval_batch_size
        bf16_full_eval fp16_full_eval
    """,
}

OTHERS: Mapping[str, str] = {name: note for note, names in _NOTES.items() for name in names.split()}
"""Names of other trainers' fields that have no equal here, and what to do about each. A guess would do harm."""

FAMILIES: Mapping[str, str] = {
    _QUANTIZED: "bnb_ quantization_",
    _HELD_OUT: "eval_",
    _DEVICES: "ddp_ ray_ megatron_ use_megatron hyper_parallel use_hyper fp8_ kt_ use_kt",
    _SHARDING: "deepspeed fsdp",
    _OBJECTIVE: "ppo_ kto_ dpo_ simpo_ pref_ grpo_ ref_model reward_ ld_alpha",
    _ADAPTER: "pissa_ oft_ boft_ vera_ fourier_ adalora_ reft_ lora_ga_ llamapro_",
    _LAYERS: "freeze_",
    _NO_TRAINED_PART: "galore_ apollo_ badam_ lisa_",
    _TEXT_ONLY: "image_ video_ audio_ vit_",
    _GENERATED: "vllm_ sglang_ lmdeploy_ generation_",
    _NOT_UPLOADED: "hub_",
    _NOT_HERE: "swanlab_ use_swanlab wandb_ trackio_ adam_",
    NOT_NEEDED: "logging_ dataloader_ profiler_ include_ torch_compile",
}
"""The same for all names that begin like this."""


def note_on(name: str) -> str | None:
    """Return what to do about a field of another trainer that has no equal here, None if it is none.

    >>> str(note_on("dataloader_num_workers")), str(note_on("use_cpu")), note_on("epochs")
    ('not needed here, leave it out', 'device says it', None)
    """
    return OTHERS.get(name) or next(
        (note for note, prefixes in FAMILIES.items() if name.startswith(tuple(prefixes.split()))), None
    )


def in_our_words(values: Mapping[str, object], known: Container[str], problems: list[str]) -> dict[str, object]:
    """Return the config with the names of other trainers replaced by ours; one that is given twice is a problem.

    `known` are our names.
    """
    values = _with_dataset_dir(_with_layers_named(_with_bits_named(_with_loss_named(_with_batch_found(values)))))
    own: dict[str, object] = {}
    given: dict[str, str] = {}
    lora: list[tuple[str, str, object]] = []
    """Name given, ours, value."""
    has_model = any(SAME.get(name, name) == "model" for name in values if name != "model_name")
    for name, value in values.items():
        if name == "$schema":  # it is for an editor
            continue
        if value is None and name not in known and (name in SAME or note_on(name)):  # it says nothing
            continue
        target = name if name == "model_name" and has_model else SAME.get(name, name)
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


def _with_dataset_dir(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return LLaMA-Factory's names of data sets as paths below the folder whose dataset_info.json knows them."""
    names, folder = values.get("dataset"), values.get("dataset_dir")
    if isinstance(names, str) and "," in names:
        names = [name.strip() for name in names.split(",")]
    own = next((name for name in ("dataset", "data") if name in values), None)
    if names is None and own:
        names = values[own]
    if isinstance(folder, str) and own and isinstance(names, (str, list, tuple)):
        listed = [names] if isinstance(names, str) else names
        names = [f"{folder.rstrip('/')}/{name}" for name in listed]
        values = {name: value for name, value in values.items() if name != "dataset_dir"}
    return {**values, own: names} if own else values


def _with_loss_named(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields with LLaMA-Factory's `stage: dpo` and its `pref_loss` as what they mean together."""
    losses = {"sigmoid": "dpo", "orpo": "orpo"}
    loss = losses.get(str(values.get("pref_loss")))
    if loss is None or values.get("stage") != "dpo":
        return values
    return {name: loss if name == "stage" else value for name, value in values.items() if name != "pref_loss"}


def _with_batch_found(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields with batch_size: auto as ours."""
    found = [name for name, value in values.items() if SAME.get(name, name) == "batch_size" and value == "auto"]
    kept = {name: value for name, value in values.items() if name not in found}
    return {**kept, "auto_find_batch_size": True} if found else values


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
    word = value.strip().lower() if isinstance(value, str) else value
    return SAME_VALUES.get((target, word), value) if isinstance(word, (str, int)) else value
