"""The fields of a config that say where on Alibaba Cloud PAI-DLC a fine-tune runs; the room `dlc` uses them."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import MinLen
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from qwen3ft_jupyter.finetune import rules
from qwen3ft_jupyter.finetune.group import Group
from qwen3ft_jupyter.finetune.rules import Accepts
from qwen3ft_jupyter.messages import Message, conceal

MOST_HOURS = 8760
_MOUNT = re.compile(
    r"(?P<source>[a-z]+://[^:\s]+|[^:/\s]+):(?P<path>/(?!/)[^:,]*)(?::(?P<here>/[^:]*))?", re.IGNORECASE
)
"""An id has no slash: what begins with one is a folder, and no storage. A comma would be in a list in one text."""
_MOUNT_FIELDS = ("source", "path", "here")
_LOGIN = re.compile(r"[^/@]*@(?!sha256:)")
"""In front of the address of an image; a digest stands behind it."""
_WORD = re.compile(r"[\w./:@-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mount:
    """One storage that DLC mounts, and this machine, too.

    >>> str(Mount.read("d-abc:/mnt/data/")), Mount.read("oss://b.oss-cn-beijing.aliyuncs.com/x/:/mnt/x:/home/x").here
    ('d-abc:/mnt/data', '/home/x')
    """

    source: str
    """The id of a data set of PAI, or a URI such as oss://, nas://."""
    path: str
    """Where the containers have it."""
    here: str
    """Where this machine has it."""

    @classmethod
    def read(cls, text: str) -> Mount:
        """Return what `text` says: SOURCE:/PATH, and :/PATH/HERE behind it where that differs. Raises ValueError."""
        found = _MOUNT.fullmatch(text)
        if found is None:
            raise ValueError(text)
        named = (found["path"], found["here"] or found["path"])
        path, here = (posixpath.normpath(folder) for folder in named)
        if "/" in {path, here} or any(".." in folder.split("/") for folder in named):
            raise ValueError(text)
        scheme, colon, rest = found["source"].rpartition("://")
        return cls(scheme.lower() + colon + rest, path, here)

    def __str__(self) -> str:
        behind = "" if self.here == self.path else f":{self.here}"
        return f"{self.source}:{self.path}{behind}"


def read_mounts(value: object) -> tuple[str, ...]:
    """Return mounts, each as one text. Raises ValueError."""
    items = [value] if isinstance(value, (str, Mapping)) else value
    if not isinstance(items, (list, tuple)):
        raise ValueError(value)  # noqa: TRY004 - pydantic takes no TypeError for a wrong value
    mounts = [Mount.read(_without_login(_mount_text(item))) for item in items]
    for folders in ([mount.path for mount in mounts], [mount.here for mount in mounts]):
        if twice := [folder for folder in folders if folders.count(folder) > 1]:
            raise rules.Wrong(
                Message("has two for {folder}: each needs a folder of its own", folder=posixpath.basename(twice[0]))
            )
    return tuple(map(str, mounts))


def _mount_text(item: object) -> str:
    if not isinstance(item, Mapping):
        return rules.read_text(item)
    if unknown := [str(name) for name in item if name not in _MOUNT_FIELDS]:
        raise rules.Wrong(Message("{name} is not one of {names}", name=unknown[0], names=", ".join(_MOUNT_FIELDS)))
    return ":".join(rules.read_text(item[name]) for name in _MOUNT_FIELDS if item.get(name))


def _without_login(text: str) -> str:
    """Return a text that holds no login or key. Raises ValueError."""
    if conceal(text) != text:
        raise rules.Wrong(Message("holds a login or a key; a config keeps no secrets"))
    return text


def _without_login_or_none(text: str | None) -> str | None:
    return None if text is None else _without_login(text)


def _words_or_none(text: str | None) -> str | None:
    """Return a text that a shell would split into words. Raises ValueError."""
    try:
        shlex.split(text or "")
    except ValueError:
        raise rules.Wrong(Message("has a quote that is not closed, or ends with a backslash")) from None
    return text


def _read_id(value: object) -> str | None:
    """Return an id or a name of Alibaba Cloud. Raises ValueError."""
    text = rules.read_word_or_none(value)
    if text is not None and not _WORD.fullmatch(text):
        raise ValueError(value)
    return text


def _read_image(value: object) -> str | None:
    """Return the address of an image as registries have it, which is no URL. Raises ValueError."""
    text = _read_id(value)
    if text is not None and (_LOGIN.match(text) or "://" in text):
        raise rules.Wrong(Message("is not REGISTRY/NAME:TAG: an image has no https:// and no login in front of it"))
    return text


_Id = Annotated[str | None, BeforeValidator(_read_id), Accepts(Message("an id or a name, or null"))]
_Text = Annotated[
    str | None,
    BeforeValidator(rules.read_text_or_none),
    AfterValidator(_without_login_or_none),
    Accepts(Message("a text in one line, or null")),
]
_Mounts = (
    Annotated[str, MinLen(1)]
    | list[
        Annotated[str, MinLen(1)]
        | Annotated[
            dict[str, str],
            WithJsonSchema(
                {
                    "type": "object",
                    "required": ["source", "path"],
                    "additionalProperties": False,
                    "properties": {name: {"type": "string", "minLength": 1} for name in _MOUNT_FIELDS},
                }
            ),
        ]
    ]
)


class DlcConfig(Group):
    """Where on PAI-DLC it runs; of account to launcher: pai-dlc alone."""

    model_config = ConfigDict(title="Job of PAI-DLC")
    _prefix: ClassVar[str] = "dlc."

    region: _Id = None
    """The region, such as cn-hangzhou; without: that of this PAI-DSW instance."""
    workspace: _Id = None
    """The id of the workspace of PAI; without: that of this PAI-DSW instance."""
    resource_id: _Id = Field(default=None, title="Resource quota")
    """The id of the resource quota, such as quota1a2b; without: public resources, which are paid by time."""
    ecs_spec: _Id = Field(default=None, title="Instance type")
    """The instance type of each host, such as ecs.gn7i-c8g1.2xlarge; public resources need it."""
    cpus: int | None = Field(default=None, ge=1, le=1024, title="CPUs", json_schema_extra={"x-unit": "vCPUs"})
    """Of each host, out of a resource quota; its GPUs are devices."""
    memory_gb: int | None = Field(default=None, ge=1, le=65_536, title="Memory", json_schema_extra={"x-unit": "GB"})
    """Of each host, out of a resource quota."""
    image: Annotated[str | None, BeforeValidator(_read_image), Accepts(Message("an id or a name, or null"))] = None
    """The address of the container image; it has torch, and qwen3ft_jupyter unless install brings that."""
    mounts: Annotated[
        tuple[str, ...],
        BeforeValidator(read_mounts, json_schema_input_type=_Mounts),
        Accepts(Message("a list of SOURCE:/PATH or SOURCE:/PATH:/PATH/HERE")),
    ] = ()
    """Storage that DLC mounts: SOURCE:/PATH, and :/PATH/HERE where this machine has it elsewhere."""
    vpc: _Id = Field(default=None, title="VPC")
    """The id of the VPC, such as vpc-…; NAS and CPFS need it."""
    vswitch: _Id = Field(default=None, title="vSwitch")
    """The id of the vSwitch, such as vsw-…; without: one that has room."""
    security_group: _Id = None
    """The id of the security group, such as sg-…; goes with vpc."""
    priority: int = Field(default=1, ge=1, le=9)
    """Among the jobs of a resource quota: 1 is the lowest, 9 the highest."""
    python: Annotated[str, BeforeValidator(rules.read_text), Accepts(Message("a command or a path"))] = "python"
    """The Python of the containers, such as that of an environment on a mount."""
    install: Annotated[_Text, AfterValidator(_words_or_none)] = None
    """What pip installs in each container before it begins, such as qwen3ft-jupyter[train]; without: nothing."""
    max_hours: float | None = Field(
        default=None, gt=0, le=MOST_HOURS, title="Longest time", json_schema_extra={"x-unit": "hours"}
    )
    """DLC ends the job after so many hours; without: never."""

    @property
    def places(self) -> tuple[Mount, ...]:
        """Return the mounts."""
        return tuple(map(Mount.read, self.mounts))
