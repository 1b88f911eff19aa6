"""What a run is begun with beside its config."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Start:
    """Where the model is, what the record is to hold, and whether to go on; see `training.train`."""

    model_folder: Path
    resume: bool = False
    run_id: str | None = None
    base_commit: str | None = None
    datasets: Mapping[str, str] = field(default_factory=dict)
    earlier: tuple[Path, ...] = ()
    overwrites: bool = False
    """Whether the run to go on with begins anew if its data has changed."""

    def going_on(self) -> Start:
        """Return the same for processes that were started again."""
        return replace(self, resume=True)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "model_folder": str(self.model_folder),
            "resume": self.resume,
            "run_id": self.run_id,
            "base_commit": self.base_commit,
            "datasets": dict(self.datasets),
            "earlier": [str(folder) for folder in self.earlier],
            "overwrites": self.overwrites,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Start:
        """Rebuild from `to_dict`."""
        folders = {"model_folder": Path(data["model_folder"]), "earlier": tuple(map(Path, data["earlier"]))}
        return cls(**{**data, **folders})
