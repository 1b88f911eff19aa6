"""What the folder of a job here keeps of its job at PAI-DLC, so that it is found again and never submitted twice."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.disk import read_json, write_json
from qwen3ft_jupyter.jobs.folder import REMOTE
from qwen3ft_jupyter.paths import is_there

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """The submission that was made last, or is being made."""

    number: int
    """1 for the first; each that goes on from a checkpoint is one more."""
    name: str
    """What PAI-DLC calls it; written down before it is submitted."""
    id: str = ""
    """Its id there; "": nobody knows yet whether it was submitted."""
    url: str = ""
    """Its page in the console."""
    is_over: bool = False
    """Whether it has ended there. `jobs` reads it: what goes on elsewhere is not forgotten."""
    inner: str = ""
    """The id of the job on the mount that runs there; a container that is started again begins another."""
    told: int = 0
    """The number of the last event of that which was told here."""

    def write(self, folder: Path, **changes: object) -> Record:
        """Return it with changes, as the folder of a job now holds it. Raises OSError."""
        changed = replace(self, **changes)  # type: ignore[arg-type]  # the fields are those of a frozen value
        if changed != self or not is_there(folder / REMOTE):
            write_json(folder / REMOTE, asdict(changed), mode=0o600)
        return changed


def read_record(folder: Path) -> Record | None:
    """Return what a job's folder holds; None if nothing was submitted yet."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        told = read_json(folder / REMOTE)
        return Record(**{name: told[name] for name in Record.__slots__ if name in told})
    return None
