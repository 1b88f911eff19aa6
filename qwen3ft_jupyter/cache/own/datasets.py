"""Where the data sets of a cache lie, and what their folders are called by a fine-tune's `data`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.layout import folders_in, guess_repo_id
from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.hubs.datasets import DatasetName
from qwen3ft_jupyter.hubs.names import DATASETS_FOLDER
from qwen3ft_jupyter.paths import is_link

if TYPE_CHECKING:
    from pathlib import Path


def dataset_roots(root: Path) -> list[Path]:
    """Return the folders in a cache that are laid out as caches themselves, and hold data sets; symlinks left out."""
    top = root / DATASETS_FOLDER
    return [] if is_link(top) else sorted(choice for hub in folders_in(top) for choice in folders_in(hub))


def recorded_dataset(folder: Path) -> DatasetName | None:
    """Return the data set that a folder in a cache holds, by its manifest; None: it has none or lies elsewhere.

    The hub is the one it came from, which has it: earlier versions may have put it into the folder of another.
    """
    if len(folder.parts) < 4 or folder.parts[-4] != DATASETS_FOLDER:
        return None
    record = read_manifest(folder)
    return DatasetName.of_choice(record.hub, folder.parts[-2], record.repo_id) if record is not None else None


def dataset_at(root: Path, path: Path) -> DatasetName | None:
    """Return the data set in the cache `root` that a path leads to or into; None if it leads to none."""
    top = root / DATASETS_FOLDER
    parts = path.relative_to(top).parts if path.is_relative_to(top) else ()
    if len(parts) < 3:
        return None
    hub, choice, folder = parts[0], parts[1], parts[2].partition("#")[0]
    record = read_manifest(top / hub / choice / folder)
    repo_id = record.repo_id if record is not None else guess_repo_id(folder)
    return DatasetName.of_choice(hub, choice, repo_id) if repo_id is not None else None
