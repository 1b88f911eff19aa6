"""What a download gives, as its job keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """A model that is on this disk, and what that took. All sizes are bytes."""

    folder: str
    model_name: str = ""
    bytes: int = 0
    """What travelled."""
    size: int = 0
    seconds: float | None = None
    hub: str | None = None
    was_cached: bool = False
    verified: bool = False
    sources: Mapping[str, int] = field(default_factory=dict)
    """What travelled, by the name of its source."""
    adopted: int = 0
    """What was on this disk already."""
    evicted: Sequence[str] = ()
    """The models that made room for it."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        sources = [{"name": name, "bytes": count} for name, count in self.sources.items()]
        return {**asdict(self), "sources": sources, "evicted": list(self.evicted)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DownloadResult:
        """Rebuild from `to_dict`; what else is in `data` is ignored."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        return cls(**{**known, "sources": {source["name"]: source["bytes"] for source in data.get("sources", ())}})
