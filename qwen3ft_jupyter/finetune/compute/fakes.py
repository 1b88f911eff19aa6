"""Lets a model be built and trained on tensors that have a shape but no numbers, as on real ones, on any machine."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DRAWN = frozenset({"aten::uniform_", "aten::normal_", "aten::random_", "aten::bernoulli_", "aten::exponential_"})


class TooSlow(Exception):
    """The time was up."""


@contextlib.contextmanager
def fake_tensors(*, chosen: int, shares_rows: bool, until: float) -> Iterator[None]:
    """Make tensors without numbers.

    They lie on the CPU whatever device is meant: torch without CUDA has no others, and the operations are the same.

    Args:
        chosen: Rows that a mask picks, as many as the loss learns tokens.
        shares_rows: Whether attention is to keep samples of one row apart, with a mask.
        until: `time.process_time()` at which TooSlow is raised.
    """
    masks = mock.patch("transformers.masking_utils.is_tracing", return_value=shares_rows, create=True)
    moves = mock.patch.object(torch.nn.Module, "to", _cast)  # torch's own swaps tensors, which fake ones do not bear
    with masks, moves, FakeTensorMode(allow_non_fake_inputs=True), _Answers(chosen, until):
        yield


class _Answers(TorchDispatchMode):  # type: ignore[misc]  # the train extra has no types
    """Answers what depends on numbers: each is 1, a mask picks the rows that were said, nothing is drawn."""

    def __init__(self, chosen: int, until: float) -> None:
        super().__init__()
        self._chosen, self._until = chosen, until

    def __torch_dispatch__(
        self, func: Any, _types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:  # Any: whatever torch computes
        if time.process_time() > self._until:
            raise TooSlow
        aten = torch.ops.aten
        if func is aten._local_scalar_dense.default:  # noqa: SLF001 - it has no other name
            return 1
        if func._schema.name in _DRAWN:  # noqa: SLF001 - it has no other name
            return args[0]
        if func is aten.index.Tensor:
            args = [args[0], [place for index in args[1] for place in self._places(index)]]
        return func(*args, **(kwargs or {}))

    def _places(self, index: Any) -> list[Any]:
        """Return the index, or those that stand for a mask."""
        if index is None or index.dtype != torch.bool:
            return [index]
        return [torch.zeros(self._chosen, dtype=torch.long) for _ in range(index.dim())]


def _cast(module: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
    """Do what `Module.to` does, but for the device."""
    dtype = torch._C._nn._parse_to(*args, **kwargs)[1]  # noqa: SLF001 - as torch's own
    for part in module.modules() if dtype else ():
        for name, parameter in list(part._parameters.items()):  # noqa: SLF001 - those that are the part's own
            if parameter is not None and parameter.is_floating_point() and parameter.dtype != dtype:
                part._parameters[name] = torch.nn.Parameter(  # noqa: SLF001
                    parameter.detach().to(dtype), requires_grad=parameter.requires_grad
                )
    return module
