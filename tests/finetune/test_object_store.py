"""A fine-tune whose output lies on the mount of an object store, followed from where only closed files are seen."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.curves import Part, RunCurves
from qwen3ft_jupyter.finetune.launch import train_together
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.output import check_output
from qwen3ft_jupyter.finetune.results import read_run
from qwen3ft_jupyter.finetune.runs import open_run
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.segments import parts_of
from qwen3ft_jupyter.work import Work
from tests.finetune.lessons import rows
from tests.finetune.test_training import Ear
from tests.object_store import BARE, OSSFS, object_store

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 12


@pytest.fixture
def fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Without dropout: which process drops what depends on how many there are."""
    return {**fields, "lora": {"r": 4, "alpha": 8}, "max_steps": STEPS}


@pytest.fixture(scope="module")
def losses_on_disk(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    folder = tmp_path_factory.mktemp("disk")
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows())), encoding="utf-8")
    fields = {
        "model": "Qwen/Tiny-Qwen3",
        "data": str(folder / "train.jsonl"),
        "output_dir": str(folder / "run"),
        "max_steps": STEPS,
        "batch_size": 2,
        "gradient_accumulation": 2,
        "learning_rate": 1e-2,
        "save_steps": 5,
        "lora": {"r": 4, "alpha": 8},
        "report": False,
        "device": "cpu",
    }
    train(FineTuneConfig.from_dict(fields), model_folder=tiny)
    return losses(folder / "run")


@pytest.fixture(params=[BARE, OSSFS], ids=["adds and renames nothing", "does both by copying"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    with object_store(tmp_path / "store", **request.param) as found:
        yield found


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl") if "loss" in row]


def steps_seen(folder: Path) -> list[int]:
    """The steps that the curves of a run have."""
    curves = RunCurves(folder / "metrics.jsonl")
    curves.read_on()
    drawn: list[int] = curves.to_dict(Part())["series"]["loss"]["steps"]
    return drawn


@pytest.mark.train
def test_a_run_learns_the_same_there_and_others_follow_it(
    tiny: Path, fields: dict[str, Any], store: tuple[Path, Path], losses_on_disk: list[float]
) -> None:
    """Whatever a checkpoint goes on from is seen by then; of checkpoints no more stay than are to be kept."""
    mount, bucket = (path / "run" for path in store)
    seen: dict[int, list[int]] = {}

    def look(step: int) -> None:
        if step in {6, 11}:
            seen[step] = steps_seen(bucket)

    ear = Ear(look)
    config = FineTuneConfig.from_dict({**fields, "output_dir": str(mount), "keep_checkpoints": 1})
    train(config, model_folder=tiny, work=Work(ear))

    assert losses(bucket) == losses_on_disk
    assert {step: seen[step][: step - 1] for step in seen} == {6: list(range(1, 6)), 11: list(range(1, 11))}
    assert [row["step"] for row in open_run(bucket).history] == steps_seen(bucket) == list(range(1, STEPS + 1))
    assert read_run(bucket).result["steps"] == STEPS
    assert [path.name for path in (bucket / "checkpoints").iterdir()] == ["checkpoint-10"]
    assert not parts_of(bucket / "metrics.jsonl")
    assert not [notice for notice in ear.notices if "kept" in notice or "moved" in notice]


@pytest.mark.train
@pytest.mark.skipif(sys.platform != "linux", reason="FUSE and gloo")
@pytest.mark.parametrize("store", [BARE], indirect=True, ids=["adds and renames nothing"])
def test_a_killed_run_goes_on_with_two_processes_and_has_every_step_once(
    tiny: Path, fields: dict[str, Any], store: tuple[Path, Path], losses_on_disk: list[float]
) -> None:
    mount, bucket = (path / "run" for path in store)
    fields = {**fields, "output_dir": str(mount)}
    script = Path(__file__).with_name("killed_run.py")
    killed = subprocess.run([sys.executable, str(script), json.dumps(fields), str(tiny), "8"], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = [int(row["step"]) for row in read_metrics(bucket / "metrics.jsonl")]
    with parts_of(bucket / "metrics.jsonl")[-1].with_name("0000000099-0a1b2c3d.jsonl").open("w") as torn:
        torn.write('{"step": 6, "loss": 9}\n{"step": 7, "lo')
    ear = Ear()

    train_together(FineTuneConfig.from_dict(fields), Start(tiny, resume=True), ("cpu", "cpu"), Work(ear))

    assert left == list(range(1, len(left) + 1))
    assert 5 <= len(left) <= 8
    assert "Resuming from checkpoint-5." in map(str, ear.notices)
    assert losses(bucket) == pytest.approx(losses_on_disk, abs=1e-6, rel=1e-5)
    assert (bucket / "metrics.jsonl").read_text().count('"step"') == STEPS
    assert not parts_of(bucket / "metrics.jsonl")


def test_what_adds_to_files_all_the_time_is_refused_before_the_start(
    fields: dict[str, Any], store: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mount, bucket = store
    config = FineTuneConfig.from_dict({**fields, "output_dir": str(mount / "run"), "report_to": "tensorboard"})
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)

    with pytest.raises(BadConfig, match="report_to: tensorboard adds to its files") as caught:
        check_output(config)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(bucket))
    check_output(config)

    assert "TENSORBOARD_LOGGING_DIR" in caught.value.hint
    assert list(bucket.iterdir()) == []


def test_a_mount_that_deletes_nothing_is_refused_before_the_start(fields: dict[str, Any], tmp_path: Path) -> None:
    with object_store(tmp_path / "store", deletes=False, **BARE) as (mount, _):
        config = FineTuneConfig.from_dict({**fields, "output_dir": str(mount / "run")})
        with pytest.raises(BadConfig, match="run lies on a mount that replaces or deletes no files") as caught:
            check_output(config)

    assert "--allow-delete" in caught.value.hint
