"""The weights that a QLoRA has been trained on: those of its base in 4 bits, as numbers again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.adapter import text_name
from qwen3ft_jupyter.finetune.model import evaluate_as_trained
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from qwen3ft_jupyter.loading.libraries import Model
    from qwen3ft_jupyter.loading.machine import Machine
    from qwen3ft_jupyter.work import Reporter

_BELOW_ADAPTER = ".base_layer"


class Dequantized:
    """A base in 4 bits with its adapter, on the CPU."""

    def __init__(
        self, folder: Path, adapter: Path, dtype: str, machine: Machine | None = None, *, reporter: Reporter = SILENT
    ) -> None:
        """Load both as training does, with a base in `dtype` before it is quantized. Raises as the loader does."""
        import torch

        options = LoadOptions(device="cpu", dtype=dtype, quantization="4bit", adapter=adapter, memory_check=False)
        model = load_model_and_tokenizer(folder, options, machine=machine, reporter=reporter).model
        evaluate_as_trained(model)
        self._model: Model = model
        self._layers = {
            f"{name.removesuffix(_BELOW_ADAPTER)}.weight": layer
            for name, layer in model.get_base_model().named_modules()
            if hasattr(getattr(layer, "weight", None), "quant_state")
        }
        for layer in self._layers.values():
            layer.weight.quant_state.dtype = torch.float32  # which it is dequantized to; a pass takes that of its input
        self.names = frozenset(self._layers)
        """Of the weights that are in 4 bits."""

    def weight(self, name: str) -> torch.Tensor | None:
        """Return a weight of a layer in float32, by its name here or in a file; None: it is not in 4 bits."""
        from bitsandbytes.functional import dequantize_4bit

        layer = self._layers.get(text_name(name))
        return None if layer is None else dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()

    def compute_in(self, dtype: str) -> Model:
        """Return the model, which computes in `dtype` from now on, with the same weights in its layers of 4 bits."""
        import torch

        model, wanted = self._model, getattr(torch, dtype)
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(wanted)
        for layer in self._layers.values():
            layer.compute_dtype = wanted
        return model

    def release(self) -> None:
        """Forget the model: its names are all that is left."""
        del self._model
        self._layers = {}
