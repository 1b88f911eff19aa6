"""Compares a merged model with base and adapter: what they say of the next token, on a few prompts."""

from __future__ import annotations

import gc
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.errors import DoesNotFit, LoadError, Qwen3ftError
from qwen3ft_jupyter.finetune.adapter import Change
from qwen3ft_jupyter.finetune.shards import apply
from qwen3ft_jupyter.loading.fit import Weights, free_bytes, gigabytes
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer, load_tokenizer, model_name
from qwen3ft_jupyter.loading.machine import fitting_threads, this_machine
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer
from qwen3ft_jupyter.loading.weights import model_tensors
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from qwen3ft_jupyter.finetune.dequantized import Dequantized
    from qwen3ft_jupyter.finetune.merge import MergePlan
    from qwen3ft_jupyter.loading.libraries import Model, Tokenizer
    from qwen3ft_jupyter.loading.machine import Machine
    from qwen3ft_jupyter.work import Work

BUILT_IN: Final = (
    "Name three fruits and the colour of each.",
    "用一句话解释什么是机器学习。",
    "Write a Python function that reverses a string.",
)
"""What is asked where the data of the run is not there any more, or the adapter is somebody else's."""
PROMPTS: Final = 3
MOST_TOKENS: Final = 64
"""Of each prompt, from its beginning."""
MOST_DATA_BYTES: Final = 50_000_000
"""Larger data is not read to find three prompts."""
EXACT: Final = 1e-4
"""How far logits in float32 may be apart before rounding, where the largest is 1."""
ROUNDED: Final = 0.1
"""How large the error of the rounded model may be as a share of the logits: some 2 % come from rounding all layers of a
large model to bfloat16; tensors that are missing, or in the wrong place, make it 100 % and more."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """How well a merged model agrees with base and adapter."""

    prompts: int
    source: str
    """"data": the run's own rows; "built-in"."""
    dtype: str
    """In which it was computed."""
    exact: float | None
    """The largest difference of two logits before rounding, where the largest logit is 1; None: not in float32."""
    rounded: float
    """The error of the model as it was saved, as a share of the logits."""
    same_tokens: float
    """Share of the places at which both find the same next token the likeliest."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    def sentence(self) -> str:
        """Return it for the model card."""
        return (
            f"Compared with base and adapter on {self.prompts} prompts ({self.source}), computed in {self.dtype}: the "
            f"likeliest next token is the same at {self.same_tokens:.1%} of the places, the logits differ by "
            f"{self.rounded:.2%}, which is what rounding costs."
        )


def check_fits(plan: MergePlan, machine: Machine | None = None) -> str:
    """Return the number type in which there is memory to compare: float32, else the one that the base has.

    Raises DoesNotFit.
    """
    folder = plan.base.folder
    tensors = model_tensors(folder, tied=plan.is_tied)
    free = free_bytes(machine or this_machine(), "cpu", spread=False)
    if plan.base.weights == "dequantized":  # they are there beside
        free -= Weights(tensors, "float32", "4bit").size_bytes
    stored = "float16" if any(tensor.dtype == "F16" for tensor in tensors) else "bfloat16"
    found = next((name for name in ("float32", stored) if Weights(tensors, name).size_bytes <= free), None)
    if found is None:
        raise DoesNotFit(
            "Comparing {name} before and after merging needs {needed} of memory, {free} are free.",
            hint="Free memory (other kernels hold some), or merge on a larger machine.",
            name=model_name(folder),
            needed=gigabytes(Weights(tensors, stored).size_bytes),
            free=gigabytes(free),
        )
    return found


def compare(
    plan: MergePlan,
    dtype: str,
    work: Work,
    machine: Machine | None = None,
    dequantized: Dequantized | None = None,
) -> SelfTest:
    """Return how the model in the plan's temporary folder compares; `dequantized` is what it was merged into instead.

    Raises:
        LoadError: It does not say what base and adapter say.
        Stopped: The work was to stop.
    """
    work.progress(Progress("comparing", 0, 3, "steps"))
    with no_network(), quiet_libraries():
        tokenizer = load_tokenizer(plan.base.folder)
        prompts, source = _prompts(plan, tokenizer)
        if dequantized is None:
            options = LoadOptions(device="cpu", dtype=dtype, adapter=plan.adapter.folder, memory_check=False)
            model = load_model_and_tokenizer(plan.base.folder, options, machine=machine).model
        else:
            model = dequantized.compute_in(dtype)
        work.progress(Progress("comparing", 1, 3, "steps"))
        before = _logits(model, prompts, work)
        unrounded = None
        if dtype == "float32":
            unrounded = _logits(_merged_in_memory(plan, model, dequantized), prompts, work)
        if dequantized is not None:
            dequantized.release()
        del model
        gc.collect()  # peft's models hold themselves
        work.progress(Progress("comparing", 2, 3, "steps"))
        after = _logits(_load_merged(plan, dtype), prompts, work)
    tested = _judge(before, unrounded, after, SelfTest(len(prompts), source, dtype, None, 0.0, 0.0))
    work.progress(Progress("comparing", 3, 3, "steps"))
    return tested


def _judge(
    before: list[torch.Tensor], unrounded: list[torch.Tensor] | None, after: list[torch.Tensor], empty: SelfTest
) -> SelfTest:
    import torch

    a, c = torch.cat(before), torch.cat(after)
    scale = max(1.0, float(a.abs().max()))
    exact = None if unrounded is None else float((torch.cat(unrounded) - a).abs().max()) / scale
    spread = float((a - a.mean(dim=1, keepdim=True)).square().mean().sqrt()) or 1.0
    rounded = float((c - a).square().mean().sqrt()) / spread
    same = float((c.argmax(dim=1) == a.argmax(dim=1)).float().mean())
    # a comparison that is true for no number at all, too
    if not (exact is None or exact <= EXACT) or not rounded <= ROUNDED:
        raise LoadError(
            "The merged model does not say what base model and adapter say: their logits differ by {share:.0f} %.",
            hint="It was not kept. Use the adapter on its base model, and report this, please.",
            share=100 * rounded,
        )
    return SelfTest(empty.prompts, empty.source, empty.dtype, exact, round(rounded, 6), round(same, 4))


def _logits(model: Model, prompts: list[list[int]], work: Work) -> list[torch.Tensor]:
    """Return what the model says after each token, in float32, one tensor of shape (tokens, vocabulary) a prompt."""
    import torch

    found = []
    with torch.inference_mode(), fitting_threads(model):
        for ids in prompts:
            work.check()
            found.append(model(input_ids=torch.tensor([ids])).logits[0].float())
    return found


def _merged_in_memory(plan: MergePlan, model: Model, dequantized: Dequantized | None) -> Model:
    """Return the model with the adapter in its weights, unrounded, by the arithmetic that wrote the files."""
    from safetensors.torch import load_file

    tensors = {name: tensor.float() for name, tensor in load_file(plan.adapter.weights).items()}
    if dequantized is None:
        base = model.unload()
    else:
        options = LoadOptions(device="cpu", dtype="float32", memory_check=False)
        base = load_model_and_tokenizer(plan.base.folder, options).model
    weights, names = dict(base.named_parameters()), dequantized.names if dequantized else frozenset()
    for name in {*plan.adapter.changes, *names}:
        if name not in weights:
            raise LoadError("The libraries know {name} by another name: it cannot be compared.", name=name)
        own = dequantized.weight(name) if dequantized else None
        weight = weights[name].data.clone() if own is None else own
        weights[name].data.copy_(apply(plan.adapter.changes.get(name, Change()), tensors, weight, 0))
    return base


def _load_merged(plan: MergePlan, dtype: str) -> Model:
    """Load what was written as people will; its config.json is not there yet, so that no one else does."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(str(plan.base.folder), local_files_only=True, trust_remote_code=False)
        return AutoModelForCausalLM.from_pretrained(
            str(plan.temporary),
            config=config,
            dtype=getattr(torch, dtype),
            device_map={"": "cpu"},
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        ).eval()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise LoadError(
            "The merged model cannot be loaded ({kind}).",
            hint="It was not kept. Verify the base model and merge again.",
            details={"cause": str(error)},
            kind=type(error).__name__,
        ) from error


def _prompts(plan: MergePlan, tokenizer: Tokenizer) -> tuple[list[list[int]], str]:
    """Return the tokens of a few prompts, and where they come from."""
    talks, source = _from_data(plan.origin.config), "data"
    if not talks:
        talks, source = [[{"role": "user", "content": text}] for text in BUILT_IN], "built-in"
    texts = ["\n".join(turn["content"] for turn in talk) for talk in talks]
    if tokenizer.chat_template:
        with TemplateRenderer.of(tokenizer) as renderer:
            texts = renderer.render([Rendering(talk, {"add_generation_prompt": True}) for talk in talks])
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"][:MOST_TOKENS] for text in texts]
    return [one for one in ids if one], source


def _from_data(config: Mapping[str, object]) -> list[list[dict[str, str]]]:
    """Return the first conversations of a run's data, up to their first answers; none if it is not there any more."""
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import read_data_of

    try:
        resolved = FineTuneConfig.from_dict(config)
        if sum(Path(name).stat().st_size for name in resolved.data) > MOST_DATA_BYTES:
            return []
        conversations = list(read_data_of(resolved).conversations[:PROMPTS])
    except (Qwen3ftError, OSError):
        return []
    talks = []
    for conversation in conversations:
        turns = [{"role": one.role, "content": one.content} for one in conversation.messages]
        first = next((index for index, turn in enumerate(turns) if turn["role"] == "assistant"), len(turns))
        talks.append(turns[:first])
    return [talk for talk in talks if talk]
