"""The models this process has in memory, so that asking one again does not load it again."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.loading.libraries import LoadedPair
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.loading.libraries import Model, Tokenizer
    from qwen3ft_jupyter.work import Reporter


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """What a name given to load or chat stands for."""

    folder: Path
    adapter: Path | None = None
    made: float = 0.0
    """Changes when the same folders hold something new."""


class LoadedModels:
    """The model that answers questions, and the one a caller loaded and may still hold."""

    def __init__(self) -> None:
        self._own: tuple[ModelLocation, LoadedPair] | None = None
        self._lent: tuple[ModelLocation, weakref.ref[Model], weakref.ref[Tokenizer]] | None = None
        """Chatting with what a caller holds must not take the memory twice."""

    def load(self, location: ModelLocation, options: LoadOptions, reporter: Reporter) -> LoadedPair:
        """Load for a caller; keeps neither model nor tokenizer alive."""
        pair = _load(location, options, reporter)
        if options.adapter is None:  # with an adapter of the caller's own it is not what the name stands for
            self._lent = (location, weakref.ref(pair.model), weakref.ref(pair.tokenizer))
        return pair

    def get(self, location: ModelLocation, reporter: Reporter) -> LoadedPair:
        """Return the model and its tokenizer, loading only what nobody here holds."""
        if self._lent is not None and self._lent[0] == location:
            model, tokenizer = self._lent[1](), self._lent[2]()
            if model is not None and tokenizer is not None:
                return LoadedPair(model, tokenizer)
        if self._own is None or self._own[0] != location:
            self._own = None  # give the memory back before the next model takes its own
            self._own = (location, _load(location, LoadOptions(), reporter))
        return self._own[1]

    def release(self) -> None:
        """Give back the memory of the model that answers questions."""
        self._own = None


def _load(location: ModelLocation, options: LoadOptions, reporter: Reporter) -> LoadedPair:
    options = replace(options, adapter=options.adapter or location.adapter)
    return load_model_and_tokenizer(location.folder, options, reporter=reporter)
