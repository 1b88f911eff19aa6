"""What a name given to load or chat stands for: a repo, the result of a fine-tune, or a folder."""

from __future__ import annotations

import contextlib
import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog import check_published, nearest_known
from qwen3ft_jupyter.catalog import find as find_published
from qwen3ft_jupyter.errors import BadInput, LoadError, UnknownModel
from qwen3ft_jupyter.finetune.merged import LAST, is_merged
from qwen3ft_jupyter.finetune.results import is_run, read_run
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.loading.loaded import ModelLocation
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.paths import at_home, is_file, is_folder, matching

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.manager.jobs import ModelJobs

_RUNS = "runs"
"""The folder that a fine-tune writes to where none is given: no hub is asked for what seems to lie in it."""
_MOST_NAMES = 1000
"""Entries of a folder that are looked through for a name that comes near."""


def locate(name: str, jobs: ModelJobs, cache: ModelCache, ensure: Callable[[str], CachedModel]) -> ModelLocation:
    """Return the folders to load; `ensure` brings a repo here.

    Raises:
        LoadError: it is a fine-tune or a merge without a result, or a file.
        UnknownModel: it seems to be a folder, and there is none; no hub is asked.
    """
    merged = jobs.merged_dir_of(name)
    if merged is not None and not is_merged(merged):
        raise LoadError("{folder} holds no finished merge.", hint="Resume it, or merge again.", folder=merged.name)
    output_dir = jobs.output_dir_of(name)
    path = merged or output_dir or at_home(name)
    if output_dir is not None or is_run(path):
        result = read_run(path)
        made = (path / "result.json").stat().st_mtime
        if result.model_folder is not None:
            return ModelLocation(result.model_folder, None, made)
        return ModelLocation(ensure(result.base_model).folder, result.adapter_folder, made)
    if merged is None and _is_repo(name, cache) and not _is_path(name):
        model = ensure(name)
        return ModelLocation(model.folder, None, model.created or 0.0)
    if is_file(path):
        raise LoadError("{name} is a file, not a folder.", hint="Name the folder that holds it.", name=name)
    if not name.strip() or not is_folder(path):
        raise unknown(name, jobs)
    return ModelLocation(path, None, (path / LAST).stat().st_mtime if is_merged(path) else 0.0)


def check_name(name: str, jobs: ModelJobs, cache: ModelCache) -> None:
    """Raise what `locate` would before anything is brought here; UnknownModel, too, for what nobody published."""

    class Brought(Exception):
        pass

    def ensure(repo_id: str) -> CachedModel:
        repo_id = parse_model(repo_id).repo_id
        if cache.find(repo_id) is None:
            check_published(repo_id)
        raise Brought

    with contextlib.suppress(Brought):
        locate(name, jobs, cache, ensure)


def _is_path(name: str) -> bool:
    return Path(name).is_absolute() or name.startswith((".", "~")) or "\\" in name


def _is_repo(name: str, cache: ModelCache) -> bool:
    """Say whether a hub may be asked: not for what lies on this disk, or would if it were spelled right."""
    try:
        repo_id = parse_model(name).repo_id
    except BadInput:
        return False
    if repo_id != name.partition("@")[0] or find_published(repo_id) is not None or cache.find(repo_id):
        return True  # the address of a page, or a name that is known
    owner = Path(repo_id.partition("/")[0])
    if is_folder(repo_id):  # a folder that is called like a repo is named with ./ unless it is a model itself
        return not matching(Path(repo_id), "*.safetensors")
    near = _nearest_folder(repo_id)
    is_typo = near is not None and is_file(Path(near) / "config.json")
    return not (owner.name == _RUNS or is_folder(owner) or is_typo)


def unknown(name: str, jobs: ModelJobs) -> BadInput:
    """Return what to raise for a name that stands for nothing on this disk; the nearest is named."""
    typed = name.strip().replace("\\", "/")
    is_word = "/" not in typed
    near = typed and (_nearest_folder(f"{_RUNS}/{typed}" if is_word else typed) or _nearest_run(typed, jobs))
    if near:
        return UnknownModel('There is no folder "{name}".', hint='Did you mean "{near}"?', name=name, near=near)
    try:
        parse_model(name)
    except BadInput as error:
        if is_word and nearest_known(name) is not None:
            return error  # it names the model
        return UnknownModel(
            'There is no fine-tune, folder or model "{name}".' if is_word else 'There is no folder "{name}".',
            hint='The fine-tunes: {command}. The name of a model is owner/name, for example "Qwen/Qwen3-0.6B".',
            name=name,
            command=Command("jobs"),
        )
    return UnknownModel(
        'There is no folder "{name}".',
        hint="If a model on a hub is called so, download it first: {command}",
        name=name,
        command=Command("download", name),
    )


def _nearest_folder(name: str) -> str | None:
    """Return the folder that differs from `name` in few letters."""
    path = at_home(name)
    reached = Path(path.anchor)
    for part in path.parts[1:] if path.anchor else path.parts:
        near = [part] if is_folder(reached / part) else get_close_matches(part, _folders_in(reached), 1, 0.7)
        if not near:
            return None
        reached /= near[0]
    return reached.as_posix()


def _folders_in(folder: Path) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry.name for _, entry in zip(range(_MOST_NAMES), entries, strict=False) if is_folder(entry.path)]
    return []


def _nearest_run(name: str, jobs: ModelJobs) -> str | None:
    """Return the fine-tune whose folder is called like the last part of `name`, wherever that lies: its path or id."""
    runs = {folder.name: (folder, job_id) for job_id, folder in reversed([*jobs.output_dirs()]) if is_folder(folder)}
    near = get_close_matches(Path(name.replace("\\", "/")).name, runs, 1, 0.7)
    if not near:
        return None
    folder, job_id = runs[near[0]]
    below = os.path.relpath(folder)
    return job_id if below.startswith("..") else Path(below).as_posix()
