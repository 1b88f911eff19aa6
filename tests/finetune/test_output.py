"""Claims about the output folder that need no torch: who may write there, and what becomes of what was there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, BadData, LoadError
from qwen3ft_jupyter.finetune import output
from qwen3ft_jupyter.finetune.data import read_data_of
from qwen3ft_jupyter.finetune.output import check_output
from qwen3ft_jupyter.finetune.own import SCRATCH, OutputFolder, is_scratch
from qwen3ft_jupyter.finetune.results import Outcome, is_run, read_run
from qwen3ft_jupyter.work import Reporter

if TYPE_CHECKING:
    from qwen3ft_jupyter.finetune.config import FineTuneConfig


class Ear(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(str(text))


OUTCOME = Outcome(
    output_dir="/work space/runs/first",
    method="lora",
    steps=1,
    first_loss=2.0,
    last_loss=1.0,
    seconds=0.5,
    parameters=1000,
    trainable_parameters=10,
    dtype="float32",
    device="cpu",
    tokens=100,
    base_commit=None,
)


def plan(config: FineTuneConfig, *, resume: bool, run_id: str | None, base_commit: str | None = None) -> output.Plan:
    digests = read_data_of(config).digests
    return output.plan(config, digests, resume=resume, run_id=run_id, base_commit=base_commit)


def begun(config: FineTuneConfig, *, run_id: str | None = None, resume: bool = False) -> output.Plan:
    planned = plan(config, resume=resume, run_id=run_id)
    output.begin(config, planned)
    (planned.folder / "metrics.jsonl").write_text(f"{run_id}\n")
    OutputFolder(planned.folder).note("metrics.jsonl")
    return planned


def finished(config: FineTuneConfig, *, run_id: str | None = None) -> output.Plan:
    planned = begun(config, run_id=run_id)
    (planned.folder / "adapter" / "deep").mkdir(parents=True)
    (planned.folder / "adapter" / "deep" / "weights").write_text(str(run_id))
    (planned.folder / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    (planned.folder / "checkpoints" / "checkpoint-1" / "state").write_text(str(run_id))
    OutputFolder(planned.folder).note("adapter/deep/weights", "checkpoints/checkpoint-1/state")
    output.finish(planned, OUTCOME)
    return planned


def weights(folder: Path) -> str:
    found = read_run(folder).adapter_folder
    assert found is not None
    return (found / "deep" / "weights").read_text()


@pytest.fixture
def overwriting(config: FineTuneConfig) -> FineTuneConfig:
    return config.model_copy(update={"overwrite": True})


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "other files"])
def test_a_free_folder_is_accepted_and_left_as_it_is(config: FineTuneConfig, there: str) -> None:
    folder = Path(config.output_dir)
    if there != "nothing":
        folder.mkdir()
    if there == "other files":
        (folder / "notes.txt").touch()
    before = sorted(folder.parent.rglob("*"))

    check_output(config)

    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("make", [begun, finished])
def test_an_earlier_fine_tune_is_refused_until_it_may_be_replaced(
    config: FineTuneConfig, overwriting: FineTuneConfig, make: Any
) -> None:
    make(config, run_id="first")

    with pytest.raises(BadConfig, match="output_dir: run holds an earlier fine-tune") as caught:
        check_output(config)
    with pytest.raises(BadConfig, match="earlier fine-tune"):
        check_output(config, run_id="second")
    check_output(config, run_id="first")
    check_output(overwriting)

    assert "overwrite: true" in caught.value.hint
    assert ("resume" in caught.value.hint) is (make is begun)


def test_a_file_is_no_output_folder(config: FineTuneConfig) -> None:
    Path(config.output_dir).touch()

    for path in (config.output_dir, f"{config.output_dir}/below"):
        with pytest.raises(BadConfig, match="output_dir: run is not a folder"):
            check_output(config.model_copy(update={"output_dir": path}))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system that refuses even root")
def test_a_folder_that_cannot_be_written_is_refused(config: FineTuneConfig) -> None:
    with pytest.raises(BadConfig, match="output_dir: run cannot be written") as caught:
        check_output(config.model_copy(update={"output_dir": "/proc/self/run"}))

    assert "/proc" not in caught.value.message


@pytest.mark.parametrize("name", ["config.json", "README.md", "model/weights", "previous/mine"])
def test_what_no_fine_tune_wrote_is_never_replaced(overwriting: FineTuneConfig, name: str) -> None:
    """A model folder has a config.json too, a project a README.md."""
    path = Path(overwriting.output_dir) / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")

    with pytest.raises(BadConfig, match=f"no fine-tune wrote: {name.partition('/')[0]}") as caught:
        begun(overwriting)

    assert "Name another folder" in caught.value.hint
    assert path.read_text() == "{}"


def test_someone_elses_folder_of_the_name_previous_is_left_alone(overwriting: FineTuneConfig) -> None:
    folder = finished(overwriting).folder
    (folder / "previous").mkdir()
    (folder / "previous" / "mine").touch()

    with pytest.raises(BadConfig, match="no fine-tune wrote: previous"):
        begun(overwriting)

    assert (folder / "previous" / "mine").exists()


def test_a_run_is_known_by_its_own_record(config: FineTuneConfig, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3", "model": "x"}))
    folder = begun(config).folder

    assert is_run(folder)
    assert not is_run(tmp_path)
    assert not is_run(tmp_path / "nothing")
    (folder / "config.json").write_text("[")
    assert not is_run(folder)


def test_another_runs_record_is_not_resumed(config: FineTuneConfig) -> None:
    """A refused job can be resumed; the folder it then finds is as little its own as before."""
    folder = begun(config, run_id="first").folder

    for run_id in ("second", None):
        with pytest.raises(BadConfig, match="earlier fine-tune"):
            begun(config, run_id=run_id, resume=True)

    assert (folder / "metrics.jsonl").read_text() == "first\n"
    assert plan(config, resume=True, run_id="first").is_resumed


def test_a_run_without_a_name_is_resumed_without_one(config: FineTuneConfig) -> None:
    begun(config)

    assert plan(config, resume=True, run_id=None).is_resumed
    with pytest.raises(BadConfig, match="earlier fine-tune"):
        plan(config, resume=True, run_id="first")


def test_a_run_stopped_before_it_began_replaces_the_earlier_one_when_resumed(overwriting: FineTuneConfig) -> None:
    finished(overwriting, run_id="first")

    planned = begun(overwriting, run_id="second", resume=True)

    assert not planned.is_resumed
    assert planned.checkpoint is None
    assert not (planned.folder / "checkpoints").exists()
    assert json.loads((planned.folder / "config.json").read_text())["run_id"] == "second"


def test_the_line_of_a_launcher_with_overwrite_begins_anew_where_the_data_has_changed(
    overwriting: FineTuneConfig,
) -> None:
    """Under the same name, so that processes which are started again go on with what has begun then."""
    folder = begun(overwriting, run_id="first").folder
    given: dict[str, Any] = {"resume": True, "run_id": "first", "base_commit": None}

    with pytest.raises(BadData, match="The data has changed"):
        output.plan(overwriting, ["other"], **given)
    planned = output.plan(overwriting, ["other"], overwrites=True, **given)
    output.begin(overwriting, planned)
    again = output.plan(overwriting, ["other"], overwrites=True, **given)

    assert (planned.is_resumed, again.is_resumed) == (False, True)
    assert (folder / "metrics.jsonl").exists() is False


def test_planning_changes_nothing(overwriting: FineTuneConfig) -> None:
    folder = finished(overwriting, run_id="first").folder

    plan(overwriting, resume=False, run_id="second")

    assert weights(folder) == "first"
    assert (folder / "checkpoints").exists()


def test_the_earlier_result_is_kept_until_the_new_one_is_written(overwriting: FineTuneConfig) -> None:
    folder = finished(overwriting, run_id="first").folder
    (folder / "notes.txt").touch()

    planned = begun(overwriting, run_id="second")

    with pytest.raises(LoadError) as caught:
        read_run(folder)
    assert "is kept in its folder previous" in caught.value.hint
    assert weights(folder / "previous") == "first"
    assert read_run(folder / "previous").config["run_id"] == "first"

    output.finish(planned, OUTCOME)

    assert sorted(path.name for path in folder.iterdir()) == [
        ".qwen3ft",
        "config.json",
        "metrics.jsonl",
        "notes.txt",
        "result.json",
    ]


def test_an_unfinished_run_gives_way_and_the_result_before_it_stays(overwriting: FineTuneConfig) -> None:
    folder = finished(overwriting, run_id="first").folder
    begun(overwriting, run_id="second")
    (folder / "adapter").mkdir()

    begun(overwriting, run_id="third")

    assert weights(folder / "previous") == "first"
    assert not (folder / "adapter").exists()
    with pytest.raises(BadConfig, match="earlier fine-tune"):
        check_output(overwriting.model_copy(update={"overwrite": False}))


def test_a_leftover_of_the_removal_is_not_taken_for_the_earlier_result(overwriting: FineTuneConfig) -> None:
    folder = finished(overwriting, run_id="first").folder
    begun(overwriting, run_id="second")
    (folder / "previous").rename(folder.with_name("kept"))
    finished(overwriting, run_id="third")
    folder.with_name("kept").rename(folder / "previous")  # as when the removal was interrupted

    begun(overwriting, run_id="fourth")

    assert weights(folder / "previous") == "third"


INTERRUPTED = """
import json, os, sys
from pathlib import Path
from qwen3ft_jupyter.finetune import output
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import read_data_of

config, left = FineTuneConfig.from_dict(json.loads(sys.argv[1])), int(sys.argv[2])
real = os.replace

def replace(source, target):
    global left
    if ".qwen3ft" in str(target):  # the record
        return real(source, target)
    if left == 0:
        os._exit(9)
    left -= 1
    real(source, target)

digests = read_data_of(config).digests
planned = output.plan(config, digests, resume=False, run_id="second", base_commit=None)
os.replace = replace
output.begin(config, planned)
"""


@pytest.mark.parametrize("renames", range(5))
def test_a_kill_while_making_room_loses_nothing(overwriting: FineTuneConfig, renames: int) -> None:
    """The four files of a result, then the record of the new run; the process ends before one of the five renames."""
    folder = finished(overwriting, run_id="first").folder

    killed = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, json.dumps(overwriting.to_dict()), str(renames)], check=False
    )

    assert killed.returncode == 9
    readable = [one for one in (folder, folder / "previous") if _is_readable(one)]
    assert len(readable) == (1 if renames in (0, 4) else 0)
    assert all(weights(one) == "first" for one in readable)
    begun(overwriting, run_id="second", resume=True)
    assert weights(folder / "previous") == "first"
    assert (folder / "previous" / "metrics.jsonl").read_text() == "first\n"


def _is_readable(folder: Path) -> bool:
    try:
        read_run(folder)
    except LoadError:
        return False
    return True


def test_the_commit_of_the_base_model_is_recorded_and_stays_the_same(config: FineTuneConfig) -> None:
    first = plan(config, resume=False, run_id="first", base_commit="a" * 40)
    output.begin(config, first)

    with pytest.raises(BadConfig, match=r"commit a{12} of Qwen/Tiny-Qwen3, the cached model is b{12}\.") as caught:
        plan(config, resume=True, run_id="first", base_commit="b" * 40)
    unknown = plan(config, resume=True, run_id="first", base_commit="")
    output.finish(first, OUTCOME)

    assert "a" * 40 in caught.value.hint
    assert unknown.record.base_commit == "a" * 40
    assert read_run(first.folder).base_commit == "a" * 40


def test_data_that_cannot_be_read_changes_nothing(overwriting: FineTuneConfig) -> None:
    folder = finished(overwriting, run_id="first").folder
    Path(overwriting.data[0]).unlink()

    with pytest.raises(BadData, match="does not exist"):
        begun(overwriting, run_id="second")

    assert weights(folder) == "first"


def test_the_check_needs_no_torch(config: FineTuneConfig) -> None:
    code = (
        "import json, sys; from qwen3ft_jupyter.finetune.config import FineTuneConfig;"
        "from qwen3ft_jupyter.finetune.output import check_output; from qwen3ft_jupyter.finetune.results import is_run;"
        "from pathlib import Path; config = FineTuneConfig.from_dict(json.loads(sys.argv[1]));"
        "check_output(config); is_run(Path(config.output_dir)); sys.exit('torch' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code, json.dumps(config.to_dict())], check=True)


ADDED = ["adapter/notes.txt", "adapter/deep/mine", "checkpoints/checkpoint-1/notes.txt", "checkpoints/kept/weights"]


def test_what_somebody_put_beside_a_result_stays_and_is_named(overwriting: FineTuneConfig) -> None:
    folder = finished(overwriting, run_id="first").folder
    for name in ADDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    ear = Ear()

    planned = plan(overwriting, resume=False, run_id="second")
    output.begin(overwriting, planned, ear)
    (folder / "previous" / "mine").write_text("mine")
    output.finish(planned, OUTCOME, ear)

    assert [(folder / name).read_text() for name in (*ADDED, "previous/mine")] == ["mine"] * 5
    assert all(any(name in notice for notice in ear.notices) for name in (*ADDED, "previous/mine"))
    assert not (folder / "previous" / "adapter").exists()
    assert not (folder / "checkpoints" / "checkpoint-1" / "state").exists()


@pytest.mark.parametrize("name", ["README.md", "adapter/deep/weights", "result.json"])
def test_what_somebody_changed_of_a_result_is_kept_elsewhere_and_named(overwriting: FineTuneConfig, name: str) -> None:
    planned = finished(overwriting, run_id="first")
    folder = planned.folder
    OutputFolder(folder).write("README.md", b"the card")
    (folder / name).write_text("my own words")
    ear = Ear()

    planned = plan(overwriting, resume=False, run_id="second")
    output.begin(overwriting, planned, ear)
    assert (folder / "previous" / name).read_text() == "my own words"
    output.finish(planned, OUTCOME, ear)

    kept = f".qwen3ft/replaced/previous_{name.replace('/', '_')}"
    assert (folder / kept).read_text() == "my own words"
    assert [kept in notice for notice in ear.notices] == [True]
    check_output(overwriting)


def test_a_changed_file_that_is_in_the_way_is_never_written_over(config: FineTuneConfig) -> None:
    folder = begun(config, run_id="first").folder
    own, ear = OutputFolder(folder), Ear()
    own.write("README.md", b"the card")

    for words in ("mine", "mine again"):
        (folder / "README.md").write_text(words)
        OutputFolder(folder, ear).write("README.md", b"another card")

    assert (folder / "README.md").read_bytes() == b"another card"
    kept = folder / ".qwen3ft" / "replaced"
    assert [(kept / name).read_text() for name in ("README.md", "README.md.1")] == ["mine", "mine again"]
    assert len(ear.notices) == 2


def test_a_result_that_no_record_names_is_moved_and_nothing_of_it_is_lost(overwriting: FineTuneConfig) -> None:
    """As of a run folder that a tool copied without the times of its files, or without hidden ones."""
    folder = finished(overwriting, run_id="first").folder
    shutil.rmtree(folder / ".qwen3ft")
    before = {path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    planned = begun(overwriting, run_id="second")
    with pytest.raises(LoadError):
        read_run(folder)
    output.finish(planned, OUTCOME)

    assert before - {path.read_bytes() for path in folder.rglob("*") if path.is_file()} == set()


def test_a_link_in_place_of_a_folder_of_a_run_is_not_followed(overwriting: FineTuneConfig, tmp_path: Path) -> None:
    folder = finished(overwriting, run_id="first").folder
    (folder / "adapter").rename(tmp_path / "elsewhere")
    (folder / "adapter").symlink_to(tmp_path / "elsewhere")

    planned = begun(overwriting, run_id="second")
    written = OutputFolder(folder).begin_writing("adapter")
    (written / "weights").write_text("second")
    OutputFolder(folder).place(written, "adapter")
    output.finish(planned, OUTCOME)

    assert (tmp_path / "elsewhere" / "deep" / "weights").read_text() == "first"
    assert not (tmp_path / "elsewhere" / "weights").exists()
    assert (folder / "adapter" / "weights").read_text() == "second"


def test_what_a_kill_left_of_a_library_goes_and_nothing_else(config: FineTuneConfig) -> None:
    folder = begun(config, run_id="first").folder
    (OutputFolder(folder).begin_writing("checkpoints") / "half").write_text("half")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "mine").write_text("mine")

    begun(config, run_id="first", resume=True)

    assert not (folder / ".qwen3ft" / "writing").exists()
    assert (folder / "adapter" / "mine").read_text() == "mine"


@pytest.mark.parametrize("planted", ["mine", "qwen3ft-writing-x/../mine", "qwen3ft-writing-x/inner", "../elsewhere"])
def test_a_record_in_a_folder_of_others_deletes_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    """Where libraries wrote is told by a file in the output folder, and that may have been written by anyone."""
    temporary, run = tmp_path / "temporary", tmp_path / "run"
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for folder in ("temporary/mine", "temporary/qwen3ft-writing-x/inner", "elsewhere", "run/.qwen3ft"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "kept").write_text("")
    (run / SCRATCH).write_text(json.dumps({"folder": f"{temporary}/{planted}"}))

    OutputFolder(run).clear_writing()

    assert (temporary / planted / "kept").exists()
    assert not is_scratch(temporary / "qwen3ft-writing-x" / ".." / "mine")
    assert not (run / SCRATCH).exists()
