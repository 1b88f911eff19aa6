"""Several processes train one model. Here they compute on a CPU and talk by gloo; all else is as with several GPUs."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from qwen3ft_jupyter.errors import BadData, Stopped
from qwen3ft_jupyter.finetune import launch
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.launch import Lateness, train_together
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.pace import NAMES as PACE_NAMES
from qwen3ft_jupyter.finetune.results import read_run
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Progress, Reporter, Work
from tests.finetune.lessons import pair_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.work import RanksJson

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(sys.platform == "win32", reason="NCCL and gloo groups are on Linux"),
]

NO_CHANCE = {"r": 4, "alpha": 8}
"""An adapter without dropout: which process drops what depends on how many there are."""


class Ear(Reporter):
    """Keeps what it is told; calls `on_step` with each step of which it is told."""

    def __init__(self, on_step: Callable[[int], None] = lambda _step: None) -> None:
        self.on_step = on_step
        self.phases: list[Progress] = []
        self.notices: list[str] = []
        self.rows: list[dict[str, float]] = []
        self.ranked: list[RanksJson] = []

    def progress(self, progress: Progress) -> None:
        self.phases.append(progress)

    def notice(self, message: str) -> None:
        self.notices.append(str(message))

    def ranks(self, told: RanksJson) -> None:
        self.ranked.append(told)

    def metrics(self, values: Mapping[str, float]) -> None:
        self.rows.append(dict(values))
        if "loss" in values:
            self.on_step(int(values["step"]))


def together(fields: dict[str, Any], model: Path, work: Work | None = None, *, resume: bool = False) -> Outcome:
    start = Start(model, resume, run_id="a run")
    return train_together(FineTuneConfig.from_dict(fields), start, ("cpu", "cpu"), work or Work())


def alone(fields: dict[str, Any], model: Path, work: Work | None = None, *, resume: bool = False) -> Outcome:
    return train(FineTuneConfig.from_dict(fields), model_folder=model, work=work, resume=resume, run_id="a run")


def values(fields: dict[str, Any], name: str = "loss") -> list[float]:
    return [row[name] for row in read_metrics(Path(fields["output_dir"]) / "metrics.jsonl") if name in row]


def names_in(folder: Path) -> set[str]:
    """The files below a folder, by their paths in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def ranks() -> dict[int, psutil.Process]:
    """The processes that this one has started to train together."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        if "rank" in process.cmdline()[-2:-1] and "torch.distributed.run" not in process.cmdline():
            found[int(process.environ()["RANK"])] = process
    return found


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="lora"),
        pytest.param({"method": "full", "learning_rate": 1e-3, "sharding": "none"}, id="full"),
        pytest.param({"packing": False, "eval_fraction": 0.2, "eval_steps": 3}, id="rows of their own, held-out ones"),
        pytest.param({"batch_size": 1, "gradient_accumulation": 1}, id="steps of one sample, which one process has"),
        pytest.param(
            {"batch_size": 5, "gradient_accumulation": 1, "schedule": "linear"}, id="an odd number of samples"
        ),
        pytest.param({"objective": "dpo", "eval_fraction": 0.2}, id="pairs"),
    ],
)
def test_two_processes_learn_what_one_does(
    given: dict[str, Any], tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    fields = {**fields, "lora": NO_CHANCE, "max_steps": 8, **given}
    if given.get("objective") == "dpo":
        (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pair_rows())), encoding="utf-8")
        fields["data"] = str(tmp_path / "pairs.jsonl")
    other = {**fields, "output_dir": str(tmp_path / "together")}

    one, two = alone(fields, tiny), together(other, tiny)

    for name in ("loss", "eval_loss", "grad_norm", "learning_rate"):
        assert values(other, name) == pytest.approx(values(fields, name), abs=1e-6, rel=1e-5)
    assert values(other, "tokens") == values(fields, "tokens")
    assert not any(values(fields, name) for name in (*PACE_NAMES, "tokens_per_s_per_device"))
    assert (two.steps, two.tokens, two.trainable_parameters) == (one.steps, one.tokens, one.trainable_parameters)
    assert two.data == one.data
    assert names_in(tmp_path / "together") == names_in(Path(fields["output_dir"]))
    assert read_run(tmp_path / "together").result["last_loss"] == pytest.approx(one.last_loss, abs=1e-6)


def test_what_is_told_is_told_once_and_the_report_is_written(tiny: Path, fields: dict[str, Any]) -> None:
    ear = Ear()

    outcome = together({**fields, "report": True, "max_steps": 4, "eval_fraction": 0.2}, tiny, Work(ear))

    steps = [row for row in ear.rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4]
    for row in steps:
        assert row["tokens_per_s_per_device"] == pytest.approx(row["tokens_per_s"] / 2, abs=0.1)
        told = row["load_balance"] * (1 - row["communication_share"])
        assert 0 < row["parallel_efficiency"] == pytest.approx(told, abs=1e-5)
        assert 0 < row["communication_share"] < 1
        assert row["slowest_rank"] in {0, 1}
        assert row["slowest_rank_excess"] == pytest.approx(1 / row["load_balance"] - 1, abs=1e-4)
    shown = [told for told in ear.ranked if told["ranks"][0]["work"]]
    assert healths(ear.ranked[0]) == ["starting", "starting"]
    assert [row["device"] for row in shown[-1]["ranks"]] == ["cpu", "cpu"]
    assert sum(row["work"] or 0 for row in shown[-1]["ranks"]) == pytest.approx(1, abs=1e-3)
    assert all(0 < (row["busy"] or 0) < 1 for row in shown[-1]["ranks"])
    assert shown[-1]["metrics"].keys() >= {"tokens_per_s", "tokens_per_s_per_device", "parallel_efficiency"}
    assert ear.notices[0] == "2 processes train together. A step has the same 4 samples as with one."
    assert len(set(ear.notices)) == len(ear.notices)
    assert {"preparing", "loading", "training", "evaluating", "saving"} <= {one.phase for one in ear.phases}
    report = json.loads((Path(fields["output_dir"]) / "report.json").read_text(encoding="utf-8"))
    assert report["held_out"]["before"]["loss"] > report["held_out"]["after"]["loss"]
    assert outcome.report


def test_a_killed_process_costs_the_steps_since_the_last_checkpoint_and_changes_no_loss(
    tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    """With dropout, so that the random state of every process matters."""
    killed: list[psutil.Process] = []

    def kill(step: int) -> None:
        if step == 8 and not killed:
            killed.append(ranks()[1])
            killed[0].send_signal(signal.SIGKILL)

    ear = Ear(kill)
    other = {**fields, "output_dir": str(tmp_path / "undisturbed")}

    together(fields, tiny, Work(ear))
    together(other, tiny)

    assert killed
    assert "Process 1 of 2 died: all have been started again (1 of 3 times)." in ear.notices
    assert "Resuming from checkpoint-5." in ear.notices
    assert "gone" in [healths(told)[1] for told in ear.ranked]
    assert values(fields) == values(other)


def test_a_stopped_run_goes_on_with_another_number_of_processes(
    tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    fields = {**fields, "lora": NO_CHANCE, "save_steps": None}
    whole = {**fields, "output_dir": str(tmp_path / "whole")}
    alone(whole, tiny)
    stop = threading.Event()

    with pytest.raises(Stopped, match="the checkpoint is kept"):
        together(fields, tiny, Work(Ear(lambda step: stop.set() if step == 3 else None), stop))
    stopped_at = len(values(fields))
    stop = threading.Event()
    later = Ear(lambda step: stop.set() if step == stopped_at + 2 else None)
    with pytest.raises(Stopped, match="the checkpoint is kept"):
        alone(fields, tiny, Work(later, stop), resume=True)
    ear = Ear()
    together(fields, tiny, Work(ear), resume=True)

    assert 3 <= stopped_at < 12
    assert any(notice.startswith("Resuming from checkpoint-") for notice in ear.notices)
    assert values(fields) == pytest.approx(values(whole), abs=1e-6)


def test_what_is_wrong_is_said_as_with_one_process_and_nothing_is_left_running(
    tiny: Path, fields: dict[str, Any]
) -> None:
    ear = Ear()

    with pytest.raises(BadData):
        together({**fields, "max_length": 16}, tiny, Work(ear))

    assert not ranks()
    assert not any("started again" in notice for notice in ear.notices)


def test_a_process_that_hangs_is_named(tiny: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "LATE_S", 5.0)
    held: list[psutil.Process] = []

    class Impatient(Ear):
        def notice(self, message: str) -> None:
            super().notice(message)
            if "wait for it" in message:
                held[0].send_signal(signal.SIGCONT)

    def hold(step: int) -> None:
        if step == 4:
            held.append(ranks()[1])
            held[0].send_signal(signal.SIGSTOP)

    ear = Impatient(hold)
    together(fields, tiny, Work(ear))

    named = [notice for notice in ear.notices if "wait for it" in notice]
    assert held
    assert len(named) == 1
    assert named[0] == "Process 1 of 2 has been silent for 5 s, and the others wait for it."
    assert len(values(fields)) == 12
    assert ["waiting", "late"] in [healths(told) for told in ear.ranked]


def healths(told: RanksJson) -> list[str]:
    return [row["health"] for row in told["ranks"]]


def test_processes_end_when_nobody_listens_any_more(tiny: Path, fields: dict[str, Any]) -> None:
    """As after the death of the job's process: torchrun starts its processes in sessions of their own."""
    program = (
        "import json, sys\n"
        "from tests.finetune.test_together import together\n"
        "from pathlib import Path\n"
        "together(json.loads(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    endless = {**fields, "max_steps": 1_000_000, "save_steps": None}
    job = psutil.Popen([sys.executable, "-c", program, json.dumps(endless), str(tiny)], cwd=Path(__file__).parents[2])
    while not values(endless):
        assert job.is_running()
        threading.Event().wait(0.2)
    started = ranks()
    assert set(started) == {0, 1}

    os.kill(job.pid, signal.SIGKILL)
    job.wait()

    _, alive = psutil.wait_procs(started.values(), timeout=60)
    assert not alive


def late(lateness: Lateness, now: float) -> list[str]:
    return [str(notice) for notice in lateness.news(now)]


def heard(count: int, now: float = 0.0) -> Lateness:
    lateness = Lateness(count)
    for rank in range(count):
        lateness.heard(rank, now)
    return lateness


def test_who_computes_for_longer_than_all_others_is_named_once_a_step() -> None:
    lateness = heard(3)
    lateness.arrived(0, 1, now=0.0)
    lateness.arrived(2, 1, now=5.0)
    for rank in range(3):
        lateness.heard(rank, now=99.0)

    assert not late(lateness, 60.0)
    assert late(lateness, 100.0) == ["Process 1 of 3 is 90 s behind the others at step 2, and they wait for it."]
    assert not late(lateness, 150.0)


def test_nobody_is_late_when_all_have_gone_on() -> None:
    lateness = heard(2)
    for rank in range(2):
        lateness.arrived(rank, 1, now=0.0)
    for rank in range(2):
        lateness.left(rank)

    assert not late(lateness, 1000.0)


def test_processes_that_all_wait_are_told_of_as_such() -> None:
    lateness = heard(2, now=95.0)
    for rank in range(2):
        lateness.arrived(rank, 1, now=0.0)

    assert late(lateness, 100.0) == [
        "All 2 processes have waited for each other for 90 s at step 2: what one sends does not reach another."
    ]
