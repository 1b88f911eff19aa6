"""The index that says in which files the weights of a model lie. Pure."""

from __future__ import annotations

import json
from typing import Final

INDEX_NAME: Final = "model.safetensors.index.json"
MAX_INDEX_BYTES: Final = 64 << 20
"""A longer index is none: the largest models have some 100,000 tensors in 10 MB."""


def indexed_files(index: bytes) -> frozenset[str]:
    """Return the names of the files that an index of weights names, as they are written there.

    >>> indexed_files(b'{"weight_map": {"a": "x.safetensors", "b": "x.safetensors"}}')
    frozenset({'x.safetensors'})

    Raises:
        ValueError: it is no index, or it names nothing.
    """
    try:
        names = frozenset(str(name) for name in json.loads(index)["weight_map"].values())
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(INDEX_NAME) from error
    if not names:
        raise ValueError(INDEX_NAME)
    return names
