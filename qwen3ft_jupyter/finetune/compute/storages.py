"""Counts the memory of tensors, real ones or fake, by the birth and the death of their storages."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qwen3ft_jupyter.finetune.dry_run import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.finetune.dry_run import Kind, Peaks, Phase


class Storages:
    """The bytes that are alive, by what they are for, and the most of each phase."""

    def __init__(self) -> None:
        """Begin with none."""
        self._alive: dict[int, tuple[weakref.ref[Any], int, Kind]] = {}
        """By the address of the storage, which the reference tells dead in time: addresses are used again."""
        self._now: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.peaks: Peaks = {}
        self._most = 0
        self.phase: Phase = "forward"
        self.born: Kind = "activations"
        """What is made now is for this."""

    def begin(self, phase: Phase, born: Kind = "activations") -> None:
        """Begin or go on with a phase."""
        self.phase, self.born = phase, born
        self._most = sum(self.peaks.get(phase, {}).values())
        self._look()

    def see(self, value: object, kind: Kind | None = None) -> None:
        """Count a tensor's storage if it is new; if a kind is given, it is for that from now on."""
        if not isinstance(value, torch.Tensor):
            return
        storage = value.untyped_storage()
        key = storage._cdata  # noqa: SLF001 - the address; data_ptr is 0 for all fake ones
        known = self._alive.get(key)
        if known is None:
            size, kind = storage.nbytes(), kind or self.born
            self._alive[key] = weakref.ref(storage, lambda _: self._lose(key)), size, kind
            self._now[kind] += size
            self._look()
        elif kind and kind != known[2]:
            self._now[known[2]] -= known[1]
            self._now[kind] += known[1]
            self._alive[key] = known[0], known[1], kind

    def _lose(self, key: int) -> None:
        _, size, kind = self._alive.pop(key)
        self._now[kind] -= size

    def _look(self) -> None:
        total = sum(self._now.values())
        if total > self._most:
            self._most, self.peaks[self.phase] = total, {**self._now}


class Tracking(TorchDispatchMode):  # type: ignore[misc]  # the train extra has no types
    """Shows every tensor that an operation makes."""

    def __init__(self, storages: Storages) -> None:
        """Take who counts."""
        super().__init__()
        self._storages = storages

    def __torch_dispatch__(
        self, func: Any, _types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:  # Any: whatever torch computes
        """Compute, and count."""
        answer = func(*args, **(kwargs or {}))
        if isinstance(answer, torch.Tensor):
            self._storages.see(answer)
        else:
            for each in tree_leaves(answer):
                self._storages.see(each)
        return answer
