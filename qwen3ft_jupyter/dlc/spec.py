"""What is submitted, as the API of PAI-DLC takes it (CreateJob, version 2020-12-03). Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.messages import Size, conceal

if TYPE_CHECKING:
    from qwen3ft_jupyter.dlc.options import Options

MOST_BYTES: Final = 65_536
"""Of all parameters of a job, those that the system adds included."""
ROOM_BYTES: Final = 16_384
"""Left for what the system adds."""
TAG: Final = "qwen3ft-job"
"""Names our job in the settings of theirs."""


def job_name(job_id: str, number: int) -> str:
    """Return what PAI-DLC calls the `number`-th job that ours submits: who looks for it finds it by that.

    >>> job_name("20260101-120000-finetune-0a1b", 2)
    'qwen3ft-20260101-120000-finetune-0a1b-2'
    """
    return f"qwen3ft-{job_id}-{number}"


def job_spec(options: Options, command: str, *, name: str, job_id: str) -> dict[str, Any]:
    """Return the body of CreateJob. Raises BadConfig if it is too large."""
    dlc = options.dlc
    worker: dict[str, Any] = {"Type": "Worker", "PodCount": options.nodes, "Image": dlc.image}
    if dlc.ecs_spec:
        worker["EcsSpec"] = dlc.ecs_spec
    else:
        worker["ResourceConfig"] = {"CPU": str(dlc.cpus), "Memory": f"{dlc.memory_gb}Gi", "GPU": str(options.gpus or 0)}
    body: dict[str, Any] = {
        "DisplayName": name,
        "JobType": "PyTorchJob",
        "WorkspaceId": dlc.workspace,
        "JobSpecs": [worker],
        "UserCommand": command,
        "DataSources": [_source(mount.source, mount.path) for mount in dlc.places],
        "Priority": dlc.priority,
        "Settings": {"Tags": {TAG: job_id}},
    }
    if dlc.resource_id:
        body["ResourceId"] = dlc.resource_id
    if dlc.vpc:
        known = {"VpcId": dlc.vpc, "SwitchId": dlc.vswitch, "SecurityGroupId": dlc.security_group}
        body["UserVpc"] = {key: value for key, value in known.items() if value}
    if dlc.max_hours:
        body["JobMaxRunningTimeMinutes"] = max(1, round(60 * dlc.max_hours))
    _check_size(body)
    return body


def shown(spec: dict[str, Any]) -> str:
    """Return what would be submitted, as text; what looks like a secret is masked."""
    return conceal(json.dumps(spec, ensure_ascii=False, indent=2))


def _source(source: str, path: str) -> dict[str, str]:
    return {"Uri" if "://" in source else "DataSourceId": source, "MountPath": path}


def _check_size(body: dict[str, Any]) -> None:
    count = len(json.dumps(body, ensure_ascii=False).encode())
    if count > MOST_BYTES - ROOM_BYTES:
        raise BadConfig(
            "dlc: the job has {size}, and PAI-DLC takes {most} with what it adds itself.",
            hint="Shorten dlc.install and dlc.mounts.",
            size=Size(count),
            most=Size(MOST_BYTES),
        )
