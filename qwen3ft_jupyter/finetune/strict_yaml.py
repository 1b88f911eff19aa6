"""Reads YAML as people mean it: a field that stands twice is named, and so is the colon of a Chinese input method."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import yaml

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from yaml.nodes import MappingNode

_WIDE_COLON = re.compile(r"^\s*[\w.]+\s*：", re.MULTILINE)
_NO_SPACE = re.compile(r"^\s*[A-Za-z_]+:[^\s/]", re.MULTILINE)


class _Loader(yaml.SafeLoader):
    """Makes no objects, and takes no field twice."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        """Return the fields of a group. Raises ConstructorError."""
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=deep)
            if isinstance(name, Hashable):
                if name in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{name} stands twice", key.start_mark)
                seen.add(name)
        return super().construct_mapping(node, deep=deep)


def load_yaml(text: str) -> object:
    """Return the values. Raises YAMLError, ValueError, RecursionError."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader


def find_slip(text: str, name: str) -> BadConfig | None:
    """Return the error for what was meant as YAML and is none, if it is a common slip."""
    for pattern, words, hint in (
        (
            _WIDE_COLON,
            Message("{name} has a full-width colon (：) in line {line}."),
            Message("Write a plain colon and a space: model: …"),
        ),
        (
            _NO_SPACE,
            Message("{name} lacks the space after the colon in line {line}."),
            Message("Write a colon and a space: model: …"),
        ),
    ):
        if found := pattern.search(text):
            line = text.count("\n", 0, found.end() - 1) + 1
            return BadConfig(words, hint=hint, name=name, line=line)
    return None
