"""The weights that a QLoRA has been trained on: those of its base in 4 bits, as numbers again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.adapter import text_name
from qwen3ft_jupyter.finetune.model import evaluate_as_trained
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from qwen3ft_jupyter.loading.libraries import Model
    from qwen3ft_jupyter.loading.machine import Machine

_BELOW_ADAPTER = ".base_layer"


class Dequantized:
    """A base in 4 bits with its adapter, on the CPU."""

    def __init__(self, folder: Path, adapter: Path, dtype: str, machine: Machine | None = None) -> None:
        """Load both as training does, with a base in `dtype` before it is quantized. Raises as the loader does."""
        import torch

        options = LoadOptions(device="cpu", dtype=dtype, quantization="4bit", adapter=adapter, memory_check=False)
        self.model: Model = load_model_and_tokenizer(folder, options, machine=machine).model
        evaluate_as_trained(self.model)
        self._layers = {
            f"{name.removesuffix(_BELOW_ADAPTER)}.weight": layer
            for name, layer in self.model.get_base_model().named_modules()
            if hasattr(getattr(layer, "weight", None), "quant_state")
        }
        for layer in self._layers.values():
            layer.weight.quant_state.dtype = torch.float32  # which it is dequantized to; a pass takes that of its input

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the weights that are in 4 bits."""
        return frozenset(self._layers)

    def weight(self, name: str) -> torch.Tensor | None:
        """Return a weight of a layer in float32, by its name here or in a file; None: it is not in 4 bits."""
        from bitsandbytes.functional import dequantize_4bit

        layer = self._layers.get(text_name(name))
        return None if layer is None else dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()

    def compute_in(self, dtype: str) -> Model:
        """Return the model, which computes in `dtype` from now on, with the same weights in its layers of 4 bits."""
        import torch

        wanted = getattr(torch, dtype)
        for parameter in self.model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(wanted)
        for layer in self._layers.values():
            layer.compute_dtype = wanted
        return self.model
