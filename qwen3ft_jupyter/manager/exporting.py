"""What an export begins with: a whole model, or an adapter that is merged for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog.usable import ADAPTER_CONFIG
from qwen3ft_jupyter.errors import BadInput, NotCached
from qwen3ft_jupyter.finetune.export import check_output, check_target, export, makes_file, served_name
from qwen3ft_jupyter.finetune.merge import merge
from qwen3ft_jupyter.finetune.merged import BASE_WEIGHTS
from qwen3ft_jupyter.finetune.results import MODEL, is_run
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.loading.safety import check_model_folder
from qwen3ft_jupyter.loading.weights import weight_files
from qwen3ft_jupyter.manager.foreseen import Foreseen, room_at
from qwen3ft_jupyter.manager.locate import locate
from qwen3ft_jupyter.manager.merging import Merging, find_source
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.paths import current_folder, is_file, is_folder

if TYPE_CHECKING:
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.finetune.merged import ExportResult
    from qwen3ft_jupyter.manager.jobs import ModelJobs
    from qwen3ft_jupyter.work import Work


class Exporting:
    """A model that can be exported; nothing has been written.

    Args:
        name: A fine-tune (job id or folder), a folder with an adapter or a model, or the repo id of a cached model.
        to: One of `finetune.export.TARGETS`.
        output_dir: Where what is made goes: the merged model, or the file for Ollama or llama.cpp.
        jobs: Know the folders of fine-tunes and merges.
        cache: Has the models.
        overwrite: Whether what an earlier export or merge wrote there may be replaced.

    Raises:
        BadInput: `to` is not known, or the folder holds something else.
        NotCached: The model, or the base of the adapter, is not in the cache.
        NoSpace, LoadError, UnknownModel: As for a merge.
    """

    def __init__(
        self, name: str, to: str, output_dir: Path | None, jobs: ModelJobs, cache: ModelCache, *, overwrite: bool
    ) -> None:
        self.to = check_target(to)
        self._overwrite = overwrite
        self.model_name = ""
        """The repo that is used, whose files must stay."""
        self._merging = self._find_merging(name, output_dir, jobs, cache)
        self._folder = self._merging.target if self._merging else self._find(name, jobs, cache)
        self.source = name if self.model_name and self._merging is None else str(find_source(name, jobs))
        """What the job finds it by, whichever folder that runs in."""
        beside = self._merging.source if self._merging else Path(self.source).absolute()
        self._name = served_name(str(beside))
        self.output_dir = None
        """Where a file is written; None: the model's folder is all there is."""
        if makes_file(to):
            self.output_dir = output_dir or self._default_folder(beside, to)
            check_output(to, self._name, self.output_dir, overwrite=overwrite)
        if self._merging is not None and self._merging.done() is None:
            self._merging.plan(overwrite=overwrite)
        elif self._merging is None:
            check_model_folder(self._folder)

    def _default_folder(self, beside: Path, to: str) -> Path:
        """Return where a file goes if no folder is named: beside the run, for a cached model the working folder."""
        if not self.model_name or self._merging is not None:
            return beside.with_name(f"{beside.name}-{to}")
        here = current_folder()
        if here is None:
            raise BadInput(
                "{names}: below the working folder, which has been deleted.",
                hint="Give the whole path.",
                names="output_dir",
            )
        return here / f"{self._name}-{to}"

    def run(self, work: Work) -> ExportResult:
        """Merge if need be, and export. Raises what `merge` and `export` raise."""
        folder, was_merged = self._folder, False
        if self._merging is not None and self._merging.done() is None:
            merge(self._merging.plan(overwrite=self._overwrite), work)
            was_merged = True
        return replace(export(folder, self._name, self.to, self.output_dir, work), was_merged=was_merged)

    def foresee(self) -> Foreseen:
        """Return what the export would be; beside the model a file of a few lines, or the model once more as gguf."""
        is_done = self._merging is not None and self._merging.done() is not None
        merges = self._merging is not None and not is_done
        size = self._merging.plan(overwrite=self._overwrite).needed_bytes if self._merging and merges else 0
        if self.to == "gguf":
            weights = weight_files(self._merging.base.folder if self._merging else self._folder)
            size += sum(path.stat().st_size for path in weights)
        place = self.output_dir or self._folder
        writes = merges or self.output_dir is not None
        told = Foreseen(self.model_name, str(place), size, merges=merges, is_done=is_done)
        return replace(told, free_bytes=room_at(place)) if writes else told

    @property
    def writes_to(self) -> list[Path]:
        """Return the folders that it writes to."""
        merged = [self._folder] if self._merging else []
        return [*merged, *([self.output_dir] if self.output_dir else [])]

    def _find_merging(self, name: str, output_dir: Path | None, jobs: ModelJobs, cache: ModelCache) -> Merging | None:
        """Return what has to be merged before; None for a whole model."""
        folder = find_source(name, jobs)
        is_whole = is_run(folder) and is_folder(folder / MODEL)
        if is_whole or not (is_run(folder) or is_file(folder / ADAPTER_CONFIG)):
            return None
        target = None if makes_file(self.to) else output_dir
        ways = (Merging(name, jobs, cache, target, base=base) for base in reversed(BASE_WEIGHTS))
        merging = next(way for way in ways if way.base.weights == BASE_WEIGHTS[0] or way.done())  # as it was merged
        self.model_name = merging.base.repo_id
        return merging

    def _find(self, name: str, jobs: ModelJobs, cache: ModelCache) -> Path:
        """Return the folder of a whole model."""

        def cached(repo: str) -> CachedModel:
            repo_id, revision = parse_model(repo)
            model = cache.find(repo_id, revision)
            if model is None:
                raise NotCached(
                    "{name} is not in the cache.",
                    hint="Download it: {command}",
                    name=repo_id,
                    command=Command("download", repo),
                )
            self.model_name = repo_id
            return model

        return locate(name, jobs, cache, cached).folder
