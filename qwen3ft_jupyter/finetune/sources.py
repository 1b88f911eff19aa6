"""Which files a config's `data` names: paths, folders, patterns, and how many rows of each."""

from __future__ import annotations

import errno
import glob
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune.dataset_info import Entry, find_entry, has_entries
from qwen3ft_jupyter.finetune.encoding import SUFFIXES
from qwen3ft_jupyter.finetune.near import nearest_file
from qwen3ft_jupyter.hubs.datasets import kept_dataset
from qwen3ft_jupyter.messages import Message, Names
from qwen3ft_jupyter.paths import current_folder, fault_of, is_file, is_folder, is_there, reason_of, why_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig

_SHARE = re.compile(r"(.+)#(\d{1,12})?(?:x(\d{1,6}(?:\.\d{1,6})?))?")
"""A path, how many rows, and the weight of each."""
_REPO = re.compile(r"(?:(?:hf|ms|huggingface|modelscope)::?)?[\w.-]+/[\w.-]+(?::[^:/\s]*){0,2}", re.IGNORECASE)
"""A data set on a hub; who fetches it knows better."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and how many of its rows are drawn; None: all."""

    path: Path
    rows: int | None = None
    weight: float = 1.0
    """How often each row is seen in an epoch; below 1, the part of them that is drawn."""
    entry: Entry | None = None
    """What a dataset_info.json says of the file."""
    group: str = ""
    """The path that `data` names, which may be that of a folder: `rows` are drawn from all files in it together."""

    @property
    def share(self) -> str:
        """Return rows and weight as `data` has them, "" if all are taken once."""
        weight = f"x{self.weight:g}" if self.weight != 1 else ""
        return f"#{'' if self.rows is None else self.rows}{weight}" if self.rows is not None or weight else ""


def find_sources(named: Sequence[str], notices: list[str]) -> tuple[list[Source], list[BadData]]:
    """Return the files that these paths stand for, in order, and what is wrong with the others.

    What is in a folder and is not read goes to `notices`.
    """
    sources: list[Source] = []
    problems: list[BadData] = []
    for name in named:
        try:
            sources += _expand(name, notices)
        except BadData as error:  # noqa: PERF203 - every wrong one is named
            problems.append(error)
        except OSError as error:
            problems.append(unreadable(Path(name), error))
    seen: set[Path] = set()
    for source in sources:
        if source.path in seen:
            problems.append(BadData("{name} is named twice in data.", hint="Name it once.", name=source.path.name))
        seen.add(source.path)
    return sources, problems


def _expand(name: str, notices: list[str]) -> list[Source]:
    """Return the files that a path stands for. Raises BadData, OSError."""
    path, source = Path(name), Source(Path(name))
    match = _SHARE.fullmatch(name)
    if match and not is_there(path) and (match[2] or match[3]):
        path = Path(match[1])
        source = Source(path, int(match[2]) if match[2] else None, float(match[3]) if match[3] else 1.0)
    source = replace(source, group=str(path))
    if source.rows == 0 or source.weight == 0:
        raise BadData("{name} asks for no rows.", hint="Write for example {name}#500.", name=path.name)
    if fault := why_unseen(path):
        raise fault
    if is_folder(path):
        return _some(_data_in(path, notices), source)
    if not is_there(path) and glob.has_magic(str(path)) and not _is_address(path):
        return _some(_matching(path, notices), source)
    if not is_there(path) and (entry := find_entry(path)):
        return _described(entry, source, notices)
    if not is_there(path):
        raise _missing(path)
    if not is_file(path):  # a pipe would keep us waiting
        raise BadData(
            "{name} is no file.", hint="Name a file or a folder.", details={"path": str(path)}, name=path.name
        )
    return [source]


def _described(entry: Entry, named: Source, notices: list[str]) -> list[Source]:
    """Return the files that a dataset_info.json names. Raises BadData, OSError."""
    if unused := entry.unused:
        words = Message("{name}: not used of dataset_info.json: {names}", name=entry.name, names=", ".join(unused))
        notices.append(words)
    rows = entry.rows if named.rows is None else named.rows
    return [
        replace(one, weight=named.weight, entry=entry)
        for one in _expand(f"{entry.path}{Source(entry.path, rows).share}", notices)
    ]


def _data_in(folder: Path, notices: list[str]) -> list[Path]:
    """Return the files of data in a folder but not hidden ones; those below it only if there are no others.

    Raises OSError.
    """
    shown = [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]  # noqa: PTH208
    found = [one for one in shown if one.suffix.lower() in SUFFIXES and is_file(one)]
    if not found:  # as data sets on a hub have them
        below = sorted(glob.glob("**/*", root_dir=folder, recursive=True))  # noqa: PTH207 - Path.glob takes hidden ones
        return [folder / one for one in below if one.lower().endswith(SUFFIXES) and is_file(folder / one)]
    others = [one for one in shown if one not in found]
    folders = Names(one.name for one in others if is_folder(one))
    files = Names(one.name for one in others if not is_folder(one))
    if files.names:
        notices.append(Message("{name}: not read, being no files of data: {names}", name=folder.name, names=files))
    if folders.names:
        notices.append(
            Message(
                "{name}: folders not read, as files of data stand beside them: {names}",
                name=folder.name,
                names=folders,
            )
        )
    return found


def _matching(pattern: Path, notices: list[str]) -> list[Path]:
    """Return the files that a pattern describes; what it could not look into goes to `notices`."""
    named = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - Path.glob has no absolute patterns
    patterns = [parent for parent in pattern.parents if glob.has_magic(str(parent))]
    folders = {folder for one in patterns for folder in glob.glob(str(one), recursive=True)}  # noqa: PTH207
    base = next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))
    if fault := fault_of(base):
        raise fault
    unseen = sorted(Path(folder).name for folder in folders if not is_file(folder) and fault_of(folder))
    if unseen:
        notices.append(
            Message("{name}: folders that cannot be looked into: {names}", name=pattern.name, names=Names(unseen))
        )
    return [Path(one) for one in named if is_file(one)]


def _some(found: list[Path], source: Source) -> list[Source]:
    path = source.path
    if not found:
        raise BadData(
            "{name} holds no files of data." if is_folder(path) else "{name}: no file is called so.",
            hint="Accepted: {names}.",
            details={"path": str(path)},
            name=path.name,
            names=", ".join(SUFFIXES),
        )
    return [replace(source, path=one) for one in found]


def unreadable(path: Path, error: OSError) -> BadData:
    """Return the error for a file that the disk does not give."""
    is_missing = isinstance(error, FileNotFoundError)
    return BadData(
        "{name} does not exist." if is_missing else "data: {name} cannot be read: {reason}.",
        hint="Check the path; relative ones start at the notebook's folder."
        if is_missing or error.errno == errno.ENAMETOOLONG
        else "Make it readable, or name another.",
        details={"path": str(path)},
        name=path.name if len(path.name) < 100 else path.name[:60] + "…",
        reason=reason_of(error),
    )


def may_be_repo(name: str) -> bool:
    """Return whether an item of `data`, as it was written, has the form of a data set on a hub.

    >>> may_be_repo("owner/name#500"), may_be_repo("data/train.jsonl"), may_be_repo("train")
    (True, False, False)
    """
    match = _SHARE.fullmatch(name)
    bare = match[1] if match is not None and (match[2] or match[3]) else name
    return _REPO.fullmatch(bare) is not None and Path(bare).suffix.lower() not in SUFFIXES


def absent_repo(item: str, names: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what `named_repo` does, by the names of data sets that were written down when they were here, by path."""
    path = path_of(item)
    if (name := names.get(str(path))) and not is_there(path):
        return name, item[len(str(path)) :]
    return named_repo(item)


def path_of(item: str) -> Path:
    """Return the path of an item of `data`, without what is taken of it."""
    match = _SHARE.fullmatch(item)
    return Path(match[1]) if match is not None and (match[2] or match[3]) else Path(item)


def named_repo(name: str) -> tuple[str, str] | None:
    """Return the data set on a hub that an item of `data` names, and what is taken of it; None if it is a path."""
    path = path_of(name)
    if (kept := kept_dataset(path)) is not None and not is_there(path):
        return kept, name[len(str(path)) :]
    here = current_folder()
    if is_there(path) or here is None or not path.is_relative_to(here) or path.suffix.lower() in SUFFIXES:
        return None
    text = path.relative_to(here).as_posix()
    if not _REPO.fullmatch(text) or has_entries(path):
        return None
    return text, name[len(str(path)) :]


def named_paths(config: FineTuneConfig) -> Iterator[tuple[str, str]]:
    """Yield the paths of a config, each behind its field: what whoever runs it elsewhere has to see there.

    A data set of a hub is none: it is put into the cache.
    """
    yield "output_dir", config.output_dir
    yield from (("data", item) for item in config.data if named_repo(item) is None)
    yield from ((name, path) for name in ("init_from", "from_run") if (path := getattr(config, name)))


def _is_address(path: Path) -> bool:
    return ":/" in path.as_posix() and not path.drive


def _missing(path: Path) -> BadData:
    is_address = _is_address(path)
    here = current_folder()
    short = path.relative_to(here).as_posix() if here is not None and path.is_relative_to(here) else path.name
    if is_address:
        message = Message("{name} is an address: data is not fetched from the network.")
        hint = Message("Download the file and name it.")
    elif "," in path.name:
        message = Message("{name} does not exist. Several files are a list.")
        hint = Message("Write a list: [a.jsonl, b.jsonl].")
    elif named_repo(str(path)):
        message = Message("{name} does not exist.")
        hint = Message("Check the path. A data set on a hub is fetched before, where a fine-tune is begun.")
    else:
        message, near = Message("{name} does not exist."), nearest_file(path)
        hint = Message("Check the path; relative ones start at the notebook's folder.")
        hint = Message('Did you mean "{near}"?', near=near) if near else hint
    name = path.name if is_address or path.suffix else short
    return BadData(message, hint=hint, details={"path": str(path)}, name=name)
