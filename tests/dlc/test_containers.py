"""What is submitted trains: the command runs as DLC starts it, on two hosts, and gives what one process does."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.dlc.run import run
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune.checkpoints import last_complete
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.jobs.kinds import JobContext
from qwen3ft_jupyter.manager import get_model_manager
from qwen3ft_jupyter.work import Work
from tests.dlc.containers import Containers, two_networks
from tests.dlc.test_run import PACE, WAITS_S, Ear, ear_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.finetune.results import Outcome
    from tests.dlc.service import PlayedDlc

pytestmark = [pytest.mark.train, pytest.mark.skipif(sys.platform == "win32", reason="containers run Linux")]


@pytest.fixture
def model_folder(mount: Path, tmp_path: Path) -> Path:
    """The practice model, in a cache on the mount."""
    manager = get_model_manager(cache_dir=mount / "models", state_dir=tmp_path / "unused")
    return Path(manager.ensure_model_cached(PRACTICE_REPO_ID))


@pytest.fixture
def fields(fields: dict[str, Any], mount: Path) -> dict[str, Any]:
    rows = [{"question": f"What is {number}?", "answer": f"It is {number}."} for number in range(20)]
    (mount / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    more = {"model": PRACTICE_REPO_ID, "max_steps": 6, "report": False, "lora": {"r": 4, "alpha": 8}, "hosts": 2}
    return {**fields, **more, "dlc": {**fields["dlc"], "python": sys.executable}}


@pytest.fixture(params=["loopback", "two networks"])
def containers(request: pytest.FixtureRequest, dlc: PlayedDlc, tmp_path: Path) -> Iterator[Containers]:
    """Hosts on one network, or each in one of its own where that can be had."""
    with contextlib.ExitStack() as stack:
        played = Containers(tmp_path)
        if request.param == "two networks":
            try:
                prefixes, master = stack.enter_context(two_networks())
            except (OSError, subprocess.CalledProcessError):
                pytest.skip("network namespaces take root and iproute2")
            played = Containers(tmp_path, prefixes=prefixes, master=master)
        stack.callback(played.end)
        dlc.on_create, dlc.on_get = played.start, played.tell
        yield played


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    folder = tmp_path / "state" / "20260101-120000-finetune-0a1b"
    folder.mkdir(parents=True)
    return JobContext(folder, 1, Work(Ear()))


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl") if "loss" in row]


@dataclass
class Stage:
    """A job here, the mount, and what is to be done."""

    fields: dict[str, Any]
    model_folder: Path
    context: JobContext
    mount: Path

    def run(self, context: JobContext | None = None, **fields: Any) -> Outcome:
        config = FineTuneConfig.from_dict({**self.fields, **fields})
        return run(config, self.model_folder, context or self.context, pace=PACE, waits_s=WAITS_S)


@pytest.fixture
def stage(fields: dict[str, Any], model_folder: Path, context: JobContext, mount: Path) -> Stage:
    return Stage(fields, model_folder, context, mount)


def test_two_hosts_learn_what_one_process_does(containers: Containers, stage: Stage) -> None:
    """DLC's WORLD_SIZE is a number of hosts, its RANK that of one: nobody takes them for those of processes."""
    alone = {**stage.fields, "launcher": "local", "hosts": 1, "output_dir": str(stage.mount / "alone")}

    one = train(FineTuneConfig.from_dict(alone), model_folder=stage.model_folder)
    two = stage.run()

    assert (two.steps, two.processes, two.output_dir) == (one.steps, 2, stage.fields["output_dir"]), containers.log()
    assert losses(stage.mount / "run") == pytest.approx(losses(stage.mount / "alone"), abs=1e-6, rel=1e-5)
    told = ear_of(stage.context)
    assert [row["step"] for row in told.rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert {"preparing", "training", "saving"} <= {each.phase for each in told.phases}


class Impatient(Ear):
    """Stops the work after its second step."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def metrics(self, values: Mapping[str, float]) -> None:
        super().metrics(values)
        if values["step"] >= 2:
            self._stop.set()


@pytest.mark.parametrize("containers", ["loopback"], indirect=True)
def test_a_stop_keeps_a_checkpoint_and_the_next_submission_goes_on_from_it(
    containers: Containers, stage: Stage, dlc: PlayedDlc
) -> None:
    work = Work(Ear())
    stopped = replace(stage.context, work=Work(Impatient(work.stop), work.stop))

    with pytest.raises(Stopped, match="the checkpoint is kept"):
        stage.run(stopped, hosts=1, max_steps=150)
    done_by_then = len(losses(stage.mount / "run"))
    checkpoint = last_complete(stage.mount / "run" / "checkpoints")
    outcome = stage.run(replace(stage.context, attempt=2), hosts=1, max_steps=150)

    assert checkpoint is not None
    assert checkpoint.name == f"checkpoint-{done_by_then}"
    assert (outcome.steps, len(losses(stage.mount / "run"))) == (150, 150), containers.log()
    assert [notice for notice in ear_of(stage.context).notices if "Resuming" in notice] == [
        f"Resuming from {checkpoint.name}."
    ]
    assert (len(dlc.jobs), dlc.count("StopJob")) == (2, 0)
