"""What `ModelManager` offers after a fine-tune: merge its adapter into the base, hand the model to what serves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.manager.kinds import EXPORT, MERGE, ExportParams, MergeParams
from qwen3ft_jupyter.paths import at_home, is_folder
from qwen3ft_jupyter.settings.kinds import parse_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.finetune.runs import Comparison, Run
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager.exporting import Exporting
    from qwen3ft_jupyter.manager.jobs import ModelJobs
    from qwen3ft_jupyter.manager.merging import Merging

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

        name = os.fspath(name)
        folder = self._model_jobs.output_dir_of(name) or at_home(name).absolute()
        if not is_folder(folder):
            from qwen3ft_jupyter.manager.locate import unknown

            raise unknown(name, self._model_jobs)
        return open_run(folder)

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

    def merge(self, run: str, output_dir: str | Path | None = None, *, overwrite: bool = False) -> Job:
        """Merge the adapter of a fine-tune into its base model, as a job: a folder that any program loads by itself.

        It is computed in float32 and saved in the base's number type, with its tokenizer, template and the tokens that
        end an answer. The result is compared with base and adapter before it is handed out; what is stopped, killed or
        fails leaves no model behind.

        Args:
            run: the job id or output folder of a fine-tune; or a folder with a LoRA adapter in peft's form, in
                safetensors, that names its base by repo id.
            output_dir: where the model goes; beside the run, with ``-merged`` after its name, if left out.
            overwrite: replace an earlier merge there, and nothing else.

        Raises:
            UnknownModel: there is no such fine-tune or folder.
            BadInput: it is a whole model already; or output_dir holds something else, or cannot be written.
            LoadError, UnsafeModel: it is not finished, or the adapter is none that can be merged; the message says why.
            NotCached, CacheDamaged: the base is not in the cache, not at the commit of the fine-tune, or not whole.
            NoSpace: there is no room; the message says how much is needed.
            MissingPackage: torch and friends are not installed.
        """
        from qwen3ft_jupyter.loading.load import require

        require(*_NEEDED)
        merging = self.find_merging(run, output_dir)
        target = merging.plan(overwrite=overwrite).target
        jobs = self._model_jobs
        for folder in (merging.source, target):
            jobs.refuse_written_to(folder)
        params = MergeParams(jobs.starter(), merging.source, merging.base.repo_id, target, overwrite)
        return jobs.start(MERGE, params, None)

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

    def find_merging(self, run: str, output_dir: str | Path | None) -> Merging:
        """Return adapter and base of a merge. Raises what `merge` raises."""
        from qwen3ft_jupyter.manager.merging import Merging

        target = parse_folder("output_dir", output_dir) if output_dir else None
        return Merging(run, self._model_jobs, self.cache, target)

    def find_exporting(self, name: str, to: str, output_dir: str | Path | None, *, overwrite: bool) -> Exporting:
        """Return what an export begins with. Raises what `export` raises."""
        from qwen3ft_jupyter.manager.exporting import Exporting

        target = parse_folder("output_dir", output_dir) if output_dir else None
        return Exporting(name, to, target, self._model_jobs, self.cache, overwrite=overwrite)
