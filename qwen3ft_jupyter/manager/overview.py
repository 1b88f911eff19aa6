"""What there is, in words and rows: the settings in force, and the catalogue joined with cache and downloads. Pure."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import catalog
from qwen3ft_jupyter.catalog.memory import estimate_bytes
from qwen3ft_jupyter.hubs.names import parse_repo_id, slug
from qwen3ft_jupyter.settings.declared import SETTINGS
from qwen3ft_jupyter.settings.kinds import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.settings.declared import HubName, Settings

_TRAIN_PACKAGES = ("torch", "transformers", "peft", "accelerate", "safetensors")


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


def describe(settings: Settings) -> Description:
    """Return what is in force in this process."""
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
        notices=settings.notices,
    )


def model_rows(cached_models: Iterable[CachedModel], downloads: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one row per model as ``GET /qwen3ft/models`` answers them; what is not in the catalogue comes last.

    Args:
        cached_models: what is on disk.
        downloads: the ids of active download jobs by model name.
    """
    cached: dict[str, CachedModel] = {}
    for model in cached_models:
        if not model.is_guessed:
            cached.setdefault(model.repo_id, model)  # our own copies come before shared ones
    rows = {entry.repo_id: _catalogue_row(entry) for entry in catalog.catalog()}
    rows[catalog.PRACTICE_REPO_ID] = _plain_row(catalog.PRACTICE_REPO_ID) | {
        "role": "practice",
        "note": "Comes with this package and is served on this machine.",
    }
    for name in [*cached, *downloads]:
        rows.setdefault(name, _plain_row(name))
    for name, row in rows.items():
        model_or_none = cached.get(name)
        row["cached"] = model_or_none is not None
        row["verified"] = model_or_none is not None and model_or_none.is_verified
        row["size"] = model_or_none.size_bytes if model_or_none else None
        row["job_id"] = downloads.get(name)
    return list(rows.values())


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
        "memory_bytes": {
            "load": estimate_bytes(entry, "load"),
            "lora": estimate_bytes(entry, "lora"),
            "full": estimate_bytes(entry, "full", dtype_bytes=4),  # see `finetune.model.choose_precision`
        },
        "catalogued": True,
    }


def _plain_row(name: str) -> dict[str, Any]:
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
