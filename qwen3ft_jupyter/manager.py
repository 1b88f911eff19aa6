"""The front door: every face (cell, magic, form, panel, REST, command line) calls `ModelManager` and formats."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import catalog
from qwen3ft_jupyter.cache import ModelCache, VerifyReport, ensure_model
from qwen3ft_jupyter.catalog.memory import estimate_bytes
from qwen3ft_jupyter.errors import ModelInUse, NotCached
from qwen3ft_jupyter.hubs import make_hubs, parse_repo_id, slug
from qwen3ft_jupyter.jobs import Job, JobContext, JobStore
from qwen3ft_jupyter.reporting import SILENT, Progress, Reporter
from qwen3ft_jupyter.settings import SETTINGS, Secret, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qwen3ft_jupyter.cache import Ensured
    from qwen3ft_jupyter.hubs import Hub, RepoId
    from qwen3ft_jupyter.settings import HubName

PRACTICE_REPO = "qwen3ft/Qwen3-Practice"
"""A tiny model made on this machine and served by an embedded hub: everything can be tried without network or GPU."""
_TRAIN_PACKAGES = ("torch", "transformers", "peft", "accelerate", "safetensors")


def get_model_manager(
    use_modelscope: bool | None = None,  # noqa: FBT001 - users know it as get_model_manager(True)
    cache_dir: str | Path | None = None,
    *,
    reporter: Callable[[], Reporter] | None = None,
    **overrides: Any,
) -> ModelManager:
    """Return a manager for the settings in force; arguments win over everything else.

    Args:
        use_modelscope: ask ModelScope first (True) or Hugging Face first (False).
        cache_dir: where models are kept.
        reporter: makes the object that shows progress; nothing is shown if left out.
        overrides: any other field of `qwen3ft_jupyter.settings.Settings`, for example ``offline=True``.

    Raises:
        BadSetting: a setting has a value that is not accepted.
    """
    given = {"use_modelscope": use_modelscope, "cache_dir": cache_dir, **overrides}
    return ModelManager(load_settings(given), reporter=reporter)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as `ModelManager.describe` shows it."""

    variable: str
    value: str
    origin: str
    help: str


@dataclass(frozen=True, slots=True)
class Description:
    """Which hub, which cache, which Python, and why."""

    hub: HubName
    hubs: tuple[HubName, ...]
    rows: tuple[SettingRow, ...]
    version: str
    python: str
    training: dict[str, bool]
    """Which of the packages that training needs are installed in this Python."""
    notices: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``GET /qwen3ft/status`` answers."""
        return {
            "version": self.version,
            "hub": self.hub,
            "hubs": list(self.hubs),
            "python": self.python,
            "training": self.training,
            "settings": [
                {"name": row.variable, "value": row.value, "origin": row.origin, "help": row.help} for row in self.rows
            ],
            "warnings": list(self.notices),
        }

    def __str__(self) -> str:
        width = max(len(row.variable) for row in self.rows)
        lines = [f"qwen3ft_jupyter {self.version} · hub: {' then '.join(self.hubs)} · Python {self.python}"]
        lines += [f"  {row.variable:<{width}}  {row.value}   ({row.origin})" for row in self.rows]
        missing = [name for name, present in self.training.items() if not present]
        if missing:
            lines.append(f"  not installed in this Python: {', '.join(missing)}. pip install 'qwen3ft-jupyter[train]'")
        return "\n".join([*lines, *(f"  note: {notice}" for notice in self.notices)])


class ModelManager:
    """Downloads, keeps, loads and fine-tunes models. Make one with `get_model_manager`."""

    def __init__(self, settings: Settings, *, reporter: Callable[[], Reporter] | None = None) -> None:
        self.settings = settings
        self.cache = ModelCache(settings.cache_dir, settings.shared_dirs)
        self.job_store = JobStore(settings.state_dir)
        self._make_reporter = reporter or (lambda: SILENT)
        self._loaded: tuple[tuple[str, str], Any] | None = None

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
        ensured = self._ensure(model_name, force=force_download, revision=revision, reporter=reporter, stop=stop)
        return str(ensured.model.folder)

    def _ensure(
        self,
        model_name: str,
        *,
        force: bool = False,
        revision: str | None = None,
        reporter: Reporter | None = None,
        stop: threading.Event | None = None,
    ) -> Ensured:
        repo_id = parse_repo_id(model_name)
        reporter = reporter or self._make_reporter()
        stop = stop or threading.Event()
        if force or self.cache.find(repo_id) is None:
            catalog.check_published(repo_id)
        with self._hubs_for(repo_id, force=force, reporter=reporter, stop=stop) as hubs:
            return ensure_model(
                self.cache,
                hubs,
                repo_id,
                revision=revision,
                force=force,
                offline=self.settings.offline and repo_id != PRACTICE_REPO,
                order=self.settings.hubs,
                max_connections=self.settings.max_connections,
                reporter=reporter,
                stop=stop,
            )

    @contextlib.contextmanager
    def _hubs_for(
        self, repo_id: RepoId, *, force: bool, reporter: Reporter, stop: threading.Event
    ) -> Iterator[dict[HubName, Hub]]:
        """Yield the hubs to ask: the configured ones, or for the practice model one of our own on loopback."""
        cached = self.cache.find(repo_id)
        if repo_id != PRACTICE_REPO or (cached is not None and cached.is_verified and not force):
            yield make_hubs(self.settings)
            return
        from qwen3ft_jupyter.mirror import Mirror
        from qwen3ft_jupyter.practice import make_practice

        practice = make_practice(self.settings.state_dir / "practice", reporter=reporter, stop=stop)
        with Mirror({PRACTICE_REPO: practice.folder}) as mirror:
            yield make_hubs(self.settings, endpoint=mirror.url)

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

    def evict_all(self) -> dict[str, int]:
        """Delete every model we downloaded and return the bytes freed per model name.

        Pinned models, shared caches and folders that something else put there stay: those need to be named.

        Raises:
            ModelInUse: a running job uses one of them; nothing is deleted then.
        """
        for model in self.cache.list():
            self._refuse_if_in_use(model.repo_id)
        freed: dict[str, int] = {}
        for evicted in self.cache.evict_all():
            freed[evicted.repo_id] = freed.get(evicted.repo_id, 0) + evicted.freed_bytes
        return freed

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
        """Protect a model from automatic eviction, or stop protecting it."""
        self.cache.pin(parse_repo_id(model_name), pinned=pinned)

    def _refuse_if_in_use(self, repo_id: str) -> None:
        for job in self.jobs():
            if job.status().is_active and _model_of(job) == repo_id:
                raise ModelInUse(f"{repo_id} is used by the running job {job.id}.", hint="Stop the job first.")

    # What there is

    def models(self) -> list[dict[str, Any]]:
        """Return the catalogue joined with the cache and the running downloads, cached but uncatalogued models last."""
        cached = {model.repo_id: model for model in self.cache.list()}
        running = {_model_of(job): job.id for job in self.jobs() if job.kind == "download" and job.status().is_active}
        rows = [_catalogue_row(entry) for entry in catalog.catalog()]
        rows.append(_uncatalogued_row(PRACTICE_REPO) | {"role": "practice", "note": "Made and served on this machine."})
        known = {row["model_name"] for row in rows}
        rows += [_uncatalogued_row(name) for name in [*cached, *running] if name not in known]
        rows = list({row["model_name"]: row for row in rows}.values())
        for row in rows:
            model = cached.get(row["model_name"])
            row["cached"] = model is not None
            row["verified"] = model is not None and model.is_verified
            row["size"] = model.size_bytes if model else None
            row["job_id"] = running.get(row["model_name"])
        return rows

    def describe(self) -> Description:
        """Answer "which hub am I using, which cache, and why"."""
        from qwen3ft_jupyter._version import __version__

        rows = tuple(
            SettingRow(
                setting.variable,
                _shown(getattr(self.settings, setting.name)),
                self.settings.origins[setting.name],
                setting.help,
            )
            for setting in SETTINGS
        )
        return Description(
            hub=self.settings.hub,
            hubs=self.settings.hubs,
            rows=rows,
            version=__version__,
            python=platform.python_version(),
            training={name: importlib.util.find_spec(name) is not None for name in _TRAIN_PACKAGES},
            notices=self.settings.notices,
        )

    # Jobs

    def jobs(self) -> list[Job]:
        """Return every job, newest first."""
        return self.job_store.list()

    def job(self, job_id: str) -> Job:
        """Return one job. Raises JobNotFound."""
        return self.job_store.get(job_id)

    def download(self, model_name: str, *, force: bool = False, revision: str | None = None) -> Job:
        """Start a download that goes on whatever happens to this kernel, or return the one already under way."""
        repo_id = parse_repo_id(model_name)
        if self.cache.find(repo_id) is None:
            catalog.check_published(repo_id)
        for job in self.jobs():
            if job.kind == "download" and _model_of(job) == repo_id and job.status().is_active:
                return job
        params = {"model_name": repo_id, "force": force, "revision": revision}
        return self._start("download", params, title=f"Download {repo_id}")

    def start_verify(self, model_name: str) -> Job:
        """Verify a cached model as a job. Raises NotCached."""
        repo_id = parse_repo_id(model_name)
        if self.cache.find(repo_id) is None:
            raise NotCached(f"{repo_id} is not in the cache.", hint=f"Download it: %qwen3ft download {repo_id}")
        return self._start("verify", {"model_name": repo_id}, title=f"Verify {repo_id}")

    def fine_tune(self, config: Mapping[str, Any] | None = None, **fields: Any) -> Job:
        """Start a fine-tune with this Python, downloading the model first if need be.

        Args:
            config: the fields of `qwen3ft_jupyter.FineTuneConfig` as a mapping, for example read from YAML.
            fields: the same as keyword arguments; they win over `config`.

        Raises:
            BadConfig: one or more fields are wrong; all of them are named.
            BadData: the data cannot be read.
        """
        from qwen3ft_jupyter.finetune import FineTuneConfig, check_data

        resolved = FineTuneConfig.from_dict({**(config or {}), **fields})
        if self.cache.find(parse_repo_id(resolved.model)) is None:
            catalog.check_published(parse_repo_id(resolved.model))
        check_data(resolved)
        title = f"Fine-tune {resolved.model} → {Path(resolved.output_dir).name}"
        return self._start("finetune", {"config": resolved.to_dict()}, title=title)

    def _start(self, kind: str, params: dict[str, Any], *, title: str) -> Job:
        params["settings"] = self.settings.shareable()
        return self.job_store.start(kind, params, title=title, python=sys.executable)

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
            model_name: a repo id; or the output folder or job id of a fine-tune, which loads base and adapter.
            device_map: as in transformers; "auto" takes the GPU if there is one.
            reporter: receives progress.
            options: passed to `qwen3ft_jupyter.loading.load_model_and_tokenizer`: `dtype`, `quantization` (None,
                "4bit", "8bit"), `attn_implementation`, `adapter`, `device`, `memory_check`.

        Raises:
            DoesNotFit: it needs more memory than there is; the hint proposes what fits.
            UnsafeModel: loading would run code from the repo.
            MissingPackage: torch and friends are not installed.
        """
        from qwen3ft_jupyter.loading import load_model_and_tokenizer

        reporter = reporter or self._make_reporter()
        folder, adapter = self._resolve(model_name, reporter)
        if adapter is not None:
            options.setdefault("adapter", adapter)
        return load_model_and_tokenizer(folder, device_map=device_map, reporter=reporter, **options)

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
        folder, adapter = self._resolve(model_name, reporter)
        key = (str(folder), str(adapter))
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # give the memory back before the next model takes its own
            self._loaded = (key, self.load_model_and_tokenizer(model_name, reporter=reporter))
        model, tokenizer = self._loaded[1]
        return answer(model, tokenizer, question, **options)

    def _resolve(self, model_name: str, reporter: Reporter) -> tuple[Path, Path | None]:
        """Return the model folder and the adapter folder of a repo id, a fine-tune's job id or its output folder."""
        from qwen3ft_jupyter.finetune import read_run

        run = self._run_folder(model_name)
        if run is None:
            ensured = self._ensure(model_name, reporter=reporter)
            self.cache.touch(ensured.model.repo_id)
            return ensured.model.folder, None
        result = read_run(run)
        if result.model_folder is not None:
            return result.model_folder, None
        return Path(self.ensure_model_cached(result.base_model, reporter=reporter)), result.adapter_folder

    def _run_folder(self, name: str) -> Path | None:
        if (Path(name) / "config.json").is_file() or Path(name).is_absolute():
            return Path(name)
        if "/" in name:
            return None
        for job in self.jobs():
            if job.id == name and job.kind == "finetune":
                return Path(str(job.params["config"]["output_dir"]))
        return None

    # What job processes run

    def run_download(self, params: Mapping[str, Any], context: JobContext) -> dict[str, Any]:
        """Run a download job."""
        ensured = self._ensure(
            params["model_name"],
            force=bool(params.get("force")) and context.attempt == 1,  # a resumed job keeps what the first try fetched
            revision=params.get("revision"),
            reporter=context.reporter,
            stop=context.stop,
        )
        return {
            "model_name": ensured.model.repo_id,
            "folder": str(ensured.model.folder),
            "bytes": ensured.bytes_fetched,
            "size": ensured.model.size_bytes,
            "seconds": ensured.seconds,
            "hub": ensured.hub,
            "was_cached": ensured.was_cached,
            "verified": ensured.model.is_verified,
        }

    def run_verify(self, params: Mapping[str, Any], context: JobContext) -> dict[str, Any]:
        """Run a verify job."""
        return self.verify(params["model_name"], reporter=context.reporter, stop=context.stop).to_dict()

    def run_finetune(self, params: Mapping[str, Any], context: JobContext) -> dict[str, Any]:
        """Run a fine-tune job, continuing from the last complete checkpoint if it was interrupted."""
        from qwen3ft_jupyter.finetune import FineTuneConfig, train

        config = FineTuneConfig.from_dict(params["config"])
        context.reporter.progress(Progress("resolving", detail=config.model))
        ensured = self._ensure(config.model, reporter=context.reporter, stop=context.stop)
        self.cache.touch(ensured.model.repo_id)
        return train(
            config,
            model_folder=ensured.model.folder,
            output_dir=Path(config.output_dir),
            reporter=context.reporter,
            stop=context.stop,
            resume=context.attempt > 1,
        )


def _model_of(job: Job) -> str:
    config = job.params.get("config")
    return str(config.get("model", "")) if isinstance(config, dict) else str(job.params.get("model_name", ""))


def _catalogue_row(entry: catalog.CatalogModel) -> dict[str, Any]:
    return {
        "model_name": entry.repo_id,
        "slug": slug(parse_repo_id(entry.repo_id)),
        "role": entry.role,
        "badge": entry.badge,
        "kind": entry.kind,
        "note": entry.note,
        "license": entry.license,
        "parameters": entry.parameters,
        "context": entry.context,
        "download_bytes": entry.download_bytes,
        "memory_bytes": {method: estimate_bytes(entry, method) for method in ("load", "lora", "full")},
        "catalogued": True,
    }


def _uncatalogued_row(name: str) -> dict[str, Any]:
    return {
        "model_name": name,
        "slug": slug(parse_repo_id(name)),
        "role": "",
        "badge": "",
        "kind": "",
        "note": "",
        "license": "",
        "parameters": None,
        "context": None,
        "download_bytes": None,
        "memory_bytes": None,
        "catalogued": False,
    }


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
