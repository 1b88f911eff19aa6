"""Loads a cached model and its tokenizer: from this folder only, from safetensors only, on what this machine has."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadInput, DoesNotFit, LoadError, MissingPackage
from qwen3ft_jupyter.loading import fit
from qwen3ft_jupyter.loading.counting import counted_weights
from qwen3ft_jupyter.loading.libraries import LoadedPair, import_whole
from qwen3ft_jupyter.loading.machine import Machine, check_dtype, choose, this_machine
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.loading.safety import check_adapter_folder, check_model_folder
from qwen3ft_jupyter.loading.templates import TemplateRenderer, probe
from qwen3ft_jupyter.loading.weights import model_tensors, weight_files
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import at_home
from qwen3ft_jupyter.work import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from transformers import BitsAndBytesConfig

    from qwen3ft_jupyter.loading.libraries import DeviceMap, Model, Tokenizer
    from qwen3ft_jupyter.loading.machine import Choice
    from qwen3ft_jupyter.work import Reporter

logger = logging.getLogger(__name__)

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Attention that is installed on the machine. Any other name would make transformers fetch a kernel from a hub."""

QUANTIZATIONS = (None, "4bit", "8bit")
"""What `quantization` accepts."""

_PARTS = (
    "transformers.models.auto.tokenization_auto",
    "transformers.models.auto.modeling_auto",
    "transformers.modeling_utils",
)
"""What loading takes of transformers, which imports its parts when they are first used."""

STRATEGIES = frozenset({"auto", "balanced", "balanced_low_0", "sequential"})
"""Values of `device_map` that name no device."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded.

    Raises:
        BadInput: `quantization` or `attn_implementation` is none of the accepted ones.
    """

    device_map: DeviceMap = "auto"
    """"auto" takes the best device (and spreads over several GPUs what does not fit one); a mapping or another strategy
    goes to transformers as it is."""
    device: str | None = None
    """"cpu", "mps", "cuda", "cuda:N"; goes before `device_map`."""
    dtype: torch.dtype | str | None = None
    """"float32", "float16", "bfloat16", the torch types, or None and "auto" for what suits the device."""
    torch_dtype: torch.dtype | str | None = None
    """The same, under the name that transformers 4 used."""
    quantization: str | None = None
    """"4bit" (NF4) or "8bit" through bitsandbytes, on a GPU or the CPU."""
    attn_implementation: str | None = None
    """One of `ATTENTION`; None leaves it to transformers (sdpa)."""
    adapter: Path | str | None = None
    """A folder with a LoRA adapter to put on top."""
    memory_check: bool = True
    """False loads although it will not fit."""

    def __post_init__(self) -> None:
        if self.quantization not in QUANTIZATIONS:
            raise BadInput(
                "quantization {value!r} is not known.",
                hint='Accepted: None, "4bit", "8bit".',
                value=self.quantization,
            )
        if self.attn_implementation is not None and self.attn_implementation not in ATTENTION:
            raise BadInput(
                "attn_implementation {value!r} is not known.",
                hint="Accepted: {names}.",
                value=self.attn_implementation,
                names=", ".join(ATTENTION),
            )

    @property
    def dtype_name(self) -> str:
        """Return the type that is asked for, "auto" if none is. Raises BadInput."""
        asked = self.dtype if self.dtype is not None else self.torch_dtype
        return "auto" if asked is None or asked == "auto" else check_dtype(asked)

    @property
    def device_name(self) -> str:
        """Return the device that is named, "auto" if the device_map leaves the choice or spreads."""
        if self.device:
            return self.device
        if isinstance(self.device_map, str) and self.device_map not in STRATEGIES:
            return self.device_map
        return "auto"


def load_model_and_tokenizer(
    folder: Path,
    options: LoadOptions = LoadOptions(),
    *,
    machine: Machine | None = None,
    reporter: Reporter = SILENT,
) -> LoadedPair:
    """Return the model in `folder`, ready to generate, and its tokenizer. Nothing is looked up on a network.

    Args:
        folder: A cached model.
        options: Where and how.
        machine: What to decide on; None measures this one.
        reporter: Is told of the phase "loading".

    Raises:
        BadInput: An option is none of the accepted ones.
        UnsafeModel: The folder would run code or unpickle data.
        DoesNotFit: There is not enough memory.
        MissingPackage: torch, transformers, peft or bitsandbytes is not installed.
        LoadError: The folder is no model, or the libraries cannot load it.
    """
    config = check_model_folder(folder)
    if options.adapter is not None:
        check_adapter_folder(at_home(options.adapter))
    _require_for(options)
    reporter.progress(Progress("loading", 0, None, "steps"))
    import_whole("torch", "transformers.utils.logging")
    tensors = model_tensors(folder, tied=config.is_tied)
    machine = machine or this_machine()
    parameters = sum(tensor.elements for tensor in tensors)
    choice = choose(machine, device=options.device_name, dtype=options.dtype_name, parameters=parameters)
    weights = fit.Weights(tensors, choice.dtype, options.quantization, config.is_quantized)
    may_spread = options.device is None and options.device_map == "auto"
    is_spread = may_spread and fit.needs_several_gpus(weights, machine, choice.device)
    if options.memory_check:
        free = fit.free_bytes(machine, choice.device, spread=is_spread)
        fit.check_fits(weights, free, name=model_name(folder), device=choice.device, smaller=_smaller_model)
    placement = options.device_map if isinstance(options.device_map, dict) or is_spread else {"": choice.device}
    logger.info("loading %s on %s in %s: %s", model_name(folder), choice.device, choice.dtype, choice.reason)
    detail = Message("{dtype} on {device}", dtype=choice.dtype, device=choice.device)
    reporter.progress(Progress("loading", 0, None, "steps", detail=detail))
    with no_network(), quiet_libraries():
        import_whole(*_PARTS, *(["peft"] if options.adapter else []))
        tokenizer = load_tokenizer(folder)
        stored = sum(path.stat().st_size for path in weight_files(folder))
        with counted_weights(tensors, stored, reporter, detail):
            model = _load(folder, choice, placement, options)
        if options.adapter is not None:
            model = _with_adapter(model, at_home(options.adapter))
    model.eval()
    reporter.progress(Progress("loading", 1, 1, "steps", detail=detail))
    return LoadedPair(model, tokenizer)


def _require_for(options: LoadOptions) -> None:
    more = [*(["peft"] if options.adapter else []), *(["bitsandbytes", "accelerate"] if options.quantization else [])]
    require("torch", "transformers", *more)


_LIGHT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("PreTrainedTokenizerFast", "TokenizersBackend"), "PreTrainedTokenizerFast"),
    **dict.fromkeys(("Qwen2Tokenizer", "Qwen2TokenizerFast"), "Qwen2TokenizerFast"),
}
"""Classes of tokenizers that transformers has without torch, by what a tokenizer's config calls them."""


def load_tokenizer(folder: Path, *, is_light: bool = False) -> Tokenizer:
    """Return the tokenizer of a model folder, its chat template tried out under limits.

    Args:
        folder: The model.
        is_light: Only count tokens: without the import of torch, which takes longer than the rest, where that goes.

    Raises UnsafeModel, LoadError, MissingPackage.
    """
    check_model_folder(folder)
    require("transformers")
    with no_network(), quiet_libraries():
        import transformers

        light = _LIGHT.get(_tokenizer_class(folder)) if is_light else None
        known = getattr(transformers, light or "AutoTokenizer", None) or transformers.AutoTokenizer
        try:
            tokenizer = known.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
            raise LoadError(
                "The tokenizer cannot be loaded ({kind}).",
                hint="Verify the model: what is wrong is fetched again.",
                details={"cause": str(error)},
                kind=type(error).__name__,
            ) from error
    if tokenizer.chat_template:
        with TemplateRenderer.of(tokenizer) as renderer:
            probe(renderer)
    return tokenizer


def _tokenizer_class(folder: Path) -> str:
    """Return what a tokenizer's config calls its class; "" if it does not say it."""
    try:
        return str(json.loads((folder / "tokenizer_config.json").read_bytes())["tokenizer_class"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def require(*packages: str) -> None:
    """Raise MissingPackage, with the command that installs it, unless all are installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            extra = "qlora" if package == "bitsandbytes" else "train"
            raise MissingPackage(
                "The package {package} is not installed.",
                hint='pip install "qwen3ft-jupyter[{extra}]"',
                package=package,
                extra=extra,
            )


def model_name(folder: Path) -> str:
    """Return the repo id that the folder's manifest names, else the folder's own name."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # a plain folder has no manifest
        return str(json.loads((folder / ".qwen3ft" / "manifest.json").read_bytes())["repo_id"])
    return folder.name


def _load(folder: Path, choice: Choice, placement: DeviceMap, options: LoadOptions) -> Model:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    arguments = {"dtype": getattr(torch, choice.dtype), "device_map": placement}
    if options.attn_implementation is not None:
        arguments["attn_implementation"] = options.attn_implementation
    if options.quantization is not None:
        arguments["quantization_config"] = _quantization(options.quantization, choice.dtype)
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, **arguments
        )
    except torch.OutOfMemoryError as error:
        raise DoesNotFit(
            "{name} ran out of memory while loading.",
            hint="Free memory and load again.",
            name=model_name(folder),
        ) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ImportError,
        RuntimeError,
        SafetensorError,
    ) as error:
        raise LoadError("The model cannot be loaded ({kind}).",
                        hint="Verify the model; if it is whole, its architecture may need a newer transformers.",
                        details={"cause": str(error)}, kind=type(error).__name__) from error  # fmt: skip


def _quantization(quantization: str, dtype: str) -> BitsAndBytesConfig:
    import torch
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


def _with_adapter(model: Model, adapter: Path) -> Model:
    from peft import PeftModel

    from qwen3ft_jupyter.loading.token_rows import compute_lean  # with it comes torch

    try:
        adapted = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise LoadError(
            "The adapter cannot be put on this model ({kind}).",
            hint="Use the base model that its adapter_config.json names.",
            details={"cause": str(error)},
            kind=type(error).__name__,
        ) from error
    compute_lean(adapted)
    return adapted


def _smaller_model(free: int) -> str:
    """Return the largest published model whose 16-bit weights fit, or ""."""
    from qwen3ft_jupyter.catalog import catalog

    fitting = [model for model in catalog() if model.parameters * 2 <= free]
    return str(max(fitting, key=lambda model: model.parameters).repo_id) if fitting else ""
