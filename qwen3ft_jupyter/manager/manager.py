"""`ModelManager`, which every face calls, and `get_model_manager`, which makes one."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import catalog
from qwen3ft_jupyter.cache.case import check_known
from qwen3ft_jupyter.cache.own.repair import repair_model
from qwen3ft_jupyter.download.request import DownloadRequest, shows_wanted
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.manager.cached import CachedModels, warn_unless_sound
from qwen3ft_jupyter.manager.datasets import ensure_dataset, named_dataset, plan_dataset, repair_dataset
from qwen3ft_jupyter.manager.details import Details
from qwen3ft_jupyter.manager.ends import tells_end
from qwen3ft_jupyter.manager.kinds import REPAIR, VERIFY
from qwen3ft_jupyter.manager.moving import Moving
from qwen3ft_jupyter.manager.params import CheckParams
from qwen3ft_jupyter.manager.rates import note_rates
from qwen3ft_jupyter.manager.tuned import TunedModels
from qwen3ft_jupyter.manager.tuning import FineTunePlans
from qwen3ft_jupyter.manager.updates import Updates
from qwen3ft_jupyter.settings.places import load_settings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typing_extensions import Unpack

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.reports import RepairReport, VerifyReport
    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.download.downloader import Downloader
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.download.request import Wanted
    from qwen3ft_jupyter.jobs.kinds import JobKind
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.loading.libraries import LoadedPair
    from qwen3ft_jupyter.loading.loaded import LoadedModels, ModelLocation
    from qwen3ft_jupyter.work import Controls, Reporter


def get_model_manager(
    use_modelscope: bool | None = None,  # noqa: FBT001 - users know it as get_model_manager(True)
    cache_dir: str | Path | None = None,
    *,
    reporter: Callable[[], Reporter] | None = None,
    is_trusted: bool = True,
    **overrides: Any,
) -> ModelManager:
    """Return a manager for the settings in force; arguments win over everything else.

    Args:
        use_modelscope: ask ModelScope first (True) or Hugging Face first (False).
        cache_dir: where models are kept.
        reporter: makes the object that shows progress; nothing is shown if left out.
        is_trusted: False where a stranger may have chosen `cache_dir`, so that manifests in it prove nothing.
        overrides: any other field of `qwen3ft_jupyter.settings.declared.Settings`, for example ``offline=True``.

    Raises:
        BadSetting: a setting has a value that is not accepted.
    """
    given = {"use_modelscope": use_modelscope, "cache_dir": cache_dir, **overrides}
    return ModelManager(load_settings(given), reporter=reporter, is_trusted=is_trusted)


class ModelManager(FineTunePlans, Details, Updates, Moving, CachedModels, TunedModels):
    """Downloads, keeps, loads and fine-tunes models. Make one with `get_model_manager`."""

    # Models on disk

    @shows_wanted
    def ensure_model_cached(
        self,
        model_name: str,
        force_download: bool = False,  # noqa: FBT001, FBT002 - users know it as the second argument
        *,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
        **wanted: Unpack[Wanted],
    ) -> str:
        """Return the folder of `model_name`, downloading whatever of it is missing.

        A model that is cached costs milliseconds and no request. A download of it under way in another process is
        joined, not repeated. Interrupting the kernel stops within a second and keeps what arrived.

        Args:
            model_name: a repo id, for example ``Qwen/Qwen3-0.6B``.
            force_download: fetch every file again, whatever is there.
            reporter: receives progress.
            stop: ends the work within a second when set.
            wanted: `revision`: a branch, tag or commit; another one than the first lies beside it. `update`: have the
                newest commit; only what has changed travels. `sources`: the only places to fetch from: "modelscope",
                "huggingface", "mirrors", "disk"; all if left out. `in_place`: use the copy of another tool where it
                is, after checking it, instead of bringing it here.

        Raises:
            UnknownModel, BadName: nobody published such a name.
            BadInput: one of `sources` is none.
            HubError: the hubs refuse or cannot be reached; the class says which of it.
            TransferError, CacheError: the bytes did not arrive, or cannot be kept.
        """
        wanted.setdefault("force", force_download)
        return str(self.ensure(model_name, reporter=reporter, stop=stop, **wanted).model.folder)

    @tells_end
    @shows_wanted
    def ensure(
        self,
        model_name: str,
        *,
        controls: Controls | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
        **wanted: Unpack[Wanted],
    ) -> Ensured:
        """Do what `ensure_model_cached` does; return what it took beside the model.

        Args:
            model_name: as there.
            controls: pause the work or limit its speed, also while it runs; if left out, what travels keeps to
                `max_speed` of the settings.
            reporter: receives progress.
            stop: ends the work when set.
            wanted: `force`, `revision`, `update`, `sources`, `in_place`, as there.
        """
        request, work = DownloadRequest.of(model_name, **wanted), self._work(reporter, stop, controls)
        speed, jobs = None if controls else self.settings.max_speed, self._model_jobs
        if request.dataset is not None:
            done = ensure_dataset(request.dataset, self.cache, self.settings, work, is_used=jobs, max_speed=speed)
        else:
            with self._downloader(request, max_speed=speed) as downloader:
                done = warn_unless_sound(downloader.ensure(request, work), work.reporter)
        if request.model_name != catalog.PRACTICE_REPO_ID:  # it comes from this machine
            note_rates(self.settings.state_dir, done.shares, done.seconds)
        return done

    @tells_end
    @shows_wanted
    def plan(
        self,
        model_name: str,
        *,
        max_speed: int | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
        **wanted: Unpack[Wanted],
    ) -> DownloadPlan:
        """Return what `ensure_model_cached` would do, without doing it: bytes by source, room, time.

        Args:
            model_name: as there.
            max_speed: the limit in bytes a second under which the time is reckoned; that of the settings if left out.
            reporter: receives progress: the hub is asked, and its speed measured for a second.
            stop: ends the work when set.
            wanted: `force`, `revision`, `update`, `sources`, `in_place`, as there.

        Raises:
            UnknownModel, BadName, BadInput, HubError: as there.
        """
        request, work = DownloadRequest.of(model_name, **wanted), self._work(reporter, stop)
        speed, jobs = self.settings.max_speed if max_speed is None else max_speed, self._model_jobs
        if request.dataset is not None:
            return plan_dataset(request.dataset, self.cache, self.settings, work, is_used=jobs, max_speed=speed)
        with self._downloader(request, max_speed=speed) as downloader:
            return downloader.plan(request, work)

    @contextlib.contextmanager
    def _downloader(self, request: DownloadRequest, *, max_speed: float | None) -> Iterator[Downloader]:
        """Yield what fulfils a request, for the length of the block."""
        # most processes that open a manager list, start jobs and load: they need nothing of what moves bytes
        from qwen3ft_jupyter.download.downloader import Downloader
        from qwen3ft_jupyter.hubs.http import HttpClient
        from qwen3ft_jupyter.hubs.routes import make_mirrors
        from qwen3ft_jupyter.practice.hub import hubs_for

        repo_id, settings = request.model_name, self.settings
        check_known(repo_id, self.cache)
        if request.force:
            catalog.check_published(repo_id)
        is_practice = repo_id == catalog.PRACTICE_REPO_ID
        client = HttpClient(max_connections=settings.max_connections)
        with contextlib.closing(client), hubs_for(settings, repo_id, client=client) as hubs:
            yield Downloader(
                self.cache,
                hubs,
                settings.hubs,
                mirrors=() if is_practice else make_mirrors(settings, client=client),
                client=client,
                offline=settings.offline and not is_practice,  # its hub is this process
                quota=settings.quota,
                is_used=self._model_jobs,
                max_connections=settings.max_connections,
                max_speed=max_speed,
            )

    @tells_end
    def verify(
        self,
        model_name: str,
        *,
        revision: str | None = None,
        controls: Controls | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
    ) -> VerifyReport:
        """Read every byte of a cached model, or of a data set by its name there, and say what is missing or wrong."""
        work, dataset = self._work(reporter, stop, controls), named_dataset(model_name, revision)
        if dataset is not None:
            return self._find_dataset(dataset).verify(dataset.repo_id, work=work)
        return self.cache.verify(*parse_model(model_name, revision), work)

    @tells_end
    def repair(
        self,
        model_name: str,
        *,
        revision: str | None = None,
        controls: Controls | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
    ) -> RepairReport:
        """Read every byte of a cached model or data set again and fetch the pieces that are wrong, and no others.

        Raises:
            NotCached: there is no such model in the cache.
            CacheError: something else put it there, so that nobody knows what is right.
            HubError, TransferError: what is missing cannot be had; what was right is kept.
        """
        work, dataset = self._work(reporter, stop, controls), named_dataset(model_name, revision)
        if dataset is not None:
            return repair_dataset(dataset, self.cache, self._model_jobs, work)
        repo_id, revision = parse_model(model_name, revision)

        def fetch(model: CachedModel) -> int:
            request = DownloadRequest(model.repo_id, self._revision_of(model) or revision)
            with self._downloader(request, max_speed=self.settings.max_speed) as downloader:
                return downloader.ensure(request, work).bytes_fetched

        return repair_model(self.cache, repo_id, fetch, revision=revision, work=work)

    # Jobs

    @shows_wanted
    def download(self, model_name: str, *, max_speed: int | None = None, **wanted: Unpack[Wanted]) -> Job:
        """Start a download that goes on whatever happens to this kernel, or return the same one already under way.

        Args:
            model_name: a repo id; or a data set with its hub, such as ``ms:owner/name:subset:split``.
            max_speed: at most so many bytes a second; `Job.limit` changes it.
            wanted: `force`, `revision`, `update`, `sources`, `in_place`, as in `ensure_model_cached`.
        """
        request = DownloadRequest.of(model_name, **wanted)
        if request.dataset is None:
            check_known(request.model_name, self.cache)
        return self._model_jobs.download(request, max_speed)

    def start_verify(self, model_name: str, *, revision: str | None = None, max_speed: int | None = None) -> Job:
        """Verify a cached model as a job, reading at most `max_speed` bytes a second. Raises NotCached."""
        return self._start_about(VERIFY, model_name, revision, max_speed)

    def start_repair(self, model_name: str, *, revision: str | None = None, max_speed: int | None = None) -> Job:
        """Repair a cached model as a job, at no more than `max_speed` bytes a second. Raises NotCached."""
        return self._start_about(REPAIR, model_name, revision, max_speed)

    def _start_about(
        self, kind: JobKind[CheckParams, Any], model_name: str, revision: str | None, max_speed: int | None
    ) -> Job:
        jobs, dataset = self._model_jobs, named_dataset(model_name, revision)
        if dataset is not None:
            self._find_dataset(dataset)
            return jobs.start(kind, CheckParams(jobs.starter(), str(dataset)), max_speed)
        repo_id, revision = parse_model(model_name, revision)
        if self.cache.find(repo_id, revision) is None:
            raise self.not_cached(repo_id, revision)
        return jobs.start(kind, CheckParams(jobs.starter(), repo_id, revision), max_speed)

    @tells_end
    def fine_tune(
        self,
        config: object = None,
        *,
        at_once: bool = False,
        fetch: bool = True,
        go_on: bool = False,
        reporter: Reporter | None = None,
        **fields: Any,
    ) -> Job:
        """Start a fine-tune with this Python, downloading the model first if need be.

        Of fine-tunes and evaluations on one GPU, one is at work; the others wait for their turn, also if whoever
        started them ends.

        Args:
            config: the fields of `qwen3ft_jupyter.FineTuneConfig` as a mapping or as such, or the path of a YAML file.
            at_once: wait for no other job on the same GPU; there must be memory for all of them.
            fetch: bring data sets of a hub that are not here before the job begins, so that what is wrong with them
                is told at once. False: the job does, and nobody waits for a hub here.
            go_on: go on with an unfinished run of the same config in output_dir, whichever job and host began it.
            reporter: receives progress while data is read, or fetched from a hub.
            fields: the same as keyword arguments; they win over `config`. ``init_from="runs/first"`` trains the result
                of a run further, ``from_run="runs/first"`` repeats it; of each, the job's id will do, too.

        Raises:
            BadConfig: one or more fields are wrong, all of them named; or output_dir holds or is getting another run.
            BadData: the data cannot be read, or rows of it are wrong.
            DoesNotFit, NoSpace: memory or disk cannot hold it, however short the samples are.
        """
        from qwen3ft_jupyter.finetune.absent import check_here
        from qwen3ft_jupyter.finetune.check import check_fine_tune

        jobs, work = self._model_jobs, self._work(reporter, None)
        checks = (self._check_base, jobs.refuse_if_written_to, self._check_launcher)
        read, bring = functools.partial(check_here, work=work), self.fetcher(work) if fetch else self.finder()
        resolved = check_fine_tune(
            config, fields, *checks, read=read, find_run=jobs.output_dir_of, fetch=bring, goes_on=go_on
        )
        if resolved.launcher == "local":
            self._loaded.release()  # the model that answers questions and the job would share one GPU
            self._refuse_if_too_large(resolved)
        return jobs.fine_tune(resolved, at_once=at_once, goes_on=go_on)

    # Loading and talking

    @tells_end
    def load_model_and_tokenizer(
        self,
        model_name: str | Path,
        device_map: str | None = "auto",
        *,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> LoadedPair:
        """Download if need be, then load. Returns `(model, tokenizer)` of transformers, ready to use.

        Args:
            model_name: a repo id; the output folder or job id of a fine-tune, which loads base and adapter; or the
                path of a model folder, absolute or beginning with ``./`` or ``~``.
            device_map: as in transformers; "auto" takes the GPU if there is one.
            reporter: receives progress.
            options: the fields of `qwen3ft_jupyter.loading.load.LoadOptions`: `dtype`, `quantization` (None, "4bit",
                "8bit"), `attn_implementation`, `adapter`, `device`, `memory_check`.

        Raises:
            DoesNotFit: it needs more memory than there is; the hint proposes what fits.
            UnsafeModel: loading would run code from the repo.
            MissingPackage: torch and friends are not installed.
        """
        from qwen3ft_jupyter.loading.load import LoadOptions

        reporter, given = reporter or self.make_reporter(), LoadOptions(device_map=device_map, **options)
        return self._loaded.load(self._locate(model_name, reporter), given, reporter)

    @tells_end
    def chat(
        self,
        model_name: str | Path,
        question: str | list[dict[str, str]],
        *,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> str:
        """Ask a model, or the result of a fine-tune, and return its answer. The model stays loaded for the next one.

        Args:
            model_name: as in `load_model_and_tokenizer`.
            question: a text, or a list of messages with `role` and `content`.
            reporter: receives progress while the model is loaded.
            options: the fields of `qwen3ft_jupyter.finetune.chat.AnswerOptions`, for example `max_new_tokens`.
        """
        from qwen3ft_jupyter.finetune.chat import AnswerOptions, answer, as_messages

        asked, messages = AnswerOptions(**options), as_messages(question)  # whatever is wrong is said before a load
        reporter = reporter or self.make_reporter()
        return answer(self._loaded.get(self._locate(model_name, reporter), reporter), messages, asked)

    @functools.cached_property
    def _loaded(self) -> LoadedModels:
        from qwen3ft_jupyter.loading.loaded import LoadedModels

        return LoadedModels()

    def _locate(self, name: str | Path, reporter: Reporter) -> ModelLocation:
        from qwen3ft_jupyter.manager.locate import locate

        return locate(name, self._model_jobs, self.cache, lambda repo: self.ensure(repo, reporter=reporter).model)
