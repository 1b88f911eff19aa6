"""Data sets on a hub: which files of a repo are the rows of one subset. All but `DatasetHub` is pure.

What a data set's card says (`configs` in the front matter of README.md, as both hubs have it) comes first; without, a
subset is a folder, or how names of files begin, and words such as *train* and *test* in a path tell the splits.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadInput, UnsafeModel
from qwen3ft_jupyter.hubs.names import LeftOut, RepoId, as_repo_id, path_problem
from qwen3ft_jupyter.messages import Names

if TYPE_CHECKING:
    import threading

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.listing import Hub, Listing, RemoteFile, Request
    from qwen3ft_jupyter.settings.declared import HubName

PREFIXES: Final[Mapping[str, HubName]] = {
    "hf": "huggingface",
    "huggingface": "huggingface",
    "ms": "modelscope",
    "modelscope": "modelscope",
}
"""What in front of a name says which hub is meant; ms-swift writes two colons."""

CARD: Final = "README.md"
MAX_CARD_BYTES: Final = 4 << 20
TRAIN: Final = frozenset({"train", "training"})
HELD_OUT: Final = frozenset({"test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation"})
ABOUT: Final = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json"})
"""Files that say something of the data, and hold none."""

MAX_NAMED: Final = 12
_NAME = re.compile(r"(?:([a-z]+)::?)?([^:/\s]+/[^:/\s]+)(?::([^:/\s]+))?", re.IGNORECASE)
_WORD = re.compile(r"[^a-z]+")


@dataclass(frozen=True, slots=True)
class DatasetName:
    """A data set as a person names it: ``[hf:|ms:]owner/name[:subset]``."""

    repo_id: RepoId
    subset: str = ""
    """"" for the one that is meant where none is named."""
    hub: HubName | None = None
    """None: the preferred one."""


def parse_dataset(text: str) -> DatasetName | None:
    """Return the data set that a text names, None if it cannot be one.

    >>> parse_dataset("hf:org/name:zh")
    DatasetName(repo_id='org/name', subset='zh', hub='huggingface')
    >>> parse_dataset("data/train.jsonl/x"), parse_dataset("C:/data")
    (None, None)
    """
    match = _NAME.fullmatch(text)
    if match is None or (match[1] and match[1].lower() not in PREFIXES):
        return None
    repo_id = as_repo_id(match[2])
    subset = match[3] or ""
    if repo_id is None or (subset and path_problem(subset)):
        return None
    return DatasetName(repo_id, subset, PREFIXES[match[1].lower()] if match[1] else None)


class DatasetHub:
    """A hub whose listings are cut down to the rows of one subset."""

    def __init__(self, hub: Hub, client: HttpClient, subset: str, suffixes: Sequence[str]) -> None:
        """Args: who lists data sets, what asks it for a card, the subset, the endings of files of rows."""
        self._hub, self._client, self._subset, self._suffixes = hub, client, subset, suffixes

    @property
    def name(self) -> HubName:
        """See `Hub.name`."""
        return self._hub.name

    @property
    def label(self) -> str:
        """See `Hub.label`."""
        return self._hub.label

    @property
    def endpoint(self) -> str:
        """See `Hub.endpoint`."""
        return self._hub.endpoint

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:
        """See `Hub.commit`."""
        return self._hub.commit(repo_id, revision, stop=stop)

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:
        """Return the files of the subset; the others are left out. Raises as `Hub.listing`, and BadInput."""
        listing = self._hub.listing(repo_id, revision, stop=stop)
        card = next((file for file in listing.files if file.path == CARD), None)
        text = self._card(listing, card, stop) if card is not None else ""
        chosen = set(choose_files(listing, text, self._subset, self._suffixes))
        others = tuple(LeftOut(file.path, file.size) for file in listing.files if file.path not in chosen)
        return replace(
            listing,
            files=tuple(file for file in listing.files if file.path in chosen),
            left_out=(*listing.left_out, *others),
        )

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:
        """See `Hub.file_request`."""
        return self._hub.file_request(listing, file)

    def _card(self, listing: Listing, file: RemoteFile, stop: threading.Event | None) -> str:
        request = self._hub.file_request(listing, file)
        answer = self._client.get(request.url, headers=request.headers, max_bytes=MAX_CARD_BYTES, stop=stop)
        return answer.body.decode(errors="replace") if answer.status == 200 else ""


def choose_files(listing: Listing, card: str, subset: str, suffixes: Sequence[str]) -> list[str]:
    """Return the paths of the files that hold the rows to train on. Raises BadInput, UnsafeModel."""
    paths = [
        str(file.path)
        for file in listing.files
        if str(file.path).lower().endswith(tuple(suffixes)) and str(file.path).rpartition("/")[2] not in ABOUT
    ]
    if not paths:
        raise UnsafeModel(
            "{repo_id} holds no rows that are read; it has {files}.",
            hint="Accepted: {names}.",
            repo_id=listing.repo_id,
            files=Names([*(file.path for file in listing.files), *(file.path for file in listing.left_out)]),
            names=", ".join(suffixes),
        )
    paths = [path for path in paths if not path.lower().endswith(".txt")] or paths  # those are mostly about the rows
    configs = read_configs(card)
    if configs and (not subset or subset in configs):
        patterns = _patterns(listing.repo_id, configs, subset)
        paths = [path for path in paths if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)]
        if not paths:
            raise _no_subset(listing.repo_id, subset or "default", configs)
        return paths
    if subset:
        found = [path for path in paths if _is_in(path, subset)]
        if not found:
            raise _no_subset(listing.repo_id, subset, configs or _subsets(paths))
        paths = found
    return of_one_type(training_files(paths))


def training_files(paths: Sequence[str]) -> list[str]:
    """Return the files of the split that is trained on, by the words in their paths; all if none says it.

    >>> training_files(["data/train-00.parquet", "data/test-00.parquet"]), training_files(["a.json", "dev.json"])
    (['data/train-00.parquet'], ['a.json'])
    """
    words = {path: set(_WORD.split(path.lower())) for path in paths}
    train = [path for path in paths if words[path] & TRAIN]
    return train or [path for path in paths if not words[path] & HELD_OUT] or list(paths)


def of_one_type(paths: Sequence[str]) -> list[str]:
    """Return the files of the most common ending: a repo may hold the same rows in several.

    >>> of_one_type(["a.json", "b.parquet", "c.parquet"])
    ['b.parquet', 'c.parquet']
    """
    endings = Counter(path.rpartition(".")[2].lower() for path in paths)
    most = endings.most_common(1)[0][0]
    return [path for path in paths if path.lower().endswith(f".{most}")]


def read_configs(card: str) -> dict[str, Mapping[str, object]]:
    """Return the subsets that the front matter of a card describes, by name; none if it describes none."""
    import yaml

    parts = card.lstrip("\ufeff").split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        front = yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    configs = front.get("configs") if isinstance(front, dict) else None
    return {
        str(one.get("config_name", "default")): one
        for one in (configs if isinstance(configs, list) else [])
        if isinstance(one, dict) and (one.get("data_files") or one.get("data_dir"))
    }


def _patterns(repo_id: RepoId, configs: Mapping[str, Mapping[str, object]], subset: str) -> list[str]:
    """Return patterns of the files of a subset's training split. Raises BadInput if it is not said which is meant."""
    defaults = [name for name, config in configs.items() if config.get("default") is True or name == "default"]
    name = subset or next(iter(defaults), "")
    if not name and len(configs) > 1:
        raise BadInput(
            "{repo_id} has several subsets: {names}.",
            hint="Name one: {repo_id}:{first}",
            repo_id=repo_id,
            names=", ".join(list(configs)[:MAX_NAMED]),
            first=next(iter(configs)),
        )
    config = configs[name or next(iter(configs))]
    folder, files = config.get("data_dir"), config.get("data_files")
    prefix = f"{folder.strip('/')}/" if isinstance(folder, str) and folder.strip("./") else ""
    if files is None:
        return [f"{prefix}*"]
    return [prefix + pattern.removeprefix("./") for pattern in _of_split(repo_id, files)]


def _of_split(repo_id: RepoId, files: object) -> list[str]:
    if isinstance(files, Mapping):
        files = [{"split": split, "path": path} for split, path in files.items()]
    listed = files if isinstance(files, list) else [files]
    by_split: dict[str, list[str]] = {}
    for one in listed:
        split, path = (one.get("split", "train"), one.get("path")) if isinstance(one, Mapping) else ("train", one)
        by_split.setdefault(str(split), []).extend(map(str, path if isinstance(path, list) else [path]))
    train = [split for split in by_split if set(_WORD.split(split.lower())) & TRAIN]
    if not train and len(by_split) > 1:
        raise BadInput(
            "{repo_id} has no split called train, but {names}.",
            hint="Download the files of one and name them.",
            repo_id=repo_id,
            names=", ".join(list(by_split)[:MAX_NAMED]),
        )
    return [path for split in (train or by_split) for path in by_split[split]]


def _is_in(path: str, subset: str) -> bool:
    """Return whether a file is of a subset: in a folder of that name, or called so."""
    *folders, name = path.lower().split("/")
    stem, own = name.rpartition(".")[0], subset.lower()
    return own in folders or stem == own or (stem.startswith(own) and not stem[len(own)].isalnum())


def _subsets(paths: Sequence[str]) -> list[str]:
    return sorted({path.split("/")[0].rpartition(".")[0] or path.split("/")[0] for path in paths})


def _no_subset(repo_id: RepoId, subset: str, known: Sequence[str] | Mapping[str, object]) -> BadInput:
    return BadInput(
        "{repo_id} has no subset {subset} of files that are read.",
        hint="It has {names}. Write for example {address}",
        repo_id=repo_id,
        subset=subset,
        names=", ".join(list(known)[:MAX_NAMED]),
        address=f"{repo_id}:{next(iter(known), 'default')}",
    )
