"""Counts conversations that stand in the data before, in 8 bytes of memory for each."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qwen3ft_jupyter.finetune.formats import Conversation


class Duplicates:
    """The hashes of conversations, and how many of them came before."""

    def __init__(self) -> None:
        self._hashes = [array("q") for _ in range(256)]
        """In parts, so that few are in a set at once."""

    def add(self, conversation: Conversation) -> None:
        """See one; where it stands makes no difference."""
        found = hash((conversation.sequences, conversation.tools))
        self._hashes[found % len(self._hashes)].append(found)

    @property
    def count(self) -> int:
        """Return how many of those seen say what an earlier one did."""
        return sum(len(hashes) - len(set(hashes)) for hashes in self._hashes)
