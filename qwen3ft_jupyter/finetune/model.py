"""Makes a loaded model trainable: number type, adapter, what is frozen."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog.memory import DTYPE_BYTES, trained_bytes
from qwen3ft_jupyter.disk import read_json
from qwen3ft_jupyter.errors import BadConfig, DoesNotFit, LoadError
from qwen3ft_jupyter.finetune.earlier import weight_files
from qwen3ft_jupyter.finetune.precision import choose_precision
from qwen3ft_jupyter.finetune.ranks import ALONE
from qwen3ft_jupyter.finetune.rules import HEAD
from qwen3ft_jupyter.loading.fit import free_bytes, gigabytes
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer, model_name, require
from qwen3ft_jupyter.loading.machine import this_machine
from qwen3ft_jupyter.loading.safety import check_model_folder
from qwen3ft_jupyter.loading.weights import model_tensors
from qwen3ft_jupyter.messages import Names
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor
    from torch.optim import Optimizer

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.fit import Sharding
    from qwen3ft_jupyter.finetune.precision import Precision
    from qwen3ft_jupyter.finetune.ranks import Ranks
    from qwen3ft_jupyter.loading.libraries import Model
    from qwen3ft_jupyter.loading.machine import Machine
    from qwen3ft_jupyter.loading.safety import ModelConfig
    from qwen3ft_jupyter.work import Reporter

ATTENTION_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
"""What a LoRA adapts on a mixture of experts: all-linear would take router and experts along."""


_LAYER = re.compile(r"\.layers\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Trainable:
    """A model in training mode."""

    model: Model
    precision: Precision
    base_dtype: str = "float32"
    """Number type that the base model is stored in."""


def load_for_training(
    config: FineTuneConfig,
    folder: Path,
    *,
    reporter: Reporter,
    machine: Machine | None = None,
    token_rows: Sequence[int] = (),
    ranks: Ranks = ALONE,
    sharding: Sharding = "none",
) -> Trainable:
    """Return the model, with a fresh adapter for method lora, in training mode.

    Of the tokens with ids `token_rows` the adapter trains the rows of embedding and head, too. A model that is sharded
    over `ranks` is read to the CPU, by as many processes at once as the memory of the host holds, and each keeps its
    part.

    Raises what `load_model_and_tokenizer` raises, DoesNotFit if a full fine-tune's states do not fit, and BadConfig if
    the adapter cannot be put where it is to go.
    """
    is_4bit, is_sharded = config.quantization == "4bit", sharding != "none"
    require("torch", "transformers", "peft", "accelerate", *(["bitsandbytes"] if is_4bit else []))
    model_config = check_model_folder(folder)
    _check_trainable(config, model_config, model_name(folder))
    tensors = model_tensors(folder, tied=model_config.is_tied)
    parameters = sum(tensor.elements for tensor in tensors)
    machine = machine or this_machine()
    precision = choose_precision(machine, config, parameters)
    if config.method == "full":
        trained = _trained_layers(config, [tensor.name for tensor in tensors], model_name(folder))
        count = sum(tensor.elements for tensor in tensors if trained(tensor.name))
        if not is_sharded:  # the plan has seen to it
            _check_states_fit(parameters, count, precision, machine, model_name(folder))
    attention = None if config.attn_implementation == "auto" else config.attn_implementation
    options = LoadOptions(
        device="cpu" if is_sharded else precision.device,
        dtype=precision.weights,
        attn_implementation=attention,
        quantization=None if model_config.is_4bit else config.quantization,
    )
    if precision.device.startswith("cuda:"):
        import torch

        torch.cuda.set_device(precision.device)  # Trainer computes on the current one

    def load() -> Model:
        model = load_model_and_tokenizer(folder, options, machine=machine, reporter=reporter).model
        reporter.progress(Progress("preparing"))  # until training begins, which takes seconds
        if is_4bit:
            evaluate_as_trained(model)
        set_seed(config.seed)  # before the adapter: its first values come from the same generator as the dropout
        if config.method == "lora":
            model = with_fresh_adapter(model, config, reporter, token_rows)
        else:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(trained(name))
        model.config.use_cache = False
        model.train()
        return model

    if is_sharded:
        held = parameters * DTYPE_BYTES[precision.weights]
        model = _load_part(load, ranks, held, precision.device, is_offloaded=sharding == "offload")
    else:
        model = load()
    return Trainable(model, precision, _stored_dtype(folder, precision))


def _check_trainable(config: FineTuneConfig, model: ModelConfig, name: str) -> None:
    if model.is_quantized and not (config.quantization == "4bit" and model.is_4bit):
        raise LoadError(
            "{name} is stored quantized; it cannot be fine-tuned.",
            hint="Set quantization: 4bit, which trains an adapter on it as it is."
            if model.is_4bit
            else "Use the repo without -FP8, -AWQ, -GPTQ.",
            name=name,
        )
    if model.is_tied and config.method == "lora" and HEAD in config.lora.targets:
        raise BadConfig(
            "lora.targets: {head} cannot be adapted on {name}: its weights are those of the embedding, too, and "
            "merging the adapter would change both.",
            hint="Leave {head} out.",
            head=HEAD,
            name=name,
        )


def _load_part(load: Callable[[], Model], ranks: Ranks, held: int, device: str, *, is_offloaded: bool) -> Model:
    """Return this process's part of a model that `load` reads to the CPU, where it has `held` bytes."""
    from qwen3ft_jupyter.finetune.compute.sharding import mesh_of, shard

    at_once = max(1, ranks.from_first(lambda: this_machine().ram_free_bytes) // (2 * held))
    mesh, model = mesh_of(device), None
    for turn in range(-(-ranks.part.count // at_once)):
        if ranks.part.index // at_once == turn:
            model = load()
            shard(model, mesh, is_offloaded=is_offloaded)
        ranks.most(turn)  # the others wait
    ranks.is_sharded = True
    return model


def load_weights(model: Model, folder: Path) -> None:
    """Put the adapter or the weights in `folder`, a result or a checkpoint, into a model of the same shape.

    Safetensors are read, and nothing else. Raises LoadError if they are of another shape.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import safe_open
    from safetensors.torch import load_file

    from qwen3ft_jupyter.finetune.compute.sharding import mesh_of_model, part_of

    state: dict[str, Tensor] = {}
    mesh = mesh_of_model(model)
    for path in weight_files(folder):
        if mesh is None:
            state |= load_file(path)
            continue
        with safe_open(path, "pt") as file:  # one tensor at a time is here whole
            state |= {name: part_of(file.get_tensor(name), mesh) for name in file.keys()}  # noqa: SIM118 - no mapping
    is_adapted = hasattr(model, "peft_config")
    known = get_peft_model_state_dict(model, save_embedding_layers=False) if is_adapted else model.state_dict()
    tied = set() if is_adapted else set(model._tied_weights_keys or ())  # noqa: SLF001 - they have no public name
    shapes = [{name: one.shape for name, one in each.items() if name not in tied} for each in (state, known)]
    if not state or shapes[0] != shapes[1]:
        raise LoadError(
            "The weights of {folder} are of another shape: they belong to another model or adapter.", folder=folder.name
        )
    if is_adapted:
        set_peft_model_state_dict(model, state)
    else:
        model.load_state_dict(state, strict=False)


def evaluate_as_trained(model: Model) -> None:
    """Have 4-bit layers compute alike in training and in evaluation.

    On a CPU with bfloat16 of its own, bitsandbytes repacks the weights of a layer the first time it evaluates: for
    good, less exactly, and such that no gradient passes it any more.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _stored_dtype(folder: Path, precision: Precision) -> str:
    """Return the number type that a model's config names; the one it is trained in where it names none of ours."""
    config = read_json(folder / "config.json")
    inner = config.get("text_config") or {}
    found = next((one[key] for one in (config, inner) for key in ("dtype", "torch_dtype") if one.get(key)), "")
    return str(found) if found in DTYPE_BYTES else precision.weights


def set_seed(seed: int) -> None:
    """Seed every generator that training draws from."""
    import transformers

    random.seed(seed)
    transformers.set_seed(seed)


def _trained_layers(config: FineTuneConfig, names: Sequence[str], model: str) -> Callable[[str], bool]:
    """Return what says of a weight's name whether it is trained. Raises BadConfig if there are fewer layers."""
    wanted = config.trainable_layers
    if wanted is None:
        return lambda _name: True
    layers = {int(found[1]) for name in names if (found := _LAYER.search(name))}
    if abs(wanted) > len(layers):
        raise BadConfig(
            "trainable_layers: {name} has {count} layers.", hint="Name fewer, or leave it out.", name=model,
            count=len(layers),
        )  # fmt: skip
    kept = sorted(layers)[-wanted:] if wanted > 0 else sorted(layers)[:-wanted]
    return lambda name: (found := _LAYER.search(name)) is not None and int(found[1]) in kept


def _check_states_fit(parameters: int, trained: int, precision: Precision, machine: Machine, name: str) -> None:
    dtype_bytes = DTYPE_BYTES[precision.weights]
    states = trained_bytes(dtype_bytes, state_bytes=dtype_bytes) - dtype_bytes  # torch's Adam keeps the weights' type
    needed = parameters * dtype_bytes + trained * states
    free = free_bytes(machine, precision.device, spread=False)
    if needed > free:
        raise DoesNotFit(
            "A full fine-tune of {name} needs at least {needed}, {free} are free.",
            hint="method: lora needs a fraction of it; or take a smaller model.",
            name=name,
            needed=gigabytes(needed),
            free=gigabytes(free),
        )


def with_fresh_adapter(
    model: Model, config: FineTuneConfig, reporter: Reporter, token_rows: Sequence[int] = ()
) -> Model:
    """Return the model with the adapter that the config names, at its first values.

    Of the tokens with ids `token_rows` it trains the rows of embedding and head, too.
    """
    from peft import LoraConfig, get_peft_model

    from qwen3ft_jupyter.loading.token_rows import compute_lean  # with it comes torch

    targets: list[str] | str = list(config.lora.targets)
    if config.lora.targets == "all-linear":  # by name: readers of adapters such as vLLM know them
        targets = _linear_layers(model) or "all-linear"
    elif missing := sorted(set(targets) - {name.rpartition(".")[2] for name, _ in model.named_modules()}):
        raise BadConfig(
            "lora.targets: this model has no linear layers {names}; the experts of a mixture are none.",
            hint="Say all-linear, or name layers that it has.",
            names=", ".join(missing),
        )
    if "moe" in str(model.config.model_type) and config.lora.targets == "all-linear":
        targets = ATTENTION_TARGETS
        reporter.notice(
            "A mixture of experts: the adapter goes to the attention layers only. Its experts are no linear layers, "
            "and to train its router would change which of them answer."
        )
    adapter = LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        use_rslora=config.lora.rslora,
        use_dora=config.lora.dora,
        target_modules=targets,
        task_type="CAUSAL_LM",  # without it peft would write module names into the adapter
        trainable_token_indices=_token_indices(model, config, token_rows) or None,
    )
    adapted = get_peft_model(model, adapter)
    compute_lean(adapted)
    # for an adapter on the head peft would write the whole head into each checkpoint
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted


def _token_indices(model: Model, config: FineTuneConfig, token_rows: Sequence[int]) -> dict[str, list[int]]:
    """Return the layers in which rows are trained, by name. A tied head has those of the embedding."""
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    if beyond := [token for token in token_rows if token >= layers[0].weight.shape[0]]:
        raise BadConfig(
            "lora.trainable_token_indices: this model has {count} tokens, none with the ids {names}.",
            hint="Ids begin at 0.",
            count=layers[0].weight.shape[0],
            names=Names(map(str, beyond)),
        )
    if layers[0].weight is layers[1].weight or HEAD in config.lora.targets:  # the adapter of a head has all its rows
        del layers[1]
    names = {layer: name.rpartition(".")[2] for name, layer in model.named_modules()}
    return {names[layer]: sorted(token_rows) for layer in layers} if token_rows else {}


def _linear_layers(model: Model) -> list[str]:
    """Return the names of a model's linear layers but the head: on Qwen3 `rules.LORA_TARGETS`, on later ones more."""
    from torch.nn import Linear

    head = model.get_output_embeddings()
    found = {
        name.rpartition(".")[2] for name, one in model.named_modules() if isinstance(one, Linear) and one is not head
    }
    return sorted(found)


def loraplus_optimizer(model: Model, config: FineTuneConfig) -> Optimizer:
    """Return the optimizer of LoRA+: it learns the B matrices, which begin at zero, at a multiple of the rate."""
    import torch
    from peft.optimizers import create_loraplus_optimizer

    return create_loraplus_optimizer(
        model,
        torch.optim.AdamW,
        lr=config.learning_rate,
        loraplus_lr_ratio=config.lora.loraplus_ratio,
        loraplus_weight_decay=config.weight_decay,
    )
