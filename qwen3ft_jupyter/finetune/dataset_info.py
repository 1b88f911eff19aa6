"""LLaMA-Factory's `dataset_info.json`: which file a name stands for, and what its columns and roles are called.

Fields as in its `data/README.md`. What has no equal here is refused, or named as not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune.rows import BadRow, Row, as_object
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_file, reason_of

FILE: Final = "dataset_info.json"
USUAL_FOLDER: Final = "data"
"""Where LLaMA-Factory looks if nobody says where."""

COLUMNS: Final[Mapping[str, str]] = {
    "prompt": "question",
    "query": "question",
    "response": "answer",
    "history": "history",
    "system": "system",
    "tools": "tools",
    "messages": "messages",
    "chosen": "chosen",
    "rejected": "rejected",
}
"""What a column is called there, and what it is here."""

MEDIA: Final = ("images", "videos", "audios")
HUBS: Final[Mapping[str, str]] = {"hf_hub_url": "hf:", "ms_hub_url": "ms:"}
"""Fields that name a repo instead of a file, and what says here which hub it is on."""

NOT_HERE: Final = ("om_hub_url", "script_url", "cloud_file_name")

ROLES: Final[Mapping[str, str]] = {
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
"""Roles of sharegpt, and the names they have if an entry gives none."""

USED: Final = frozenset({"file_name", "formatting", "columns", "tags", "ranking", "num_samples", *HUBS})


@dataclass(frozen=True, slots=True)
class Tags:
    """What the turns of sharegpt call their parts and roles."""

    role: str = "from"
    content: str = "value"
    names: Mapping[str, str] = field(default_factory=dict)
    """The names used here, by theirs."""

    def apply(self, row: Row, column: str) -> Row:
        """Return the row with its turns in the usual words; what is no turn of theirs stays as it is."""
        turns = row.columns.get(column)
        if not isinstance(turns, (list, tuple)):
            return row
        renamed = [self._turn(turn) if isinstance(turn, Mapping) else turn for turn in turns]
        return Row({**row.columns, column: renamed}, row.where, row.notes, row.offset, row.length)

    def _turn(self, turn: Mapping[str, object]) -> dict[str, object]:
        own = {self.role: "from", self.content: "value"}
        said = {own.get(name, name): value for name, value in turn.items()}
        role = said.get("from")
        return {**said, "from": self.names.get(role, role)} if isinstance(role, str) else said


@dataclass(frozen=True, slots=True)
class Entry:
    """What a dataset_info.json says of one name."""

    name: str
    path: Path
    """The file or folder."""
    columns: Mapping[str, tuple[str, ...]]
    """By what they hold; empty: told by their names."""
    data_format: str
    """"auto" where it gives no columns."""
    tags: Tags | None
    rows: int | None
    is_ranked: bool
    unused: tuple[str, ...]
    digest: str
    """SHA-256 of what it says."""

    @property
    def turns(self) -> str:
        """Return the column that holds the turns."""
        return self.columns.get("messages", ("conversations",))[0]


def has_entries(path: Path) -> bool:
    """Return whether a dataset_info.json would be asked for this path."""
    return any(is_file(folder / FILE) for folder in (path.parent, path.parent / USUAL_FOLDER))


def find_entry(path: Path) -> Entry | None:
    """Return the entry that a path which does not exist stands for: FOLDER/NAME, where FOLDER has a dataset_info.json.

    None if there is none. Raises BadData, if there is a file of entries and it lacks this one or has it wrong.
    """
    if path.suffix:
        return None
    found = [folder / FILE for folder in (path.parent, path.parent / USUAL_FOLDER) if is_file(folder / FILE)]
    if not found:
        return None
    entries = _read(found[0])
    if path.name not in entries:
        near = next(iter(get_close_matches(path.name, entries, 1)), None)
        raise BadData(
            "{name} does not exist, and {file} does not know it.",
            hint='Did you mean "{near}"?' if near else "It knows {names}.",
            name=path.name,
            file=FILE,
            near=near,
            names=", ".join(list(entries)[:12]),
        )
    return _entry(path.name, entries[path.name], found[0].parent)


def _read(path: Path) -> dict[str, object]:
    try:
        entries = json.loads(path.read_bytes(), object_pairs_hook=as_object)
    except OSError as error:
        raise BadData("data: {name} cannot be read: {reason}.", name=FILE, reason=reason_of(error)) from error
    except BadRow as error:
        raise BadData("{name}: {problem}.", hint="Keep one.", name=FILE, problem=error.args[0]) from error
    except (ValueError, RecursionError) as error:
        raise BadData("{name} is not JSON: {problem}.", name=FILE, problem=str(error)[:80]) from error
    if not isinstance(entries, dict):
        raise BadData("{name} is not a group of data sets by name.", name=FILE)
    return entries


def _choice(values: Mapping[str, object]) -> list[str]:
    """Return subset and split of an entry, as they stand behind the name of a repo."""
    subset, split = (value if isinstance(value := values.get(key), str) else "" for key in ("subset", "split"))
    return [subset, split] if split and split != "train" else [subset] if subset else []


def _entry(name: str, values: object, folder: Path) -> Entry:
    if not isinstance(values, dict):
        raise wrong_entry(name, Message("it is not a group of fields"))
    file_name, formatting = values.get("file_name"), values.get("formatting", "alpaca")
    columns, tags = _group(name, values, "columns"), _group(name, values, "tags")
    for hub, prefix in HUBS.items():
        if file_name is None and isinstance(repo := values.get(hub), str):
            raise BadData(
                "{name} stands for {repo}, a data set on a hub, in {file}.",
                hint="Write data: {address}",
                name=name,
                repo=repo,
                file=FILE,
                address=":".join([f"{prefix}{repo}", *_choice(values)]),
            )
    if not isinstance(file_name, str):
        others = ", ".join(one for one in NOT_HERE if one in values)
        raise wrong_entry(
            name, Message("{names} is not read here; file_name names a file", names=others or "file_name")
        )
    if formatting not in {"alpaca", "sharegpt", "openai"}:
        raise wrong_entry(
            name, Message("formatting {value!r} is not one of alpaca, sharegpt, openai", value=formatting)
        )
    if media := [one for one in MEDIA if one in columns]:
        raise wrong_entry(name, Message("{names}: only text can be learned", names=", ".join(media)))
    if "kto_tag" in columns:
        raise wrong_entry(name, Message("kto_tag: KTO does not exist here; chosen and rejected answers do"))
    named = _columns(name, columns, is_sharegpt=formatting != "alpaca")
    rows = values.get("num_samples")
    ours = {"alpaca": "alpaca", "sharegpt": "sharegpt", "openai": "messages"}
    return Entry(
        name,
        folder / file_name,
        named,
        ours[str(formatting)] if named else "auto",
        _tags(name, tags) if tags else None,
        rows if isinstance(rows, int) else None,
        values.get("ranking") is True,
        tuple(sorted(set(values) - USED)),
        hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest(),
    )


def _group(name: str, values: dict[str, object], key: str) -> dict[str, str]:
    found = values.get(key) or {}
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values() if one is not None):
        raise wrong_entry(name, Message("{name} is not a group of names", name=key))
    return {str(part): one for part, one in found.items() if one is not None}


def _columns(name: str, columns: Mapping[str, str], *, is_sharegpt: bool) -> dict[str, tuple[str, ...]]:
    named: dict[str, tuple[str, ...]] = {}
    for part, column in columns.items():
        if part not in COLUMNS:
            raise wrong_entry(
                name, Message("columns: {name} is not one of {names}", name=part, names=", ".join(COLUMNS))
            )
        named[COLUMNS[part]] = (*named.get(COLUMNS[part], ()), column)
    if named and is_sharegpt:
        named.setdefault("messages", ("conversations",))
    return named


def _tags(name: str, tags: Mapping[str, str]) -> Tags:
    known = {"role_tag", "content_tag", *ROLES}
    if unknown := sorted(set(tags) - known):
        words = Message("tags: {name} is not one of {names}", name=unknown[0], names=", ".join(sorted(known)))
        raise wrong_entry(name, words)
    names = {tags.get(tag, usual): usual for tag, usual in ROLES.items()}
    return Tags(tags.get("role_tag", "from"), tags.get("content_tag", "value"), names)


def wrong_entry(name: str, problem: str) -> BadData:
    """Return the error for an entry with something wrong in it."""
    return BadData("{name} in {file}: {problem}.", hint="Correct the entry.", name=name, file=FILE, problem=problem)
