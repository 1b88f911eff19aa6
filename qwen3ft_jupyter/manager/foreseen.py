"""What a merge, an export or an evaluation would be: told before anything is started. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.paths import nearest_folder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be done; nothing has been written, and nothing is sent anywhere."""

    model_name: str
    """The model that is used, or the base; "" for a folder that belongs to none."""
    folder: str = ""
    """Where what is made goes; "": nothing is written."""
    size_bytes: int = 0
    """About as much is written."""
    free_bytes: int | None = None
    """Room on that volume; None: nobody knows."""
    merges: bool = False
    """Whether an adapter is merged for it."""
    is_done: bool = False
    """Whether this very merge is there already, and is taken as it is."""
    data: tuple[str, ...] = ()
    """What an evaluation measures on."""
    is_held_out: bool = False
    """Whether these are only the rows that the run kept out of training."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**asdict(self), "data": list(self.data)}


def room_at(folder: Path) -> int | None:
    """Return the free bytes where a folder is, or will be."""
    return LOCAL.free_bytes(nearest_folder(folder))
