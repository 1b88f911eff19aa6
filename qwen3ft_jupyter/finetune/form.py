"""What a form is told while someone fills it in: what is wrong where, what holds where nothing is said, and the YAML.

Nothing is read but the fields themselves and, for a name in `data`, whether a file has it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import yaml

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.dataset_info import has_entries
from qwen3ft_jupyter.finetune.names import in_our_words
from qwen3ft_jupyter.finetune.presets import EXCLUSIVE, fill_in
from qwen3ft_jupyter.finetune.problems import problems_of
from qwen3ft_jupyter.finetune.rules import read_paths
from qwen3ft_jupyter.finetune.sources import may_be_repo, path_of
from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_there

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATHS = ("data", "output_dir", "init_from", "from_run")
"""Fields that hold paths, or names that stand for one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field, or with several at once."""

    fields: tuple[str, ...]
    """Their whole names, such as lora.r; none where it is about all of the config."""
    message: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it stands."""

    config: Mapping[str, Any]
    """The fields that are given, under our names; Any: they are as they were written."""
    problems: tuple[Problem, ...]
    defaults: Mapping[str, Any]
    """What each field is where nothing is given, by its whole name; preset, method and objective decide on it."""
    yaml: str
    """The same config as ``%%qwen3ft finetune`` and ``qwen3ft finetune`` read it."""
    absent: tuple[str, ...] = ()
    """Data sets on a hub that are not on this disk, by their names, with a hub where one was named."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def check_form(
    config: str | Mapping[str, Any],
    *,
    root: Path,
    folder: str = "",
    base: str = "",
    absent_name: Callable[[str], str | None] = lambda _: None,
) -> Filled:
    """Return what is to be told of a form.

    Args:
        config: The fields, or the YAML of them.
        root: Where relative paths begin.
        folder: For which folder below it the YAML is written: that of a notebook, or of the file itself.
        base: In which folder below it the paths of `config` begin; those that are returned begin at `root`.
        absent_name: Returns the data set on a hub that a name means; None if it is here, or is none.

    Raises:
        BadConfig: The text is no YAML, or holds no fields.
    """
    values = in_our_words(parse_yaml(config) if isinstance(config, str) else config, FineTuneConfig.model_fields, [])
    given = _rebased(values, root, start=base, end="")
    text = yaml.safe_dump(_rebased(given, root, start="", end=folder), sort_keys=False, allow_unicode=True, width=120)
    problems = _find_problems(config if isinstance(config, Mapping) else parse_yaml(config), root)
    absent = _absent(given.get("data"), root, absent_name)
    return Filled(given, problems, _defaults(given), text if given else "", absent)


def _absent(data: object, root: Path, absent_name: Callable[[str], str | None]) -> tuple[str, ...]:
    texts = [text for item in (data if isinstance(data, (list, tuple)) else [data]) for text in _text_of(item)]
    paths = [path_of(text) for text in texts if may_be_repo(text)]
    named = [path.as_posix() for path in paths if not is_there(root / path) and not has_entries(root / path)]
    return tuple(dict.fromkeys(found for name in named if (found := absent_name(name))))


def _text_of(item: object) -> tuple[str, ...]:
    """Return an item of data in one text, also if it was in fields; none if it is wrong, which others tell."""
    try:
        return read_paths([item])
    except ValueError:
        return ()


def _find_problems(values: Mapping[str, Any], root: Path) -> tuple[Problem, ...]:
    try:
        FineTuneConfig.from_dict(values, base=root)
    except BadConfig as error:
        return tuple(Problem(_fields_of(each), each) for each in problems_of(error)) or (Problem((), error.message),)
    return ()


def _fields_of(problem: str) -> tuple[str, ...]:
    values = problem.values if isinstance(problem, Message) else {}
    names = values.get("name") or values.get("names") or ""
    return tuple(str(names).split(", ")) if names else ()


def _defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each field is that is not given."""
    plain = {name: field.default for name, field in FineTuneConfig.model_fields.items() if not field.is_required()}
    within = plain.pop("lora").model_dump(mode="json")
    of_dlc = plain.pop("dlc").model_dump(mode="json")
    filled = fill_in({name: given[name] for name in ("preset", "method", "objective") if given.get(name) is not None})
    within |= filled.pop("lora", {})
    for one, other in EXCLUSIVE.items():
        if given.get(other) is not None:
            filled.pop(one, None)
    plain |= {name: value for name, value in filled.items() if name not in {"preset", "method", "objective"}}
    groups = {"lora": within, "dlc": of_dlc}
    defaults = plain | {f"{group}.{name}": value for group in groups for name, value in groups[group].items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


def _rebased(values: Mapping[str, Any], root: Path, *, start: str, end: str) -> dict[str, Any]:
    """Return the fields with the relative paths that begin in one folder below `root` begin in another."""

    def move(name: object) -> object:
        if isinstance(name, Mapping) and "path" in name:  # a source in fields, as `rules.read_paths` takes it
            return {**name, "path": move(name["path"])}
        if not isinstance(name, str) or start == end or not _is_relative_path(name, root, start):
            return name
        return posixpath.relpath(posixpath.join("/", start, name), posixpath.join("/", end))

    moved = {name: values[name] for name in values}
    for name in PATHS:
        if value := moved.get(name):
            moved[name] = [move(each) for each in value] if isinstance(value, (list, tuple)) else move(value)
    return moved


def _is_relative_path(name: str, root: Path, start: str) -> bool:
    if not name or name.startswith(("/", "~", "\\")) or ":" in name:
        return False
    return not may_be_repo(name) or is_there(root / start / name)
