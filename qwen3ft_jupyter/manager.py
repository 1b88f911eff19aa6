"""The front door: every face (cell, magic, form, panel, REST, command line) calls `ModelManager` and formats."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import catalog, overview
from qwen3ft_jupyter.cache import EvictedModel, ModelCache, VerifyReport, ensure_model
from qwen3ft_jupyter.errors import BadConfig, JobNotFound, ModelInUse, NotCached
from qwen3ft_jupyter.hubs import parse_repo_id
from qwen3ft_jupyter.jobs import Job, JobStore
from qwen3ft_jupyter.practice import PRACTICE_REPO_ID
from qwen3ft_jupyter.practice_hub import hubs_for
from qwen3ft_jupyter.reporting import SILENT, Reporter
from qwen3ft_jupyter.resident import Located, Resident
from qwen3ft_jupyter.settings import STRANGERS_ORIGINS, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.cache import Ensured
    from qwen3ft_jupyter.overview import Description


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
        overrides: any other field of `qwen3ft_jupyter.settings.Settings`, for example ``offline=True``.

    Raises:
        BadSetting: a setting has a value that is not accepted.
    """
    given = {"use_modelscope": use_modelscope, "cache_dir": cache_dir, **overrides}
    return ModelManager(load_settings(given), reporter=reporter, is_trusted=is_trusted)


class ModelManager:
    """Downloads, keeps, loads and fine-tunes models. Make one with `get_model_manager`."""

    def __init__(
        self, settings: Settings, *, reporter: Callable[[], Reporter] | None = None, is_trusted: bool = True
    ) -> None:
        self.settings = settings
        # A cloned repository can bring a .env, a cache and manifests that vouch for exchanged weights.
        self._is_trusted = is_trusted and settings.origins.get("cache_dir") not in STRANGERS_ORIGINS
        self.cache = ModelCache(settings.cache_dir, settings.shared_dirs, trust_manifests=self._is_trusted)
        self.job_store = JobStore(settings.state_dir, environ=settings.secrets_given())
        self._make_reporter = reporter or (lambda: SILENT)
        self._resident = Resident()

    # Models on disk

    def ensure_model_cached(
        self,
        model_name: str,
        force_download: bool = False,  # noqa: FBT001, FBT002 - users know it as the second argument
        *,
        revision: str | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
    ) -> str:
        """Return the folder of `model_name`, downloading whatever of it is missing.

        A model that is cached costs milliseconds and no request. A download of it under way in another process is
        joined, not repeated. Interrupting the kernel stops within a second and keeps what arrived.

        Raises:
            UnknownModel, BadName: nobody published such a name.
            HubError: the hubs refuse or cannot be reached; the class says which of it.
            TransferError, CacheError: the bytes did not arrive, or cannot be kept.
        """
        ensured = self.ensure(model_name, force=force_download, revision=revision, reporter=reporter, stop=stop)
        return str(ensured.model.folder)

    def ensure(
        self,
        model_name: str,
        *,
        force: bool = False,
        revision: str | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
    ) -> Ensured:
        """Do what `ensure_model_cached` does; return what it took beside the model."""
        repo_id = parse_repo_id(model_name)
        is_practice = repo_id == PRACTICE_REPO_ID
        reporter = reporter or self._make_reporter()
        stop = stop or threading.Event()
        is_missing = force or self.cache.find(repo_id) is None
        if is_missing:
            catalog.check_published(repo_id)
        with hubs_for(self.settings, repo_id, is_missing=is_missing, reporter=reporter, stop=stop) as hubs:
            return ensure_model(
                self.cache,
                hubs,
                repo_id,
                revision=None if is_practice else revision,  # there is only the one made here
                force=force,
                offline=self.settings.offline and not is_practice,  # its hub is this process
                order=self.settings.hubs,
                max_connections=self.settings.max_connections,
                reporter=reporter,
                stop=stop,
            )

    def list_cached_models(self) -> list[dict[str, Any]]:
        """Return one dict per cached model: `model_name`, `size` in bytes, `path`, `hub`, `commit` and more."""
        return [model.to_dict() for model in self.cache.list()]

    def evict_model(self, model_name: str) -> int:
        """Delete a model from the cache and return the bytes freed.

        Raises:
            NotCached: there is no such model in the cache.
            ModelInUse: a running job uses it.
        """
        repo_id = parse_repo_id(model_name)
        self._refuse_if_in_use(repo_id)
        return self.cache.evict(repo_id)

    def evict_slug(self, name: str) -> int:
        """Delete the cached model whose folder is called `name`, for example ``Qwen_Qwen3-0.6B``; raises as above."""
        self._refuse_if_in_use(self.cache.by_slug(name).repo_id)
        return self.cache.evict_slug(name).freed_bytes

    def evict_all(self) -> list[EvictedModel]:
        """Delete every model we downloaded and return what went.

        Pinned models, shared caches and folders that something else put there stay: those need to be named.

        Raises:
            ModelInUse: a running job uses one of them; nothing is deleted then.
        """
        for model in self.cache.list():
            if model.is_verified and not model.pinned and not model.is_shared:
                self._refuse_if_in_use(model.repo_id)
        return list(self.cache.evict_all())

    def clear_cache(self, model_name: str | None = None) -> None:
        """Delete one model, or all of them."""
        if model_name is None:
            self.evict_all()
        else:
            self.evict_model(model_name)

    def verify(
        self, model_name: str, *, reporter: Reporter | None = None, stop: threading.Event | None = None
    ) -> VerifyReport:
        """Read every byte of a cached model again and say which files are missing or wrong."""
        return self.cache.verify(
            parse_repo_id(model_name), reporter=reporter or self._make_reporter(), stop=stop or threading.Event()
        )

    def pin(self, model_name: str, pinned: bool = True) -> None:  # noqa: FBT001, FBT002 - reads as pin(name, False)
        """Protect a model from being evicted with all others, or stop protecting it."""
        self.cache.pin(parse_repo_id(model_name), pinned=pinned)

    def _refuse_if_in_use(self, repo_id: str) -> None:
        for job in self._active_jobs():
            if _model_of(job) == repo_id:
                raise ModelInUse(f"{repo_id} is used by the running job {job.id}.", hint="Stop the job first.")

    # What there is

    def models(self) -> list[dict[str, Any]]:
        """Return the catalogue joined with the cache and the running downloads, cached but uncatalogued models last."""
        downloads = {_model_of(job): job.id for job in self._active_jobs() if job.kind == "download"}
        return overview.model_rows(self.cache.list(), downloads)

    def describe(self) -> Description:
        """Answer "which hub am I using, which cache, and why"."""
        return overview.describe(self.settings)

    # Jobs

    def jobs(self) -> list[Job]:
        """Return every job, newest first."""
        return self.job_store.list()

    def job(self, job_id: str) -> Job:
        """Return one job. Raises JobNotFound."""
        return self.job_store.get(job_id)

    def _active_jobs(self) -> Iterator[Job]:
        """Yield the jobs at work on this cache; other kernels may work on another one."""
        for job in self.jobs():
            given = job.params.get("settings", {})
            if given.get("cache_dir", str(self.settings.cache_dir)) != str(self.settings.cache_dir):
                continue
            with contextlib.suppress(JobNotFound):  # forgotten since it was listed
                if job.status().is_active:
                    yield job

    def download(self, model_name: str, *, force: bool = False, revision: str | None = None) -> Job:
        """Start a download that goes on whatever happens to this kernel, or return the same one already under way."""
        repo_id = parse_repo_id(model_name)
        if self.cache.find(repo_id) is None:
            catalog.check_published(repo_id)
        params = {"model_name": repo_id, "force": force, "revision": revision}
        for job in self._active_jobs():
            is_same = job.kind == "download" and params.items() <= job.params.items()
            with contextlib.suppress(JobNotFound):
                if is_same and job.status().state != "stopping":
                    return job
        return self._start("download", params, title=f"Download {repo_id}", cwd=self.settings.state_dir)

    def start_verify(self, model_name: str) -> Job:
        """Verify a cached model as a job. Raises NotCached."""
        repo_id = parse_repo_id(model_name)
        if self.cache.find(repo_id) is None:
            raise NotCached(f"{repo_id} is not in the cache.", hint=f"Download it: %qwen3ft download {repo_id}")
        return self._start("verify", {"model_name": repo_id}, title=f"Verify {repo_id}", cwd=self.settings.state_dir)

    def fine_tune(self, config: Mapping[str, Any] | None = None, **fields: Any) -> Job:
        """Start a fine-tune with this Python, downloading the model first if need be.

        Args:
            config: the fields of `qwen3ft_jupyter.FineTuneConfig` as a mapping, for example read from YAML.
            fields: the same as keyword arguments; they win over `config`.

        Raises:
            BadConfig: one or more fields are wrong, all of them named; or output_dir holds or is getting another run.
            BadData: the data cannot be read.
        """
        from qwen3ft_jupyter.finetune import FineTuneConfig, check_data, check_output

        resolved = FineTuneConfig.from_dict({**(config or {}), **fields})
        repo_id = parse_repo_id(resolved.model)
        if self.cache.find(repo_id) is None:
            catalog.check_published(repo_id)
        self._refuse_if_written_to(resolved.output_dir)
        check_output(resolved)
        check_data(resolved)
        self._resident.let_go()  # the model that answers questions and the job would share one GPU
        title = f"Fine-tune {resolved.model} → {Path(resolved.output_dir).name}"
        return self._start("finetune", {"config": resolved.to_dict()}, title=title, cwd=None)

    def _refuse_if_written_to(self, output_dir: str) -> None:
        for job in self._active_jobs():
            taken = job.params["config"]["output_dir"] if job.kind == "finetune" else None
            if taken is not None and os.path.realpath(taken) == os.path.realpath(output_dir):
                raise BadConfig(
                    f"output_dir: the running job {job.id} writes to {Path(output_dir).name}.",
                    hint="Stop it first, or give another output_dir.",
                )

    def _start(self, kind: str, params: dict[str, Any], *, title: str, cwd: Path | None) -> Job:
        if cwd is not None:
            cwd.mkdir(parents=True, exist_ok=True)
        params = {**params, "settings": self.settings.shareable(), "is_trusted": self._is_trusted}
        return self.job_store.start(kind, params, title=title, python=sys.executable, cwd=cwd)

    # Loading and talking

    def load_model_and_tokenizer(
        self,
        model_name: str,
        device_map: str | None = "auto",
        *,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Download if need be, then load. Returns `(model, tokenizer)` of transformers, ready to use.

        Args:
            model_name: a repo id; the output folder or job id of a fine-tune, which loads base and adapter; or the
                path of a model folder, absolute or beginning with ``./`` or ``~``.
            device_map: as in transformers; "auto" takes the GPU if there is one.
            reporter: receives progress.
            options: passed to `qwen3ft_jupyter.loading.load_model_and_tokenizer`: `dtype`, `quantization` (None,
                "4bit", "8bit"), `attn_implementation`, `adapter`, `device`, `memory_check`.

        Raises:
            DoesNotFit: it needs more memory than there is; the hint proposes what fits.
            UnsafeModel: loading would run code from the repo.
            MissingPackage: torch and friends are not installed.
        """
        reporter = reporter or self._make_reporter()
        return self._resident.load(self._locate(model_name, reporter), device_map, reporter, options)

    def chat(
        self,
        model_name: str,
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
            options: passed to `qwen3ft_jupyter.finetune.answer`, for example `max_new_tokens`.
        """
        from qwen3ft_jupyter.finetune import answer

        reporter = reporter or self._make_reporter()
        model, tokenizer = self._resident.at_hand(self._locate(model_name, reporter), reporter)
        return answer(model, tokenizer, question, **options)

    def _locate(self, name: str, reporter: Reporter) -> Located:
        from qwen3ft_jupyter.finetune import is_run, read_run

        run = self._run_of_job(name)
        path = run or Path(name).expanduser()
        if run is not None or is_run(path):
            result = read_run(path)
            made = (path / "result.json").stat().st_mtime
            if result.model_folder is not None:
                return Located(result.model_folder, None, made)
            base = self.ensure(result.base_model, reporter=reporter).model
            return Located(base.folder, result.adapter_folder, made)
        if path.is_absolute() or name.startswith((".", "~")):
            return Located(path, None, 0.0)
        model = self.ensure(name, reporter=reporter).model
        return Located(model.folder, None, model.created or 0.0)

    def _run_of_job(self, name: str) -> Path | None:
        for job in self.jobs() if "/" not in name else []:
            if job.id == name and job.kind == "finetune":
                return Path(str(job.params["config"]["output_dir"]))
        return None


def _model_of(job: Job) -> str:
    config = job.params.get("config")
    return str(config.get("model", "")) if isinstance(config, dict) else str(job.params.get("model_name", ""))
