"""What is asked for: a model and how it is to be had. Faces build it, jobs store it, a plan is made of it."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.hubs.datasets import as_dataset
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.settings.declared import HUB_NAMES, SOURCE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Unpack

    from qwen3ft_jupyter.hubs.datasets import DatasetName
    from qwen3ft_jupyter.settings.declared import HubName

Method = TypeVar("Method", bound="Callable[..., Any]")  # Any: whatever the method takes and returns

_ABBREVIATED_COMMIT = re.compile(r"[0-9a-f]{7,40}")


class Wanted(TypedDict, total=False):
    """The fields of `DownloadRequest` that may be left out, as keyword arguments."""

    revision: str | None
    force: bool
    update: bool
    sources: Sequence[str] | None
    in_place: bool
    hub: HubName | None


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """One model or data set, and how it is to be had.

    Raises:
        BadName: `model_name` is malformed.
        BadInput: No revision can be called so, or one of `sources` is none; or what only models have is asked of a
            data set.

    >>> DownloadRequest.from_dict({"model_name": "Qwen/Qwen3-0.6B", "sources": ["Disk"]}).sources
    ('disk',)
    """

    model_name: RepoId
    """``owner/name``, parsed; of a data set its name with the hub, ``ms:owner/name:subset:split``."""
    revision: str | None = None
    """A branch, tag or commit; None takes what is cached, else the hub's default branch."""
    force: bool = False
    """Fetch every file again, whatever is there."""
    update: bool = False
    """Have the newest commit of the branch that is cached, or of `revision`."""
    sources: Sequence[str] | None = None
    """The only places to fetch from, see `check_sources`; None for all."""
    in_place: bool = False
    """Use another tool's complete copy where it is, after comparing it with the hub's listing."""
    hub: HubName | None = None
    """The hub that is asked first, if the settings let it be asked."""

    def __post_init__(self) -> None:
        """Check the fields once: whoever holds a request need not."""
        object.__setattr__(self, "hub", check_hub(self.hub))
        if self.dataset is not None:
            self._check_dataset()
            return
        repo_id, revision = parse_model(self.model_name, self.revision)
        object.__setattr__(self, "model_name", repo_id)
        object.__setattr__(self, "revision", revision)
        if self.sources is not None:
            object.__setattr__(self, "sources", check_sources(self.sources))

    @classmethod
    def of(cls, model_name: str, **wanted: Unpack[Wanted]) -> DownloadRequest:
        """Return the request for a model by its name, by ``name@revision`` or by the address of one of its pages."""
        return cls(RepoId(model_name), **wanted)  # it is parsed where all fields are checked

    @property
    def dataset(self) -> DatasetName | None:
        """The data set that is asked for; None: a model is.

        >>> str(DownloadRequest.of("HF:owner/name:zh").dataset)
        'hf:owner/name:zh'
        """
        return as_dataset(self.model_name)

    def _check_dataset(self) -> None:
        if self.revision or self.force or self.update or self.in_place or self.hub or self.sources is not None:
            raise BadInput(
                "{name} is a data set: revision, force, update, hub, sources and in_place are about models.",
                hint="Leave them out.",
                name=self.model_name,
            )
        object.__setattr__(self, "model_name", RepoId(str(self.dataset)))

    @property
    def may_have_moved(self) -> bool:
        """Whether only a hub knows which commit is meant: that of a branch or tag, or the newest one."""
        return self.update or (self.revision is not None and not _ABBREVIATED_COMMIT.fullmatch(self.revision))

    @property
    def may_use_disk(self) -> bool:
        """Whether copies of the files that are elsewhere on this disk may be used."""
        return not self.force and (self.sources is None or "disk" in self.sources)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; without the hub where none is asked for, as older versions write it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.hub is None:
            del values["hub"]
        return {**values, "sources": None if self.sources is None else list(self.sources)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DownloadRequest:
        """Rebuild from `to_dict`; what else is in `data` is ignored."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


def check_hub(name: str | None) -> HubName | None:
    """Return the hub of a name in any case; None for none. Raises BadInput: it is none."""
    if not name:
        return None
    found = next((hub for hub in HUB_NAMES if hub == name.strip().lower()), None)
    if found is None:
        raise BadInput("{name} is no hub.", hint="Hubs: {names}.", name=name[:40], names=", ".join(HUB_NAMES))
    return found


def check_sources(names: Sequence[str]) -> tuple[str, ...]:
    """Return `names` in lower case, each once.

    Raises:
        BadInput: There is none, or one is no source.

    >>> check_sources(["ModelScope", "disk"])
    ('modelscope', 'disk')
    """
    accepted = ", ".join(SOURCE_NAMES)
    given = tuple(dict.fromkeys(name.strip().lower() for name in names))
    if not given:
        raise BadInput("No source is allowed.", hint="Sources: {names}.", names=accepted)
    for name in given:
        if name not in SOURCE_NAMES:
            raise BadInput("{name} is no source.", hint="Sources: {names}.", name=name[:40], names=accepted)
    return given


def shows_wanted(method: Method) -> Method:
    """Let the signature of a method that takes ``**wanted`` name the fields, for whoever asks a notebook for it."""
    shown = inspect.signature(method)
    named = [parameter for parameter in shown.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    left_out = {"model_name", "force" if "force_download" in shown.parameters else ""}
    wanted = [
        field.replace(kind=field.KEYWORD_ONLY)
        for field in inspect.signature(DownloadRequest).parameters.values()
        if field.name not in left_out
    ]
    vars(method)["__signature__"] = shown.replace(parameters=[*named, *wanted])
    return method
