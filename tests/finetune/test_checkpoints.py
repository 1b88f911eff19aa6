from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune import checkpoints
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import MetricsFile, read_metrics
from qwen3ft_jupyter.finetune.own import OutputFolder
from qwen3ft_jupyter.finetune.watch import Watch
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from pathlib import Path


class Ear(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(str(text))


def make(folder: Path, step: int, *, complete: bool = True) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "optimizer.pt").write_bytes(b"state")
    if complete:
        checkpoints.mark_complete(checkpoint)
    names = [path.relative_to(folder.parent).as_posix() for path in checkpoint.iterdir()]
    OutputFolder(folder.parent).note(*names)
    return checkpoint


def test_only_marked_checkpoints_count(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    make(folder, 9)
    make(folder, 10)
    make(folder, 11, complete=False)

    assert checkpoints.last_complete(folder) == folder / "checkpoint-10"


@pytest.mark.parametrize("spoil", ["missing", "short", "garbled marker", "empty marker"])
def test_a_spoiled_checkpoint_falls_back_to_the_one_before(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "checkpoints"
    make(folder, 1)
    last = make(folder, 2)
    if spoil == "missing":
        (last / "optimizer.pt").unlink()
    elif spoil == "short":
        (last / "optimizer.pt").write_bytes(b"stat")
    else:
        (last / checkpoints.MARKER).write_text("{" if spoil == "garbled marker" else '{"files": []}')

    assert checkpoints.last_complete(folder) == folder / "checkpoint-1"


def test_pruning_keeps_the_newest_whole_ones(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for step in (1, 2, 10):
        make(folder, step)
    make(folder, 11, complete=False)
    (folder / "checkpoint-mine").mkdir()

    checkpoints.prune(folder, 2)

    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-10", "checkpoint-2", "checkpoint-mine"]


def test_pruning_leaves_what_no_run_wrote_and_names_what_stays(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for step in (1, 2, 3):
        make(folder, step)
    mine = [folder / "checkpoint-1" / "notes.txt", folder / "checkpoint-0" / "optimizer.pt", folder / "checkpoint-2"]
    for path in mine[:2]:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (mine[2] / "optimizer.pt").write_text("I changed it")
    ear = Ear()

    checkpoints.prune(folder, 1, ear)
    checkpoints.prune(folder, 1, ear)

    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "checkpoint-0/optimizer.pt",
        "checkpoint-1/notes.txt",
        "checkpoint-2/optimizer.pt",
        "checkpoint-3/COMPLETE",
        "checkpoint-3/optimizer.pt",
    ]
    assert ear.notices == [
        "checkpoints/checkpoint-2/optimizer.pt: not written by a fine-tune, or changed since; kept.",
        "checkpoints/checkpoint-1/notes.txt: not written by a fine-tune, or changed since; kept.",
    ]


def test_somebody_elses_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    make(folder, 1)
    shutil.copytree(folder / "checkpoint-1", folder / "checkpoint-2")

    assert checkpoints.last_complete(folder) == folder / "checkpoint-1"


def test_a_checkpoint_takes_the_place_of_none_of_somebodys_files(tmp_path: Path) -> None:
    """It arrives where only libraries write; whatever has the name of one of its files is kept."""
    folder, written = tmp_path / "checkpoints", tmp_path / ".qwen3ft" / "writing" / "checkpoint-5"
    theirs = folder / "checkpoint-5" / "optimizer.pt"
    for path, text in ((theirs, "mine"), (theirs.with_name("notes.txt"), "mine"), (written / "optimizer.pt", "state")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ear = Ear()

    checkpoints.take(written, folder, ear)

    assert checkpoints.last_complete(folder) == theirs.parent
    assert theirs.read_text() == "state"
    assert theirs.with_name("notes.txt").read_text() == "mine"
    kept = ".qwen3ft/replaced/checkpoints_checkpoint-5_optimizer.pt"
    assert (tmp_path / kept).read_text() == "mine"
    assert [kept in notice for notice in ear.notices] == [True]
    assert not written.exists()


def test_no_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoints.last_complete(tmp_path / "none") is None


def test_metrics_after_the_checkpoint_are_dropped_on_resume_and_a_torn_line_with_them(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 2, "eval_loss": 5}\n{"step": 3, "loss": 1}\n{"st'
    )

    with MetricsFile(path, last_step=2) as metrics:
        metrics.add({"step": 3, "loss": 0.5})

    assert read_metrics(path) == [
        {"step": 1, "loss": 3},
        {"step": 2, "loss": 2, "eval_loss": 5},
        {"step": 3, "loss": 0.5},
    ]
    assert path.read_text().count("\n") == 3
    assert metrics.losses == [3, 2, 0.5]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def saved_at(tmp_path: Path, *, step_s: float, save_s: float, steps: int, **fields: Any) -> list[int]:
    """Play a run whose steps and saves take that long; return the steps after which it saved."""
    clock, saved = Clock(), []
    tmp_path.mkdir(exist_ok=True)
    config = FineTuneConfig.from_dict({"model": "Qwen/Q", "data": "a.json", "output_dir": str(tmp_path), **fields})
    with MetricsFile(tmp_path / "metrics.jsonl", last_step=0) as metrics:
        folder, written_to = tmp_path / "checkpoints", tmp_path / "written"
        watch = Watch(config, folder=folder, written_to=written_to, metrics=metrics, work=Work(), clock=clock)
        state = SimpleNamespace(global_step=0, max_steps=steps, num_input_tokens_seen=0)
        watch.on_train_begin(state)
        for step in range(1, steps + 1):
            clock.now += step_s
            state.global_step = step
            control = SimpleNamespace(should_save=False, should_training_stop=False)
            watch.on_step_end(state, control)
            if control.should_save:
                (written_to / f"checkpoint-{step}").mkdir(parents=True)
                (written_to / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"state")
                clock.now += save_s
                watch.on_save(state)
                saved.append(step)
    return saved


def test_a_checkpoint_is_saved_every_five_minutes(tmp_path: Path) -> None:
    assert saved_at(tmp_path, step_s=60, save_s=1, steps=16) == [5, 10, 15]


def test_slow_saves_take_at_most_a_twentieth_of_the_time(tmp_path: Path) -> None:
    assert saved_at(tmp_path, step_s=60, save_s=60, steps=50) == [5, 25, 45]


def test_set_steps_are_kept_and_the_last_one_is_not_saved_twice(tmp_path: Path) -> None:
    assert saved_at(tmp_path, step_s=60, save_s=60, steps=9, save_steps=3) == [3, 6]
    assert checkpoints.is_complete(tmp_path / "checkpoints" / "checkpoint-6")


def test_set_minutes_are_kept_beside_set_steps(tmp_path: Path) -> None:
    assert saved_at(tmp_path / "a", step_s=60, save_s=1, steps=16, save_minutes=4) == [4, 8, 12]
    assert saved_at(tmp_path / "b", step_s=60, save_s=1, steps=9, save_minutes=4, save_steps=3) == [3, 6]
    assert saved_at(tmp_path / "c", step_s=60, save_s=600, steps=4, save_minutes=0.5) == [1, 2, 3]


def test_pruning_keeps_the_best_beside_the_newest(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for step in (1, 2, 3, 4):
        make(folder, step)

    checkpoints.prune(folder, 1, best=2)
    kept = sorted(path.name for path in folder.iterdir())
    checkpoints.prune(folder, 1, best=9)

    assert kept == ["checkpoint-2", "checkpoint-4"]
    assert [path.name for path in folder.iterdir()] == ["checkpoint-4"]


class Measured:
    """A run of a step each, with these losses on held-out rows; what was saved, and where it ended."""

    def __init__(self, tmp_path: Path, losses: list[float], **fields: Any) -> None:
        tmp_path.mkdir(exist_ok=True)
        values = {"model": "Qwen/Q", "data": "a.json", "output_dir": str(tmp_path), "eval_fraction": 0.1, **fields}
        self.saved: list[int] = []
        self.ended = 0
        self.ear = Ear()
        with MetricsFile(tmp_path / "metrics.jsonl", last_step=0) as metrics:
            self.watch = Watch(
                FineTuneConfig.from_dict(values),
                folder=tmp_path / "checkpoints",
                written_to=tmp_path / "written",
                metrics=metrics,
                work=Work(self.ear),
                evaluate_every=1,
            )
            state = SimpleNamespace(global_step=0, max_steps=len(losses), num_input_tokens_seen=0)
            self.watch.on_train_begin(state)
            for step, loss in enumerate(losses, 1):
                state.global_step = step
                control = SimpleNamespace(should_save=False, should_training_stop=False, should_evaluate=False)
                self.watch.on_step_end(state, control)
                assert control.should_evaluate
                self.watch.on_log(state, {"eval_loss": loss})
                self.watch.on_evaluate(state, control)
                self.saved += [step] if control.should_save else []
                self.ended = step
                if control.should_training_stop:
                    break


def test_each_best_is_saved_where_the_best_is_wanted(tmp_path: Path) -> None:
    """Equal is not better; the last step is the result anyhow."""
    losses = [3.0, 2.0, 2.5, 2.0, 1.0, 0.5]

    assert Measured(tmp_path / "a", losses, load_best_model_at_end=True).saved == [1, 2, 5]
    assert Measured(tmp_path / "b", losses).saved == []


def test_a_run_ends_after_so_many_measurements_without_a_better_one(tmp_path: Path) -> None:
    """The checkpoint of its last step is not saved: a run that is killed there comes by again, and ends again."""
    early = Measured(tmp_path, [3.0, 2.0, 2.5, 2.1, 1.0], early_stopping=2, save_steps=4)

    assert (early.ended, early.watch.is_early, early.watch.is_stopped) == (4, True, False)
    assert early.saved == [1, 2]
    assert any("Stopped early after step 4" in notice and "step 2" in notice for notice in early.ear.notices)
