"""Which files of a result are published, and that nothing private is in them.

What is published has a known name. All else stays here, whatever it is: checkpoints, the state of an optimizer, data,
logs, records of ours, what somebody keeps beside a model.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.catalog.usable import ADAPTER_CONFIG
from qwen3ft_jupyter.errors import BadInput, LoadError
from qwen3ft_jupyter.finetune.results import CARD
from qwen3ft_jupyter.hubs.names import as_repo_id
from qwen3ft_jupyter.loading.safety import check_adapter_folder, check_model_folder
from qwen3ft_jupyter.paths import is_file, is_link, names_in, reason_of
from qwen3ft_jupyter.upload.plan import Item

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES: Final = frozenset(
    (
        f"{CARD} LICENSE LICENSE.txt LICENSE.md NOTICE NOTICE.txt config.json generation_config.json {ADAPTER_CONFIG} "
        "tokenizer.json tokenizer_config.json tokenizer.model vocab.json merges.txt special_tokens_map.json "
        "added_tokens.json chat_template.jinja chat_template.json configuration.json"
    ).split()
)
_WEIGHTS: Final = re.compile(
    r"(?:model|adapter_model)(?:-\d{5}-of-\d{5})?\.safetensors|(?:model|adapter_model)\.safetensors\.index\.json"
    r"|[\w.-]+\.gguf",
    re.ASCII,
)
_READ: Final = frozenset(
    {CARD, "config.json", "generation_config.json", ADAPTER_CONFIG, "tokenizer_config.json", "chat_template.jinja"}
)
"""Files that are looked through. The others hold numbers, vocabulary or the words of a licence."""
_PATHS: Final = ("_name_or_path", "name_or_path")
"""Fields in which transformers notes where it loaded from: they mean nothing elsewhere."""
_TOKEN: Final = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|ms-[0-9a-f]{8}-[0-9a-f-]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|AKIA[0-9A-Z]{16}|LTAI[A-Za-z0-9]{12,})\b"
)
"""What tokens of hubs, of services and of clouds look like."""
_MOST_BYTES: Final = 16 << 20
"""A longer text is none of a card's or a config's."""


@dataclass(frozen=True, slots=True)
class Private:
    """What must not be in a file that is published."""

    secrets: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


def find_published(folder: Path, private: Private) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return the files of a model or an adapter that are published, and the names of what stays here.

    Raises:
        LoadError, UnsafeModel: There is no model, or not all of one.
        BadInput: A file cannot be read, or something private is in it; the message names it.
    """
    names = [name for name in names_in(folder) if _is_published(folder / name)]
    _check_whole(folder, names)
    items = tuple(_item(folder / name, private) for name in sorted(names))
    return items, tuple(name for name in names_in(folder) if name not in names)


def _is_published(path: Path) -> bool:
    is_known = path.name in _NAMES or _WEIGHTS.fullmatch(path.name) is not None
    return is_known and is_file(path) and not is_link(path)


def _check_whole(folder: Path, names: Iterable[str]) -> None:
    if any(name.endswith(".gguf") for name in names):
        return
    if ADAPTER_CONFIG in names:
        check_adapter_folder(folder)
        return
    check_model_folder(folder)
    if not any(name.endswith(".safetensors") for name in names):
        raise LoadError("{folder} holds no weights in safetensors.", folder=folder.name)


def _item(path: Path, private: Private) -> Item:
    try:
        size = path.stat().st_size
        if path.name not in _READ:
            return Item(path.name, size, path)
        if size > _MOST_BYTES:
            raise BadInput("{name} is larger than such a file can be.", name=path.name)
        before = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "UTF-8"
        raise BadInput("{name} cannot be read: {reason}.", name=path.name, reason=reason) from error
    text = _without_paths(path.name, before)
    check_private(path.name, text, private)
    return Item(path.name, size, path) if text == before else make_item(path.name, text)


def make_item(name: str, text: str) -> Item:
    """Return a file with a text of ours."""
    content = text.encode()
    return Item(name, len(content), None, content)


def _without_paths(name: str, text: str) -> str:
    """Return a config without the folders in which transformers found something."""
    if not name.endswith(".json"):
        return text
    try:
        config = json.loads(text)
    except ValueError as error:
        raise BadInput("{name} is no JSON.", name=name) from error
    if not isinstance(config, dict):
        return text
    left = [key for key in _PATHS if key in config and as_repo_id(str(config[key])) is None]
    if not left:
        return text
    return json.dumps({key: value for key, value in config.items() if key not in left}, indent=2, ensure_ascii=False)


def check_private(name: str, text: str, private: Private) -> None:
    """Raise BadInput, naming file and line but not what is there, if something private is in a text."""
    for number, line in enumerate(text.splitlines(), 1):
        if _TOKEN.search(line) or any(secret and secret in line for secret in private.secrets):
            raise BadInput(
                "{name}, line {number}: that looks like a token.",
                hint="Take it out, and make a new one: whoever has seen the file has the token.",
                name=name,
                number=number,
            )
        if any(_names_folder(line, folder) for folder in private.folders):
            raise BadInput(
                "{name}, line {number}: it names a folder of this machine.",
                hint="Take it out, or write what it stands for: a repo id, or the name of a file.",
                name=name,
                number=number,
            )


def _names_folder(line: str, folder: Path) -> bool:
    """Return whether a line names a folder, or something in it; JSON doubles a backslash."""
    path = str(folder)
    return len(folder.parts) > 1 and re.search(rf"{re.escape(path)}(?![\w.-])", line.replace("\\\\", "\\")) is not None
