"""The mount of an object store, real: what is written small and whole, what a job tells, who holds a folder."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter import segments
from qwen3ft_jupyter.disk import LOCAL, write_atomic
from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune import checkpoints
from qwen3ft_jupyter.finetune.holding import HOLDER, holding
from qwen3ft_jupyter.finetune.own import OutputFolder, is_scratch
from qwen3ft_jupyter.finetune.probe import Probe
from qwen3ft_jupyter.jobs import folder as files
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.mounts import can_append, is_like_a_disk, is_object_store
from qwen3ft_jupyter.work import Progress, Work
from tests.dlc.inner import InnerJob
from tests.jobs.following import WORKER, done, pids, start, wait_until
from tests.object_store import BARE, OSSFS, object_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[BARE, OSSFS], ids=["adds and renames nothing", "does both by copying"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    with object_store(tmp_path, **request.param) as found:
        yield found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_known_for_what_it_is_and_the_trial_leaves_nothing(
    request: pytest.FixtureRequest, store: tuple[Path, Path], tmp_path: Path
) -> None:
    """By its type, where others do not see what is added until the file is closed; else because adding fails."""
    mount, bucket = store

    assert is_object_store(mount) == ("copying" in request.node.name)
    assert not can_append(mount)
    assert not is_like_a_disk(mount)
    assert can_append(tmp_path)
    assert is_like_a_disk(tmp_path)
    assert names(bucket) == []
    assert names(tmp_path) == ["bucket", "mount"]


def test_small_files_are_replaced_as_a_whole(store: tuple[Path, Path]) -> None:
    mount, bucket = store
    for text in (b"old", b"a new one", b""):
        write_atomic(mount / "record.json", text)
        supervisor.write_status(mount, {"state": text.decode()}, is_final=True)

        assert (bucket / "record.json").read_bytes() == (mount / "record.json").read_bytes() == text
        assert supervisor.read_status(bucket) == {"state": text.decode()}
    assert names(bucket) == ["record.json", "status.json"]


def test_a_file_from_another_volume_gets_its_name(store: tuple[Path, Path], tmp_path: Path) -> None:
    mount, bucket = store
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
        LOCAL.replace(tmp_path / name, mount / "model")
        assert (bucket / "model").read_bytes() == name.encode() * 1000
        assert not (tmp_path / name).exists()
    assert names(bucket) == ["model"]


def test_others_see_what_a_job_tells_while_it_runs_and_all_of_it_in_one_file_at_the_end(
    store: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "EVERY_S", 0.01)
    mount, bucket = store
    job = InnerJob(mount)
    seen = bucket / job.folder.relative_to(mount)

    for number in range(1, 4):
        job.step(number, 3)
        wait_until(lambda: bool(metrics := steps(seen)) and metrics[-1] == number)  # noqa: B023 - it is called at once
    later = files.read_events(seen, 3)
    assert later == [event for event in files.read_events(seen, 0) if event["n"] > 3]
    assert later
    assert not (seen / "events.jsonl").exists()
    job.succeed("run")

    events = files.read_events(seen, 0)
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["state"] == files.read_state(seen).state == "succeeded"
    assert [json.loads(line)["n"] for line in (seen / "events.jsonl").read_text().splitlines()] == [
        event["n"] for event in events
    ]
    assert not segments.folder_of(seen / "events.jsonl").exists()


def steps(folder: Path) -> list[int]:
    return [event["values"]["step"] for event in files.read_events(folder, 0) if event["type"] == "metrics"]


def test_a_job_that_was_killed_numbers_its_events_on_and_is_forgotten_whole(store: tuple[Path, Path]) -> None:
    mount, bucket = store
    killed = InnerJob(mount)
    killed.step(1)
    killed.reporter._events._file.flush()
    log = supervisor.EventLog(killed.folder / "events.jsonl")
    log.append("state", state="interrupted", attempt=1)
    log.close()

    told = files.read_events(bucket / killed.folder.relative_to(mount), 0)
    assert [event["n"] for event in told] == list(range(1, len(told) + 1))
    assert told[-1]["state"] == "interrupted"
    files.delete(killed.folder)
    assert names((bucket / killed.folder.relative_to(mount)).parent) == []


def test_the_status_is_written_less_often_there(store: tuple[Path, Path]) -> None:
    """Each time costs a request or three."""
    mount, bucket = store
    job = InnerJob(mount)
    seen = bucket / job.folder.relative_to(mount)
    job.reporter._written_at = float("inf")

    job.step(1)
    assert supervisor.read_status(seen)["progress"] is None
    job.reporter._written_at = 0.0
    job.step(2)

    assert Progress.from_dict(supervisor.read_status(seen)["progress"]).done == 2


def test_a_folder_is_held_and_left(store: tuple[Path, Path]) -> None:
    mount, bucket = store
    with holding(mount / "run", "ours", Work()):
        assert json.loads((bucket / "run" / HOLDER).read_bytes())["job"] == "ours"
        with pytest.raises(BadConfig, match="the job ours"), holding(mount / "run", "another", Work()):
            pass
    assert names(bucket) == []


def test_what_a_killed_job_held_is_taken_over(store: tuple[Path, Path]) -> None:
    mount, bucket = store
    with holding(mount / "run", "ours", Work()):
        dead = json.loads((mount / "run" / HOLDER).read_bytes())
        dead |= {"job": "dead", "nonce": "another", "process": {**dead["process"], "pid": 2**22, "start": "1"}}
    (mount / "run" / HOLDER).parent.mkdir(parents=True)
    (mount / "run" / HOLDER).write_text(json.dumps(dead))

    with holding(mount / "run", "ours", Work()):
        assert json.loads((bucket / "run" / HOLDER).read_bytes())["job"] == "ours"
    assert names(bucket / "run" / ".qwen3ft") == []


def test_hosts_find_out_that_they_share_it(store: tuple[Path, Path]) -> None:
    mount, bucket = store
    probe = Probe.begin(mount)

    assert probe.judge(Probe.answer(probe.to_dict())) is None
    assert names(bucket) == []


def test_checkpoints_are_written_beside_it_and_pruned_and_a_kill_leaves_nothing(store: tuple[Path, Path]) -> None:
    mount, bucket = store
    (mount / "run").mkdir()
    own = OutputFolder(mount / "run")
    writing = own.begin_writing("checkpoints")
    for step in (1, 2):
        written = writing / f"checkpoint-{step}"
        written.mkdir()
        (written / "optimizer.pt").write_bytes(b"state")
        checkpoints.take(written, mount / "run" / "checkpoints")
    checkpoints.prune(mount / "run" / "checkpoints", 1)

    assert checkpoints.last_complete(bucket / "run" / "checkpoints") == bucket / "run" / "checkpoints" / "checkpoint-2"
    assert names(bucket / "run" / "checkpoints") == ["checkpoint-2"]
    assert is_scratch(writing)
    (writing / "half").write_bytes(b"killed")
    OutputFolder(mount / "run").begin_writing("checkpoints")
    assert not writing.exists()
    OutputFolder(mount / "run").clear_writing()
    assert names(bucket / "run" / ".qwen3ft") == ["written.json"]


def test_the_log_of_a_job_is_whole_when_it_is_over_whichever_attempt_it_was(
    store: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount, bucket = store
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    job = start(JobStore(mount / "state", worker=WORKER), "crash", {"text": "it broke"})
    seen = JobStore(bucket / "state").get(job.id)

    for attempt in (1, 2):
        assert done(job)["state"] == seen.status().state == "failed"
        text = seen.log().text
        assert text.count("ValueError: it broke") == attempt
        assert f"--- attempt {attempt}, " in text
        wait_until(lambda: not pids(job))
        assert names(tmp_path / "temporary") == []
        if attempt == 1:
            job.resume()
