"""A manager with the methods of the real one that does nothing: it notes what it is asked and can be told to fail."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from qwen3ft_jupyter.cache import EvictedModel
from qwen3ft_jupyter.errors import JobNotFound, NotCached, Qwen3ftError, WrongJobState
from qwen3ft_jupyter.jobs import JobStatus, LogChunk
from qwen3ft_jupyter.reporting import Progress

if TYPE_CHECKING:
    from qwen3ft_jupyter.jobs import Job
    from qwen3ft_jupyter.manager import ModelManager

NAME = "Qwen/Qwen3-0.6B"
SLUG = "Qwen_Qwen3-0.6B"
HOSTILE = '<img src=x onerror="alert(1)">'

QUEUED = JobStatus("queued", 1, updated=1.0)
HALFWAY = JobStatus(
    "running",
    1,
    progress=Progress(
        "transferring", done=500_000_000, total=1_000_000_000, rate=5e7, eta_s=10.0, detail="8 connections"
    ),
    notices=("Qwen/Qwen3-0.6B is not on ModelScope: taken from Hugging Face.",),
    started=1.0,
    updated=2.0,
)
DONE = JobStatus("succeeded", 1, result={"folder": "/cache/Qwen_Qwen3-0.6B", "bytes": 10**9}, updated=3.0, ended=3.0)
FAILED = JobStatus(
    "failed", 1, error={"code": "no-space", "message": "No room.", "hint": "Free 1 GB."}, updated=3.0, ended=3.0
)


def model_row(name: str, **changes: Any) -> dict[str, Any]:
    """Return one row of `ModelManager.models`."""
    return {
        "model_name": name,
        "slug": name.replace("/", "_"),
        "role": "quick experiments",
        "badge": "start here",
        "kind": "hybrid",
        "note": "",
        "license": "apache-2.0",
        "parameters": 596_049_920,
        "context": 40_960,
        "download_bytes": 1_500_000_000,
        "memory_bytes": {"load": 1_700_000_000, "lora": 3_000_000_000, "full": 9_000_000_000},
        "cached": False,
        "verified": False,
        "size": None,
        "job_id": None,
        "catalogued": True,
    } | changes


def cached_row(name: str, **changes: Any) -> dict[str, Any]:
    """Return one row of `ModelManager.list_cached_models`."""
    return {
        "model_name": name,
        "slug": name.replace("/", "_"),
        "size": 1_500_000_000,
        "path": f"/cache/{name.replace('/', '_')}",
        "hub": "modelscope",
        "commit": "0" * 40,
        "revision": "master",
        "created": 1.0,
        "last_used": 2.0,
        "pinned": False,
        "verified": True,
        "shared": False,
    } | changes


@dataclass
class StandInJob:
    """A job that moves one step along its script at each `wait`."""

    id: str
    kind: str = "download"
    title: str = f"Download {NAME}"
    params: dict[str, Any] = field(default_factory=dict)
    created: float = 1.0
    script: list[JobStatus] = field(default_factory=lambda: [QUEUED, HALFWAY, DONE])
    metrics: list[dict[str, float]] = field(default_factory=list)
    text: str = "one line\n"
    is_interrupting: bool = False
    is_forgotten: bool = False
    moved: threading.Event = field(default_factory=threading.Event)

    @property
    def real(self) -> Job:
        """Return itself, for those who are typed to take the real thing."""
        return cast("Job", self)

    def status(self) -> JobStatus:
        if self.is_forgotten:
            raise JobNotFound(f"There is no job {self.id}.")
        return self.script[0]

    def wait(self, timeout_s: float | None = None) -> JobStatus:  # noqa: ARG002
        if self.is_interrupting:
            raise KeyboardInterrupt
        if len(self.script) > 1:
            self.script.pop(0)
        self.moved.set()
        return self.status()

    def stop(self) -> None:
        if self.status().is_active:
            self.script = [replace(self.status(), state="stopping"), replace(self.status(), state="stopped", ended=4.0)]

    def resume(self) -> StandInJob:
        if self.status().is_active or self.status().state == "succeeded":
            raise WrongJobState(f"The job {self.id} cannot be resumed.", hint="Start a new one.")
        self.script = [replace(QUEUED, attempt=self.status().attempt + 1), DONE]
        return self

    def forget(self) -> None:
        if self.status().is_active:
            raise WrongJobState(f"The job {self.id} is active.", hint="Stop it first.")
        self.is_forgotten = True

    def log(self, offset: int = 0, limit: int = 65536) -> LogChunk:
        data = self.text.encode()
        start = offset if offset >= 0 else max(0, len(data) + offset)
        piece = data[start : start + limit]
        return LogChunk(piece.decode(), start + len(piece))

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for n, values in enumerate(self.metrics, 1):
            events.append({"n": n, "t": 1.0, "type": "metrics", "values": values})
        return [event for event in events if event["n"] > after]

    def to_dict(self) -> dict[str, Any]:
        about = {"id": self.id, "kind": self.kind, "title": self.title, "created": self.created, "params": self.params}
        return {**about, **self.status().to_dict()}


class StandInManager:
    """Has a catalogue of two, a cache of one, and the jobs a test gives it."""

    def __init__(self, folder: Path = Path("/nowhere")) -> None:
        self.settings = SimpleNamespace(cache_dir=folder / "cache", state_dir=folder / "state", hub="modelscope")
        self.asked: list[tuple[Any, ...]] = []
        self.catalogue = [
            model_row(NAME, cached=True, verified=True, size=1_500_000_000),
            model_row("Qwen/Qwen3-4B", role="recommended for production", badge="recommended"),
        ]
        self.cached = [cached_row(NAME)]
        self.all_jobs: list[StandInJob] = []
        self.next_script: list[JobStatus] = [QUEUED, HALFWAY, DONE]
        self.next_metrics: list[dict[str, float]] = []
        self.failure: BaseException | None = None
        self.gate: threading.Event | None = None
        self.gated = {"models"}
        self.is_blocked = threading.Event()
        self.has_failed = threading.Event()

    @property
    def real(self) -> ModelManager:
        """Return itself, for those who are typed to take the real thing."""
        return cast("ModelManager", self)

    def _note(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.gate is not None and asked[0] in self.gated:
            self.is_blocked.set()
            assert self.gate.wait(20)
        if self.failure is not None:
            self.has_failed.set()
            raise self.failure

    def describe(self) -> SimpleNamespace:
        self._note("describe")
        status = {
            "version": "0.1.0",
            "hub": "modelscope",
            "hubs": ["modelscope", "huggingface"],
            "python": "3.11.2",
            "training": {"torch": True, "peft": False},
            "settings": [
                {"name": "USE_MODELSCOPE", "value": "true", "origin": "default", "help": "Ask ModelScope first."},
                {"name": "HF_TOKEN", "value": "***", "origin": "environment (HF_TOKEN)", "help": "A token."},
            ],
            "warnings": [],
        }
        return SimpleNamespace(to_dict=lambda: status)

    def models(self) -> list[dict[str, Any]]:
        self._note("models")
        return self.catalogue

    def list_cached_models(self) -> list[dict[str, Any]]:
        self._note("list_cached_models")
        return self.cached

    def evict_model(self, model_name: str) -> int:
        self._note("evict_model", model_name)
        for row in self.cached:
            if row["model_name"] == model_name:
                self.cached.remove(row)
                return int(row["size"])
        raise NotCached(f"{model_name} is not in the cache.", hint="Download it.")

    def evict_slug(self, name: str) -> int:
        self._note("evict_slug", name)
        for row in self.cached:
            if row["slug"] == name:
                self.cached.remove(row)
                return int(row["size"])
        raise NotCached("There is no such model in the cache.", hint="List them.")

    def evict_all(self) -> list[EvictedModel]:
        self._note("evict_all")
        gone = [row for row in self.cached if not row["shared"]]
        self.cached = [row for row in self.cached if row["shared"]]
        return [EvictedModel(row["model_name"], row["slug"], row["size"]) for row in gone]

    def pin(self, model_name: str, pinned: bool = True) -> None:  # noqa: FBT001, FBT002
        self._note("pin", model_name, pinned)

    def download(self, model_name: str, *, force: bool = False, revision: str | None = None) -> StandInJob:
        self._note("download", model_name, force, revision)
        return self.new_job("download", {"model_name": model_name, "force": force}, f"Download {model_name}")

    def start_verify(self, model_name: str) -> StandInJob:
        self._note("start_verify", model_name)
        return self.new_job("verify", {"model_name": model_name}, f"Verify {model_name}")

    def fine_tune(self, config: dict[str, Any] | None = None, **fields: Any) -> StandInJob:
        config = {**(config or {}), **fields}
        self._note("fine_tune", config)
        return self.new_job("finetune", {"config": config}, f"Fine-tune {config.get('model')}")

    def load_model_and_tokenizer(self, model_name: str, **options: Any) -> tuple[Any, Any]:
        self._note("load", model_name, options)
        model = SimpleNamespace(num_parameters=lambda: 596_049_920, dtype="torch.bfloat16", device="cpu")
        return model, SimpleNamespace(name="tokenizer")

    def chat(self, model_name: str, question: str, **options: Any) -> str:
        self._note("chat", model_name, question, options)
        return f"You asked: {question}"

    def jobs(self) -> list[StandInJob]:
        self._note("jobs")
        return [job for job in self.all_jobs if not job.is_forgotten]

    def job(self, job_id: str) -> StandInJob:
        self._note("job", job_id)
        for job in self.jobs():
            if job.id == job_id:
                return job
        raise JobNotFound("There is no such job.", hint="List them.")

    def new_job(self, kind: str, params: dict[str, Any], title: str) -> StandInJob:
        """Add a job that follows `next_script`."""
        job_id = f"20260102-030405-{kind}-{len(self.all_jobs):04x}"
        job = StandInJob(job_id, kind, title, params, time.time(), list(self.next_script), list(self.next_metrics))
        self.all_jobs.insert(0, job)
        folder = self.settings.state_dir / "jobs" / job_id
        if self.settings.state_dir.is_dir():
            folder.mkdir(parents=True)
        return job

    def was_asked(self, verb: str) -> list[tuple[Any, ...]]:
        """Return the arguments of every call of `verb`."""
        return [asked[1:] for asked in self.asked if asked[0] == verb]


def failing(error: Qwen3ftError) -> StandInManager:
    """Return a manager whose every method raises `error`."""
    manager = StandInManager()
    manager.failure = error
    return manager
