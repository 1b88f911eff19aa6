"""What a submission to PAI-DLC needs beside the fine-tune: from its config, or from what PAI-DSW says of itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from qwen3ft_jupyter.dlc.mounts import PathMap
from qwen3ft_jupyter.errors import BadConfig, BadSetting
from qwen3ft_jupyter.finetune.devices import gpus_of_host
from qwen3ft_jupyter.messages import Message, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.dlc import DlcConfig

ENDPOINT_VARIABLE: Final = "PAI_DLC_ENDPOINT"
"""Where PAI-DLC answers, if not at the region's public address: the one within the VPC, or a test's."""
DSW_VARIABLE: Final = "DSW_INSTANCE_ID"
"""Says that this machine is a PAI-DSW instance, whose other variables then count."""
REGION_VARIABLES: Final = ("REGION", "dsw_region")
WORKSPACE_VARIABLES: Final = ("PAI_WORKSPACE_ID", "PAI_AI_WORKSPACE_ID")
"""What Alibaba Cloud's own SDK for PAI reads in an instance, the newer name first."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where PAI-DLC answers; both are None for the region's own address."""

    host: str | None = None
    protocol: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Endpoint:
        """Return what the environment says. Raises BadSetting."""
        text = environ.get(ENDPOINT_VARIABLE, "").strip()
        if not text:
            return cls()
        parts = urlsplit(text if "://" in text else f"https://{text}")
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not is_safe or not parts.hostname or parts.username or parts.path.strip("/"):
            raise BadSetting(  # the value may hold a password: it is not repeated
                "{variable} is not the address of PAI-DLC.",
                hint="Give a host such as pai-dlc-vpc.cn-hangzhou.aliyuncs.com.",
                variable=ENDPOINT_VARIABLE,
            )
        return cls(parts.netloc, parts.scheme.upper())


@dataclass(frozen=True, slots=True)
class Options:
    """All that a submission needs."""

    dlc: DlcConfig
    """With region, workspace and image known."""
    nodes: int
    gpus: int | None
    """Of each host; None: all that its instance type has."""
    endpoint: Endpoint

    @property
    def paths(self) -> PathMap:
        """Return where the containers have what is here."""
        return PathMap(self.dlc.places)

    @property
    def region(self) -> str:
        """Return the region."""
        return str(self.dlc.region)

    def console_url(self, job_id: str) -> str:
        """Return the page of a job."""
        where = f"regionId={self.region}&workspaceId={self.dlc.workspace}"
        return f"https://pai.console.aliyun.com/?{where}#/dlc/jobs/{job_id}/overview"


def settle(
    config: FineTuneConfig, environ: Mapping[str, str] | None = None, *, model_folder: Path | None = None
) -> Options:
    """Return what a submission needs.

    Args:
        config: Of the fine-tune.
        environ: Says what the config leaves out; None: this process's.
        model_folder: The cached model, if it is here already; else it is checked when it is.

    Raises:
        BadConfig: Something is missing or on no mount; all of it is named, with where it is found. Or it names GPUs.
        BadSetting: The address of PAI-DLC is none.
    """
    environ = os.environ if environ is None else environ
    dlc = _with_environ(config.dlc, environ)
    gpus = gpus_of_host(config.device, config.devices, "PAI-DLC")
    options = Options(dlc, config.hosts, gpus, Endpoint.read(environ))
    problems = [*_missing(dlc, options), *options.paths.check(_named_paths(config, model_folder))]
    if problems:
        raise BadConfig(
            "launcher: pai-dlc lacks {count} things: {problems}."
            if len(problems) > 1
            else "launcher: pai-dlc lacks 1 thing: {problems}.",
            hint="Name them in the config's group dlc. What runs there sees the mounts of dlc.mounts alone: put "
            "output_dir, data and MODEL_CACHE_DIR onto one of them.",
            count=len(problems),
            problems=Texts(problems),
        )
    return options


def _with_environ(dlc: DlcConfig, environ: Mapping[str, str]) -> DlcConfig:
    """Return the fields with what PAI-DSW says of itself where they are not given."""
    if DSW_VARIABLE not in environ:
        return dlc
    told = {"region": _first(environ, REGION_VARIABLES), "workspace": _first(environ, WORKSPACE_VARIABLES)}
    return dlc.model_copy(update={name: value for name, value in told.items() if value and not getattr(dlc, name)})


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := environ.get(name, "").strip())), None)


def _missing(dlc: DlcConfig, options: Options) -> Iterator[str]:
    yield from (words for name, words in _ALWAYS.items() if not getattr(dlc, name))
    if not dlc.resource_id and not dlc.ecs_spec:
        yield Message("dlc.resource_id (the console's resource quotas), or dlc.ecs_spec for public resources")
    if dlc.resource_id and not dlc.ecs_spec:
        if not dlc.cpus or not dlc.memory_gb:
            yield Message("dlc.cpus and dlc.memory_gb (of each host, out of the resource quota)")
        if options.gpus is None:
            yield Message("devices as a number (GPUs of each host, out of the resource quota)")
    if bool(dlc.vpc) != bool(dlc.security_group):
        yield Message("dlc.vpc and dlc.security_group, which go together (the console of VPC)")
    elif not dlc.vpc and any(mount.source.startswith(("nas://", "cpfs://")) for mount in dlc.places):
        yield Message("dlc.vpc and dlc.security_group (NAS and CPFS are reached through a VPC)")


_ALWAYS: Final[Mapping[str, str]] = {
    "region": Message("dlc.region (at the top of the console, such as cn-hangzhou)"),
    "workspace": Message("dlc.workspace (the console's list of workspaces has the id)"),
    "image": Message("dlc.image (the console's Images; PAI's own have torch)"),
    "mounts": Message("dlc.mounts (the console's Datasets, or OSS, NAS, CPFS paths: what DLC and this machine mount)"),
}
"""Fields without which nothing can be submitted, and where each is found."""


def _named_paths(config: FineTuneConfig, model_folder: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the paths that the containers have to see, and the field of each."""
    from qwen3ft_jupyter.finetune.sources import named_paths

    yield from named_paths(config)
    if model_folder is not None:
        yield "MODEL_CACHE_DIR", str(model_folder)
