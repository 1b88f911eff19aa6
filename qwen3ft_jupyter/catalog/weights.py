"""In which files the weights of a model lie, and what such files are called. Pure."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Final

INDEX_NAME: Final = "model.safetensors.index.json"
MAX_INDEX_BYTES: Final = 64 << 20
"""A longer index is none: the largest models have some 100,000 tensors in 10 MB."""
MAX_HEADER_BYTES: Final = 100_000_000
"""The limit of the safetensors format; a file that claims a longer header is none."""


def is_plain_name(name: object) -> bool:
    """Return whether `name` is the name of a file directly in a folder, on every platform."""
    if not isinstance(name, str) or not name or name != PurePath(name).name:
        return False
    return not any(character in "/\\:" or ord(character) < 32 for character in name) and not name.startswith(".")


def indexed_files(index: bytes) -> frozenset[str]:
    """Return the names of the files that an index of weights names, as they are written there.

    >>> indexed_files(b'{"weight_map": {"a": "x.safetensors", "b": "x.safetensors"}}')
    frozenset({'x.safetensors'})

    Raises:
        ValueError: it is no index, or it names nothing.
    """
    return frozenset(indexed_tensors(index))


def indexed_tensors(index: bytes) -> dict[str, set[str]]:
    """Return the tensors that an index of weights says are in each file; raises as `indexed_files`.

    >>> indexed_tensors(b'{"weight_map": {"a": "x.safetensors"}}')
    {'x.safetensors': {'a'}}
    """
    found: dict[str, set[str]] = {}
    try:
        for tensor, name in json.loads(str(index, "utf-8"))["weight_map"].items():  # the libraries read no other
            found.setdefault(str(name), set()).add(tensor)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(INDEX_NAME) from error
    if not found:
        raise ValueError(INDEX_NAME)
    return found
