"""What each kind of job is given: values that its folder keeps as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.jobs.kinds import Stored
    from qwen3ft_jupyter.manager.manager import ModelManager


@dataclass(frozen=True, slots=True)
class Starter:
    """Who started a job, as far as its process has to be the same: the settings without secrets, as JSON."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    is_trusted: bool = True

    def open_manager(self) -> ModelManager:
        """Return a manager under these settings."""
        from qwen3ft_jupyter.manager.manager import get_model_manager

        return get_model_manager(**self.settings, is_trusted=self.is_trusted)

    def uses_cache(self, cache_dir: Path) -> bool:
        """Say whether jobs of this starter work on the cache there."""
        return str(self.settings.get("cache_dir", cache_dir)) == str(cache_dir)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, which is part of every job's params."""
        return {"settings": dict(self.settings), "is_trusted": self.is_trusted}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Starter:
        """Rebuild from `to_dict`; what else is in `data` is ignored."""
        settings = data.get("settings")
        return cls(dict(settings) if isinstance(settings, dict) else {}, bool(data.get("is_trusted", True)))


@dataclass(frozen=True, slots=True)
class DownloadParams:
    """What a download is given."""

    starter: Starter
    request: DownloadRequest

    @property
    def model_name(self) -> str:
        """Return the model that is downloaded."""
        return self.request.model_name

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**self.request.to_dict(), **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DownloadParams:
        """Rebuild from `to_dict`."""
        from qwen3ft_jupyter.download.request import DownloadRequest

        return cls(Starter.from_dict(data), DownloadRequest.from_dict(data))


@dataclass(frozen=True, slots=True)
class CheckParams:
    """What a check or a repair of a cached model is given."""

    starter: Starter
    model_name: str
    revision: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"model_name": self.model_name, "revision": self.revision, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CheckParams:
        """Rebuild from `to_dict`."""
        return cls(Starter.from_dict(data), str(data["model_name"]), data.get("revision"))


@dataclass(frozen=True, slots=True)
class MoveParams:
    """What a move of the whole cache is given."""

    starter: Starter
    target: Path

    @property
    def model_name(self) -> str:
        """Return "": all of them move."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"model_name": self.model_name, "target": str(self.target), **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MoveParams:
        """Rebuild from `to_dict`."""
        return cls(Starter.from_dict(data), Path(data["target"]))


def _named(datasets: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return how data sets on a hub are written; nothing where there are none, as earlier versions write it."""
    return {"datasets": dict(datasets)} if datasets else {}


@dataclass(frozen=True, slots=True)
class FineTuneParams:
    """What a fine-tune is given."""

    starter: Starter
    config: Mapping[str, Any]
    """As `FineTuneConfig.to_dict` gives it; only the job's process checks all of it again."""
    gpu: str = ""
    """What it computes on when its turn has come, such as "cuda:0" or "cuda:0,cuda:1"; "": it takes no turns."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Which data sets on a hub its data is, by the path; see `datasets.dataset_names`."""
    goes_on: bool = False
    """Whether an unfinished run in its folder is gone on with, whichever job began it."""

    @property
    def model_name(self) -> str:
        """Return the base model."""
        return str(self.config["model"])

    @property
    def output_dir(self) -> Path:
        """Return where the results go."""
        return Path(self.config["output_dir"])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"config": dict(self.config), "gpu": self.gpu, **_named(self.datasets)}
        return {**given, **({"goes_on": True} if self.goes_on else {}), **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FineTuneParams:
        """Rebuild from `to_dict`."""
        gpu, datasets = str(data.get("gpu") or ""), data.get("datasets") or {}
        params = cls(Starter.from_dict(data), data["config"], gpu, datasets, bool(data.get("goes_on")))
        if not (params.model_name and params.output_dir.name):
            raise ValueError("a fine-tune without a model or a folder")
        return params


@dataclass(frozen=True, slots=True)
class MergeParams:
    """What a merge is given."""

    starter: Starter
    source: Path
    """The output folder of a fine-tune, or a folder with an adapter."""
    model_name: str
    """The base model."""
    output_dir: Path
    overwrite: bool = False
    base: str = "original"
    """Which weights of the base are merged into."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        folders = {"source": str(self.source), "output_dir": str(self.output_dir)}
        given = {"overwrite": self.overwrite, "base": self.base}
        return {"model_name": self.model_name, **folders, **given, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MergeParams:
        """Rebuild from `to_dict`."""
        source, output_dir = Path(data["source"]), Path(data["output_dir"])
        name, base = str(data["model_name"]), str(data.get("base") or "original")
        return cls(Starter.from_dict(data), source, name, output_dir, bool(data.get("overwrite")), base)


@dataclass(frozen=True, slots=True)
class ExportParams:
    """What an export is given."""

    starter: Starter
    source: str
    """The folder of a fine-tune, an adapter or a model, or the repo id of a cached one."""
    model_name: str
    """The model that is used, or its base; "" for a folder that belongs to none."""
    to: str
    output_dir: Path | None = None
    overwrite: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"source": self.source, "to": self.to, "overwrite": self.overwrite}
        folder = str(self.output_dir) if self.output_dir else None
        return {"model_name": self.model_name, **given, "output_dir": folder, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExportParams:
        """Rebuild from `to_dict`."""
        folder = Path(data["output_dir"]) if data.get("output_dir") else None
        source, name = str(data["source"]), str(data["model_name"])
        return cls(Starter.from_dict(data), source, name, str(data["to"]), folder, bool(data.get("overwrite")))


@dataclass(frozen=True, slots=True)
class EvaluateParams:
    """What an evaluation is given."""

    starter: Starter
    source: str
    """As it was named: the folder or job of a fine-tune, a folder with a model, the repo id of a cached one."""
    model_name: str
    """The model that is used, or its base; "" for a folder that belongs to none."""
    config: Mapping[str, Any]
    """As `FineTuneConfig.to_dict` gives it: names the data."""
    is_held_out: bool = False
    """Whether only the rows that the run kept out of training are measured."""
    gpu: str = ""
    """As in `FineTuneParams`."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """As in `FineTuneParams`."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"source": self.source, "config": dict(self.config), "is_held_out": self.is_held_out, "gpu": self.gpu}
        return {"model_name": self.model_name, **given, **_named(self.datasets), **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EvaluateParams:
        """Rebuild from `to_dict`."""
        source, name = str(data["source"]), str(data["model_name"])
        is_held_out, gpu = bool(data.get("is_held_out")), str(data.get("gpu") or "")
        return cls(Starter.from_dict(data), source, name, data["config"], is_held_out, gpu, data.get("datasets") or {})


@dataclass(frozen=True, slots=True)
class PushParams:
    """What a push is given. The token is none of it: the job's process finds that where this one did."""

    starter: Starter
    source: Path
    """The folder of a fine-tune, an adapter or a model."""
    hub: str
    repo_id: str
    is_private: bool = True

    @property
    def model_name(self) -> str:
        """Return "": what is published is a folder, and no model of the cache."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        given = {"source": str(self.source), "hub": self.hub, "repo_id": self.repo_id, "private": self.is_private}
        return {"model_name": self.model_name, **given, **self.starter.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PushParams:
        """Rebuild from `to_dict`; what does not say that it is public is private."""
        hub, repo_id, is_private = str(data["hub"]), str(data["repo_id"]), data.get("private") is not False
        return cls(Starter.from_dict(data), Path(data["source"]), hub, repo_id, is_private)


ModelParams = (
    DownloadParams
    | CheckParams
    | MoveParams
    | FineTuneParams
    | MergeParams
    | ExportParams
    | EvaluateParams
    | PushParams
)
"""All of them name a model and a starter."""


def model_params(params: Stored) -> ModelParams:
    """Return the params of any job; of those of another version, only model and starter are known."""
    if isinstance(params, ModelParams):
        return params
    values = params.to_dict()
    return CheckParams(Starter.from_dict(values), str(values.get("model_name", "")))
