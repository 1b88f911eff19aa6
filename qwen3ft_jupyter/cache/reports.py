"""What a check, a repair and a move have shown or done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.messages import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.hubs.names import RepoId


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What reading a cached model again has shown."""

    repo_id: RepoId
    checked_files: int
    checked_bytes: int
    missing: tuple[str, ...]
    """Paths that are not there, or are no regular files."""
    wrong: tuple[str, ...]
    """Paths whose bytes are not those of the record."""
    extra: tuple[str, ...]
    """Paths that are not part of the model; they are left alone."""
    problems: tuple[str, ...] = ()
    """What keeps the model from being loaded although all of that is right, for a person."""

    @property
    def is_ok(self) -> bool:
        """Return whether every file of the model is there and right, and the model can be loaded."""
        return not self.missing and not self.wrong and not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, with `ok` beside the fields."""
        return {**asdict(self), "problems": list(map(to_json, self.problems)), "ok": self.is_ok}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VerifyReport:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored."""
        missing, wrong, extra = (tuple(data[name]) for name in ("missing", "wrong", "extra"))
        problems = tuple(map(from_json, data.get("problems", ())))
        return cls(data["repo_id"], data["checked_files"], data["checked_bytes"], missing, wrong, extra, problems)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair has done."""

    repo_id: RepoId
    repaired: tuple[str, ...]
    """Paths that were missing or wrong, and are right now."""
    bytes_fetched: int
    """What travelled for that."""
    checked_bytes: int
    """What was read to find the damage."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; `ok` is always true: a repair that fails raises."""
        return {**asdict(self), "ok": True}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RepairReport:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored."""
        return cls(data["repo_id"], tuple(data["repaired"]), data["bytes_fetched"], data["checked_bytes"])


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What moving a cache has done."""

    source: str
    target: str
    moved: tuple[str, ...]
    """The folders of models and data sets that lie in the target now."""
    left: tuple[tuple[str, str], ...]
    """What stayed, and why."""
    bytes_copied: int
    """0 where renaming was enough."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; what stayed as pairs."""
        left = [[name, to_json(reason)] for name, reason in self.left]
        return {**asdict(self), "moved": list(self.moved), "left": left}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MoveReport:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored."""
        left = tuple((str(name), from_json(reason)) for name, reason in data["left"])
        return cls(data["source"], data["target"], tuple(data["moved"]), left, data["bytes_copied"])


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What moving a cache would do; nothing has been touched."""

    source: str
    target: str
    folders: tuple[str, ...]
    """The folders of models and data sets that would move."""
    size_bytes: int
    """What they hold."""
    bytes_to_copy: int
    """How much of that would be copied and read again; 0 where renaming is enough, or the target has it already."""
    free_bytes: int | None
    """Room on the volume of the target; None: nobody knows."""
    missing_bytes: int
    """How much of it is missing: then nothing would be moved."""
    stays: tuple[str, ...]
    """What lies in the folder of the cache and is no model of it."""
    origin: str = ""
    """Where `MODEL_CACHE_DIR` comes from, which has to name the target afterwards."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; `origin` is said where it is shown."""
        return {**asdict(self), "folders": list(self.folders), "stays": list(self.stays), "origin": self.origin}
