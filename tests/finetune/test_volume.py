"""The volume of the output folder: full, read-only, gone, odd. What was saved stays, and the error names it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, BadData, JobFailed, NoSpace, Qwen3ftError, Stopped
from qwen3ft_jupyter.finetune import checkpoints
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import read_data_of
from qwen3ft_jupyter.finetune.output import check_output
from qwen3ft_jupyter.finetune.results import read_run
from qwen3ft_jupyter.finetune.spool import Samples
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.finetune.volume import naming
from qwen3ft_jupyter.work import Work
from tests.faults.test_disk_volumes import fill
from tests.finetune.test_training import Ear, losses
from tests.mounting import mounted, remount
from tests.played_paths import ANSWERS, answering

POSIX = pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")


@POSIX
@pytest.mark.parametrize("number", ANSWERS.values(), ids=list(ANSWERS))
@pytest.mark.parametrize("where", ["", "deep/deeper"], ids=["itself", "below"])
def test_a_folder_that_cannot_be_looked_into_is_refused_before_the_start(
    config: FineTuneConfig, where: str, number: int
) -> None:
    folder = Path(config.output_dir)
    folder.mkdir()

    with (
        answering(folder, number),
        pytest.raises(BadConfig, match=f"output_dir: .* cannot be looked into: {os.strerror(number)}") as caught,
    ):
        check_output(config.model_copy(update={"output_dir": str(folder / where)}))

    assert "another folder" in caught.value.hint
    assert str(folder.parent) not in str(caught.value)
    assert caught.value.details == {"path": str(folder / where)}


@POSIX
def test_an_earlier_run_that_cannot_be_read_is_not_taken_for_none(config: FineTuneConfig) -> None:
    folder = Path(config.output_dir)
    folder.mkdir()
    (folder / "config.json").write_text("{}")

    with answering(folder / "config.json", errno.EIO), pytest.raises(BadConfig, match="cannot be looked into"):
        check_output(config.model_copy(update={"overwrite": True}))


@POSIX
@pytest.mark.parametrize("name", ["x" * 300, "new/" + "x" * 300, "a/" * 2500], ids=["name", "name below", "path"])
def test_a_name_that_the_volume_does_not_take_is_refused_before_the_start(config: FineTuneConfig, name: str) -> None:
    with pytest.raises(BadConfig, match=r"output_dir: .*: File name too long") as caught:
        check_output(config.model_copy(update={"output_dir": f"{config.output_dir}/{name}"}))

    assert len(caught.value.message) < 200
    assert not Path(config.output_dir).exists()


@POSIX
def test_a_circle_is_refused(config: FineTuneConfig) -> None:
    Path(config.output_dir).symlink_to("run")

    with pytest.raises(BadConfig, match="Too many levels of symbolic links"):
        check_output(config)


def test_what_was_tried_out_leaves_nothing(config: FineTuneConfig) -> None:
    before = sorted(Path(config.output_dir).parent.rglob("*"))

    check_output(config)

    assert sorted(Path(config.output_dir).parent.rglob("*")) == before


def test_a_volume_without_room_or_that_is_read_only_is_refused_before_the_start(config: FineTuneConfig) -> None:
    folder = Path(config.output_dir)
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        fill(folder)
        with pytest.raises(BadConfig, match="output_dir: new cannot be written: No space left on device") as caught:
            check_output(config.model_copy(update={"output_dir": str(folder / "new")}))
        assert "room" in caught.value.hint

        (folder / "filler.4096").unlink()
        remount(folder, "ro")
        with pytest.raises(BadConfig, match="output_dir: run cannot be written: Read-only file system"):
            check_output(config)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), NoSpace),
        (OSError(errno.EDQUOT, "full"), NoSpace),
        (OSError(errno.EROFS, "read-only"), JobFailed),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), NoSpace),
        (ValueError("Error while serializing: IoError(Os { code: 5 }) (os error 5)"), JobFailed),
        (OSError(errno.EACCES, "no", "/elsewhere"), OSError),
        (ConnectionResetError(errno.ECONNRESET, "reset"), ConnectionResetError),
        (RuntimeError("a bug"), RuntimeError),
        (Stopped("Stopped."), Stopped),
    ],
)
def test_only_what_the_volume_answers_is_named(tmp_path: Path, error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, naming(tmp_path / "run"):
        raise error

    if isinstance(caught.value, Qwen3ftError) and caught.value is not error:
        assert "output_dir: " in caught.value.message
        assert "resume" in caught.value.hint
    else:
        assert caught.value is error


def leave(folder: Path, free: int) -> None:
    """Fill the volume of a folder up to so many bytes."""
    with (folder / "filler").open("wb") as filler:
        filler.write(bytes(shutil.disk_usage(folder).free - free))


@pytest.mark.train
@pytest.mark.parametrize(
    ("step", "free"),
    [(6, 0), (6, 8192), (6, 20_000), (6, 40_000), (6, 100_000), (11, 0), (11, 8192), (11, 30_000), (11, 60_000)],
)
def test_a_volume_that_fills_up_in_a_run_loses_nothing_that_was_saved(
    tiny: Path, config: FineTuneConfig, step: int, free: int
) -> None:
    """In a checkpoint's weights, its optimizer, its record; in the metrics; in the result."""
    folder = Path(config.output_dir).parent / "volume"
    folder.mkdir()
    config = config.model_copy(update={"output_dir": str(folder / "run")})
    with mounted(folder, "-t", "tmpfs", "-o", "size=24m", "tmpfs"):
        ear = Ear(lambda at: leave(folder, free) if at == step else None)
        with pytest.raises(NoSpace, match="output_dir: there is no room left on the volume of run"):
            train(config, model_folder=tiny, work=Work(ear), run_id="run")

        saved = checkpoints.last_complete(folder / "run" / "checkpoints")
        assert saved is not None
        assert saved.name == ("checkpoint-5" if step == 6 else "checkpoint-10")
        (folder / "filler").unlink()
        ear = Ear()
        train(config, model_folder=tiny, work=Work(ear), run_id="run", resume=True)
        assert ear.notices[0] == f"Resuming from {saved.name}."
        assert len(losses(folder / "run")) == config.max_steps


@pytest.mark.train
@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no folder in which a file is open")
def test_a_folder_that_is_deleted_in_a_run_is_made_again_and_its_result_is_whole(
    tiny: Path, config: FineTuneConfig
) -> None:
    folder = Path(config.output_dir)

    train(config, model_folder=tiny, work=Work(Ear(lambda step: shutil.rmtree(folder) if step == 6 else None)))

    assert read_run(folder).base_model == config.model


@pytest.mark.train
@pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")
def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_none(tiny: Path, config: FineTuneConfig) -> None:
    """Else the run would begin anew over what it has saved."""

    def stop(step: int) -> None:
        if step == 6:
            raise JobFailed("as good as a kill")

    with pytest.raises(JobFailed):
        train(config, model_folder=tiny, work=Work(Ear(stop)), run_id="run")

    with (
        answering(Path(config.output_dir) / "checkpoints", errno.EIO),
        pytest.raises(JobFailed, match="output_dir: run cannot be used any more: Input/output error"),
    ):
        train(config, model_folder=tiny, run_id="run", resume=True)
    assert checkpoints.last_complete(Path(config.output_dir) / "checkpoints") is not None


@POSIX
@pytest.mark.parametrize("number", ANSWERS.values(), ids=list(ANSWERS))
@pytest.mark.parametrize("name", ["", "train.jsonl", "*.jsonl", "train.jsonl#3"])
def test_data_that_cannot_be_looked_at_is_named_with_the_cause(
    config: FineTuneConfig, data: Path, name: str, number: int
) -> None:
    folder = data.parent / "data"
    folder.mkdir()
    shutil.copy(data, folder)
    path = folder / name

    with answering(folder, number), pytest.raises(BadData) as caught:
        read_data_of(config.model_copy(update={"data": (str(path),)}))

    assert f"data: {path.name} cannot be read: {os.strerror(number)}." in caught.value.message
    assert str(folder) not in str(caught.value)


@POSIX
def test_a_pattern_says_what_it_could_not_look_into(config: FineTuneConfig, data: Path) -> None:
    (data.parent / "other").mkdir()
    (data.parent / "locked").mkdir()

    with answering(data.parent / "locked", errno.EACCES):
        read = read_data_of(config.model_copy(update={"data": (f"{data.parent}/**/*.jsonl",)}))

    assert "*.jsonl: folders that cannot be looked into: locked" in read.report.notices


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("~nosuchuser/x", "nobody here has that home folder"),
        ("file:///x", "is an address, not a folder"),
        ("$HOME/x", "begins with a variable that has no value here"),
        ('"runs"', "is written in quotation marks"),
        pytest.param("D:\\runs", "is a path of Windows", marks=POSIX),
    ],
)
def test_what_only_looks_like_a_folder_is_refused(fields: dict[str, Any], text: str, what: str) -> None:
    with pytest.raises(BadConfig, match="output_dir: ") as caught:
        FineTuneConfig.from_dict({**fields, "output_dir": text})

    assert what in caught.value.message


@POSIX
def test_relative_paths_in_a_working_folder_that_is_gone_are_named(
    fields: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert FineTuneConfig.from_dict(fields).output_dir == fields["output_dir"]
    with pytest.raises(BadConfig, match="data, output_dir: below the working folder, which has been deleted"):
        FineTuneConfig.from_dict({**fields, "data": "train.jsonl", "output_dir": "run"})


def test_a_volume_that_fills_up_while_samples_are_put_there_is_named(
    tiny: Path, config: FineTuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Samples, "extend", refuse)

    with pytest.raises(NoSpace, match="output_dir: there is no room left on the volume of run"):
        train(config, model_folder=tiny)

    assert not Path(config.output_dir).exists()
