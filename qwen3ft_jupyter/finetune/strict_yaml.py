"""Reads the YAML of a config as people mean it: a field twice is named, and so is the colon of a Chinese keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.near import nearest_file
from qwen3ft_jupyter.hubs.cards import BAD_YAML
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import at_home

if TYPE_CHECKING:
    from yaml.nodes import MappingNode, Node, ScalarNode

_WIDE_COLON = re.compile(r"^\s*[\w.]+\s*：", re.MULTILINE)
_NO_SPACE = re.compile(r"^\s*[A-Za-z_]+:[^\s/]", re.MULTILINE)

THE_CONFIG = Message("The fine-tune config")


_MERGE: Final = "tag:yaml.org,2002:merge"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
MOST_NODES: Final = 100_000
"""The most values a config may have with all that each * repeats: nine lines of nine make hundreds of millions."""
_TAGS: Final = {kind: f"tag:yaml.org,2002:{kind}" for kind in ("int", "float")}
_INT: Final = re.compile(r"^(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$")
_FLOAT: Final = re.compile(
    r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN))$"
)


class _Loader(yaml.SafeLoader):
    """Makes no objects, takes no field twice, and takes for numbers what a person would.

    PyYAML reads 012345 as octal and 24:00 as base 60, as YAML 1.1 has it: the id of a workspace would be another, and a
    day 1,440 hours. Here they stay text, which a field that wants a number refuses; a date stays text, too.
    """

    def get_single_node(self) -> Node | None:
        """Return what is written.

        Raises ConstructorError: it holds itself, repeats itself without end, or has a field twice. All that is looked
        for here, because what << brings is there to be overruled, and PyYAML puts it among a group's own fields.
        """
        node: Node | None = super().get_single_node()
        if node is not None:
            self._count(node, {})
        return node

    def _count(self, node: Node, known: dict[Node, int]) -> int:
        """Return how many values a node comes to with all that it repeats; 0 in `known` is one not yet counted."""
        if known.get(node) == 0:
            raise yaml.constructor.ConstructorError(None, None, "a part of it holds itself", node.start_mark)
        if node not in known:
            known[node] = 0
            _refuse_doubled(node)
            inner = node.value if isinstance(node, yaml.CollectionNode) else []
            parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
            known[node] = 1 + sum(self._count(part, known) for part in parts)
            if known[node] > MOST_NODES:
                raise yaml.constructor.ConstructorError(None, None, "it repeats itself too often", node.start_mark)
        return known[node]

    def construct_scalar(self, node: ScalarNode | MappingNode) -> str:
        """Return a text. Raises ConstructorError: it has half of a character, which nothing can write or send."""
        if isinstance(node.value, str) and _SURROGATE.search(node.value):
            raise yaml.constructor.ConstructorError(None, None, "half of a character", node.start_mark)
        return str(super().construct_scalar(node))

    def construct_date(self, node: ScalarNode) -> str:
        """Return a date as it was written. Raises ValueError: there is no such day."""
        self.construct_yaml_timestamp(node)
        return str(node.value)


def _refuse_doubled(node: Node) -> None:
    """Raise ConstructorError for a field that stands twice in a group."""
    seen = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
        if name in seen and key.tag != _MERGE:
            raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
        seen |= {name} if name else set()


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in _TAGS.values()]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_date)
_Loader.add_implicit_resolver(_TAGS["int"], _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(_TAGS["float"], _FLOAT, list("-+.0123456789"))


def read_config(path: Path) -> dict[str, object]:
    """Return the fields in a YAML (or JSON) file, unchecked. Raises BadConfig, naming the file."""
    try:
        text = at_home(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        near = nearest_file(path) if isinstance(error, FileNotFoundError) else None
        raise BadConfig(
            "{name} cannot be read: {reason}.",
            hint='Did you mean "{near}"?' if near else "Give the path of a YAML file.",
            details={"file": str(path)},
            name=path.name or path,
            near=near,
            reason=getattr(error, "strerror", None) or Message("it is not UTF-8"),
        ) from error
    return parse_yaml(text, name=path.name)


def parse_yaml(text: str, *, name: str = THE_CONFIG) -> dict[str, object]:
    """Return the fields written in YAML (or JSON, which is YAML), unchecked. Raises BadConfig, calling it `name`."""
    try:
        values: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except (yaml.YAMLError, *BAD_YAML) as error:
        if slip := _find_slip(text, name):
            raise slip from error
        mark = getattr(error, "problem_mark", None)
        raise BadConfig(
            "{name} is not YAML at line {line}: {problem}." if mark else "{name} is not YAML.",
            hint="Write one `field: value` a line.",
            name=name,
            line=mark.line + 1 if mark else None,
            problem=getattr(error, "problem", None),
        ) from error
    if not isinstance(values, dict):
        if slip := _find_slip(text, name):
            raise slip
        raise BadConfig("{name} is not a list of fields.", hint="Write for example: model: Qwen/Qwen3-0.6B", name=name)
    return {str(field_name): value for field_name, value in values.items()}


def _find_slip(text: str, name: str) -> BadConfig | None:
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
