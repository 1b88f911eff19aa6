"""What is submitted trains: the command runs as DLC starts it, on two hosts, and gives what one process does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.dlc.run import run
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.jobs.kinds import JobContext
from qwen3ft_jupyter.manager import get_model_manager
from qwen3ft_jupyter.work import Work
from tests.dlc.containers import Containers
from tests.dlc.test_run import PACE, WAITS_S, Ear

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture
def containers(dlc: PlayedDlc, tmp_path: Path) -> Iterator[Containers]:
    played = Containers(tmp_path)
    dlc.on_create, dlc.on_get = played.start, played.tell
    yield played
    played.end()


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    folder = tmp_path / "state" / "20260101-120000-finetune-0a1b"
    folder.mkdir(parents=True)
    return JobContext(folder, 1, Work(Ear()))


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl") if "loss" in row]


def test_two_hosts_learn_what_one_process_does(
    containers: Containers, fields: dict[str, Any], model_folder: Path, context: JobContext, mount: Path
) -> None:
    """DLC's WORLD_SIZE is a number of hosts, its RANK that of one: nobody takes them for those of processes."""
    alone = {**fields, "launcher": "local", "hosts": 1, "output_dir": str(mount / "alone")}

    one = train(FineTuneConfig.from_dict(alone), model_folder=model_folder)
    two = run(FineTuneConfig.from_dict(fields), model_folder, context, pace=PACE, waits_s=WAITS_S)

    assert (two.steps, two.processes, two.output_dir) == (one.steps, 2, fields["output_dir"])
    assert losses(mount / "run") == pytest.approx(losses(mount / "alone"), abs=1e-6, rel=1e-5)
    told = context.work.reporter
    assert isinstance(told, Ear)
    assert [row["step"] for row in told.rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert {"preparing", "training", "saving"} <= {each.phase for each in told.phases}
