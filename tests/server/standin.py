"""A manager with the methods of the real one that does nothing: it notes what it is asked and can be told to fail."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from qwen3ft_jupyter import catalog
from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
from qwen3ft_jupyter.cache.own.partials import Unfinished
from qwen3ft_jupyter.cache.reports import MovePlan, MoveReport
from qwen3ft_jupyter.download.plan import PlannedFile
from qwen3ft_jupyter.errors import CacheNotWritable, JobNotFound, NotCached, Qwen3ftError, WrongJobState
from qwen3ft_jupyter.faces.actions import snapshots
from qwen3ft_jupyter.finetune.absent import AbsentData
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import DataReport
from qwen3ft_jupyter.finetune.plan import make_plan
from qwen3ft_jupyter.finetune.preview import Bin, Preview, PreviewSample, Token
from qwen3ft_jupyter.finetune.report.card import Asked, Loss, ReportCard
from qwen3ft_jupyter.finetune.runs import Comparison
from qwen3ft_jupyter.finetune.samples import Tokens
from qwen3ft_jupyter.hubs.listing import RemoteFile
from qwen3ft_jupyter.hubs.names import LeftOut, SafePath, parse_repo_id, parse_sha256
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.jobs.folder import LogChunk
from qwen3ft_jupyter.jobs.state import JobSnapshot, JobStatus
from qwen3ft_jupyter.loading.machine import Gpu, Machine, Room
from qwen3ft_jupyter.manager.details import ModelCard, ModelDetails, NamedModel
from qwen3ft_jupyter.manager.foreseen import Foreseen
from qwen3ft_jupyter.manager.overview import CacheSummary, Description, ModelRow, SettingRow
from qwen3ft_jupyter.manager.rates import SourceRate
from qwen3ft_jupyter.manager.updates import ModelNews
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.upload.plan import Item, PushPlan
from qwen3ft_jupyter.work import SILENT, Controls, Progress, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qwen3ft_jupyter.cache.datasets import CachedDataset
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.finetune.plan import FineTunePlan
    from qwen3ft_jupyter.jobs.store import Job

if TYPE_CHECKING:
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
        "memory_bytes": {"load": 1_700_000_000, "qlora": 2_000_000_000, "lora": 3_000_000_000, "full": 9_000_000_000},
        "cached": False,
        "verified": False,
        "size": None,
        "job_id": None,
        "catalogued": True,
    } | changes


def cached_row(name: str, **changes: Any) -> dict[str, Any]:
    """Return one row of `ModelManager.list_cached_models`."""
    row = {
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
        "owner": "qwen3ft",
        "problems": [],
    } | changes
    return {"recorded": row["verified"], **row}


def as_model(row: dict[str, Any]) -> ModelRow:
    """Return what `row` was made of."""
    return ModelRow(**row)


def as_cached(row: dict[str, Any]) -> CachedModel:
    """Return what `row` was made of."""
    return CachedModel(
        repo_id=row["model_name"],
        slug=row["slug"],
        folder=Path(row["path"]),
        size_bytes=row["size"],
        hub=row["hub"],
        commit=row["commit"],
        revision=row["revision"],
        created=row["created"],
        last_used=row["last_used"],
        pinned=row["pinned"],
        is_verified=row["recorded"],
        owner=row["owner"],
    )


def summarize(rows: list[dict[str, Any]], cache_dir: str) -> CacheSummary:
    """Return how full a cache of these models is."""
    ours = [row for row in rows if row["owner"] in ("qwen3ft", "shared")]
    return CacheSummary(
        cache_dir,
        total=len(ours),
        total_size=sum(row["size"] for row in ours),
        used=sum(row["size"] for row in ours if row["owner"] == "qwen3ft"),
        free=5 * 10**11,
        quota=2 * 10**11,
        incoming=10**9,
    )


def plan_of(name: str, **changes: Any) -> DownloadPlan:
    """Return a plan that `plan_dict` tells of."""
    told = plan_dict(name, **changes)
    about = {**told, "files": [PlannedFile(**file) for file in told["files"]], "repo_id": name}
    left_out = [LeftOut(file["path"], file["size"]) for file in told["left_out"]]
    listing = SimpleNamespace(revision=told["revision"], left_out=left_out)
    return cast("DownloadPlan", SimpleNamespace(**about, listing=listing, to_dict=lambda: told))


def fine_tune_plan() -> FineTunePlan:
    """Return the plan of a small fine-tune on a GPU that cannot hold it."""
    config = FineTuneConfig.from_dict({"model": "Qwen/Qwen3-4B", "data": "a.jsonl", "output_dir": "/runs/a"})
    report = DataReport(3, 2, ("messages",), 1, 0, (Message("{count} rows left out.", count=1),))
    tokens = Tokens("counted", 2, 60, 20, 40, (20, 40))
    gpu = Gpu("T4", (7, 5), 5_000_000_000, 16_000_000_000)
    found = catalog.find(config.model)
    assert found is not None
    return make_plan(config, report, tokens, found.architecture, Machine(10**10, 10**10, gpus=(gpu,)), disk_free=10**9)


PREVIEW = Preview(
    model=NAME,
    max_length=1024,
    rows=3,
    conversations=2,
    empty=1,
    bad=0,
    duplicates=0,
    thinking=0.5,
    basis="counted",
    samples=2,
    tokens=60,
    trained_tokens=20,
    longest=40,
    shortened=0,
    left_out=0,
    lengths=(Bin(20, 40, 2),),
    first=(PreviewSample((Token(1, HOSTILE, is_learned=False), Token(2, "Yes.", is_learned=True))),),
    notices=(Message("{count} rows left out.", count=1),),
)


def plan_dict(name: str, **changes: Any) -> dict[str, Any]:
    """Return what `DownloadPlan.to_dict` gives: an update of which some is here, some begun, and some travels."""

    def file(path: str, size: int, action: str, source: str = "", bytes_to_fetch: int = 0) -> dict[str, Any]:
        return {"path": path, "size": size, "action": action, "source": source, "bytes_to_fetch": bytes_to_fetch}

    return {
        "model_name": name,
        "hub": "modelscope",
        "revision": "master",
        "commit": "0123456789abcdef" + "0" * 24,
        "files": [
            file("config.json", 700, "kept"),
            file("model-00001-of-00003.safetensors", 10**9, "adopted", "Hugging Face cache"),
            file("model-00002-of-00003.safetensors", 10**9, "resumed", "ModelScope", 4 * 10**8),
            file("model-00003-of-00003.safetensors", 10**9, "fetched", "ModelScope", 10**9),
            file("vocab.json", 3 * 10**6, "fetched", "ModelScope", 3 * 10**6),
            file("merges.txt", 2 * 10**6, "removed"),
        ],
        "bytes_to_fetch": 1_403_000_000,
        "bytes_reused": 1_600_000_700,
        "room_bytes": 2_403_000_000,
        "free_bytes": 50 * 10**9,
        "missing_bytes": 0,
        "left_out": [],
        "problems": [],
        "quota": None,
        "over_quota_bytes": 0,
        "has_room": True,
        "to_evict": [],
        "evictable": [],
        "rate": 5e7,
        "seconds": 28.06,
        "sources": ["ModelScope", "Hugging Face"],
        "is_update": True,
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
    controls: dict[str, Any] | None = None
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

    def pause(self) -> None:
        self._change(paused=True)

    def limit(self, max_speed: int | None) -> None:
        self._change(max_speed=max_speed)

    def _change(self, **changes: Any) -> None:
        if self.controls is None or not self.status().is_active:
            raise WrongJobState(f"The job {self.id} cannot be changed.", hint="Stop it instead.")
        self.controls = {**self.controls, **changes}

    def resume(self) -> StandInJob:
        if self.controls is not None and self.controls["paused"]:
            self.controls = {**self.controls, "paused": False}
            return self
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

    def snapshot(self) -> JobSnapshot:
        told = self.controls and Controls(is_paused=self.controls["paused"], max_speed=self.controls["max_speed"])
        return JobSnapshot(self.id, self.kind, self.title, self.created, self.params, self.status(), told or None)

    def to_dict(self) -> Any:
        return self.snapshot().to_dict()


class StandInManager:
    """Has a catalogue of two, a cache of one, and the jobs a test gives it."""

    def __init__(self, folder: Path = Path("/nowhere")) -> None:
        self.settings = SimpleNamespace(
            cache_dir=folder / "cache", state_dir=folder / "state", hub="modelscope", offline=False
        )
        self.asked: list[tuple[Any, ...]] = []
        self.catalogue = [
            model_row(NAME, cached=True, verified=True, size=1_500_000_000),
            model_row("Qwen/Qwen3-4B", role="recommended for production", badge="recommended"),
        ]
        self.cached = [cached_row(NAME)]
        self.datasets: list[CachedDataset] = []
        self.kept: tuple[str, ...] = ()
        """What an eviction leaves in the folder of the model."""
        self.plan_answer: dict[str, Any] = {}
        """What `plan` answers, but for the usual."""
        self.looks: dict[str, dict[str, Any]] = {"plan": fine_tune_plan().to_dict(), "preview": PREVIEW.to_dict()}
        """What a look ahead answers."""
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
            assert self.gate.wait(120)
        if self.failure is not None:
            self.has_failed.set()
            raise self.failure

    def room(self) -> Room:
        self._note("room")
        return Room("NVIDIA A10", 24 << 30)

    def describe(self) -> Description:
        self._note("describe")
        return Description(
            hub="modelscope",
            hubs=("modelscope", "huggingface"),
            rows=(
                SettingRow("USE_MODELSCOPE", "true", "default", "Ask ModelScope first."),
                SettingRow("HF_TOKEN", "***", "environment (HF_TOKEN)", "A token."),
            ),
            version="0.1.0",
            python="3.11.2",
            training={"torch": True, "peft": False},
            notices=(),
        )

    def models(self) -> list[dict[str, Any]]:
        self._note("models")
        return self.catalogue

    def model_rows(self) -> list[ModelRow]:
        return [as_model(row) for row in self.models()]

    def list_cached_models(self) -> list[dict[str, Any]]:
        self._note("list_cached_models")
        return self.cached

    def cached_datasets(self) -> list[CachedDataset]:
        self._note("cached_datasets")
        return self.datasets

    def cached_models(self) -> list[CachedModel]:
        return [as_cached(row) for row in self.list_cached_models()]

    def cache_summary(self) -> dict[str, Any]:
        return self.summarize_cache().to_dict()

    def unseen(self) -> list[str]:
        return []

    def summarize_cache(self) -> CacheSummary:
        self._note("cache_summary")
        return summarize(self.cached, str(self.settings.cache_dir))

    def by_slug(self, slug: str) -> tuple[str, str | None]:
        self._note("by_slug", slug)
        for row in self.cached:
            if row["slug"] == slug:
                return str(row["model_name"]), row["commit"] or row["revision"] or None
        raise NotCached("There is no such model in the cache.", hint="List them.")

    def plan(self, model_name: str, *, stop: threading.Event | None = None, **wishes: Any) -> DownloadPlan:
        assert stop is None or not stop.is_set()
        self._note("plan", model_name, wishes)
        return plan_of(model_name, **self.plan_answer)

    def absent_dataset(self, name: str) -> str | None:
        return f"ms:{name}" if name == "org/talks" else None

    def read_name(self, text: str) -> NamedModel:
        self._note("read_name", text)
        repo_id, revision = parse_model(text)
        return NamedModel(repo_id, revision)

    def find_dataset(self, name: str, *, stop: threading.Event) -> AbsentData:
        assert not stop.is_set()
        self._note("find_dataset", name)
        return AbsentData(f"hf:{name}", 1500)

    def details(
        self, model_name: str, *, revision: str | None = None, ask: bool = False, stop: threading.Event | None = None
    ) -> ModelDetails:
        assert stop is None or not stop.is_set()
        self._note("details", model_name, revision, ask)
        files = (RemoteFile(SafePath("config.json"), 7, parse_sha256("a" * 64)),)
        return ModelDetails(
            as_model(model_row(NAME)),
            [as_cached(cached_row(NAME))],
            [Unfinished(parse_repo_id(NAME), SLUG, Path("/cache/.incoming"), 5, 3.0, "v1")],
            [SourceRate("ModelScope", 5_000_000, 2.0, 7.0)],
            True,
            "modelscope",
            "master",
            "c" * 40,
            files,
            "apache-2.0",
        )

    def card(
        self, model_name: str, *, revision: str | None = None, ask: bool = False, stop: threading.Event | None = None
    ) -> ModelCard:
        assert stop is None or not stop.is_set()
        self._note("card", model_name, revision, ask)
        return ModelCard(parse_repo_id(NAME), f"# A card {HOSTILE}" if ask else None, "apache-2.0")

    def known_updates(self) -> list[ModelNews]:
        self._note("known_updates")
        return [ModelNews(parse_repo_id(NAME), SLUG, "modelscope", "master", "a" * 40, "b" * 40, 5.0)]

    def check_updates(
        self, model_names: Sequence[str] = (), *, sizes: bool = False, stop: threading.Event | None = None
    ) -> list[ModelNews]:
        assert stop is None or not stop.is_set()
        self._note("check_updates", *model_names, sizes)
        asked = ModelNews(parse_repo_id(NAME), SLUG, "modelscope", "master", "a" * 40)
        return [replace(asked, problem=Message("The hub does not say which commit it has."))]

    def move_cache(self, target: Path) -> MoveReport:
        self._note("move_cache", target)
        return MoveReport("/cache", str(target), (SLUG,), (("me_mine", "it is in use"),), 1500)

    def plan_move(self, target: str | Path) -> MovePlan:
        self._note("plan_move", target)
        origin = Message("environment ({variable})", variable="MODEL_CACHE_DIR")
        return MovePlan("/cache", str(target), (SLUG,), 1500, 1500, 9000, 0, ("notes.txt",), origin)

    def start_move(self, target: str | Path) -> StandInJob:
        self._note("start_move", target)
        return self.new_job("move", {"target": str(target)}, f"Move the cache → {Path(target).name}")

    def where(self, model_name: str, *, revision: str | None = None, owner: str | None = None) -> Path:
        self._note("where", model_name, revision, owner)
        return Path("/cache", SLUG)

    def evict_model(
        self,
        model_name: str,
        *,
        revision: str | None = None,
        owner: str | None = None,
        everything: bool = False,
        reporter: Reporter = SILENT,  # noqa: ARG002 - nothing is kept
    ) -> int:
        self._note("evict_model", model_name, revision, owner, *["everything"] * everything)
        for row in self.cached:
            if row["model_name"] == model_name:
                self.cached.remove(row)
                return int(row["size"])
        raise NotCached(f"{model_name} is not in the cache.", hint="Download it.")

    def evict_slug(self, name: str, *, owner: str | None = None, everything: bool = False) -> EvictedModel:
        self._note("evict_slug", name, owner, *["everything"] * everything)
        for row in self.cached:
            if row["slug"] == name and owner in (None, row["owner"]):
                if owner is None and row["owner"] != "qwen3ft":
                    raise CacheNotWritable(f"{name} is another tool's.", hint="Name its owner.")
                self.cached.remove(row)
                return EvictedModel(row["model_name"], name, row["size"], () if everything else self.kept)
        raise NotCached("There is no such model in the cache.", hint="List them.")

    def evict_all(self, *, reporter: Reporter = SILENT) -> list[EvictedModel]:
        self._note("evict_all")
        reporter.notice("a/b stays: it is pinned.")
        gone = [row for row in self.cached if not row["shared"]]
        self.cached = [row for row in self.cached if row["shared"]]
        return [EvictedModel(row["model_name"], row["slug"], row["size"], self.kept) for row in gone]

    def pin(self, model_name: str, pinned: bool = True, *, revision: str | None = None) -> None:  # noqa: FBT001, FBT002
        self._note("pin", model_name, pinned, revision)

    def download(self, model_name: str, **wishes: Any) -> StandInJob:
        """Note those wishes that are one."""
        self._note("download", model_name, {name: value for name, value in wishes.items() if value})
        return self.new_job("download", {"model_name": model_name}, f"Download {model_name}", wishes.get("max_speed"))

    def start_verify(self, model_name: str, *, revision: str | None = None, max_speed: int | None = None) -> StandInJob:
        self._note("start_verify", model_name, revision, max_speed)
        params = {"model_name": model_name, "revision": revision}
        return self.new_job("verify", params, f"Verify {model_name}", max_speed)

    def start_repair(self, model_name: str, *, revision: str | None = None, max_speed: int | None = None) -> StandInJob:
        self._note("start_repair", model_name, revision, max_speed)
        params = {"model_name": model_name, "revision": revision}
        return self.new_job("repair", params, f"Repair {model_name}", max_speed)

    def fine_tune(self, config: dict[str, Any] | None = None, *, at_once: bool = False, **fields: Any) -> StandInJob:
        config = {**(config or {}), **fields}
        self._note("fine_tune", config, *(["at once"] if at_once else []))
        return self.new_job("finetune", {"config": config}, f"Fine-tune {config.get('model')}")

    def run(self, name: str) -> SimpleNamespace:
        self._note("run", name)
        card = ReportCard(asked=(Asked("row", "one?", "1", "x", "1", {"2": "2"}),), loss=Loss(2.0, 1.0), rows=3)
        told = {"folder": name, "record": {"model": "a/b"}, "result": None, "numbers": {"steps": 4}}
        return SimpleNamespace(to_dict=lambda: {**told, "report": card.to_dict()})

    def run_folder(self, name: str) -> Path:
        self._note("run_folder", name)
        return Path(name)

    def foresee_evaluation(self, name: str, data: object = None, **fields: Any) -> Foreseen:
        self._note("foresee_evaluation", name, data, fields)
        return Foreseen(NAME, data=("/data/held.jsonl",), is_held_out=data is None)

    def foresee_merge(
        self, run: str, output_dir: str | None = None, *, base: str = "original", overwrite: bool = False
    ) -> Foreseen:
        self._note("foresee_merge", run, output_dir, base, overwrite)
        return Foreseen(NAME, output_dir or f"{run}-merged", 1000, 5000, merges=True)

    def foresee_export(self, name: str, to: str, output_dir: str | None = None, *, overwrite: bool = False) -> Foreseen:
        self._note("foresee_export", name, to, output_dir, overwrite)
        return Foreseen(NAME, f"{name}-merged", is_done=True)

    def compare(self, runs: Iterable[str]) -> Comparison:
        names = tuple(runs)
        self._note("compare", names)
        return Comparison(names, {"epochs": (1.0, 2.0)}, {"last_loss": (1.5, None)})

    def evaluate(
        self,
        name: str,
        data: object = None,
        *,
        at_once: bool = False,
        fetch: bool = True,
        reporter: Reporter = SILENT,  # noqa: ARG002 - nothing is kept
        **fields: Any,
    ) -> StandInJob:
        how = [word for word, is_so in (("at once", at_once), ("asks no hub", not fetch)) if is_so]
        self._note("evaluate", name, data, fields, *how)
        return self.new_job("evaluate", {"source": name}, f"Evaluate {name}")

    def merge(
        self, run: str, output_dir: str | None = None, *, base: str = "original", overwrite: bool = False
    ) -> StandInJob:
        self._note("merge", run, output_dir, base, overwrite)
        return self.new_job("merge", {"source": run, "output_dir": output_dir or f"{run}-merged"}, f"Merge {run}")

    def export(self, name: str, to: str, output_dir: str | None = None, *, overwrite: bool = False) -> StandInJob:
        self._note("export", name, to, output_dir, overwrite)
        return self.new_job("export", {"source": name, "to": to}, f"Export {name}")

    def push(
        self, run: str, repo_id: str, *, hub: str = "", private: bool = True, confirm: bool = False
    ) -> StandInJob | PushPlan:
        self._note("push", run, repo_id, hub, private, confirm)
        if confirm:
            return self.new_job("push", {"source": run, "repo_id": repo_id}, f"Push {run}")
        files = (Item("README.md", 5), Item("adapter_model.safetensors", 1000))
        page = f"https://www.modelscope.cn/models/{repo_id}"
        return PushPlan("modelscope", parse_repo_id(repo_id), page, private, files, ("optimizer.pt",))

    def look_ahead(
        self, look: str, given: dict[str, Any], *, folder: Path | None, stop: threading.Event
    ) -> dict[str, Any]:
        assert not stop.is_set()
        self._note("look_ahead", look, given, folder)
        if look == "start":
            return {"id": self.fine_tune(given["config"]).id}
        if look == "evaluate":
            return {"id": self.evaluate(fetch=False, **given).id}
        return dict(self.looks[look])

    def delete_there(self, job: StandInJob) -> None:
        self._note("delete_there", job.id)

    def load_model_and_tokenizer(self, model_name: str, **options: Any) -> tuple[Any, Any]:
        self._note("load", model_name, options)
        model = SimpleNamespace(num_parameters=lambda: 596_049_920, dtype="torch.bfloat16", device="cpu")
        return model, SimpleNamespace(name="tokenizer")

    def plan_fine_tune(self, config: Any, **options: Any) -> FineTunePlan:
        self._note("plan_fine_tune", config, options)
        return fine_tune_plan()

    def preview(self, config: Any, **options: Any) -> Preview:
        self._note("preview", config, options)
        return PREVIEW

    def chat(self, model_name: str, question: str, **options: Any) -> str:
        self._note("chat", model_name, question, options)
        return f"You asked: {question}"

    @property
    def asked_by_clients(self) -> list[tuple[Any, ...]]:
        """What was asked, but for the look at all jobs that the server takes by itself, whenever it gets to it."""
        return [each for each in self.asked if each != ("jobs",)]

    def jobs(self) -> list[StandInJob]:
        self._note("jobs")
        return [job for job in self.all_jobs if not job.is_forgotten]

    def job_snapshots(self) -> list[JobSnapshot]:
        return snapshots(cast("list[Job]", self.jobs()))

    def job(self, job_id: str) -> StandInJob:
        self._note("job", job_id)
        for job in self.jobs():
            if job.id == job_id:
                return job
        raise JobNotFound("There is no such job.", hint="List them.")

    def new_job(self, kind: str, params: dict[str, Any], title: str, max_speed: int | None = None) -> StandInJob:
        """Add a job that follows `next_script`."""
        job_id = f"20260102-030405-{kind}-{len(self.all_jobs):04x}"
        job = StandInJob(job_id, kind, title, params, time.time(), list(self.next_script), list(self.next_metrics))
        job.controls = None if kind == "finetune" else {"paused": False, "max_speed": max_speed}
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
