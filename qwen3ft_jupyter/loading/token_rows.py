"""Rows of embedding and head that an adapter trains itself, as peft's `trainable_token_indices` name them.

peft computes with a copy of the whole matrix in which those rows are replaced: of an 8B 1.2 GB for the embedding, as
much for the head, and their gradients, in every pass. Here only the answers for those tokens are replaced.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from qwen3ft_jupyter.loading.libraries import Model


def compute_lean(model: Model) -> None:
    """Have the layers of a model whose rows an adapter trains compute without a copy of their matrices."""
    import torch

    plain = {torch.nn.Embedding, torch.nn.Linear}
    for layer in model.modules():
        if "trainable_tokens_delta" in _children(layer) and type(layer.base_layer) in plain:
            layer.forward_adapters = partial(_forward, layer)


def _forward(layer: nn.Module, x: Tensor, names: list[str], *args: Any, **kwargs: Any) -> Tensor:
    """Return the answer of the layer below, with that of the trained rows in it. Any: peft passes it on."""
    import torch
    from torch.nn.functional import embedding, linear

    trained = _rows_of(layer, names)
    if trained is None:
        answer: Tensor = type(layer).forward_adapters(layer, x, names, *args, **kwargs)
        return answer
    ids, rows = trained
    answer, rows = layer.base_layer(x, *args, **kwargs), rows.to(layer.base_layer.weight.dtype)
    if isinstance(layer.base_layer, torch.nn.Linear):
        return answer.index_copy(-1, ids, linear(x, rows))
    places = x[..., None] == ids
    return torch.where(places.any(-1, keepdim=True), embedding(places.int().argmax(-1), rows), answer)


def base_of(layer: nn.Module) -> nn.Module:
    """Return the embedding or head below such rows, or the layer itself."""
    adapter = _children(layer).get("token_adapter")
    return layer if adapter is None else adapter.base_layer


def trained_rows(layer: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Return ids of tokens, and the rows that stand for theirs in an embedding or a head; None: there are none now."""
    adapter = _children(layer).get("token_adapter")
    return None if adapter is None else _rows_of(adapter, adapter.active_adapters)


def _children(layer: nn.Module) -> dict[str, nn.Module]:
    """Return a layer's parts by name; asked for one that they lack, wrappers of peft ask what they wrap."""
    return dict(layer.named_children())


def _rows_of(adapter: nn.Module, names: list[str]) -> tuple[Tensor, Tensor] | None:
    """Return them of the one adapter that is on; None: it is off, or merged, or peft has several to put together."""
    import torch

    if adapter.disable_adapters or adapter.merged or len(names) != 1:
        return None
    rows = adapter.trainable_tokens_delta[names[0]]
    return torch.tensor(adapter.token_indices[names[0]], device=rows.device), rows
