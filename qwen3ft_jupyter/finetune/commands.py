"""What starts a fine-tune by hand or by another launcher: lines for a shell, Kubeflow, Slurm, Ray.

All of them start the same line on every host, once; it starts torchrun itself, with a process for each GPU.
"""

from __future__ import annotations

import itertools
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import yaml

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.addresses import split_address
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.devices import gpus_of_host
from qwen3ft_jupyter.finetune.hosts import place_of
from qwen3ft_jupyter.finetune.launch import command
from qwen3ft_jupyter.finetune.sources import named_paths, path_of
from qwen3ft_jupyter.finetune.wire import write_address
from qwen3ft_jupyter.messages import tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.finetune.devices import Devices

    Launcher = Literal["kubeflow", "slurm", "ray"]

PORT = 29400
"""Where host 0 listens if nothing else is said: torchrun's own default is taken by others."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A fine-tune that is to be started elsewhere."""

    config_path: str
    """Of its config, on the mount that all hosts share."""
    hosts: int
    devices: Devices
    device: str
    address: str
    """Where the first host listens, if the config says it."""
    output_dir: str
    named: tuple[tuple[str, str], ...] = ()
    """Paths of the config that all hosts have to see, each behind its field."""
    cache: str = ""
    """This machine's cache of models; "": not known."""

    @classmethod
    def of(cls, config: FineTuneConfig, path: Path, *, cache: Path) -> Launch:
        """Return that of a config that lies at `path`."""
        address, named = config.hosts_address or "", tuple(named_paths(config))
        return cls(
            str(path), config.hosts, config.devices, config.device, address, config.output_dir, named, str(cache)
        )

    @property
    def port(self) -> int:
        """Return where host 0 listens."""
        return split_address(self.address)[1] or PORT

    def gpus(self, launcher: str) -> int | None:
        """Return the GPUs of each host; None: all it has. Raises BadConfig: it names some."""
        return gpus_of_host(self.device, self.devices, launcher)

    def line(self, nodes: object, node: object, master: str) -> str:
        """Return what each host starts; values may be variables of a shell, in quotes already."""
        return f"qwen3ft finetune {shlex.quote(self.config_path)} --nodes {nodes} --node {node} --master {master}"

    @property
    def name(self) -> str:
        """Return a name that Kubernetes takes, too.

        >>> [Launch("c.yaml", 2, 1, "auto", "", folder).name for folder in ("/mnt/Qwen3_0.6B-lora", "/mnt/1")]
        ['qwen3-0-6b-lora', 'qwen3ft-1']
        """
        letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in Path(self.output_dir).name)
        words = list(filter(None, "".join(letters).lower().split("-")))
        start = [] if words and words[0][0].isalpha() else ["qwen3ft"]
        return "-".join([*start, *words])[:50].strip("-")


def written_for(launcher: Launcher, launch: Launch) -> str:
    """Return what a launcher takes. Raises BadConfig."""
    return {"kubeflow": kubeflow, "slurm": slurm, "ray": ray}[launcher](launch)


def by_hand(launch: Launch) -> str:
    """Return the lines that start a fine-tune, and what torchrun is told by them."""
    return "\n".join(_by_hand(launch))


def _by_hand(launch: Launch) -> Iterator[str]:
    count = launch.devices if isinstance(launch.devices, int) else len(launch.devices)
    processes = count if isinstance(launch.devices, int | tuple) else 1
    shown = "GPUS" if isinstance(launch.devices, str) else str(processes)
    if launch.hosts == 1:
        yield f"qwen3ft finetune {shlex.quote(launch.config_path)}"
        if shown != "1":
            yield from _notes(tr("Its job then starts this, FILE being the job's own:"), _torchrun(shown, ()))
        return
    host = split_address(launch.address)[0] or "HOST"
    address = write_address((host, launch.port))
    for node in range(launch.hosts):
        yield launch.line(launch.hosts, node, address)
    place = place_of(launch.hosts, 0, (host, launch.port))
    told = [word.replace("=0", "=K") if word.startswith("--node-rank") else word for word in place]
    told = [word.replace(str(launch.port), "PORT") if word.startswith("--master-port") else word for word in told]
    yield from _notes(
        *filter(None, [tr("HOST is an address of host 0 that the others reach.") if host == "HOST" else ""]),
        tr("One line on each host, at about the same time. Host K then starts this; host 0 says FILE and PORT:"),
        _torchrun(shown, told),
        tr("Needed on every host: the same versions, and output_dir, data and this config on one mount, at one path."),
    )


def _torchrun(count: str, place: Sequence[str]) -> str:
    words = command(sys.executable, 0, "FILE", place) if place else command(sys.executable, 0, "FILE")
    return "  " + shlex.join(word.replace("=0", f"={count}") if word.startswith("--nproc") else word for word in words)


def _notes(*lines: str) -> Iterator[str]:
    return (f"# {line}" for line in lines)


_ELSEWHERE: Final = Path(os.sep, "elsewhere")


def _away(value: object) -> object:
    """Return a value of a config with what begins at a home folder begun at another."""
    if isinstance(value, str) and value.startswith("~"):
        return f"{_ELSEWHERE}{value[1:]}"
    if isinstance(value, Mapping):
        return {name: _away(one) for name, one in value.items()}
    return list(map(_away, value)) if isinstance(value, list | tuple) else value


def needs_whole_paths(given: Mapping[str, object], launcher: str) -> None:
    """Make sure that no path starts at a working or home folder. Raises BadConfig, naming the fields.

    Pods and Ray's workers have others: a result would be written into a container, and go with it.
    """
    elsewhere = FineTuneConfig.from_dict({name: _away(value) for name, value in given.items()}, base=_ELSEWHERE)
    whole = {elsewhere.output_dir, *elsewhere.data, elsewhere.init_from, elsewhere.from_run}
    names = dict.fromkeys(name for name, path in named_paths(FineTuneConfig.from_dict(given)) if path not in whole)
    if names:
        raise BadConfig(
            "{names}: {launcher} starts processes in other working and home folders than these, so the path would be "
            "another there.",
            hint="Write the whole path.",
            names=", ".join(names),
            launcher=launcher,
        )


def kubeflow(launch: Launch) -> str:
    """Return a TrainJob of Kubeflow Trainer, whose runtime for torch tells each node its place. Raises BadConfig."""
    gpus = launch.gpus("Kubeflow")
    line = launch.line('"$PET_NNODES"', '"$PET_NODE_RANK"', '"$PET_MASTER_ADDR:$PET_MASTER_PORT"')
    mount, has_cache = mount_of(launch)
    pod = {
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "CLAIM"}}],
        "containers": [{"name": "node", "volumeMounts": [{"name": "shared", "mountPath": mount}]}],
    }
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    spec = {
        "runtimeRef": {
            "apiGroup": "trainer.kubeflow.org",
            "kind": "ClusterTrainingRuntime",
            "name": "torch-distributed",
        },
        "trainer": {
            "image": "IMAGE",
            "numNodes": launch.hosts,
            **(
                {"resourcesPerNode": {name: {"nvidia.com/gpu": gpus} for name in ("requests", "limits")}}
                if gpus
                else {}
            ),
            **({"env": [{"name": "MODEL_CACHE_DIR", "value": launch.cache}]} if has_cache else {}),
            "command": ["bash", "-c"],
            "args": [f"exec {line}"],
        },
        "runtimePatches": [
            {
                "manager": "qwen3ft.io/shared-folder",
                "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}},
            }
        ],
    }
    whole = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": launch.name},
        "spec": spec,
    }
    notes = _notes(
        tr("For Kubeflow Trainer 2.2 and newer. Replace IMAGE by an image that has qwen3ft-jupyter, torch and peft,"),
        tr("and CLAIM by a volume claim that all pods can write to; it is mounted at {folder}.", folder=mount),
        *(
            []
            if has_cache
            else [tr("This machine's MODEL_CACHE_DIR is not in that folder: each pod downloads the model.")]
        ),
        *([] if gpus is not None else [tr("Add resourcesPerNode with the GPUs of a node.")]),
    )
    return "\n".join([*notes, yaml.safe_dump(whole, sort_keys=False, width=1000)]).rstrip()


def mount_of(launch: Launch) -> tuple[str, bool]:
    """Return the folder that all pods have to mount, and whether the cache of models is in it.

    Raises:
        BadConfig: The paths have none in common that a volume could be mounted at.
    """
    config = Path(launch.config_path)
    named = [("CONFIG.yaml", config), *((name, path_of(path)) for name, path in launch.named)]
    folders = [config.parent, *(path for _, path in named[1:]), _with_room(Path(launch.output_dir))]
    folder = _common(folders)
    if not _can_be_mounted(folder, folders):
        name, path = named[_apart(folders[: len(named)])]
        raise BadConfig(
            "{name}: {path} lies apart: with it, the files that all pods need have no folder in common but {folder}.",
            hint="Put the config, output_dir and data below one folder, where the volume of all pods is mounted.",
            details={"path": str(path)},
            name=name,
            path=path.name,
            folder=str(folder),
        )
    whole = _common([folder, Path(launch.cache)]) if launch.cache else Path()
    return (str(whole), True) if _can_be_mounted(whole, [folder]) else (str(folder), False)


def _apart(folders: Sequence[Path]) -> int:
    """Return which folder it is without which the others could be mounted; else one that is far from the first."""
    for at in range(len(folders)):
        rest = [*folders[:at], *folders[at + 1 :]]
        if rest and _can_be_mounted(_common(rest), rest):
            return at
    far = (at for at in range(len(folders)) if not _can_be_mounted(_common([folders[0], folders[at]]), folders))
    return next(far, len(folders) - 1)


_TOP: Final = frozenset({"home", "media", "mnt", "opt", "root", "srv", "tmp", "usr", "var"})
"""Folders of which each holds things of its own: to mount a volume there would hide them."""


def _can_be_mounted(folder: Path, folders: Sequence[Path]) -> bool:
    """Return whether a volume can be that folder: not /, nor one that only holds others, unless it is named itself."""
    parts = folder.parts[1:]
    return bool(parts) and (len(parts) > 1 or parts[0] not in _TOP or folder in folders)


def _with_room(output_dir: Path) -> Path:
    """Return the folder that is mounted for a result: one above it, as far as that can be, to put others beside it."""
    return output_dir.parent if len(output_dir.parts) > 3 else output_dir


def _common(paths: Sequence[Path]) -> Path:
    parts = zip(*(path.parts for path in paths), strict=False)
    return Path(*(each[0] for each in itertools.takewhile(lambda each: len(set(each)) == 1, parts)))


def slurm(launch: Launch) -> str:
    """Return a script for sbatch. Raises BadConfig."""
    count = launch.gpus("Slurm")
    gpus = [f"#SBATCH --gpus-per-node={count}"] if count else []
    line = launch.line('"$SLURM_NNODES"', '"$SLURM_NODEID"', f'"$QWEN3FT_FIRST:{launch.port}"')
    exclusive = ["#SBATCH --exclusive"] if count is None else []
    return "\n".join(
        [
            "#!/bin/bash",
            f"#SBATCH --job-name={launch.name}",
            f"#SBATCH --nodes={launch.hosts}",
            "#SBATCH --ntasks-per-node=1",
            *gpus,
            *exclusive,
            "#SBATCH --requeue",
            "#SBATCH --signal=TERM@120",
            *_notes(
                tr("Add --partition, --account, --time, --cpus-per-task. Before the time is over it is stopped;"),
                tr("the same script again goes on from the checkpoint. qwen3ft has to be on the PATH of every node."),
            ),
            "set -euo pipefail",
            'QWEN3FT_FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            "export QWEN3FT_FIRST",
            f"exec srun --kill-on-bad-exit=1 bash -c {shlex.quote('exec ' + line)}",
        ]
    )


def ray(launch: Launch) -> str:
    """Return a script that starts it by Ray Train, one worker a host. Raises BadConfig."""
    gpus = launch.gpus("Ray")
    resources = {"GPU": gpus} if gpus else {"CPU": 1}
    notes = [
        tr("Needs ray[train] and qwen3ft-jupyter with torch on every host of the cluster. Start it: python THIS_FILE"),
        *([] if gpus is not None else [tr("Put the GPUs of a host into RESOURCES.")]),
    ]
    return RAY.format(
        notes="\n".join(_notes(*notes)),
        config=launch.config_path,
        hosts=launch.hosts,
        port=launch.port,
        resources=resources,
        name=launch.name,
    ).rstrip()


RAY = '''\
{notes}
import os
import subprocess
import sys

import ray.train
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

CONFIG = {config!r}
HOSTS = {hosts}
PORT = {port}
RESOURCES = {resources!r}


def take_part():
    """Start one host's part; Ray has put the first worker's address into the environment."""
    node = ray.train.get_context().get_world_rank()
    master = f"{{os.environ['MASTER_ADDR']}}:{{PORT}}"
    place = ["--nodes", str(HOSTS), "--node", str(node), "--master", master]
    subprocess.run([sys.executable, "-m", "qwen3ft_jupyter", "finetune", CONFIG, *place], check=True)


if __name__ == "__main__":
    TorchTrainer(
        take_part,
        scaling_config=ScalingConfig(
            num_workers=HOSTS,
            use_gpu="GPU" in RESOURCES,
            resources_per_worker=RESOURCES,
            placement_strategy="STRICT_SPREAD",
        ),
        run_config=RunConfig(name={name!r}),
    ).fit()
'''
