"""What a name given to load or chat stands for: a repo, the result of a fine-tune, or a folder."""

from __future__ import annotations

import contextlib
import errno
import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.case import check_known
from qwen3ft_jupyter.catalog import find as find_published
from qwen3ft_jupyter.catalog import nearest_known
from qwen3ft_jupyter.errors import BadInput, LoadError, UnknownModel
from qwen3ft_jupyter.finetune.near import nearest_folder
from qwen3ft_jupyter.finetune.results import is_run, read_run
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.loading.loaded import ModelLocation
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.paths import at_home, is_file, is_folder, matching, reason_of, why_unseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.manager.jobs import ModelJobs

_RUNS = "runs"
"""The folder that a fine-tune writes to where none is given: no hub is asked for what seems to lie in it."""


def locate(name: str | Path, jobs: ModelJobs, cache: ModelCache, ensure: Callable[[str], CachedModel]) -> ModelLocation:
    """Return the folders to load; `ensure` brings a repo here.

    Raises:
        LoadError: it is a fine-tune without a result, or a file.
        UnknownModel: it seems to be a folder, and there is none; no hub is asked.
    """
    name = os.fspath(name)
    output_dir = jobs.output_dir_of(name)
    path = output_dir or at_home(name)
    if output_dir is not None or is_run(path):
        result = read_run(path)
        made = (path / "result.json").stat().st_mtime
        if result.model_folder is not None:
            return ModelLocation(result.model_folder, None, made)
        return ModelLocation(ensure(result.base_model).folder, result.adapter_folder, made)
    if _is_repo(name, cache) and not _is_path(name):
        model = ensure(name)
        return ModelLocation(model.folder, None, model.created or 0.0)
    if is_file(path):
        raise LoadError("{name} is a file, not a folder.", hint="Name the folder that holds it.", name=name)
    fault = why_unseen(path) if name.strip() else None
    if fault is not None and fault.errno not in {errno.ENAMETOOLONG, errno.EINVAL}:  # so called, nothing can be there
        raise LoadError(
            "{name} cannot be read: {reason}.",
            hint="Make it readable, or load the model from another place.",
            details={"path": str(path)},
            name=path.name,
            reason=reason_of(fault),
        )
    if not name.strip() or not is_folder(path):
        raise _unknown(name, jobs)
    return ModelLocation(path)


def check_name(name: str, jobs: ModelJobs, cache: ModelCache) -> None:
    """Raise what `locate` would before anything is brought here; UnknownModel, too, for what nobody published."""

    class Brought(Exception):
        pass

    def ensure(repo_id: str) -> CachedModel:
        check_known(parse_model(repo_id).repo_id, cache)
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
    near = nearest_folder(repo_id)
    is_typo = near is not None and is_file(Path(near) / "config.json")
    return not (owner.name == _RUNS or is_folder(owner) or is_typo)


def _unknown(name: str, jobs: ModelJobs) -> BadInput:
    typed = name.strip().replace("\\", "/")
    is_word = "/" not in typed
    near = typed and (nearest_folder(f"{_RUNS}/{typed}" if is_word else typed) or _nearest_run(typed, jobs))
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


def _nearest_run(name: str, jobs: ModelJobs) -> str | None:
    """Return the fine-tune whose folder is called like the last part of `name`, wherever that lies: its path or id."""
    runs = {folder.name: (folder, job_id) for job_id, folder in reversed([*jobs.output_dirs()]) if is_folder(folder)}
    near = get_close_matches(Path(name.replace("\\", "/")).name, runs, 1, 0.7)
    if not near:
        return None
    folder, job_id = runs[near[0]]
    below = os.path.relpath(folder)
    return job_id if below.startswith("..") else Path(below).as_posix()
