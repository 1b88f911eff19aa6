"""What is said of a model that is not here, but for a slip of the finger would be. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog import find as find_published
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

_IS_NEAR = 0.85
"""Similarity (difflib, 1.0 is equal) from which one name is taken for another."""


def hint_at(name: str, known: Iterable[str], otherwise: Message) -> Message:
    """Return the question whether the one of `known` that is called nearly like `name` is meant; else `otherwise`.

    Two published models differ in less than a slip of the finger does, and whoever names one of them means it.

    >>> str(hint_at("me/chat-modell", ["me/chat-model"], Message("Download it.")))
    'Did you mean "me/chat-model"?'
    >>> str(hint_at("Qwen/Qwen3-4B", ["Qwen/Qwen3-8B"], Message("Download it.")))
    'Download it.'
    """
    if any(find_published(one) is not None for one in (name, name.replace("_", "/", 1))):
        return otherwise
    spelled = {one.lower(): one for one in known if one != name}
    near = get_close_matches(name.lower(), spelled, 1, _IS_NEAR)
    return Message('Did you mean "{near}"?', near=spelled[near[0]]) if near else otherwise
