"""Data sets on a hub: which files of a repo are the rows of a subset and split. All but `DatasetHub` is pure.

What a data set's card says (`configs` in the front matter of README.md, as both hubs have it) comes first; without, a
subset is a folder, or how names of files begin, and words such as *train* and *test* in a path tell the splits.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadInput, UnsafeModel
from qwen3ft_jupyter.hubs.cards import CARD, MAX_CARD_BYTES, read_card
from qwen3ft_jupyter.hubs.names import DATASETS_FOLDER, PREFIXES, LeftOut, RepoId, as_repo_id, path_problem
from qwen3ft_jupyter.messages import Names

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence
    from pathlib import PurePath

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.listing import Hub, Listing, RemoteFile, Request
    from qwen3ft_jupyter.settings.declared import HubName

_SHORT: Final[Mapping[str, str]] = {"huggingface": "hf", "modelscope": "ms"}

TRAIN: Final = frozenset({"train", "training"})
VALIDATION: Final = frozenset({"validation", "valid", "val", "dev"})
TEST: Final = frozenset({"test", "testing", "eval", "evaluation"})
SPLITS: Final = (TRAIN, VALIDATION, TEST)
"""Words of one meaning that tell a split in the path of a file, as the hubs' own clients take them."""
ABOUT: Final = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json"})
"""Files that say something of the data, and hold none."""

MAX_NAMED: Final = 12
DEFAULT: Final = "default"
_NAME = re.compile(
    r"(?:([a-z]+)::?)?([^:/\s]+/[^:/\s]+?)(?::([^:/\s@#]*))?(?::([^:/\s@#]+))?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^a-z]+")


@dataclass(frozen=True, slots=True)
class DatasetName:
    """A data set as a person names it: ``[hf:|ms:]owner/name[:subset[:split]]``."""

    repo_id: RepoId
    subset: str = ""
    """"" for the one that is meant where none is named."""
    hub: HubName | None = None
    """None: the preferred one."""
    split: str = ""
    """"" for the one to train on."""

    @property
    def choice(self) -> str:
        """Return subset and split as one name of a folder."""
        return (self.subset or DEFAULT) + (f"@{self.split}" if self.split else "")

    def __str__(self) -> str:
        hub = f"{_SHORT[self.hub]}:" if self.hub else ""
        parts = [self.subset, self.split] if self.split else [self.subset] if self.subset else []
        return ":".join([f"{hub}{self.repo_id}", *parts])

    @classmethod
    def of_choice(cls, hub: str, choice: str, repo_id: RepoId) -> DatasetName:
        """Return the data set of a hub whose folder is called `choice`.

        >>> str(DatasetName.of_choice("modelscope", "default@test", RepoId("a/b")))
        'ms:a/b::test'
        """
        subset, _, split = choice.partition("@")
        known = next((name for name in _SHORT if name == hub), None)
        return cls(repo_id, "" if subset == DEFAULT else subset, PREFIXES[known] if known else None, split)


def parse_dataset(text: str) -> DatasetName | None:
    """Return the data set that a text names, None if it cannot be one.

    >>> parse_dataset("hf:org/name:zh")
    DatasetName(repo_id='org/name', subset='zh', hub='huggingface', split='')
    >>> str(parse_dataset("org/name:zh:test")), str(parse_dataset("HF::org/name::test"))
    ('org/name:zh:test', 'hf:org/name::test')
    >>> parse_dataset("data/train.jsonl/x"), parse_dataset("C:/data")
    (None, None)
    """
    match = _NAME.fullmatch(text)
    if match is None or (match[1] and match[1].lower() not in PREFIXES):
        return None
    repo_id = as_repo_id(match[2])
    subset, split = match[3] or "", match[4] or ""
    if repo_id is None or any(part and path_problem(part) for part in (subset, split)):
        return None
    return DatasetName(repo_id, subset, PREFIXES[match[1].lower()] if match[1] else None, split)


def as_dataset(name: str) -> DatasetName | None:
    """Return the data set that a name means where a model's could stand: one that says its hub.

    >>> str(as_dataset("hf:a/b")), as_dataset("a/b")
    ('hf:a/b', None)
    """
    found = parse_dataset(name)
    return found if found is not None and found.hub is not None else None


def kept_dataset(path: PurePath) -> str | None:
    """Return what a folder of a data set in a cache was fetched as; None if it is none, or its path does not tell.

    Owners on ModelScope may hold an underscore, which is also what parts them from the name: rows of somebody else's
    data set are worse than none.

    >>> from pathlib import PurePosixPath
    >>> kept_dataset(PurePosixPath("/models/.datasets/modelscope/zh@test/org_talks")), kept_dataset(PurePosixPath("/a"))
    ('ms:org/talks:zh:test', None)
    """
    if len(path.parts) < 4 or path.parts[-4] != DATASETS_FOLDER:
        return None
    hub, choice, folder = path.parts[-3:]
    if hub != "huggingface" and folder.count("_") > 1:
        return None
    repo_id = as_repo_id(folder.replace("_", "/", 1))
    return str(DatasetName.of_choice(hub, choice, repo_id)) if repo_id is not None else None


class DatasetHub:
    """A hub whose listings are cut down to the rows of one split of a subset."""

    def __init__(
        self,
        hub: Hub,
        client: HttpClient,
        name: DatasetName,
        suffixes: Sequence[str],
        listed: Listing | None = None,
    ) -> None:
        """Make one that lists the rows of one data set.

        Args:
            hub: Lists data sets.
            client: Asks it for a card.
            name: Which rows.
            suffixes: The endings of files of rows.
            listed: What it has listed a moment ago, and answers the first time without asking again.
        """
        self._hub, self._client, self._name, self._suffixes, self._listed = hub, client, name, suffixes, listed

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
        """Return the files of the split; the others are left out. Raises as `Hub.listing`, and BadInput."""
        if self._listed is not None:
            listed, self._listed = self._listed, None
            return listed
        listing = self._hub.listing(repo_id, revision, stop=stop)
        card = next((file for file in listing.files if file.path == CARD), None)
        text = self._card(listing, card, stop) if card is not None else ""
        chosen = set(choose_files(listing, text, self._name, self._suffixes))
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


def choose_files(listing: Listing, card: str, name: DatasetName, suffixes: Sequence[str]) -> list[str]:
    """Return the paths of the files that hold the rows of a choice. Raises BadInput, UnsafeModel."""
    paths = _rows_in(listing, suffixes)
    configs = read_configs(card)
    if name.subset and not name.split and name.subset not in configs and _has_split(configs, name):
        name = replace(name, subset="", split=name.subset)
    if configs and (not name.subset or name.subset in configs):
        patterns = _patterns(configs, name)
        found = [path for path in paths if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)]
        if not found:
            raise _no_subset(name, list(configs))
        return found
    if name.subset:
        found = [path for path in paths if _is_called(path, name.subset)]
        if not found:
            splits = list(_splits_of(configs[_default(configs)])) if _default(configs) else _splits_in(paths)
            raise _no_subset(name, list(configs) or _subsets(paths), splits)
        paths = found
    return of_one_type(_files_of_split(paths, name) if name.split else training_files(paths))


def _rows_in(listing: Listing, suffixes: Sequence[str]) -> list[str]:
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
    return [path for path in paths if not path.lower().endswith(".txt")] or paths  # those are mostly about the rows


def training_files(paths: Sequence[str]) -> list[str]:
    """Return the files of the split that is trained on, by the words in their paths; all if none says it.

    >>> training_files(["data/train-00.parquet", "data/test-00.parquet"]), training_files(["a.json", "dev.json"])
    (['data/train-00.parquet'], ['a.json'])
    """
    words = {path: _words(path) for path in paths}
    train = [path for path in paths if words[path] & TRAIN]
    return train or [path for path in paths if not words[path] & (VALIDATION | TEST)] or list(paths)


def _files_of_split(paths: Sequence[str], name: DatasetName) -> list[str]:
    """Return the files of a split that their paths tell. Raises BadInput."""
    found = [path for path in paths if _is_called(path, name.split)]
    if not found:
        synonyms = next((words for words in SPLITS if name.split.lower() in words), frozenset[str]())
        found = [path for path in paths if _words(path) & synonyms]
    if not found:
        raise _no_split(name, _splits_in(paths))
    return found


def _splits_in(paths: Sequence[str]) -> list[str]:
    """Return the splits that the words in paths tell, each as it is called there."""
    known = [word for words in SPLITS for word in sorted(words)]
    return [word for word in known if any(word in _words(path) for path in paths)]


def _words(path: str) -> set[str]:
    return set(_WORD.split(path.lower()))


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
    front = read_card(card).front
    configs = front.get("configs")
    return {
        str(one.get("config_name", "default")): one
        for one in (configs if isinstance(configs, list) else [])
        if isinstance(one, dict) and (one.get("data_files") or one.get("data_dir"))
    }


def _patterns(configs: Mapping[str, Mapping[str, object]], name: DatasetName) -> list[str]:
    """Return patterns of the files of a choice. Raises BadInput if it is not said which is meant."""
    subset = name.subset or _default(configs)
    if not subset:
        raise BadInput(
            "{repo_id} has several subsets: {names}.",
            hint="Name one: {address}",
            repo_id=name.repo_id,
            names=", ".join(list(configs)[:MAX_NAMED]),
            address=str(replace(name, subset=next(iter(configs)))),
        )
    config = configs[subset]
    folder = config.get("data_dir")
    prefix = f"{folder.strip('/')}/" if isinstance(folder, str) and folder.strip("./") else ""
    splits = _splits_of(config)
    chosen = _choose_split(splits, replace(name, subset=name.subset and subset))
    return [prefix + pattern.removeprefix("./") for split in chosen for pattern in splits[split]]


def _default(configs: Mapping[str, Mapping[str, object]]) -> str:
    """Return the subset that is meant where none is named; "" if that is not clear."""
    marked = [name for name, config in configs.items() if config.get("default") is True or name == DEFAULT]
    return next(iter(marked), "") or (next(iter(configs)) if len(configs) == 1 else "")


def _has_split(configs: Mapping[str, Mapping[str, object]], name: DatasetName) -> bool:
    """Return whether what stands where a subset does is a split of the subset that is meant without."""
    default = _default(configs)
    return bool(default) and name.subset in _splits_of(configs[default])


def _splits_of(config: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the patterns of the files of each split, as a card gives them."""
    files = config.get("data_files") or "*"
    if isinstance(files, Mapping):
        files = [{"split": split, "path": path} for split, path in files.items()]
    by_split: dict[str, list[str]] = {}
    for one in files if isinstance(files, list) else [files]:
        split, path = (one.get("split", "train"), one.get("path")) if isinstance(one, Mapping) else ("train", one)
        by_split.setdefault(str(split), []).extend(map(str, path if isinstance(path, list) else [path]))
    return by_split


def _choose_split(splits: Mapping[str, list[str]], name: DatasetName) -> Sequence[str]:
    """Return the splits of a choice: what is named, else what is trained on. Raises BadInput."""
    if name.split:
        synonyms = next((words for words in SPLITS if name.split.lower() in words), frozenset({name.split}))
        found = [split for split in splits if split == name.split] or [one for one in splits if one.lower() in synonyms]
        if not found:
            raise _no_split(name, list(splits))
        return found
    train = [split for split in splits if split.lower() in TRAIN] or [
        split for split in splits if _words(split) & TRAIN
    ]
    if len(train) == 1 or len(splits) == 1:
        return train or list(splits)
    raise BadInput(
        "{repo_id} has no split called train, but {names}.",
        hint="Name one: {address}",
        repo_id=name.repo_id,
        names=", ".join(list(splits)[:MAX_NAMED]),
        address=str(replace(name, split=(train or list(splits))[0])),
    )


def _is_called(path: str, name: str) -> bool:
    """Return whether a file is of a subset or split: in a folder of that name, or called so."""
    *folders, file = path.lower().split("/")
    stem, own = file.rpartition(".")[0], name.lower()
    return own in folders or stem == own or (stem.startswith(own) and not stem[len(own)].isalnum())


def _subsets(paths: Sequence[str]) -> list[str]:
    return sorted({path.split("/")[0].rpartition(".")[0] or path.split("/")[0] for path in paths})


def _no_subset(name: DatasetName, subsets: Sequence[str], splits: Sequence[str] = ()) -> BadInput:
    near = _near(name.subset, [*subsets, *splits])
    known = subsets if len(subsets) > 1 else [*subsets, *splits]
    return BadInput(
        "{repo_id} has no subset {subset} of files that are read.",
        hint='Did you mean "{address}"? It has {names}.' if near else "It has {names}. Write for example {address}",
        repo_id=name.repo_id,
        subset=name.subset or DEFAULT,
        names=", ".join(known[:MAX_NAMED]),
        address=str(replace(name, subset=near or next(iter(known), DEFAULT))),
    )


def _no_split(name: DatasetName, known: Sequence[str]) -> BadInput:
    near = _near(name.split, known)
    hint = 'Did you mean "{address}"? It has {names}.' if near else "It has {names}. Write for example {address}"
    return BadInput(
        "{repo_id} has no split {split} of files that are read.",
        hint=hint if known else "No names of its files tell splits: leave it out.",
        repo_id=name.repo_id,
        split=name.split,
        names=", ".join(known[:MAX_NAMED]),
        address=str(replace(name, split=near or next(iter(known), ""))),
    )


def _near(name: str, known: Iterable[str]) -> str:
    spelled = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), spelled, 1)
    return spelled[close[0]] if close else ""
