"""What is printed for other launchers, and what that starts: here Slurm's commands and Ray are small stand-ins."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.cli import main
from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.commands import Launch, by_hand, kubeflow, ray, slurm
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.wire import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

IP = shutil.which("ip") or ""
ROOT = Path(__file__).parents[2]
LAUNCH = Launch("/mnt/nas/it's.yaml", 2, 8, "auto", "", "/mnt/nas/runs/Qwen3_first")


def of(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


def many(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": item}


TEXT = {"type": "string", "minLength": 1}
NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
AMOUNTS = {"type": "object", "additionalProperties": {"type": ["integer", "string"]}}
POD = of(
    [],
    volumes=many(
        of(["name", "persistentVolumeClaim"], name=NAME, persistentVolumeClaim=of(["claimName"], claimName=TEXT))
    ),
    containers=many(of(["name"], name=NAME, volumeMounts=many(of(["name", "mountPath"], name=NAME, mountPath=TEXT)))),
)
JOB = of(["name"], name=NAME, template=of([], spec=of([], template=of([], spec=POD))))
RUNTIME = of([], template=of([], spec=of([], replicatedJobs=many(JOB))))
TRAIN_JOB = of(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "trainer.kubeflow.org/v1alpha1"},
    kind={"const": "TrainJob"},
    metadata=of(["name"], name=NAME),
    spec=of(
        ["runtimeRef"],
        runtimeRef=of(["name"], apiGroup=TEXT, kind={"enum": ["ClusterTrainingRuntime", "TrainingRuntime"]}, name=NAME),
        trainer=of(
            [],
            image={"type": "string", "maxLength": 500},
            numNodes={"type": "integer"},
            resourcesPerNode=of([], requests=AMOUNTS, limits=AMOUNTS),
            command=many(TEXT),
            args=many(TEXT),
            env=many(of(["name"], name=TEXT, value=TEXT)),
        ),
        runtimePatches=many(of(["manager"], manager=TEXT, trainingRuntimeSpec=RUNTIME)),
    ),
)
"""The fields that we write, as the published types of Kubeflow Trainer 2.2 have them."""


@pytest.mark.parametrize("devices", [8, "all", 1])
def test_the_train_job_is_one_that_kubeflow_takes(devices: Any) -> None:
    job = yaml.safe_load(kubeflow(Launch(LAUNCH.config_path, 3, devices, "auto", "", LAUNCH.output_dir)))

    Draft202012Validator(TRAIN_JOB).validate(job)
    assert job["metadata"]["name"] == "qwen3-first"
    assert job["spec"]["trainer"]["numNodes"] == 3
    amounts = job["spec"]["trainer"].get("resourcesPerNode", {}).get("limits")
    assert amounts == {8: {"nvidia.com/gpu": 8}, "all": None, 1: {"nvidia.com/gpu": 1}}[devices]
    assert '--node "$PET_NODE_RANK"' in job["spec"]["trainer"]["args"][0]
    assert mounted_at(job) == "/mnt/nas"


def mounted_at(job: Any) -> str:
    """Return the folder that the pods of a TrainJob mount."""
    mounts = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]
    return str(mounts["template"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"])


@pytest.mark.parametrize("write", [kubeflow, slurm, ray])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"devices": (2, 3)}, r"devices: \[2, 3\] names GPUs, and \w+ gives .* counted from 0\. .*devices: 2"),
        ({"device": "cuda:1", "devices": 1}, r"device: cuda:1 names a GPU, .*Say device: cuda"),
    ],
)
def test_gpus_are_asked_for_by_number_where_each_host_has_its_own(write: Any, changes: Any, said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        write(replace(LAUNCH, **changes))


@pytest.mark.parametrize(("write", "absent"), [(kubeflow, "nvidia"), (slurm, "--gpus"), (ray, "'GPU':")])
@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_no_gpus_are_asked_for_where_none_compute(write: Any, absent: str, device: str) -> None:
    assert absent not in write(replace(LAUNCH, device=device, devices="all"))


def launch_of(data: str, *, config: str = "/mnt/nas/a/run.yaml", cache: str = "/var/cache/models") -> Launch:
    given = {"model": "Qwen/Qwen3-0.6B", "data": [data, "/mnt/nas/a/more.jsonl#5"], "output_dir": "/mnt/nas/a/runs/1"}
    return Launch.of(FineTuneConfig.from_dict(given), Path(config), cache=Path(cache))


@pytest.mark.parametrize(
    ("launch", "mount", "cache"),
    [
        (launch_of("/mnt/nas/a/x.jsonl"), "/mnt/nas/a", None),
        (launch_of("/mnt/nas/data/x.jsonl#500"), "/mnt/nas", None),
        (launch_of("hf:owner/name"), "/mnt/nas/a", None),
        (launch_of("/mnt/nas/a/x.jsonl", cache="/mnt/nas/models"), "/mnt/nas", "/mnt/nas/models"),
    ],
    ids=["one folder", "data beside it", "data of a hub", "the cache beside it"],
)
def test_the_pods_mount_the_folder_of_all_that_they_need(launch: Launch, mount: str, cache: str | None) -> None:
    text = kubeflow(launch)
    job = yaml.safe_load(text)

    Draft202012Validator(TRAIN_JOB).validate(job)
    assert mounted_at(job) == mount
    assert ("each pod downloads the model" in text) is (cache is None)
    environ = {one["name"]: one["value"] for one in job["spec"]["trainer"].get("env", ())}
    assert environ == ({} if cache is None else {"MODEL_CACHE_DIR": cache})
    assert "&id" not in kubeflow(replace(launch, devices=8))


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        (
            launch_of("/home/ann/x.jsonl"),
            r"data: x\.jsonl lies apart: .* in common but /\. Put the config, .* below one",
        ),
        (launch_of("/mnt/oss/x.jsonl#500"), r"data: x\.jsonl lies apart: .* in common but /mnt\."),
        (
            launch_of("/mnt/nas/a/x.jsonl", config="/home/ann/run.yaml"),
            r"CONFIG\.yaml: run\.yaml lies apart: .* but /\.",
        ),
    ],
)
def test_what_no_volume_could_be_mounted_for_is_refused_by_name(launch: Launch, said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        kubeflow(launch)


def test_a_top_folder_is_mounted_where_it_is_that_of_the_volume() -> None:
    assert mounted_at(yaml.safe_load(kubeflow(Launch("/mnt/c.yaml", 2, 8, "auto", "", "/mnt/run")))) == "/mnt"
    apart = Launch("/workspace/configs/c.yaml", 2, 8, "auto", "", "/workspace/run")
    assert mounted_at(yaml.safe_load(kubeflow(apart))) == "/workspace"


@pytest.mark.parametrize("checker", [["bash", "-n"], ["shellcheck", "--severity=warning"]])
def test_the_script_for_slurm_is_right_shell(checker: list[str], tmp_path: Path) -> None:
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]  # pip puts shellcheck beside Python
    program = shutil.which(checker[0], path=os.pathsep.join(folders))
    if program is None:
        pytest.skip(f"{checker[0]} is not installed")
    script = tmp_path / "run.sbatch"
    script.write_text(slurm(LAUNCH))

    subprocess.run([program, *checker[1:], str(script)], check=True)


def test_the_script_for_ray_starts_each_worker_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray has 240 MB; this has its names, and runs the workers one after another."""
    started: list[list[str]] = []
    asked: dict[str, Any] = {}
    rank = [0]

    class TorchTrainer:
        def __init__(self, work: Any, *, scaling_config: dict[str, Any], run_config: dict[str, Any]) -> None:
            self.work, self.count = work, scaling_config["num_workers"]
            asked.update(scaling_config, **run_config)

        def fit(self) -> None:
            monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
            for rank[0] in range(self.count):
                self.work()

    train = types.ModuleType("ray.train")
    train.__dict__.update(RunConfig=dict, ScalingConfig=dict)
    train.__dict__["get_context"] = lambda: types.SimpleNamespace(get_world_rank=lambda: rank[0])
    torch = types.ModuleType("ray.train.torch")
    torch.__dict__["TorchTrainer"] = TorchTrainer
    package = types.ModuleType("ray")
    package.__dict__["train"] = train
    for module in (package, train, torch):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(subprocess, "run", lambda words, check: started.append(words))  # noqa: ARG005

    exec(compile(ray(LAUNCH), "train.py", "exec"), {"__name__": "__main__"})  # noqa: S102

    assert [words[1:5] for words in started] == [["-m", "qwen3ft_jupyter", "finetune", LAUNCH.config_path]] * 2
    assert [words[5:] for words in started] == [
        ["--nodes", "2", "--node", str(node), "--master", "10.0.0.1:29400"] for node in range(2)
    ]
    assert asked["resources_per_worker"] == {"GPU": 8}
    assert asked["placement_strategy"] == "STRICT_SPREAD"


def test_lines_to_start_it_by_hand_say_what_torchrun_is_told() -> None:
    lines = by_hand(Launch("/mnt/c.yaml", 2, 4, "auto", "gpu-1:7", "/mnt/run")).splitlines()

    assert lines[:2] == [f"qwen3ft finetune /mnt/c.yaml --nodes 2 --node {node} --master gpu-1:7" for node in range(2)]
    assert "--nnodes=2 --node-rank=K --master-addr=gpu-1 --master-port=PORT" in lines[3]
    assert "--nproc-per-node=4" in lines[3]
    assert by_hand(Launch("/mnt/c.yaml", 1, 1, "auto", "", "/mnt/run")) == "qwen3ft finetune /mnt/c.yaml"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--node 2 --nodes 2 --master a:1", "--node: 2 is no place among 2 hosts."),
        ("--node 0 --master a:1", "--node, --nodes and --master go together."),
        ("--node 0", "--node, --nodes and --master go together."),
        ("--join a:1 --dry-run", "--join and --dry-run do not go together."),
        ("--join a:1 --nodes 2", "--join and --nodes do not go together."),
        ("--node 0 --nodes 2 --master a:1 --detach", "--node and --detach do not go together."),
        ("--print slurm --json", "--print and --json do not go together."),
        ("--join nowhere", "--join: nowhere is no address."),
        ("--print slurm", "output_dir: hosts find each other in it, so it has to be given."),
    ],
)
def test_a_place_that_is_not_whole_is_refused(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN3FT_STATE_DIR", str(tmp_path))
    given = {"model": "a/b", "data": "x.jsonl", **({} if "print" in words else {"output_dir": "out"})}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(given))

    assert main(["finetune", str(tmp_path / "c.yaml"), *words.split()]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("launcher", ["kubeflow", "ray"])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"output_dir": "runs/a", "data": "/mnt/nas/x.jsonl"}, "output_dir: "),
        ({"output_dir": "~/runs/a", "data": ["/mnt/nas/x.jsonl", "owner/name"]}, "output_dir: "),
        ({"output_dir": "/mnt/nas/a", "dataset": ["/mnt/nas/x.jsonl", {"path": "y.jsonl", "rows": 5}]}, "data: "),
    ],
)
def test_a_path_that_would_be_another_in_a_container_is_refused_by_its_field(
    launcher: str, fields: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result would be written into the container, and go with it."""
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"model": "a/b", **fields}))

    assert main(["finetune", str(tmp_path / "c.yaml"), "--print", launcher]) == 1
    assert f"bad-config: {said}{launcher.capitalize()} starts processes in other" in capsys.readouterr().err


def test_a_host_that_does_not_see_the_folder_of_the_first_one_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finetune", str(tmp_path / "run" / "config.json"), "--join", "127.0.0.1:1"]) == 1

    said = capsys.readouterr().err
    assert "config.json is not on this host." in said
    assert "output_dir has to lie on a mount that all hosts share" in said


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that hosts share, with data and a config."""
    rows = [{"question": f"What is {number}?", "answer": f"It is {number}."} for number in range(20)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config: dict[str, Any] = {
        "model": PRACTICE_REPO_ID,
        "data": str(tmp_path / "train.jsonl"),
        "output_dir": str(tmp_path / "run"),
    }
    config |= {"device": "cpu", "report": False, "max_steps": 40, "save_steps": 5, "hosts": 2}
    config |= {"hosts_address": f":{free_port()}"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
pids=()
for SLURM_NODEID in $(seq 0 $((SLURM_NNODES - 1))); do
  export SLURM_NODEID RANK=$SLURM_NODEID WORLD_SIZE=$SLURM_NNODES MASTER_ADDR=nowhere MASTER_PORT=1
  export QWEN3FT_STATE_DIR=$HOSTS/state-$SLURM_NODEID MODEL_CACHE_DIR=$HOSTS/cache-$SLURM_NODEID
  "$@" >"$HOSTS/said-$SLURM_NODEID" 2>&1 &
  pids+=($!)
done
code=0
for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
exit $code
"""


@pytest.fixture
def slurm_environ(shared: Path) -> dict[str, str]:
    """Slurm's commands in small: srun starts all on this machine, each with a state folder of its own."""
    commands = shared / "commands"
    commands.mkdir()
    lines = {"srun": SRUN, "scontrol": "#!/bin/sh\necho 127.0.0.1\n"}
    lines["qwen3ft"] = f'#!/bin/sh\nexec {sys.executable} -m qwen3ft_jupyter "$@"\n'
    for name, text in lines.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return {
        **environ,
        "HOSTS": str(shared),
        "SLURM_NNODES": "2",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "QWEN3FT_OFFLINE": "1",
    }


@pytest.mark.train
@pytest.mark.skipif(sys.platform != "linux", reason="as Slurm")
def test_the_script_for_slurm_trains_and_again_goes_on_when_the_first_hosts_job_was_killed(
    shared: Path, slurm_environ: dict[str, str]
) -> None:
    """The launcher's own words on ranks do not reach our processes: they would wait for each other at `nowhere`."""
    script = shared / "run.sbatch"
    line = subprocess.run(
        [sys.executable, "-m", "qwen3ft_jupyter", "finetune", str(shared / "c.yaml"), "--print", "slurm"],
        env=slurm_environ,
        check=True,
        capture_output=True,
    )
    script.write_bytes(line.stdout)
    first = psutil.Popen(["bash", str(script)], env=slurm_environ)
    metrics = shared / "run" / "metrics.jsonl"
    while len(read_metrics(metrics)) < 7:
        assert first.is_running(), (shared / "said-0").read_text()
        with contextlib.suppress(psutil.TimeoutExpired):
            first.wait(0.2)
    job = next(one for one in jobs_of(shared))
    job.send_signal(signal.SIGKILL)

    assert first.wait(120) != 0
    assert "The first host, 127.0.0.1:" in (shared / "said-1").read_text()
    assert " is gone." in (shared / "said-1").read_text()
    shutil.rmtree(shared / "state-0")  # a container that is gone

    subprocess.run(["/bin/bash", str(script)], env=slurm_environ, check=True, timeout=240)
    assert [row["step"] for row in read_metrics(metrics)] == list(range(1, 41))
    assert "Resuming from checkpoint-" in (shared / "said-0").read_text()
    assert not (shared / "run" / ".qwen3ft" / "hosts").exists()


def jobs_of(shared: Path) -> Iterator[psutil.Process]:
    """The processes in which jobs of the first host do their work."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "run" in line[-2:-1] and str(shared / "state-0") in line[-1] and "supervisor" not in " ".join(line):
            yield process


def has_namespaces() -> bool:
    """Whether this is a machine on which hosts can be played by namespaces of the network."""
    if sys.platform != "linux" or os.geteuid() != 0 or not IP:
        return False
    name = f"qwen3ft-{os.getpid()}"
    is_made = subprocess.run([IP, "netns", "add", name], check=False, capture_output=True).returncode == 0
    subprocess.run([IP, "netns", "del", name], check=False, capture_output=True)
    return is_made


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Two namespaces with a cable between them: 10.77.0.1 and 10.77.0.2, and no way out."""
    if not has_namespaces():
        pytest.skip("needs root and iproute2, and the right to make network namespaces")
    names = [f"qwen3ft-{os.getpid()}-{number}" for number in (1, 2)]
    made = [["netns", "add", name] for name in names]
    made += [["-n", names[0], "link", "add", "net0", "type", "veth", "peer", "name", "net0", "netns", names[1]]]
    for number, name in enumerate(names, 1):
        made += [["-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "net0"]]
        made += [["-n", name, "link", "set", device, "up"] for device in ("lo", "net0")]
    try:
        for words in made:
            subprocess.run([IP, *words], check=True, capture_output=True)
        yield names
    finally:
        for name in names:
            subprocess.run([IP, "netns", "del", name], check=False, capture_output=True)


@pytest.mark.train
def test_hosts_that_only_a_network_joins_train_together(
    namespaces: list[str], shared: Path, slurm_environ: dict[str, str]
) -> None:
    place = ["finetune", str(shared / "c.yaml"), "--nodes", "2", "--master", f"10.77.0.1:{free_port()}", "--node"]
    started = []
    for node, name in enumerate(namespaces):
        own = {"QWEN3FT_STATE_DIR": str(shared / f"state-{node}"), "MODEL_CACHE_DIR": str(shared / f"cache-{node}")}
        words = [IP, "netns", "exec", name, sys.executable, "-m", "qwen3ft_jupyter", *place, str(node)]
        with (shared / f"said-{node}").open("w") as said:
            started.append(subprocess.Popen(words, env={**slurm_environ, **own}, stdout=said, stderr=said))

    codes = [process.wait(300) for process in started]

    assert codes == [0, 0], [(shared / f"said-{node}").read_text() for node in range(2)]
    assert [row["step"] for row in read_metrics(shared / "run" / "metrics.jsonl")] == list(range(1, 41))
    assert "Joined 10.77.0.1:" in (shared / "said-1").read_text()
