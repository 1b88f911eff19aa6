"""How much memory a model needs, from a handful of numbers of its config. Pure arithmetic, in bytes.

Checked against published figures to about 8 %, and against the storages that torch keeps alive while tiny models are
trained to about 12 % (see the tests). What it does not see: memory that other programs use, longer rows than it is
told of, the scores of eager attention, and layers that are no transformer's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.catalog import CatalogModel

Method = Literal["load", "lora", "full", "qlora"]

GIB = 2**30
GPU_OVERHEAD_BYTES = GIB
"""The CUDA context and fragmentation: 0.8 to 1.4 GB are seen."""
CPU_OVERHEAD_BYTES = 200_000_000
"""Buffers and the largest tensor while it is converted."""
TRAINER_OVERHEAD_BYTES = 600_000_000
"""A process that trains on a CPU, without weights: 500 MB are seen once torch, transformers and peft are imported."""
DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of one number of each type a model computes in."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / 16384
"""Bytes per weight in 4-bit NF4 with double quantisation: the weight, its block's scale, the scales' scale."""
LOGIT_BYTES = 4 + 4 + 4
"""A logit where its gradient is computed: its logarithm, and the gradients of the loss and of that, in 32 bits."""
NORM_BYTES = 4
"""Norms compute in 32 bits, and keep what they were given in them."""
ACTIVE_EXPERTS = 8
"""Of a mixture of experts, those that compute a token: all published ones have 8."""
HEAD_DIM = 128
"""Of every published Qwen3."""
CHUNK_TOKENS = 256
"""Tokens whose logits exist at the same time when the loss is computed in chunks."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The numbers of a config that decide on memory."""

    parameters: int
    layers: int
    hidden: int
    query: int
    """Attention heads times head_dim; not the hidden size for most Qwen3."""
    key_value: int
    intermediate: int
    """Of one expert, where there are several."""
    tied: bool
    vocab: int = 151_936
    experts: int = 0
    """0 for a dense model."""

    @property
    def attention_weights(self) -> int:
        """Weights in the linear layers of attention."""
        return self.layers * self.hidden * 2 * (self.query + self.key_value)

    @property
    def linear_weights(self) -> int:
        """Weights in linear layers, the ones that 4-bit loading shrinks and LoRA adapts; experts are no such layers."""
        feed_forward = 0 if self.experts else 3 * self.layers * self.hidden * self.intermediate
        return self.attention_weights + feed_forward

    @property
    def layer_weights(self) -> int:
        """Weights in one layer, those of the norms of heads left out, which are few."""
        feed_forward = 3 * self.hidden * self.intermediate * max(1, self.experts) + self.hidden * self.experts
        return self.attention_weights // self.layers + feed_forward + 2 * self.hidden

    @property
    def outer_weights(self) -> int:
        """Weights outside of the layers: embedding, last norm, and a head that is not tied."""
        return max(0, self.parameters - self.layers * self.layer_weights)

    @property
    def width(self) -> int:
        """Numbers between the feed-forward layers of one token."""
        return self.intermediate * (ACTIVE_EXPERTS if self.experts else 1)

    def lora_weights(self, rank: int, targets: Sequence[str] | None = None) -> int:
        """Return how many weights LoRA of this rank adds to these linear layers; None: to all, but to no expert."""
        attention = dict.fromkeys(("q_proj", "o_proj"), self.hidden + self.query)
        attention |= dict.fromkeys(("k_proj", "v_proj"), self.hidden + self.key_value)
        feed_forward = dict.fromkeys(("gate_proj", "up_proj", "down_proj"), self.hidden + self.intermediate)
        sides = attention if self.experts else {**attention, **feed_forward}
        head = self.hidden + self.vocab if targets is not None and "lm_head" in targets else 0
        return rank * (head + self.layers * sum(sides.get(name, 0) for name in (sides if targets is None else targets)))

    def row_weights(self, tokens: int, targets: Sequence[str] | None = None) -> int:
        """Return the weights of so many tokens in embedding and head; a tied head has none, nor one that is adapted."""
        is_one = self.tied or (targets is not None and "lm_head" in targets)
        return tokens * self.hidden * (1 if is_one else 2)

    def to_config(self) -> dict[str, object]:
        """Return what the config.json of a Qwen3 of these numbers says of them."""
        experts = {
            "num_experts": self.experts,
            "num_experts_per_tok": ACTIVE_EXPERTS,
            "moe_intermediate_size": self.intermediate,
        }
        return {
            "model_type": "qwen3_moe" if self.experts else "qwen3",
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.query // HEAD_DIM,
            "num_key_value_heads": self.key_value // HEAD_DIM,
            "head_dim": HEAD_DIM,
            "intermediate_size": self.intermediate,
            "tie_word_embeddings": self.tied,
            "vocab_size": self.vocab,
            **(experts if self.experts else {}),
        }

    @classmethod
    def of_config(cls, config: Mapping[str, object], parameters: int | None = None) -> Architecture | None:
        """Return the numbers in a model's config.json; None if it is no plain transformer's.

        Args:
            config: what the file holds; of a model of several parts, the text's are read.
            parameters: all weights, where they have been counted; else they are reckoned.
        """
        inner = config.get("text_config")
        numbers = {**config, **inner} if isinstance(inner, dict) else dict(config)
        kinds = numbers.get("layer_types") or ()
        if isinstance(kinds, list) and not {"full_attention", "sliding_attention"}.issuperset(map(str, kinds)):
            return None

        def number(*names: str) -> int:
            found = next((numbers[name] for name in names if numbers.get(name)), 0)
            return found if isinstance(found, int) else 0

        hidden, heads = number("hidden_size"), number("num_attention_heads")
        head = number("head_dim") or (hidden // heads if heads else 0)
        found = cls(
            parameters=parameters or 0,
            layers=number("num_hidden_layers"),
            hidden=hidden,
            query=heads * head,
            key_value=(number("num_key_value_heads") or heads) * head,
            intermediate=number("moe_intermediate_size", "intermediate_size"),
            tied=bool(numbers.get("tie_word_embeddings")),
            vocab=number("vocab_size"),
            experts=number("num_experts", "num_local_experts"),
        )
        if not (found.layers and found.query and found.intermediate and found.vocab):
            return None
        return found if parameters else replace(found, parameters=found._count(head))

    def _count(self, head: int) -> int:
        """Return all weights of a Qwen3 of these numbers."""
        feed_forward = 3 * self.hidden * self.intermediate * max(1, self.experts) + self.hidden * self.experts
        norms = self.layers * 2 * (self.hidden + head) + self.hidden
        embeddings = self.vocab * self.hidden * (1 if self.tied else 2)
        return self.attention_weights + self.layers * feed_forward + norms + embeddings


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is trained, as far as that decides on memory."""

    method: Literal["lora", "full", "qlora"]
    length: int
    """Tokens in the longest row."""
    batch: int = 1
    """Rows at a time, padded to the longest."""
    weight_bytes: int = 2
    """Of a weight of the base model: 2 for bfloat16, 4 for float32."""
    is_mixed: bool = False
    """Whether float32 weights are trained under 16-bit arithmetic (autocast)."""
    state_bytes: int = 4
    """Of each of Adam's two states."""
    adapter_weights: int = 0
    trained_layers: int | None = None
    """Of method full: layers that are trained, and nothing else is; None: all weights are."""
    passed_layers: int | None = None
    """Layers that gradients pass; None: all."""
    is_accumulated: bool = False
    """Whether gradients of earlier batches are there while a batch is computed."""
    is_checkpointed: bool = True
    """Whether activations are computed again in the backward pass instead of being kept."""
    is_loss_chunked: bool = True
    """Whether the logits of all tokens never exist at once, as in our own training; see `finetune.compute.loss`."""
    overhead_bytes: int = GPU_OVERHEAD_BYTES
    is_stepped_at_once: bool = True
    """Whether the optimizer's step computes on all weights at once, as torch does it on a GPU."""
    shards: int = 1
    """Devices that share the model out, each with a part of every weight; 1: each has all of it."""
    is_offloaded: bool = False
    """Whether those parts, their gradients and the optimizer's states are in the memory of the host."""

    @property
    def compute_bytes(self) -> int:
        """Return the bytes of a number that matrices are multiplied in."""
        return 2 if self.is_mixed else self.weight_bytes

    @property
    def parts(self) -> int:
        """Return into how many parts a device's memory has its states parted; 0: it has none of them."""
        return 0 if self.is_offloaded else self.shards

    def trained_weights(self, numbers: Architecture) -> int:
        """Return how many weights are trained."""
        if self.method != "full":
            return self.adapter_weights
        return numbers.parameters if self.trained_layers is None else self.trained_layers * numbers.layer_weights


@dataclass(frozen=True, slots=True)
class Memory:
    """What training needs at its worst moment, by part, in bytes."""

    weights: int
    """Of the base model; under autocast their 16-bit copies, too."""
    adapter: int
    gradients: int
    """0 where there are none yet at the worst moment."""
    optimizer: int
    activations: int
    """What the forward and the backward pass keep then; or the optimizer's step, if that needs more."""
    logits: int
    """Of the loss; 0 where they are gone before the worst moment."""
    margin: int
    """The runtime, and fragmentation."""

    @property
    def states(self) -> int:
        """Return what is needed however short the rows are."""
        return self.weights + self.adapter + self.gradients + self.optimizer

    @property
    def total(self) -> int:
        """Return all of it."""
        return self.states + self.activations + self.logits + self.margin


def training_memory(numbers: Architecture, how: Training) -> Memory:
    """Return what a fine-tune needs on each device.

    Of a model that is sharded a device keeps one part in `how.shards` of weights, gradients and Adam's two states
    (Rajbhandari et al. 2020, ZeRO, section 5.3, stage 3: all model states by the number of devices; FSDP2 shards each
    parameter by its first dimension). Whole are for a moment: the weights of two layers, for the next is gathered while
    one is computed, and of what lies outside of the layers; the gradients of one layer and of what lies outside, before
    they are added up over the devices.

    >>> from qwen3ft_jupyter.catalog import find
    >>> how = Training("lora", 2048, adapter_weights=find("Qwen/Qwen3-8B").architecture.lora_weights(8))
    >>> round(training_memory(find("Qwen/Qwen3-8B").architecture, how).total / GIB, 1)
    17.8
    """
    is_full = how.method == "full"
    trained = how.trained_weights(numbers)
    each = how.weight_bytes if is_full else 4
    multiplies = numbers.tied or how.trained_layers is not None
    looked_up = 0 if multiplies else numbers.vocab * numbers.hidden  # an embedding multiplies nothing
    multiplied = trained - looked_up
    if how.shards > 1 and how.is_checkpointed:  # the copies go with what was gathered
        multiplied = numbers.layer_weights + numbers.outer_weights - looked_up
    copies = 2 * multiplied if how.is_mixed and is_full else 0
    tokens = how.length * how.batch
    gradients = each * trained
    kept, backward = _working_bytes(numbers, how, tokens)
    logits = logit_bytes(numbers, tokens, is_chunked=how.is_loss_chunked)
    step = each * _part(trained if how.is_stepped_at_once else 2 * _largest(numbers, how), how) - copies
    at_loss = kept + logits - (0 if how.is_accumulated else gradients)
    if at_loss >= max(backward, step):
        activations, gradients = kept, gradients if how.is_accumulated else 0
    else:
        activations, logits = max(backward, step), 0
    is_sharded, layers = how.shards > 1, numbers.layers
    gathered = how.weight_bytes * (2 * numbers.layer_weights + numbers.outer_weights)
    adapted = 4 * how.adapter_weights // layers  # of one layer
    of_layer = each * (numbers.layer_weights + numbers.outer_weights) if is_full else adapted
    weights = how.weight_bytes * numbers.parameters if is_full else _frozen_bytes(numbers, how)
    return Memory(
        weights=_part(weights, how) + copies + gathered * is_sharded,
        adapter=_part(4 * how.adapter_weights, how) + 2 * adapted * is_sharded,
        gradients=_part(gradients, how) + of_layer * is_sharded,
        optimizer=_part(2 * how.state_bytes * trained, how),
        activations=activations,
        logits=logits,
        margin=how.overhead_bytes,
    )


def _part(whole: int, how: Training) -> int:
    """Return what a device has of what is sharded."""
    return -(-whole // how.parts) if how.parts else 0


def linear_bytes(quantization: str | None, dtype_bytes: int, columns: int) -> float:
    """Return the bytes of one weight of a linear layer with so many columns, loaded in 4bit (NF4), 8bit, or neither."""
    if quantization == "4bit":
        return NF4_BYTES
    return 1 + 4 / max(1, columns) if quantization == "8bit" else dtype_bytes  # 8bit: a 32-bit scale for each row


def trained_bytes(dtype_bytes: int, *, state_bytes: int = 4) -> int:
    """Return the bytes of one trained weight: itself, its gradient, and Adam's two states.

    >>> trained_bytes(4), trained_bytes(2, state_bytes=2)
    (16, 8)
    """
    return 2 * dtype_bytes + 2 * state_bytes


def estimate_bytes(
    model: CatalogModel | Architecture,
    method: Method,
    *,
    dtype_bytes: int = 2,
    context: int = 1024,
    batch: int = 1,
    lora_rank: int = 16,
    is_loss_chunked: bool = True,
    overhead_bytes: int = GPU_OVERHEAD_BYTES,
) -> int:
    """Return the bytes of one device that `method` needs at its peak.

    Args:
        model: A model of the catalogue, or the numbers of any config.
        method: load (and generate), lora, full, or qlora.
        dtype_bytes: Bytes per weight: 2 for bfloat16, 4 for float32.
        context: Tokens in the longest row.
        batch: Rows at a time.
        lora_rank: The rank of the adapters.
        is_loss_chunked: Whether the logits of a whole row never exist at once; not so with other trainers.
        overhead_bytes: What the runtime takes; 0 on a CPU.

    Training is reckoned in 16-bit arithmetic with gradient checkpointing and Adam in 32 bits.

    >>> from qwen3ft_jupyter.catalog import find
    >>> round(estimate_bytes(find("Qwen/Qwen3-0.6B"), "load") / GIB, 1)
    2.2
    """
    numbers = model if isinstance(model, Architecture) else model.architecture
    if method == "load":
        cache = 2 * numbers.layers * numbers.key_value * context * batch * dtype_bytes
        return dtype_bytes * numbers.parameters + cache + overhead_bytes
    how = Training(
        method,
        context,
        batch,
        weight_bytes=dtype_bytes,
        is_mixed=method == "full" and dtype_bytes == DTYPE_BYTES["float32"],
        adapter_weights=0 if method == "full" else numbers.lora_weights(lora_rank),
        is_loss_chunked=is_loss_chunked,
        overhead_bytes=overhead_bytes,
        is_stepped_at_once=False,
    )
    return training_memory(numbers, how).total


def _frozen_bytes(numbers: Architecture, how: Training) -> int:
    if how.method != "qlora":
        return how.weight_bytes * numbers.parameters
    small = round(linear_bytes("4bit", how.weight_bytes, numbers.hidden) * numbers.linear_weights)
    widest = how.weight_bytes * numbers.hidden * max(numbers.query, 0 if numbers.experts else numbers.intermediate)
    return small + how.weight_bytes * (numbers.parameters - numbers.linear_weights) + widest


def _largest(numbers: Architecture, how: Training) -> int:
    """Return the weights of the largest tensor that is trained."""
    rank = how.adapter_weights // max(1, numbers.lora_weights(1))
    if how.method == "full":
        return numbers.hidden * max(numbers.vocab if how.trained_layers is None else 0, numbers.intermediate)
    return rank * max(numbers.query, numbers.hidden, numbers.intermediate)


def _working_bytes(numbers: Architecture, how: Training, tokens: int) -> tuple[int, int]:
    """Return what activations take at the loss, and in the backward pass of a layer."""
    stream, layers = how.weight_bytes, numbers.layers if how.passed_layers is None else how.passed_layers
    layer = tokens * _layer_bytes(numbers, how)
    kept = tokens * numbers.hidden * stream * (layers + 1) if how.is_checkpointed else layers * layer
    kept += tokens * numbers.hidden * NORM_BYTES  # the last norm
    slopes = tokens * 2 * numbers.width * how.compute_bytes
    if how.method != "full" and how.compute_bytes == DTYPE_BYTES["bfloat16"]:
        slopes += tokens * 4 * numbers.width  # an adapter computes in 32 bits
    return kept, kept + slopes + (layer if how.is_checkpointed else 0)


def _layer_bytes(numbers: Architecture, how: Training) -> int:
    """Return what the backward pass needs of one layer for each token: what went into each of its operations."""
    hidden, query, key_value, width = numbers.hidden, numbers.query, numbers.key_value, numbers.width
    compute, stream = how.compute_bytes, how.weight_bytes
    is_full = how.method == "full"
    norms = NORM_BYTES * (2 * hidden + query + key_value)
    if is_full:  # the weights of norms are trained, too
        norms += stream * 2 * hidden + compute * (query + key_value)
    is_cast = how.is_mixed or (not is_full and compute == 2)
    """Each projection has a copy of its own of what it is given: an adapter in 32 bits, and autocast, make one."""
    inputs = compute * hidden * (5 if is_cast else 2)
    attention = compute * (2 * query + 2 * key_value + (query if is_cast and not is_full else 0))
    feed_forward = compute * 4 * width
    return norms + inputs + attention + feed_forward


def logit_bytes(numbers: Architecture, tokens: int, *, is_chunked: bool) -> int:
    """Return what the loss of so many tokens takes."""
    if is_chunked:
        return CHUNK_TOKENS * numbers.vocab * 8 + tokens * numbers.hidden * 2
    return tokens * numbers.vocab * LOGIT_BYTES
