"""What `ModelManager` says of a fine-tune before it starts: its plan, and its data as the model will see it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.case import check_known
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.manager.datasets import absent_data
from qwen3ft_jupyter.manager.ends import tells_end
from qwen3ft_jupyter.messages import Command, Message
from qwen3ft_jupyter.settings.kinds import parse_folder

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from qwen3ft_jupyter.finetune.absent import AbsentData
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.plan import FineTunePlan
    from qwen3ft_jupyter.finetune.planning import Base
    from qwen3ft_jupyter.finetune.preview import Preview
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager.ahead import Look
    from qwen3ft_jupyter.manager.cached import CachedModels
    from qwen3ft_jupyter.work import Reporter, Work
else:
    CachedModels = object  # `ModelManager` is one: what stands beside it here keeps the chain of imports short


class FineTunePlans(CachedModels):
    """The part of `ModelManager` that looks ahead."""

    @tells_end
    def plan_fine_tune(
        self,
        config: object = None,
        *,
        rough: bool = False,
        fetch: bool = False,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
        **fields: Any,
    ) -> FineTunePlan:
        """Return what `fine_tune` would do, without doing it: data, tokens, steps, memory, disk, time.

        Where the model is cached and transformers is installed, tokens are counted as training does; else they are
        reckoned from characters, and a notice says so. Data sets of a hub that are not here are named in `absent`, with
        their sizes, and none of the numbers counts them. No weight is read.

        Args:
            config: as there.
            rough: reckon all, also what could be counted or tried: an answer in a second, for someone who still types.
                No hub is asked, so that sizes in `absent` are None.
            fetch: bring those data sets here before.
            reporter: receives progress.
            stop: ends the work when set.
            fields: as there.

        Raises:
            BadConfig, BadData: as there.
            NotCached: nothing of the data is here.
            HubError, TransferError: a data set cannot be had.
        """
        from qwen3ft_jupyter.finetune.check import check_fine_tune
        from qwen3ft_jupyter.finetune.planning import plan_run

        work, plans = self._work(reporter, stop), []

        def read(resolved: FineTuneConfig) -> None:
            earlier = (folder for _, folder in self._model_jobs.output_dirs())
            here, absent, words = self._here(resolved, work, is_rough=rough)
            found = plan_run(here, self._base(here), earlier, work, is_rough=rough)
            words = [*words, *(_on_hosts(resolved) if resolved.launcher == "local" else [])]
            plans.append(replace(found, absent=absent, notices=(*words, *found.notices, *self._there(resolved))))

        with tempfile.TemporaryDirectory(prefix="qwen3ft-") as folder:
            checks = (self._check_base, self._model_jobs.refuse_if_written_to, self._check_launcher)
            find_run, bring = self._model_jobs.output_dir_of, self.fetcher(work) if fetch else self.finder()
            tables_in = Path(folder)
            check_fine_tune(config, fields, *checks, read=read, tables_in=tables_in, find_run=find_run, fetch=bring)
        return plans[0]

    @tells_end
    def join_fine_tune(
        self,
        output_dir: str | Path,
        address: str,
        *,
        index: int | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Take part, as another host, in a fine-tune with `hosts` above 1, until it ends.

        Args:
            output_dir: its output folder, on a mount that all hosts share.
            address: HOST:PORT where the first host listens, as its job says.
            index: which host this is, from 1, where all are started at once by one launcher; it then waits up to an
                hour for the first one.
            reporter: receives what is done.
            stop: set, it stops the whole fine-tune, which keeps a checkpoint.

        Raises:
            JobFailed: the first host does not answer or is gone, this one cannot take part, or the fine-tune failed.
            Stopped: the fine-tune was stopped.
            NotCached, HubError, TransferError: the model cannot be had here.
        """
        from qwen3ft_jupyter.finetune.joining import join
        from qwen3ft_jupyter.finetune.wire import leave_places, parse_address
        from qwen3ft_jupyter.loading.load import require
        from qwen3ft_jupyter.manager.joining import HostModels

        require("torch", "transformers", "peft", "accelerate")
        leave_places()
        work = self._work(reporter, stop)
        join(
            parse_folder("output_dir", output_dir),
            parse_address(address, "--join"),
            HostModels(self.settings, self.cache, work),
            work,
            index=index,
        )

    @tells_end
    def preview(
        self,
        config: object = None,
        model: str | None = None,
        *,
        count: int = 5,
        fetch: bool = False,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
        **fields: Any,
    ) -> Preview:
        """Return the data of a fine-tune as the model will see it: tokens, which are learned, lengths, what is odd.

        Args:
            config: a config as `fine_tune` takes it; or data alone: files, folders, a DataFrame, a list of dicts.
            model: the model whose tokenizer and chat template write it; that of the config if left out.
            count: how many samples are shown in full.
            fetch: bring data sets of a hub that are not here before; else they are named in `absent`, with their sizes.
            reporter: receives progress.
            stop: ends the work when set.
            fields: more fields of the config.

        Raises:
            BadConfig, BadData: fields or rows are wrong.
            NotCached: the model, or all of the data, is not here.
            HubError, TransferError: a data set cannot be had.
            MissingPackage: transformers is not installed.
        """
        from qwen3ft_jupyter.finetune.check import config_for_preview, with_fetched
        from qwen3ft_jupyter.finetune.preview import preview

        given = {**fields, "model": model} if model else fields
        with tempfile.TemporaryDirectory(prefix="qwen3ft-") as folder:
            work = self._work(reporter, stop)
            resolved = config_for_preview(config, given, Path(folder), find_run=self._model_jobs.output_dir_of)
            self._check_base(resolved)
            base = self._base(resolved)
            if base.folder is None:
                raise NotCached(
                    "{name} is not in the cache: its tokenizer and chat template say what the model will see.",
                    hint="Download it: {command}",
                    name=resolved.model,
                    command=Command("download", resolved.model),
                )
            resolved = with_fetched(resolved, self.fetcher(work) if fetch else self.finder())
            here, absent, words = self._here(resolved, work)
            found = preview(here, base.folder, count=count, work=work)
            return replace(found, absent=absent, notices=(*words, *found.notices))

    def _here(
        self, config: FineTuneConfig, work: Work, *, is_rough: bool = False
    ) -> tuple[FineTuneConfig, tuple[AbsentData, ...], list[str]]:
        """Return the config with the data that is here, what is not, and what is told of that. Raises NotCached."""
        from qwen3ft_jupyter.finetune.absent import nothing_here, notice_of, split_absent

        here, names = split_absent(config)
        absent = absent_data(names, self.cache, self.settings, work, is_rough=is_rough)
        if here is None:
            raise nothing_here(absent)
        return here, absent, [notice_of(absent)] if absent else []

    def look_ahead(
        self, look: Look, given: Mapping[str, Any], *, folder: Path | None, stop: threading.Event
    ) -> dict[str, Any]:
        """Return the same as JSON with messages, made in a process of its own; see `ahead.look_ahead`."""
        from qwen3ft_jupyter.manager.ahead import look_ahead

        return look_ahead(self._model_jobs.starter(), look, given, folder=folder, stop=stop)

    def _refuse_if_too_large(self, config: FineTuneConfig) -> None:
        """Raise DoesNotFit or NoSpace for a run that cannot fit however short its samples are."""
        from qwen3ft_jupyter.finetune.absent import split_absent
        from qwen3ft_jupyter.finetune.planning import check_least, plan_run

        base, (here, _) = self._base(config), split_absent(config)
        check_least(config, base, (lambda: plan_run(here, base, ())) if here is not None else None)

    def _check_base(self, config: FineTuneConfig) -> None:
        """Raise BadName or UnknownModel for a base model that nobody can have."""
        check_known(config.model, self.cache)

    def delete_there(self, job: Job) -> None:
        """Delete what a job that is over has submitted to PAI-DLC from the list there. Raises JobFailed."""
        from qwen3ft_jupyter.dlc.run import delete_there
        from qwen3ft_jupyter.finetune.config import FineTuneConfig
        from qwen3ft_jupyter.manager.params import FineTuneParams

        if isinstance(job.params, FineTuneParams):
            delete_there(FineTuneConfig.from_dict(job.params.config), job.folder)

    def _check_launcher(self, config: FineTuneConfig) -> None:
        """Raise BadConfig, naming all of it, if what submits the fine-tune elsewhere lacks something."""
        if config.launcher == "pai-dlc":
            from qwen3ft_jupyter.dlc.options import settle

            settle(config, model_folder=self._model_folder(config))

    def _there(self, config: FineTuneConfig) -> list[str]:
        """Return what is told of a fine-tune that runs elsewhere: what would be submitted."""
        if config.launcher == "local":
            return []
        from qwen3ft_jupyter.dlc.run import planned_spec

        spec = planned_spec(config, self._model_folder(config))
        return [
            Message("It runs at PAI-DLC: memory, disk and time above are those of this machine."),
            Message("To PAI-DLC goes: {spec}", spec=spec),
        ]

    def _model_folder(self, config: FineTuneConfig) -> Path:
        """Return where the model is, or will be."""
        found = self.cache.find(config.model, config.revision)
        return found.folder if found else self.settings.cache_dir / config.model.replace("/", "_")

    def _base(self, config: FineTuneConfig) -> Base:
        from qwen3ft_jupyter.finetune.planning import base_model

        found = self.cache.find(config.model, config.revision)
        return base_model(config.model, found.folder if found else None)


def _on_hosts(config: FineTuneConfig) -> list[str]:
    """Return what is to be known of a fine-tune on several hosts."""
    if config.hosts == 1:
        return []
    words = Message(
        "{hosts} hosts train together: the job begins once the others have joined, and says how. Memory is that of "
        "this one.",
        hosts=config.hosts,
    )
    return [words]
