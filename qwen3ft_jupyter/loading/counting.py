"""Tells how much of a model's weights has been loaded, which transformers shows only in a bar of its own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.loading.weights import Tensor
    from qwen3ft_jupyter.work import Reporter

_PARTS: Final = 100
"""A model of thousands of tensors tells no more often than this."""


@contextlib.contextmanager
def counted_weights(tensors: Sequence[Tensor], size_bytes: int, reporter: Reporter, detail: str) -> Iterator[None]:
    """Report the phase "loading" in bytes while transformers goes from tensor to tensor.

    Tensors are counted by their elements. Those that transformers makes of several stored ones have other names;
    they share alike what the others leave.

    Args:
        tensors: What is loaded.
        size_bytes: What they take on disk.
        reporter: Is told.
        detail: Is told along.
    """
    from transformers.utils import logging

    elements = {tensor.name: tensor.elements for tensor in tensors}

    def tell(share: float) -> None:
        reporter.progress(Progress("loading", round(share * size_bytes), size_bytes, detail=detail))

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        bar = factory(*args, **given)  # Any: transformers' own bar
        if given.get("desc") != "Loading weights" or not args or not elements:
            return bar
        return _counted(args[0], elements, tell)

    before = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


def _counted(
    items: Iterable[tuple[str, object]], elements: Mapping[str, int], tell: Callable[[float], None]
) -> Iterator[tuple[str, object]]:
    """Yield what a bar would, and tell the share that is done.

    >>> shares = []
    >>> list(_counted([("a", 1), ("b", 2), ("made", 3)], {"a": 6, "b": 2, "c": 1, "d": 1}, shares.append))
    [('a', 1), ('b', 2), ('made', 3)]
    >>> shares
    [0.6, 0.8, 1.0]
    """
    found = list(items)
    whole = sum(elements.values())
    made = [name for name, _ in found if name not in elements]
    left = whole - sum(elements.get(name, 0) for name, _ in found)
    done, told = 0.0, 0.0
    for name, item in found:
        yield name, item
        done += elements.get(name, left / len(made) if made else 0)
        if done - told >= whole / _PARTS or name == found[-1][0]:
            told = done
            tell(min(1.0, done / whole))
