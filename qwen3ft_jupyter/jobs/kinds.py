"""What a job is given and what it gives, as values; they are JSON in the job's folder alone.

Nothing here knows which kinds there are: who starts and who runs jobs hands a table of them to `JobStore` and `worker`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from qwen3ft_jupyter.errors import Qwen3ftError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    from typing_extensions import Self

    from qwen3ft_jupyter.work import Work

    Kinds: TypeAlias = Mapping[str, "JobKind[Any, Any]"]  # Any: each kind has types of its own


class Stored(Protocol):
    """A value that a job's folder keeps."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON, without secrets."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild it from `to_dict`, also from that of other versions. Raises ValueError, TypeError, KeyError."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Params or a result that nothing in Python takes apart; also those of a kind that this version does not know.

    >>> Plain.from_dict({"answer": 42}).to_dict()
    {'answer': 42}
    """

    values: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the values."""
        return dict(self.values)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plain:
        """Keep the values as they are."""
        return cls(data)


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job's function is given besides its params."""

    folder: Path
    """The job's folder."""
    attempt: int
    """1 for the first run; a later one should go on from what the earlier ones left."""
    work: Work
    """Where to report; when to stop, having saved what there is; and what people want changed, kept fresh."""


Params = TypeVar("Params", bound=Stored)
Result = TypeVar("Result", bound=Stored)
Value = TypeVar("Value", bound=Stored)


@dataclass(frozen=True, slots=True)
class JobKind(Generic[Params, Result]):
    """One kind of job."""

    name: str
    """What ids, folders and REST call it: lower case, without hyphens."""
    params: type[Params]
    result: Callable[[Mapping[str, Any]], Result]
    """Rebuilds what it gives, as `Stored.from_dict` does."""
    title: Callable[[Params], str]
    """Says what people see."""
    run: Callable[[Params, JobContext], Result]
    """Does the work, in the job's process. Raises Stopped when asked to stop; Qwen3ftError for what can go wrong."""
    can_pause: bool = False
    """Whether the function heeds controls: rests when paused, and keeps to a speed limit."""

    def read_result(self, result: Mapping[str, Any] | None) -> Result | None:
        """Return the result that a status holds; None if it has none, or one of another version."""
        return None if result is None else _read(self.result, result)

    def read_params(self, params: Mapping[str, Any]) -> Params | Plain:
        """Return the params that a spec holds, `Plain` if they are of another version that had other ones."""
        return _read(self.params.from_dict, params) or Plain(params)


def _read(rebuild: Callable[[Mapping[str, Any]], Value], data: Mapping[str, Any]) -> Value | None:
    try:
        return rebuild(data)
    except (KeyError, TypeError, ValueError, Qwen3ftError):
        return None
