"""What `ModelManager` offers after a fine-tune: merge its adapter into the base, have it served, publish it."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from qwen3ft_jupyter.errors import BadInput, NotCached
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.manager.ends import tells_end
from qwen3ft_jupyter.manager.kinds import EXPORT, MERGE, PUSH
from qwen3ft_jupyter.manager.params import ExportParams, MergeParams, PushParams
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.paths import at_home, is_folder
from qwen3ft_jupyter.settings.kinds import parse_folder
from qwen3ft_jupyter.work import SILENT, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.finetune.check import Check, Fetch
    from qwen3ft_jupyter.finetune.runs import Comparison, Run
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.loading.loaded import ModelLocation
    from qwen3ft_jupyter.manager.exporting import Exporting
    from qwen3ft_jupyter.manager.foreseen import Foreseen
    from qwen3ft_jupyter.manager.jobs import ModelJobs
    from qwen3ft_jupyter.manager.merging import Merging
    from qwen3ft_jupyter.manager.params import EvaluateParams
    from qwen3ft_jupyter.manager.pushing import Pushing
    from qwen3ft_jupyter.upload.plan import PushPlan
    from qwen3ft_jupyter.work import Reporter

_NEEDED = ("torch", "transformers", "peft")


class TunedModels:
    """The part of `ModelManager` that is about what a fine-tune leaves."""

    cache: ModelCache

    @property
    def _model_jobs(self) -> ModelJobs:
        raise NotImplementedError

    def run(self, name: str | Path) -> Run:
        """Return a fine-tune, finished or not: its config, history, result and report card.

        >>> manager.run("runs/first").history.to_frame()  # doctest: +SKIP

        Args:
            name: the job id or output folder of a fine-tune.

        Raises:
            UnknownModel: there is no such fine-tune or folder.
            LoadError: the folder holds none, or cannot be read.
        """
        from qwen3ft_jupyter.finetune.runs import open_run

        return open_run(self.run_folder(name))

    def run_folder(self, name: str | Path) -> Path:
        """Return the output folder of a fine-tune, as `run` takes it. Raises UnknownModel: there is none."""
        name = os.fspath(name)
        folder = self._model_jobs.output_dir_of(name) or at_home(name).absolute()
        if not is_folder(folder):
            from qwen3ft_jupyter.manager.locate import unknown

            raise unknown(name, self._model_jobs)
        return folder

    def run_folders(self) -> Iterator[Path]:
        """Yield the output folders of fine-tunes and merges that were started here, the newest first."""
        return (folder for _, folder in self._model_jobs.output_dirs())

    def compare(self, runs: Iterable[str | Path]) -> Comparison:
        """Return several fine-tunes beside each other: where their configs differ, what each came to.

        Args:
            runs: at least two, as `run` takes them.

        Raises:
            BadInput: there are fewer than two.
            UnknownModel, LoadError: as `run`.
        """
        from qwen3ft_jupyter.finetune.runs import compare

        found = [self.run(name) for name in runs]
        if len(found) < 2:
            raise BadInput("There is nothing to compare: name two runs or more.")
        return compare(found)

    @tells_end
    def evaluate(
        self,
        name: str | Path,
        data: object = None,
        *,
        at_once: bool = False,
        fetch: bool = True,
        reporter: Reporter | None = None,
        **fields: Any,
    ) -> Job:
        """Measure and ask a model, or the result of a fine-tune, as a job, whose result has the report card.

        It has loss and perplexity on the data, answers to some of its rows, to `prompts` and to everyday prompts, and
        scores of the former. An adapter is compared with its base model. On a GPU it takes turns with fine-tunes.

        Args:
            name: the job id or output folder of a fine-tune; a folder with a model; or the repo id of a cached model.
            data: files, folders, data sets on a hub, a DataFrame, a list of dicts, as `fine_tune` takes them; the rows
                that a fine-tune kept out of training if left out.
            at_once: wait for no other job on the same GPU; there must be memory for all of them.
            fetch: bring data sets of a hub that are not here before the job begins. False: the job does, and nobody
                waits here for a hub. What is here is read either way, so that what is wrong with it is told at once.
            reporter: receives progress while data is read, or fetched from a hub.
            fields: more fields of a fine-tune's config: `columns`, `data_format`, `max_length`, `prompts`, `device`.
                Those of a fine-tune are taken from it where they are not given.

        Raises:
            UnknownModel, LoadError: there is no such model, or the fine-tune is not finished.
            NotCached: the model, or the base of the adapter, is not in the cache; of what is not here only data sets
                are fetched.
            BadConfig, BadData: fields or rows are wrong, or there are no rows to measure.
            HubError, TransferError: a data set cannot be had.
            MissingPackage: torch and friends are not installed.
        """
        from qwen3ft_jupyter.finetune.absent import check_here
        from qwen3ft_jupyter.loading.load import require
        from qwen3ft_jupyter.manager.datasets import fetcher, finder

        require(*_NEEDED)
        work, jobs = Work(reporter or SILENT), self._model_jobs
        bring: Fetch = fetcher(self.cache, jobs, work) if fetch else finder(self.cache, jobs.settings)
        params = self._evaluation(name, data, fields, bring, functools.partial(check_here, work=work))
        return self._model_jobs.evaluate(params, at_once=at_once)

    def foresee_evaluation(self, name: str | Path, data: object = None, **fields: Any) -> Foreseen:
        """Return what `evaluate` with the same arguments would be, without starting it. Raises what that raises.

        No hub is asked: of a data set there nothing but its name is told. No rows are read.
        """
        from qwen3ft_jupyter.finetune.check import check_files
        from qwen3ft_jupyter.manager.evaluating import foresee

        return foresee(self._evaluation(name, data, fields, lambda _: None, check_files))

    def _evaluation(
        self, name: str | Path, data: object, fields: Mapping[str, Any], fetch: Fetch, read: Check
    ) -> EvaluateParams:
        from qwen3ft_jupyter.manager.evaluating import evaluation_params

        given = {**fields, "data": data} if data is not None else fields
        return evaluation_params(os.fspath(name), given, self._model_jobs, self.find_evaluated, fetch=fetch, read=read)

    def find_evaluated(self, name: str) -> ModelLocation:
        """Return the folders of what is evaluated; nothing is fetched. Raises what `evaluate` raises."""
        from qwen3ft_jupyter.manager.locate import locate

        def cached(repo_id: str) -> CachedModel:
            found = self.cache.find(*parse_model(repo_id))
            if found is None:
                raise NotCached(
                    "{name} is not in the cache.",
                    hint="Download it: {command}",
                    name=repo_id,
                    command=Command("download", repo_id),
                )
            return found

        return locate(name, self._model_jobs, self.cache, cached)

    def merge(
        self, run: str, output_dir: str | Path | None = None, *, base: str = "original", overwrite: bool = False
    ) -> Job:
        """Merge the adapter of a fine-tune into its base model, as a job: a folder that any program loads by itself.

        It is computed in float32 and saved in the base's number type, with its tokenizer, template and the tokens that
        end an answer. The result is compared with base and adapter before it is handed out; what is stopped, killed or
        fails leaves no model behind.

        Args:
            run: the job id or output folder of a fine-tune; or a folder with a LoRA adapter in peft's form, in
                safetensors, that names its base by repo id.
            output_dir: where the model goes; beside the run, with ``-merged`` after its name, if left out.
            base: "original" merges into the base model's own weights; "dequantized" into those that a QLoRA has been
                trained on, which are the base's in 4 bits, as numbers of its type again. A repo id merges into the
                original weights there: those of 16 bits, where the adapter's base is stored in 4 bits.
            overwrite: replace an earlier merge there, and nothing else.

        Raises:
            UnknownModel: there is no such fine-tune or folder.
            BadInput: it is a whole model already; or output_dir holds something else, or cannot be written; or the run
                is no QLoRA, so that there is nothing to dequantize.
            LoadError, UnsafeModel: it is not finished, or the adapter is none that can be merged; the message says why.
            NotCached, CacheDamaged: the base is not in the cache, not at the commit of the fine-tune, or not whole.
            NoSpace: there is no room; the message says how much is needed.
            MissingPackage: torch and friends are not installed; or bitsandbytes, where it is needed.
        """
        from qwen3ft_jupyter.loading.load import require

        require(*_NEEDED)
        merging = self.find_merging(run, output_dir, base=base)
        target = merging.plan(overwrite=overwrite).target
        jobs = self._model_jobs
        for folder in (merging.source, target):
            jobs.refuse_written_to(folder)
        params = MergeParams(jobs.starter(), merging.source, merging.base.repo_id, target, overwrite, base)
        return jobs.start(MERGE, params, None)

    def foresee_merge(
        self, run: str, output_dir: str | Path | None = None, *, base: str = "original", overwrite: bool = False
    ) -> Foreseen:
        """Return what `merge` with the same arguments would be; nothing is started. Raises what that raises."""
        return self.find_merging(run, output_dir, base=base).foresee(overwrite=overwrite)

    def export(self, name: str, to: str, output_dir: str | Path | None = None, *, overwrite: bool = False) -> Job:
        """Hand a model to what serves it, as a job, whose result has the lines to type; an adapter is merged before.

        Args:
            name: the job id or output folder of a fine-tune or a merge; a folder with a model or an adapter; or the
                repo id of a cached model.
            to: "safetensors", "vllm" or "sglang", which take the model's folder; "ollama", for which a Modelfile is
                written; or "gguf", which llama.cpp's own converter makes if it is installed.
            output_dir: where what is made goes: the merged model, or the file for Ollama or llama.cpp.
            overwrite: replace what an earlier merge or export wrote there.

        Raises:
            BadInput: `to` is not known, or output_dir holds something else.
            NotCached: the model, or the base of the adapter, is not in the cache.
            and what `merge` raises.
        """
        from qwen3ft_jupyter.loading.load import require

        require(*_NEEDED)
        exporting = self.find_exporting(name, to, output_dir, overwrite=overwrite)
        jobs = self._model_jobs
        for folder in exporting.writes_to:
            jobs.refuse_written_to(folder)
        place = parse_folder("output_dir", output_dir) if output_dir else exporting.output_dir
        params = ExportParams(jobs.starter(), exporting.source, exporting.model_name, to, place, overwrite)
        return jobs.start(EXPORT, params, None)

    def foresee_export(
        self, name: str, to: str, output_dir: str | Path | None = None, *, overwrite: bool = False
    ) -> Foreseen:
        """Return what `export` with the same arguments would be; nothing is started. Raises what that raises."""
        return self.find_exporting(name, to, output_dir, overwrite=overwrite).foresee()

    @overload
    def push(
        self, run: str | Path, repo_id: str, *, hub: str = "", private: bool = True, confirm: Literal[False] = False
    ) -> PushPlan: ...

    @overload
    def push(
        self, run: str | Path, repo_id: str, *, hub: str = "", private: bool = True, confirm: Literal[True]
    ) -> Job: ...

    def push(
        self, run: str | Path, repo_id: str, *, hub: str = "", private: bool = True, confirm: bool = False
    ) -> PushPlan | Job:
        """Say what publishing a result would be; with `confirm`, do it, as a job.

        Only files of the model or the adapter are published, with the model card as the hub reads it. What is in the
        repo already is not sent again; what else the repo holds stays.

        Args:
            run: the job id or output folder of a fine-tune, a merge or an export; or a folder with a model or an
                adapter in safetensors.
            repo_id: where it goes, for example ``me/my-adapter``; a repo that is not there is made.
            hub: "modelscope" or "huggingface"; the one that is asked first (`use_modelscope`) if left out.
            private: let only those see it who see private repos of the owner. Files that are to be private are never
                put into a repo that is public.
            confirm: upload. Without it nothing is sent, and the answer is a `PushPlan`: files and sizes, where they
                go, whether the repo is there, and as `problem` what stands in the way.

        Raises:
            UnknownModel: there is no such fine-tune or folder.
            BadName, BadInput: no repo or hub can be called so; a token or a folder of this machine is in a file.
            LoadError, UnsafeModel: there is nothing finished there.
            and with `confirm` the `problem` of the plan: AccessDenied where there is no token or it is not accepted,
            HubUnreachable, BadInput where the repo is public, MissingPackage where the hub's client is not installed.
        """
        pushing = self.find_pushing(run, repo_id, hub=hub, private=private)
        plan = pushing.plan()
        if not confirm:
            return plan
        if plan.problem is not None:
            raise plan.problem
        jobs = self._model_jobs
        jobs.refuse_written_to(pushing.source)
        return jobs.start(PUSH, PushParams(jobs.starter(), pushing.source, plan.hub, plan.repo_id, private), None)

    def find_pushing(self, run: str | Path, repo_id: str, *, hub: str, private: bool) -> Pushing:
        """Return what a push begins with. Raises what `push` raises."""
        from qwen3ft_jupyter.manager.pushing import Pushing, Target

        return Pushing(os.fspath(run), Target(hub, repo_id, private), self._model_jobs, self.cache)

    def find_merging(self, run: str, output_dir: str | Path | None, *, base: str = "original") -> Merging:
        """Return adapter and base of a merge. Raises what `merge` raises."""
        from qwen3ft_jupyter.manager.merging import Merging

        target = parse_folder("output_dir", output_dir) if output_dir else None
        return Merging(run, self._model_jobs, self.cache, target, base=base)

    def find_exporting(self, name: str, to: str, output_dir: str | Path | None, *, overwrite: bool) -> Exporting:
        """Return what an export begins with. Raises what `export` raises."""
        from qwen3ft_jupyter.manager.exporting import Exporting

        target = parse_folder("output_dir", output_dir) if output_dir else None
        return Exporting(name, to, target, self._model_jobs, self.cache, overwrite=overwrite)
