"""Where models lie: the folder of one, and the move of the whole cache to another folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.layout import is_revision
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.manager.datasets import named_dataset
from qwen3ft_jupyter.manager.ends import tells_end
from qwen3ft_jupyter.manager.kinds import MOVE
from qwen3ft_jupyter.manager.params import MoveParams
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.settings.kinds import parse_folder

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from qwen3ft_jupyter.cache.reports import MovePlan, MoveReport
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager.cached import CachedModels
    from qwen3ft_jupyter.work import Controls, Reporter
else:
    CachedModels = object  # `ModelManager` is one: what stands beside it here keeps the chain of imports short


class Moving(CachedModels):
    """The part of `ModelManager` that says where a model lies, and moves all of them."""

    @tells_end
    def move_cache(
        self,
        target: str | Path,
        *,
        controls: Controls | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
        job_id: str = "",
    ) -> MoveReport:
        """Move the whole cache to the folder `target`, data sets included.

        Every file is checked there before the old one goes.

        Afterwards `MODEL_CACHE_DIR` has to name the new folder. An interrupted move goes on when called again.

        Args:
            target: the folder; made if it is not there.
            controls: pause the move or limit its speed, also while it runs.
            reporter: receives progress, and is told what stays.
            stop: ends the work when set; nothing is deleted then.
            job_id: the job in which this is called, if it is one: all others keep the cache where it is.

        Raises:
            ModelInUse: a download or another job works on the cache.
            NoSpace, CacheNotWritable, TransferError: the files cannot be written there; nothing is lost.
        """
        from qwen3ft_jupyter.cache.move import move_cache

        self._model_jobs.refuse_any(but=job_id)
        return move_cache(
            self.settings.cache_dir,
            parse_folder("target", target),
            trust_manifests=self._is_trusted,
            is_used=self._model_jobs,
            work=self._work(reporter, stop, controls),
        )

    def plan_move(self, target: str | Path) -> MovePlan:
        """Return what `move_cache` would do, without doing it: how much, whether there is room, what stays.

        Raises:
            ModelInUse, CacheError, CacheNotWritable, TransferError: as there; too little room is told, not raised.
        """
        from qwen3ft_jupyter.cache.move_plan import plan_move

        self._model_jobs.refuse_any()
        plan = plan_move(
            self.settings.cache_dir,
            parse_folder("target", target),
            trust_manifests=self._is_trusted,
            is_used=self._model_jobs,
        )
        return replace(plan, origin=self.settings.origins["cache_dir"])

    def start_move(self, target: str | Path) -> Job:
        """Move the cache as a job that goes on whatever happens to this process. Raises as `plan_move`, and NoSpace."""
        from qwen3ft_jupyter.cache.move import check_room

        folder, jobs = parse_folder("target", target), self._model_jobs
        plan = self.plan_move(folder)
        check_room(plan.bytes_to_copy, plan.free_bytes)
        return jobs.start(MOVE, MoveParams(jobs.starter(), folder), None)

    def where(self, model_name: str, *, revision: str | None = None, owner: str | None = None) -> Path:
        """Return the folder of a model on this disk: ours, else a shared cache's, else another tool's.

        Args:
            model_name: the model; or a data set as `list_cached_datasets` names it, such as ``ms:owner/name``.
            revision: only the copy of this branch, tag or commit.
            owner: "huggingface", "modelscope" or "folder": that tool's copy.

        Raises:
            NotCached: it is not on this disk, or not like that.
            BadInput: it is a data set, and `revision` or `owner` is given.
        """
        dataset = named_dataset(model_name, revision, owner)
        if dataset is not None:
            found = self._find_dataset(dataset).find(dataset.repo_id)
        elif owner is None:
            found = self.cache.find(*parse_model(model_name, revision))
        else:
            name, revision = parse_model(model_name, revision)
            theirs = (one for one in self.cache.others(name) if one.owner == owner)
            found = next((one for one in theirs if revision is None or is_revision(one, revision)), None)
        if found is None:
            raise NotCached(
                "{name} is not on this disk.", hint="See `{command}`.", name=model_name, command=Command("list")
            )
        return found.folder
