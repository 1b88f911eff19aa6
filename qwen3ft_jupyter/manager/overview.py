"""What there is, in words and rows: the settings in force, and the catalogue joined with cache and downloads. Pure."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import catalog
from qwen3ft_jupyter.catalog.memory import estimate_bytes
from qwen3ft_jupyter.hubs.datasets import as_dataset
from qwen3ft_jupyter.hubs.names import parse_repo_id, slug
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.settings.declared import SETTINGS
from qwen3ft_jupyter.settings.kinds import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.partials import Unfinished
    from qwen3ft_jupyter.settings.declared import HubName, Settings

_TRAIN_PACKAGES = ("torch", "transformers", "peft", "accelerate", "safetensors")


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model as ``GET /qwen3ft/models`` answers it."""

    model_name: str
    slug: str
    role: str = ""
    badge: str = ""
    kind: str = ""
    note: str = ""
    license: str = ""
    parameters: int | None = None
    context: int | None = None
    download_bytes: int | None = None
    memory_bytes: Mapping[str, int] | None = None
    """What it needs to "load", and for "qlora", "lora" and "full" fine-tunes."""
    catalogued: bool = False
    cached: bool = False
    verified: bool = False
    size: int | None = None
    """Bytes on this disk."""
    job_id: str | None = None
    """The job that downloads it."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CacheSummary:
    """How full the cache is. All but `total` and `datasets` are bytes."""

    cache_dir: str
    total: int
    """Models."""
    total_size: int
    used: int
    free: int | None
    quota: int | None
    incoming: int
    unfinished: tuple[Unfinished, ...] = ()
    """The downloads of models that `incoming` is of."""
    datasets: int = 0
    """Data sets."""
    datasets_size: int = 0
    """What they take of `used`."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**asdict(self), "unfinished": [one.to_dict() for one in self.unfinished]}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as `ModelManager.describe` shows it."""

    variable: str
    value: str
    origin: str
    help: str

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"name": self.variable, "value": self.value, "origin": self.origin, "help": self.help}


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
            "settings": [row.to_dict() for row in self.rows],
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


def describe(settings: Settings, unseen: Iterable[str] = ()) -> Description:
    """Return what is in force in this process; `unseen` is what of it cannot be used."""
    from qwen3ft_jupyter._version import __version__

    rows = tuple(
        SettingRow(
            setting.variable, _shown(getattr(settings, setting.name)), settings.origins[setting.name], setting.help
        )
        for setting in SETTINGS
    )
    return Description(
        hub=settings.hub,
        hubs=settings.hubs,
        rows=rows,
        version=__version__,
        python=platform.python_version(),
        training={name: importlib.util.find_spec(name) is not None for name in _TRAIN_PACKAGES},
        notices=(*settings.notices, *unseen),
    )


def model_rows(cached_models: Iterable[CachedModel], downloads: Mapping[str, str]) -> list[ModelRow]:
    """Return one row per model; what is not in the catalogue comes last.

    Args:
        cached_models: what is on disk.
        downloads: the ids of active download jobs by the name of their model or data set.
    """
    cached: dict[str, CachedModel] = {}
    for model in cached_models:
        if not model.is_guessed:
            cached.setdefault(model.repo_id, model)  # our own copies come before shared ones
    rows = {entry.repo_id: _catalogue_row(entry) for entry in catalog.catalog()}
    rows[catalog.PRACTICE_REPO_ID] = ModelRow(
        catalog.PRACTICE_REPO_ID,
        _slug_of(catalog.PRACTICE_REPO_ID),
        role=Message("practice: no network needed"),
        note=Message("Comes with this package and is served on this machine."),
    )
    for name in [*cached, *(name for name in downloads if as_dataset(name) is None)]:
        rows.setdefault(name, ModelRow(name, _slug_of(name)))
    return [_as_found(row, cached.get(name), downloads.get(name)) for name, row in rows.items()]


def model_row(name: str, copies: Iterable[CachedModel], job_id: str | None = None) -> ModelRow:
    """Return the row of one model, whether or not it is in the catalogue or on this disk.

    Args:
        name: the model.
        copies: those of it on disk, our own first.
        job_id: the active job that downloads it.
    """
    rows = {row.model_name: row for row in model_rows(copies, {name: job_id} if job_id else {})}
    return rows.get(name) or ModelRow(name, _slug_of(name))


def _slug_of(name: str) -> str:
    return slug(parse_repo_id(name))


def _as_found(row: ModelRow, model: CachedModel | None, job_id: str | None) -> ModelRow:
    if model is None:
        return replace(row, job_id=job_id)
    return replace(row, cached=True, verified=model.is_sound, size=model.size_bytes, job_id=job_id)


def _catalogue_row(entry: catalog.CatalogModel) -> ModelRow:
    return ModelRow(
        entry.repo_id,
        _slug_of(entry.repo_id),
        role=entry.role,
        badge=entry.badge,
        kind=entry.kind,
        note=entry.note,
        license=entry.license,
        parameters=entry.parameters,
        context=entry.context,
        download_bytes=entry.download_bytes,
        memory_bytes={
            "load": estimate_bytes(entry, "load"),
            "qlora": estimate_bytes(entry, "qlora"),
            "lora": estimate_bytes(entry, "lora"),
            "full": estimate_bytes(entry, "full", dtype_bytes=4),  # see `finetune.model.choose_precision`
        },
        catalogued=True,
    )


def _shown(value: object) -> str:
    if value is None:
        return Message("not set")
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value) or Message("none")
    return str(value).lower() if isinstance(value, bool) else str(value)
