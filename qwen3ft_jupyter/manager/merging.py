"""Which adapter a name stands for, and where its base model is: what a merge needs to know before it begins."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog.usable import ADAPTER_CONFIG
from qwen3ft_jupyter.errors import BadInput, BadName, CacheDamaged, LoadError, NotCached
from qwen3ft_jupyter.finetune.adapter import Adapter, read_adapter
from qwen3ft_jupyter.finetune.merge import Base, MergePlan, Origin, find_merged, plan_merge
from qwen3ft_jupyter.finetune.merged import BASE_WEIGHTS, is_merged
from qwen3ft_jupyter.finetune.results import ADAPTER, is_run, read_record, read_run
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.manager.foreseen import Foreseen, room_at
from qwen3ft_jupyter.messages import Command, Texts
from qwen3ft_jupyter.paths import at_home, is_file, is_folder

if TYPE_CHECKING:
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.finetune.merged import BaseWeights, MergeResult
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.hubs.spelling import ModelRef
    from qwen3ft_jupyter.manager.jobs import ModelJobs


class Merging:
    """An adapter and its base, found; nothing has been written.

    Args:
        name: The job id or output folder of a fine-tune, or a folder with an adapter.
        jobs: Know the folders of fine-tunes.
        cache: Has the base.
        output_dir: Where the result is to go; beside the adapter if left out.
        base: Which weights of the base are merged into, one of `finetune.merged.BASE_WEIGHTS`; or another repo of the
            same model, whose original ones are.

    Raises:
        UnknownModel: There is no such fine-tune or folder.
        BadInput: It is a model already; or `base` is not known.
        LoadError, UnsafeModel: There is no adapter that can be merged.
        NotCached, CacheDamaged: The base is not here, not at the commit that is needed, or not in whole.
    """

    def __init__(
        self, name: str, jobs: ModelJobs, cache: ModelCache, output_dir: Path | None = None, *, base: str = "original"
    ) -> None:
        self.source = find_source(name, jobs)
        """The output folder of the fine-tune, or the folder of the adapter."""
        self.adapter, self._origin, commit = _find_adapter(self.source, name, jobs, cache)
        weights, repo = _read_base(base)
        found = _find_base(*repo, cache) if repo else _find_base(_named_base(self.adapter, name), commit, cache)
        self.base = replace(found, weights=weights)
        self.target = output_dir or self.source.with_name(f"{self.source.name}-merged")

    def done(self) -> MergeResult | None:
        """Return the result if the target holds it already."""
        return find_merged(self.adapter, self.base, self.target)

    def plan(self, *, overwrite: bool) -> MergePlan:
        """Return how to merge. Raises BadInput, NoSpace, LoadError as `plan_merge`."""
        return plan_merge(self.adapter, self.base, self._origin, self.target, overwrite=overwrite)

    def foresee(self, *, overwrite: bool) -> Foreseen:
        """Return what the merge would be. Raises what `plan` raises."""
        told = Foreseen(self.base.repo_id, str(self.target), free_bytes=room_at(self.target), merges=True)
        return replace(told, size_bytes=self.plan(overwrite=overwrite).needed_bytes)


def _read_base(base: str) -> tuple[BaseWeights, ModelRef | None]:
    """Return which weights are meant, and of which repo; None: of that which the adapter names."""
    found = next((one for one in BASE_WEIGHTS if one == base), None)
    if found is not None:
        return found, None
    try:
        return "original", parse_model(base)
    except BadName as error:
        raise BadInput(
            "base {value!r} is not known.",
            hint="Accepted: {names}, or the repo id of the same model, owner/name.",
            value=base[:40],
            names=", ".join(BASE_WEIGHTS),
        ) from error


def find_source(name: str, jobs: ModelJobs) -> Path:
    """Return the absolute path of the folder that a job id or a path means; it need not be there."""
    output_dir = jobs.output_dir_of(name) or jobs.merged_dir_of(name)
    folder = (output_dir or at_home(name)).absolute()
    return folder.parent if folder.name == ADAPTER and is_run(folder.parent) else folder


def _find_adapter(folder: Path, name: str, jobs: ModelJobs, cache: ModelCache) -> tuple[Adapter, Origin, str | None]:
    """Return the adapter, where it comes from, and the commit of its base, if that is known."""
    if is_run(folder):
        result, record = read_run(folder), read_record(folder)
        if result.adapter_folder is None or record is None:
            raise BadInput(
                "{folder} is a full fine-tune: its model is whole, there is nothing to merge.",
                hint="Take it as it is: {command}",
                folder=folder.name,
                command=Command("export", name),
            )
        run_id = str(record.run_id) if record.run_id else None
        adapter = read_adapter(result.adapter_folder)
        dtype = str(result.result.get("dtype") or "")
        return adapter, Origin(folder.name, folder, run_id, record.config, dtype, name), record.base_commit
    if is_merged(folder):
        raise BadInput(
            "{folder} is merged already.", hint="Take it as it is: {command}", folder=folder.name,
            command=Command("export", name),
        )  # fmt: skip
    if is_file(folder / ADAPTER_CONFIG):
        adapter = read_adapter(folder)
        return adapter, Origin(folder.name, given=name), adapter.revision or None
    if not is_folder(folder):
        with contextlib.suppress(BadName):
            if cache.find(name) is not None:
                raise BadInput(
                    "{name} is a whole model: there is nothing to merge.",
                    hint="Take it as it is: {command}",
                    name=name,
                    command=Command("export", name),
                )
        from qwen3ft_jupyter.manager.locate import unknown

        raise unknown(name, jobs)
    raise LoadError(
        "{folder} holds no adapter.",
        hint="Name the output folder or the job of a fine-tune, or a folder with adapter_config.json.",
        folder=folder.name,
    )


def _named_base(adapter: Adapter, name: str) -> RepoId:
    """Return the repo id of the base. Raises LoadError where the adapter names none: a folder may hold anything."""
    try:
        return parse_repo_id(adapter.base_model)
    except BadName as error:
        raise LoadError(
            "adapter_config.json names its base model by no repo id.",
            hint="Name the model that it was trained on, if you know it: {command}",
            command=Command("merge", name, "--base", "OWNER/NAME"),
        ) from error


def _find_base(repo_id: str, commit: str | None, cache: ModelCache) -> Base:
    model = cache.find(repo_id, commit) if commit else cache.find(repo_id)
    if model is None:
        other = cache.find(repo_id)
        raise NotCached(
            "{name}, the base model, is in the cache at commit {other}; the adapter was trained on {commit}."
            if other is not None and other.commit
            else "{name}, the base model, is not in the cache.",
            hint="Download it: {command}",
            name=repo_id,
            other=other.commit[:12] if other else "",
            commit=(commit or "")[:12],
            command=Command("download", f"{repo_id}@{commit}" if commit else repo_id),
        )
    if model.problems:
        raise CacheDamaged(
            "{name} cannot be loaded: {problems}.",
            hint="What is wrong is fetched again by: {command}",
            name=repo_id,
            problems=Texts(model.problems),
            command=Command("repair", repo_id),
        )
    manifest = cache.manifest(model)
    digests = {str(file.path): str(file.sha256) for file in manifest.files} if manifest else {}
    return Base(model.folder, model.repo_id, model.commit or commit, digests)
