from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from qwen3ft_jupyter import cli
from qwen3ft_jupyter.cache.models import EvictedModel
from qwen3ft_jupyter.cache.reports import MovePlan, RepairReport, VerifyReport
from qwen3ft_jupyter.cli import output
from qwen3ft_jupyter.cli.commands import find_command
from qwen3ft_jupyter.cli.output import in_words
from qwen3ft_jupyter.download.result import DownloadResult
from qwen3ft_jupyter.errors import NoSpace, Qwen3ftError, Stopped
from qwen3ft_jupyter.faces.verbs import verbs_of
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.results import Outcome
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.jobs.store import Job, JobStore
from qwen3ft_jupyter.manager import kinds
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.work import Controls, Progress
from tests.cache.making import make_plain
from tests.jobs.following import start
from tests.server.standin import StandInJob, as_cached, as_model, cached_row, model_row, plan_of, summarize

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.jobs.state import JobStatus
    from qwen3ft_jupyter.manager.overview import CacheSummary
    from qwen3ft_jupyter.work import Reporter

ROOT = Path(__file__).parents[2]
EVERYWHERE = "0.0.0.0"  # noqa: S104 - no more than a word here
WORKER = [sys.executable, str(ROOT / "tests" / "jobs" / "worker_fixture.py"), "run"]


class Answer(types.SimpleNamespace):
    """What a method of the manager answers, as far as it is looked at."""


@dataclass
class StandIn:
    """In place of the model manager: it notes how it was called and answers what the test says."""

    job_store: JobStore
    is_ready: bool = False
    """Whether the model that is asked for is here."""
    overrides: dict[str, Any] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None
    missing: tuple[str, ...] = ()
    result: dict[str, Any] = field(default_factory=dict)
    """What a download tells, but for the usual."""
    plan_answer: dict[str, Any] = field(default_factory=dict)
    repaired: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    missing_bytes: int = 0
    notices: tuple[str, ...] = ()

    def check_name(self, name: str) -> None:
        self.calls.append(("check_name", name))

    def make(self, **overrides: Any) -> StandIn:
        self.overrides = overrides
        return self

    @property
    def settings(self) -> Answer:
        return Answer(max_speed=None, notices=self.notices)

    def unseen(self) -> list[str]:
        return ["a folder is not seen"] if self.notices else []

    @property
    def cache(self) -> Answer:
        ready = Answer(is_sound=True, commit="0" * 40) if self.is_ready else None
        return Answer(find=lambda _repo_id, _revision: ready)

    def download(self, model_name: str, *, max_speed: int | None, **wishes: Any) -> Job:
        params = {"model_name": model_name, **wishes}
        return start(self.job_store, "download", params, title="Download", max_speed=max_speed)

    def start_verify(self, name: str, *, revision: str | None, max_speed: int | None) -> Job:
        params = {"model_name": name, "revision": revision}
        return start(self.job_store, "verify", params, title="Verify", max_speed=max_speed)

    def start_repair(self, name: str, *, revision: str | None, max_speed: int | None) -> Job:
        params = {"model_name": name, "revision": revision}
        return start(self.job_store, "repair", params, title="Repair", max_speed=max_speed)

    def ensure(
        self, name: str, *, reporter: Reporter, stop: threading.Event, controls: Controls, **wishes: Any
    ) -> Answer:
        assert not stop.is_set()
        wishes["max_speed"] = controls.max_speed
        self.calls.append((name, {wish: value for wish, value in wishes.items() if value}))
        reporter.notice("a notice")
        if self.error:
            raise self.error
        usual = {"folder": "/cache/Qwen_Qwen3-0.6B", "bytes": 0, "was_cached": True}
        return Answer(result=lambda: DownloadResult.from_dict({**usual, **self.result}))

    def plan(self, name: str, *, reporter: Reporter, stop: threading.Event, **wishes: Any) -> DownloadPlan:
        assert not stop.is_set()
        self.calls.append(("plan", name, {wish: value for wish, value in wishes.items() if value}))
        reporter.progress(Progress("resolving"))
        return plan_of(name, **self.plan_answer)

    def cached_models(self) -> list[CachedModel]:
        return [as_cached(row) for row in self.models]

    def summarize_cache(self) -> CacheSummary:
        return summarize(self.models, "/cache")

    def evict_model(
        self, name: str, *, revision: str | None, owner: str | None, everything: bool, reporter: Reporter
    ) -> int:
        self.calls.append(("evict", name, revision, owner, *["everything"] * everything))
        if not everything:
            reporter.notice("notes.txt is kept")
        return 1500

    def pin(self, name: str, pinned: bool, *, revision: str | None) -> None:  # noqa: FBT001
        self.calls.append(("pin", name, pinned, revision))

    def repair(
        self,
        name: str,
        *,
        revision: str | None,
        reporter: Reporter,
        stop: threading.Event,
        controls: Controls | None,
    ) -> RepairReport:
        assert not stop.is_set()
        self.calls.append(("repair", name, revision, controls and controls.max_speed))
        reporter.notice(f"reading {name}")
        return RepairReport(parse_repo_id(name), self.repaired, 1500, 0)

    def where(self, name: str, *, revision: str | None, owner: str | None) -> Path:
        self.calls.append(("where", name, revision, owner))
        return Path("/models/x_y")

    def plan_move(self, target: Path) -> MovePlan:
        self.calls.append(("plan move", target))
        return MovePlan("/models", str(target), ("a", "b"), 1500, 1000, 9000, self.missing_bytes, (), "default")

    def move_cache(self, target: Path, *, reporter: Reporter, stop: threading.Event) -> Answer:
        assert not stop.is_set()
        reporter.progress(Progress("moving"))
        self.calls.append(("move", target))
        return Answer(moved=("a", "b"), left=self.left, bytes_copied=1500)

    def evict_all(self, *, reporter: Reporter) -> list[EvictedModel]:
        reporter.notice("a/b stays: it is pinned.")
        left = ("notes.txt", "checkpoints/")
        return [EvictedModel(parse_repo_id(f"Qwen/{name}"), name, size, left) for name, size in (("A", 1500), ("B", 7))]

    def verify(
        self,
        name: str,
        *,
        revision: str | None,
        reporter: Reporter,
        stop: threading.Event,
        controls: Controls | None,
    ) -> VerifyReport:
        assert not stop.is_set()
        self.calls.append(("verify", name, revision, controls and controls.max_speed))
        reporter.progress(Progress("verifying"))
        return VerifyReport(parse_repo_id(name), 9, 1500, missing=self.missing, wrong=(), extra=("mine.txt",))

    def jobs(self) -> list[Job]:
        return self.job_store.list()

    def job(self, job_id: str) -> Job:
        return self.job_store.get(job_id)

    def fine_tune(self, config: dict[str, Any], **_options: bool) -> Job:
        return start(self.job_store, "add", {"numbers": [], **config}, title="Fine-tune")


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "en")


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(JobStore(tmp_path / "state", worker=WORKER))
    monkeypatch.setattr("qwen3ft_jupyter.manager.get_model_manager", stand_in.make)
    return stand_in


# Download


def test_last_line_on_stdout_is_the_folder(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download", "Qwen/Qwen3-0.6B", "--force", "--revision", "v1"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "/cache/Qwen_Qwen3-0.6B"
    assert err == "a notice\n"
    assert manager.calls == [("Qwen/Qwen3-0.6B", {"force": True, "revision": "v1"})]


def test_end_of_a_download_says_how_much_came_from_where(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    shares = [{"name": "Hugging Face", "bytes": 360_000_000}, {"name": "ModelScope", "bytes": 840_000_000}]
    manager.result = {"was_cached": False, "bytes": 1_200_000_000, "sources": shares, "adopted": 3 * 10**8}
    manager.result["evicted"] = ["Qwen/Qwen3-8B"]
    assert cli.main(["download", "x/y"]) == 0
    out, err = capsys.readouterr()
    assert out == "/cache/Qwen_Qwen3-0.6B\n"
    assert err.splitlines()[1:] == [
        "fetched: 1.2 GB (70 % ModelScope, 30 % Hugging Face)",
        "from this disk: 300 MB",
        "deleted to make room: Qwen/Qwen3-8B",
    ]


def test_every_wish_for_a_download_is_passed_on(manager: StandIn) -> None:
    line = ["download", "x/y", "--update", "--sources", "modelscope,disk", "--in-place", "--max-speed", "20MB"]
    assert cli.main(line) == 0
    wishes = {"update": True, "sources": ["modelscope", "disk"], "in_place": True, "max_speed": 20_000_000}
    assert manager.calls == [("x/y", wishes)]


def test_max_speed_of_none_lifts_the_limit_that_is_set(manager: StandIn) -> None:
    assert cli.main(["download", "x/y", "--max-speed", "none"]) == 0
    assert manager.overrides == {"max_speed": "none"}


@pytest.mark.parametrize("verb", [["download", "x/y", "--max-speed"], ["verify", "x/y", "--max-speed"]])
def test_speed_that_is_none_is_refused_by_name(
    manager: StandIn, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    assert cli.main([*verb, "fast"]) == 1
    assert "bad-input: max_speed='fast' is no number of bytes." in capsys.readouterr().err
    assert manager.calls == []


def test_dry_run_is_a_table_and_fetches_nothing(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download", "x/y", "--dry-run", "--update", "--sources", "disk", "--in-place"]) == 0
    assert manager.calls == [("plan", "x/y", {"update": True, "sources": ["disk"], "in_place": True})]
    assert capsys.readouterr().out.splitlines() == [
        "x/y · ModelScope · master · 0123456789ab",
        "What           Files  Size    To fetch  From",
        "kept           1      700 B",
        "adopted        1      1.0 GB            Hugging Face cache",
        "resumed        1      1.0 GB  400 MB    ModelScope",
        "to be fetched  2      1.0 GB  1.0 GB    ModelScope",
        "removed        1      2.0 MB",
        "To fetch: 1.4 GB; on this disk already: 1.6 GB.",
        "About 28 s at 50.0 MB/s.",
        "Sources: ModelScope, Hugging Face.",
        "Room: 2.4 GB of 50.0 GB free.",
        "Changed files: 5",
        "  adopted  model-00001-of-00003.safetensors  1.0 GB",
        "  resumed  model-00002-of-00003.safetensors  1.0 GB",
        "  to be fetched  model-00003-of-00003.safetensors  1.0 GB",
        "  to be fetched  vocab.json  3.0 MB",
        "  removed  merges.txt  2.0 MB",
    ]


def test_dry_run_of_what_does_not_fit_says_so_and_fails(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    manager.plan_answer = {"missing_bytes": 10**9, "has_room": False, "evictable": [("Qwen/Qwen3-14B", 3 * 10**10)]}
    assert cli.main(["download", "x/y", "--dry-run"]) == 1
    out = capsys.readouterr().out
    assert "It does not fit: 1.0 GB are missing.\nCould be deleted: Qwen/Qwen3-14B (30.0 GB)." in out


def test_error_is_named_with_its_cure_and_its_folder(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    manager.error = NoSpace("12 bytes are missing.", hint="Make room.", details={"folder": "/some/where"})
    assert cli.main(["download", "x/y"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[1:] == [
        "qwen3ft: no-space: 12 bytes are missing.",
        "  Make room.",
        "  folder: /some/where",
    ]


def test_stopped_download_has_the_exit_code_of_an_interrupt(manager: StandIn) -> None:
    manager.error = Stopped("stopped")
    assert cli.main(["download", "x/y"]) == 130


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        ([], {}),
        (["--hub", "huggingface"], {"use_modelscope": False}),
        (["--hub", "modelscope", "--offline"], {"use_modelscope": True, "offline": True}),
        (["--cache-dir", "/c"], {"cache_dir": "/c"}),
    ],
)
def test_common_options_are_taken_before_and_after_the_verb(
    manager: StandIn, arguments: list[str], overrides: dict[str, Any]
) -> None:
    for line in ([*arguments, "download", "x/y"], ["download", "x/y", *arguments]):
        assert cli.main(line) == 0
        assert manager.overrides == overrides


DOWNLOAD_CHILD = """
import sys, time, types
from pathlib import Path
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.jobs import here
from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.work import Progress
from tests.jobs.following import start
here.LEAVE_S = 20.0  # a busy disk is no reason not to write the end down
class Manager:
    job_store = JobStore(Path(sys.argv[1]))
    settings = types.SimpleNamespace(max_speed=None, notices=())
    cache = types.SimpleNamespace(find=lambda *_: None)
    def download(self, name, *, max_speed, **wishes):
        return start(self.job_store, "download", {"model_name": name}, title="Download", max_speed=None)
    def ensure(self, *_, reporter, stop, controls, **__):
        reporter.progress(Progress("transferring", 1, 2))
        print("at work", flush=True)
        BEHAVIOUR
module = sys.modules["qwen3ft_jupyter.manager"] = types.ModuleType("manager")
module.get_model_manager = lambda **_: Manager()
from qwen3ft_jupyter.cli import main
sys.exit(main(["download", "x/y"]))
"""
HEEDS, IS_DEAF = "stop.wait(); raise Stopped('x')", "time.sleep(600)"
OBEYS = """
        told = None
        while not stop.wait(0.02):
            if told != (controls.is_paused, controls.max_speed):
                told = (controls.is_paused, controls.max_speed)
                print(*told, flush=True)
        raise Stopped("x")
"""


def start_download(tmp_path: Path, behaviour: str) -> subprocess.Popen[bytes]:
    """Start a download of the command line that does nothing but behave like this, and wait until it is at work."""
    (tmp_path / "stand_in.py").write_text(DOWNLOAD_CHILD.replace("BEHAVIOUR", behaviour))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "stand_in.py"), str(tmp_path / "state")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"at work\n"
    return process


def eventually(job: Job, is_so: Callable[[JobStatus], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so(job.status()):
        assert time.monotonic() < deadline, job.status()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("behaviour", [HEEDS, IS_DEAF])
def test_a_signal_ends_a_download_within_a_second_and_says_how_to_go_on(
    tmp_path: Path, behaviour: str, number: signal.Signals
) -> None:
    """Also one that does not heed it, for example while a name is looked up: it would go on for ten minutes."""
    assert output._PATIENCE_S < 1.0
    with start_download(tmp_path, behaviour) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    (job,) = JobStore(tmp_path / "state").list()
    assert f"stopped; what arrived is kept\nGo on with it: qwen3ft jobs resume {job.id}" in said.decode()
    assert b"Traceback" not in said
    assert job.status().state == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_to_be_ignored_is_ignored(tmp_path: Path, number: signal.Signals) -> None:
    """Shells start what a script puts into the background so, and nohup does."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        process = start_download(tmp_path, HEEDS)
    finally:
        signal.signal(number, before)
    with process:
        process.send_signal(number)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)

    assert process.returncode == 128 + signal.SIGTERM


def test_a_download_of_the_command_line_is_a_job_that_others_see_and_change(tmp_path: Path) -> None:
    with start_download(tmp_path, OBEYS) as process:
        (job,) = JobStore(tmp_path / "state").list()
        assert process.stdout is not None
        assert process.stdout.readline() == b"False None\n"
        eventually(job, lambda status: status.progress is not None and status.progress.phase == "transferring")
        assert job.status().state == "running"

        job.pause()
        assert process.stdout.readline() == b"True None\n"
        job.limit(5_000_000)
        assert process.stdout.readline() == b"True 5000000\n"
        job.resume()
        assert process.stdout.readline() == b"False 5000000\n"
        job.stop()
        assert process.wait(120) == 130
    assert job.status().state == "stopped"


def test_a_download_that_hangs_is_ended_when_others_stop_it(tmp_path: Path) -> None:
    behaviour = "import qwen3ft_jupyter.jobs.here as here; here.PATIENCE_S = 0.1; time.sleep(600)"
    with start_download(tmp_path, behaviour) as process:
        (job,) = JobStore(tmp_path / "state").list()
        job.stop()
        assert process.wait(120) == 130
    assert job.status().state == "stopped"


def test_a_download_whose_terminal_was_killed_is_resumed_by_a_process_of_its_own(tmp_path: Path) -> None:
    with start_download(tmp_path, HEEDS) as process:
        process.kill()
        process.communicate(timeout=120)
    (job,) = JobStore(tmp_path / "state", worker=WORKER).list()
    assert job.status().state == "interrupted"
    job.resume()
    assert job.wait(120).state == "failed"  # the worker of the tests knows no downloads, but it has come up
    assert job.status().attempt == 2


def test_what_failed_is_kept_with_the_job_and_the_terminal_shows_it_all(
    manager: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.error = NoSpace("12 bytes are missing.", details={"folder": "/some/where"})
    assert cli.main(["download", "x/y"]) == 1
    assert "folder: /some/where" in capsys.readouterr().err
    (job,) = manager.jobs()
    status = job.status()
    assert (status.state, status.error and status.error["code"]) == ("failed", "no-space")
    assert status.notices == ("a notice",)
    assert "NoSpace" in job.log().text


def test_a_defect_is_a_failed_job_and_keeps_its_traceback(manager: StandIn) -> None:
    manager.error = ZeroDivisionError("secret")
    with pytest.raises(ZeroDivisionError):
        cli.main(["download", "x/y"])
    (job,) = manager.jobs()
    error = job.status().error
    assert error is not None
    assert "secret" not in error["message"]
    assert "ZeroDivisionError" in job.log().text


def test_a_model_that_is_here_makes_no_job(manager: StandIn) -> None:
    manager.is_ready = True
    assert cli.main(["download", "x/y"]) == 0
    assert cli.main(["download", "x/y", "--revision", "0" * 40]) == 0
    assert manager.jobs() == []
    for line in (["--update"], ["--force"], ["--revision", "main"]):
        assert cli.main(["download", "x/y", *line]) == 0
    assert len(manager.jobs()) == 3


def test_a_state_folder_that_cannot_be_written_stops_no_download(
    manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    manager.job_store = JobStore(tmp_path / "file")
    assert cli.main(["download", "x/y"]) == 0
    out, err = capsys.readouterr()
    assert out == "/cache/Qwen_Qwen3-0.6B\n"
    assert "QWEN3FT_STATE_DIR" in err


def test_a_state_folder_that_is_none_stops_no_download(tmp_path: Path) -> None:
    """With the real manager, which looks for jobs on the same model first."""
    (tmp_path / "file").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    environment |= {"QWEN3FT_STATE_DIR": str(tmp_path / "file"), "MODEL_CACHE_DIR": str(tmp_path / "models")}
    command = [sys.executable, "-m", "qwen3ft_jupyter", "download", "qwen3ft/Qwen3-Practice"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == str(tmp_path / "models" / "qwen3ft_Qwen3-Practice")
    assert "Traceback" not in done.stderr
    assert "set QWEN3FT_STATE_DIR to another folder" in done.stderr


def test_a_download_of_the_command_line_is_done_as_a_job(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    environment |= {"QWEN3FT_STATE_DIR": str(tmp_path / "state"), "MODEL_CACHE_DIR": str(tmp_path / "models")}
    for verb, kind in (("download", "download"), ("verify", "verify"), ("repair", "repair"), ("download", "repair")):
        command = [sys.executable, "-m", "qwen3ft_jupyter", verb, "qwen3ft/Qwen3-Practice"]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        job = JobStore(tmp_path / "state").list()[0]  # the last one makes none: the model is here
        assert (job.kind, job.status().state) == (kind, "succeeded")


def test_a_download_that_is_under_way_elsewhere_is_followed(
    manager: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = StandInJob("a")
    monkeypatch.setattr(StandInJob, "folder", Path("/nowhere"), raising=False)
    monkeypatch.setattr(StandIn, "download", lambda *_, **__: other)
    assert cli.main(["download", "x/y"]) == 0
    assert manager.calls == []
    out, err = capsys.readouterr()
    assert (out, err) == ("/cache/Qwen_Qwen3-0.6B\n", "fetched: 1.0 GB\n")


@pytest.mark.parametrize("verb", ["download", "verify", "repair"])
def test_a_detached_job_has_a_process_of_its_own(
    manager: StandIn, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert cli.main([verb, "x/y", "--detach"]) == 0
    job = manager.job(capsys.readouterr().out.strip())
    assert (job.kind, manager.calls) == (verb, [])
    assert not job.wait(120).is_active


# What is cached

CACHED = cached_row("Qwen/Qwen3-0.6B", size=1_503_300_328, pinned=True)
THEIRS = cached_row("me/mine", size=5, owner="huggingface", verified=False, revision="", path="/hf/snapshots/0")


@pytest.mark.parametrize("verb", ["list", "cache"])
def test_list_is_a_table_with_owners_and_room(manager: StandIn, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    manager.models = [CACHED, THEIRS]
    assert cli.main([verb]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "MODEL            REVISION      SIZE    WHOSE         STATE             FOLDER",
        "Qwen/Qwen3-0.6B  master        1.5 GB  this cache    verified, pinned  /cache/Qwen_Qwen3-0.6B",
        "me/mine          000000000000  5 B     Hugging Face  not verified      /hf/snapshots/0",
        "Models in the cache: 1, 1.5 GB · 1.5 GB of 200 GB used · 500 GB free · 1.0 GB of unfinished downloads",
    ]


def test_list_is_json_for_programs(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    manager.models = [CACHED]
    assert cli.main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [CACHED]


def test_an_empty_cache_says_so(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    assert capsys.readouterr().err == "The cache is empty.\n"


def test_list_is_told_in_chinese(
    manager: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh")
    manager.models = [CACHED]
    assert cli.main(["list"]) == 0
    assert cli.main(["download", "x/y", "--dry-run"]) == 0
    out = capsys.readouterr().out
    for word in ("本缓存", "已校验, 已固定", "配额 200 GB", "需下载 1.4 GB", "复用", "有变化的文件：5 个"):
        assert word in out


def test_verify_names_what_is_wrong_and_the_cure(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "x/y"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "not of the model: mine.txt",
        "x/y: 9 files, 1.5 kB, all as they should be",
    ]
    manager.missing = ("config.json",)
    assert cli.main(["verify", "x/y"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "missing: config.json"
    assert "qwen3ft repair x/y" in err


def test_a_check_is_as_slow_as_wished(manager: StandIn) -> None:
    assert cli.main(["verify", "x/y", "--max-speed", "200MB"]) == 0
    assert cli.main(["verify", "x/y"]) == 0
    assert cli.main(["repair", "x/y", "--max-speed", "5MB"]) == 0
    assert manager.calls == [
        ("verify", "x/y", None, 200_000_000),
        ("verify", "x/y", None, None),
        ("repair", "x/y", None, 5_000_000),
    ]


def test_of_several_revisions_the_one_that_is_named_is_meant(
    manager: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.missing = ("model.safetensors",)
    for verb in ("verify", "repair", "pin", "unpin"):
        cli.main([verb, "x/y", "--revision", "v2"])
    assert manager.calls == [
        ("verify", "x/y", "v2", None),
        ("repair", "x/y", "v2", None),
        ("pin", "x/y", True, "v2"),
        ("pin", "x/y", False, "v2"),
    ]
    assert "qwen3ft repair x/y --revision v2" in capsys.readouterr().err


def test_repair_names_what_it_has_repaired(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["repair", "x/y"]) == 0
    assert capsys.readouterr().out == "x/y: nothing was wrong\n"
    manager.repaired = ("model.safetensors",)
    assert cli.main(["repair", "x/y"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "repaired: model.safetensors",
        "x/y: all is as it should be, 1.5 kB fetched",
    ]


def test_models_are_pinned_and_unpinned(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pin", "x/y"]) == 0
    assert cli.main(["unpin", "x/y"]) == 0
    assert manager.calls == [("pin", "x/y", True, None), ("pin", "x/y", False, None)]
    assert "x/y is no longer pinned." in capsys.readouterr().out


def test_cache_is_moved(manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(["cache", "move", "there"]) == 0
    assert manager.calls == [("move", tmp_path / "there")]
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'there'}\n"
    assert err.splitlines()[0] == "Moved folders: 2; 1.5 kB copied."
    assert f"MODEL_CACHE_DIR={tmp_path / 'there'}" in err
    manager.left = (("c", "it is in use"),)
    assert cli.main(["cache", "move", "there"]) == 1


def test_what_a_move_would_do_is_printed_and_too_little_room_fails(
    manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["move", str(tmp_path / "there"), "--dry-run"]) == 0
    assert manager.calls == [("plan move", tmp_path / "there")]
    out = capsys.readouterr().out
    assert "Folders that would move: 2; 1.5 kB." in out
    assert "1.0 kB, each file read again" in out
    manager.missing_bytes = 500
    assert cli.main(["move", str(tmp_path / "there"), "--dry-run"]) == 1
    assert "It does not fit: 500 B are missing." in capsys.readouterr().err


def test_where_a_model_lies_is_one_line_for_scripts(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["where", "x/y", "--owner", "huggingface"]) == 0
    assert manager.calls == [("where", "x/y", None, "huggingface")]
    assert capsys.readouterr().out == "/models/x_y\n"


def test_evict_takes_one_name_or_all(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evict", "Qwen/Qwen3-0.6B"]) == 0
    assert cli.main(["evict", "Qwen/Qwen3-0.6B", "--owner", "huggingface", "--revision", "v1"]) == 0
    assert manager.calls == [
        ("evict", "Qwen/Qwen3-0.6B", None, None),
        ("evict", "Qwen/Qwen3-0.6B", "v1", "huggingface"),
    ]
    assert cli.main(["evict", "--all"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "Qwen/B  7 B freed"
    assert err.splitlines()[-1] == "Kept in B: notes.txt, checkpoints/"
    for wrong in (["evict"], ["evict", "x/y", "--all"], ["evict", "x/y", "--owner", "qwen3ft"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(wrong)
    for option in (["--owner", "huggingface"], ["--everything"]):
        assert cli.main(["evict", "--all", *option]) == 1
        assert "--owner and --revision go with the NAME" in capsys.readouterr().err


def test_evict_says_what_stays_and_takes_everything_if_told(
    manager: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evict", "x/y"]) == 0
    assert capsys.readouterr().err == "notes.txt is kept\n"
    assert cli.main(["evict", "x/y", "--everything"]) == 0
    assert capsys.readouterr().err == ""
    assert manager.calls[-1] == ("evict", "x/y", None, None, "everything")


# The catalogue, loading and talking


def test_models_are_a_table_or_json(
    manager: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [model_row("Qwen/Qwen3-0.6B", cached=True, verified=True)]
    monkeypatch.setattr(manager, "model_rows", lambda: [as_model(row) for row in rows], raising=False)
    assert cli.main(["models"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == (
        ["Qwen/Qwen3-0.6B", "quick", "experiments", "596M", "1.5", "GB", "3.0", "GB", "in", "the", "cache"]
    )
    assert "qwen3ft download NAME" in err
    assert cli.main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rows


def test_load_prints_python_that_loads_the_model(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    manager.models = [CACHED]
    assert cli.main(["load", "Qwen/Qwen3-0.6B", "--4bit", "--as", "small"]) == 0
    out, err = capsys.readouterr()
    compile(out, "printed", "exec")
    assert out.splitlines()[-1] == (
        'small, small_tokenizer = get_model_manager().load_model_and_tokenizer("Qwen/Qwen3-0.6B", quantization="4bit")'
    )
    assert "%qwen3ft load Qwen/Qwen3-0.6B --4bit --as small" in err
    assert "is in the cache: /cache/Qwen_Qwen3-0.6B" in err
    assert cli.main(["load", "x/y"]) == 0
    assert "qwen3ft download x/y" in capsys.readouterr().err


def test_load_says_of_a_real_cache_what_cannot_be_loaded_and_takes_no_folder_for_what_it_is_called_like(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plain(tmp_path / "cache" / "org_bin", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    make_plain(tmp_path / "runs" / "Qwen3-0.6B")
    folders = {"MODEL_CACHE_DIR": "cache", "MODEL_CACHE_OTHER_DIRS": "runs", "QWEN3FT_STATE_DIR": "state"}
    for variable, folder in folders.items():
        monkeypatch.setenv(variable, str(tmp_path / folder))

    assert cli.main(["load", "org/bin"]) == 0
    assert "org/bin cannot be loaded as it is: its weights are pytorch_model.bin" in capsys.readouterr().err
    assert cli.main(["load", "Qwen/Qwen3-0.6B"]) == 0
    err = capsys.readouterr().err
    assert "is in the cache" not in err
    assert "qwen3ft download Qwen/Qwen3-0.6B" in err


def test_chat_asks_what_is_typed(
    manager: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def chat(_: StandIn, name: str, question: Any, **options: Any) -> str:
        asked.append((name, question if isinstance(question, str) else list(question), options))
        return "An answer."

    monkeypatch.setattr(StandIn, "chat", chat, raising=False)
    assert cli.main(["chat", "x/y", "--max-new-tokens", "9", "who", "are", "you?"]) == 0
    assert capsys.readouterr().out == "An answer.\n"
    assert asked == [("x/y", "who are you?", {"max_new_tokens": 9})]

    monkeypatch.setattr("sys.stdin", io.StringIO("first\n\nsecond\n"))
    assert cli.main(["chat", "x/y"]) == 0
    assert capsys.readouterr().out == "An answer.\n" * 2
    assert [message["content"] for message in asked[-1][1]] == ["first", "An answer.", "second"]


# The line


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([], "VERB is missing"),
        (["downlod"], "Did you mean download?"),
        (["download"], "NAME is missing"),
        (["download", "a", "b"], "unrecognized arguments: b"),
        (["cache", "frob"], "choose from list, verify"),
        (["help", "frob"], "There is no qwen3ft frob"),
        (["chat", "a", "--max-new-tokens", "many"], "invalid int value"),
        (["evict", "--al"], "NAME --all is required"),  # half of an option is none: it might mean all
        (["verify", "a", "--revis", "main"], "Did you mean --revision?"),
        (["jobs", "resume", "a", "--detach"], "--detach is an option of notebooks alone."),
        (["load", "a/b", "--as", "class"], "'class' cannot be the name of a variable"),
    ],
)
def test_a_wrong_line_says_how_it_is_meant(
    manager: StandIn, capsys: pytest.CaptureFixture[str], line: list[str], said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(line)
    assert said in capsys.readouterr().err


def test_old_spellings_mean_the_same(manager: StandIn) -> None:
    assert cli.main(["cache", "verify", "x/y"]) == cli.main(["verify", "x/y"]) == 0
    assert manager.calls == [("verify", "x/y", None, None)] * 2


def test_options_may_stand_before_the_verb(manager: StandIn) -> None:
    assert cli.main(["--revision", "main", "verify", "x/y"]) == 0
    assert manager.calls == [("verify", "x/y", "main", None)]


@pytest.mark.parametrize("line", [["download", "--help"], ["help", "download"], ["download", "x/y", "-h"]])
def test_help_on_a_verb_lists_its_options(capsys: pytest.CaptureFixture[str], line: list[str]) -> None:
    assert cli.main(line) == 0
    assert "--revision R" in capsys.readouterr().out


def test_every_verb_of_the_command_line_does_something() -> None:
    for verb in verbs_of("cli"):
        assert verb.name == "help" or find_command(verb.name).__doc__


# Jobs


def test_jobs_are_listed_followed_and_forgotten(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    job = start(manager.job_store, "add", {"numbers": [1]}, title="Add up")
    assert cli.main(["jobs", "follow", job.id]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"{job.id}\n", "one thing you should know\n")

    assert cli.main(["jobs"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [job.id, "succeeded", "Add", "up"]
    assert cli.main(["jobs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["result"]["sum"] == 1
    assert cli.main(["jobs", "log", job.id[-4:]]) == 0  # a part of the id that no other job has
    assert "adding [1]" in capsys.readouterr().out

    assert cli.main(["jobs", "forget", job.id]) == 0
    assert manager.jobs() == []


def test_jobs_are_stopped_and_resumed(manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = start(manager.job_store, "count", {"keep": str(tmp_path / "n"), "enough": 10**9}, title="Count")
    assert cli.main(["jobs", "stop", job.id]) == 0
    assert job.wait(120).state == "stopped"
    assert cli.main(["jobs", "resume", job.id]) == 0
    assert job.status().attempt == 2
    job.stop()
    assert cli.main(["jobs", "follow", job.id]) == 1
    assert f"qwen3ft jobs resume {job.id}" in capsys.readouterr().err


def test_jobs_are_paused_slowed_down_and_resumed(
    manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = start(manager.job_store, "obey", {"keep": str(tmp_path / "n")}, title="Obey", max_speed=None)
    assert cli.main(["jobs", "pause", job.id]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"{job.id} is paused\n", f"Go on with it: qwen3ft jobs resume {job.id}\n")
    assert cli.main(["jobs"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == [job.id, "paused"]

    assert cli.main(["jobs", "limit", job.id, "20MB"]) == 0
    assert capsys.readouterr().out == f"{job.id} takes at most 20.0 MB/s\n"
    assert job.to_dict()["controls"] == {"paused": True, "max_speed": 20_000_000}
    assert cli.main(["jobs", "limit", job.id, "none"]) == 0
    assert capsys.readouterr().out == f"{job.id} has no speed limit\n"
    assert cli.main(["jobs", "limit", job.id, "fast"]) == 1

    assert cli.main(["jobs", "resume", job.id]) == 0
    assert job.to_dict()["controls"] == {"paused": False, "max_speed": None}
    assert job.status().attempt == 1
    job.stop()
    assert job.wait(120).state == "stopped"
    assert cli.main(["jobs", "pause", job.id]) == 1
    assert "wrong-job-state" in capsys.readouterr().err


def test_job_that_is_none_is_named(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["jobs", "log", "../../etc"]) == 1
    assert "job-not-found" in capsys.readouterr().err
    job = start(manager.job_store, "refuse", {}, title="Refuse")
    typed = job.id.replace("refuse", "refsue")
    assert cli.main(["jobs", "log", typed]) == 1
    assert f'Did you mean "{job.id}"? See `qwen3ft jobs`' in capsys.readouterr().err


def test_failed_job_shows_its_error(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    job = start(manager.job_store, "refuse", {}, title="Refuse")
    assert cli.main(["jobs", "follow", job.id]) == 1
    assert "qwen3ft: no-space: 12 bytes are missing." in capsys.readouterr().err


def test_interrupt_of_following_leaves_the_job_alone(
    manager: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = start(manager.job_store, "count", {"keep": str(tmp_path / "n")}, title="Count")

    def interrupt(_job: Job, _timeout_s: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Job, "wait", interrupt)
        assert cli.main(["jobs", "follow", job.id]) == 130
    assert f"qwen3ft jobs stop {job.id}" in capsys.readouterr().err
    assert job.status().is_active
    job.stop()
    assert job.wait(120).state == "stopped"


# Fine-tune


def test_finetune_follows_its_job(manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("numbers: [1, 2]\n", encoding="utf-8")
    assert cli.main(["finetune", str(config)]) == 0
    (job,) = manager.jobs()
    assert job.status().result == {"sum": 3, "attempt": 1, "cwd": str(Path.cwd())}
    assert capsys.readouterr().out == f"{job.id}\n"


def test_a_fine_tune_ends_with_what_its_report_says(
    manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    came_to = Outcome("/runs/a", "lora", 1, 2.0, 1.0, 1.0, 1, 1, "float32", "cpu", 1, report={"chrF": ("12.0", "61.5")})
    monkeypatch.setattr(kinds, "read_result", lambda *_job: came_to)
    (tmp_path / "config.yaml").write_text("numbers: [1]\n", encoding="utf-8")

    assert cli.main(["finetune", str(tmp_path / "config.yaml")]) == 0

    shown = capsys.readouterr()
    assert "chrF: 12.0 → 61.5" in shown.err
    assert shown.out == "/runs/a\n"


def test_detached_finetune_prints_its_job(manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("numbers: [1]\n", encoding="utf-8")
    assert cli.main(["finetune", str(tmp_path / "config.yaml"), "--detach"]) == 0
    job = manager.job(capsys.readouterr().out.strip())
    assert job.wait(120).state == "succeeded"


def test_a_run_is_repeated_without_a_config(
    manager: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def fine_tune(config: object, **_options: bool) -> Job:
        asked.append(config)
        raise NoSpace("seen")

    monkeypatch.setattr(manager, "fine_tune", fine_tune, raising=False)

    assert cli.main(["finetune", "--from-run", "runs/first"]) == 1
    assert asked == [{"from_run": "runs/first"}]
    with pytest.raises(SystemExit, match="2"):
        cli.main(["finetune"])
    assert "--from-run" in capsys.readouterr().err


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_schema_of_the_config_is_printed_for_editors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], language: Literal["en", "zh"]
) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", language)

    assert cli.main(["finetune", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == FineTuneConfig.json_schema(language)


@pytest.mark.parametrize("more", [[], ["config.yaml", "--schema"]])
def test_a_fine_tune_needs_a_config_or_the_question_for_its_schema(
    capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["finetune", *more])
    assert "CONFIG.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"), [(None, "cannot be read"), ("a: [", "line 1"), ("- 1", "list of fields"), ("", "list of fields")]
)
def test_config_that_cannot_be_read_is_named(
    manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert cli.main(["finetune", str(tmp_path / "config.yaml")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("qwen3ft: bad-config: config.yaml")
    assert words in said


# The rest


def test_mirror_says_where_it_is_and_ends_when_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "qwen3ft_jupyter", "mirror", "--cache-dir", str(tmp_path / "models")]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        host, _, port = process.stdout.readline().decode().strip().removeprefix("http://").partition(":")
        socket.create_connection((host, int(port)), timeout=120).close()
        taken = subprocess.run(
            [*command, "--port", port], env=environment, check=False, capture_output=True, timeout=30
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert taken.returncode == 1
    assert b"bad-input: Cannot listen on 127.0.0.1" in taken.stderr


def mirror_said(tmp_path: Path, *options: str) -> tuple[str, str]:
    """Return what a mirror wrote to stdout and stderr, and how it answered a request without a token."""
    command = [sys.executable, "-m", "qwen3ft_jupyter", "mirror", "--cache-dir", str(tmp_path / "models"), *options]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        arguments = Path(f"/proc/{process.pid}/cmdline")
        seen = arguments.read_text("utf-8") if arguments.exists() else ""
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    for word in re.findall(r"TOKEN=(\S+)", said):
        assert word not in seen
    return url, said


def test_a_mirror_for_other_machines_asks_for_a_token(tmp_path: Path) -> None:
    url, said = mirror_said(tmp_path, "--host", EVERYWHERE)

    assert EVERYWHERE not in url  # nobody can go there
    tokens = re.findall(r"(\w+)=(\S+) (\w+_TOKENS?)=(\S+)", said)
    assert [(endpoint, at, name) for endpoint, at, name, _ in tokens] == [
        ("QWEN3FT_MIRRORS", url, "QWEN3FT_MIRROR_TOKENS"),
        ("MODELSCOPE_ENDPOINT", url, "MODELSCOPE_API_TOKEN"),
        ("HF_ENDPOINT", url, "HF_TOKEN"),
    ]
    (_, _, _, hosted), *others = tokens
    assert hosted == f"{url.removeprefix('http://')}={others[0][-1]}"
    assert {len(token) >= 32 for *_, token in others} == {True}


@pytest.mark.parametrize(("options", "words"), [([], ""), (["--host", EVERYWHERE, "--no-token"], "No token is asked")])
def test_a_mirror_without_a_token_says_so_unless_it_is_for_this_machine(
    tmp_path: Path, options: list[str], words: str
) -> None:
    _, said = mirror_said(tmp_path, *options)

    assert "TOKEN=" not in said
    assert words in said
    assert ("whoever" in said) is bool(words)


def test_the_token_of_a_mirror_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Watched:
        url = "http://192.0.2.7:8000"

        def __init__(self, **options: Any) -> None:
            given.update(options)

        def __enter__(self) -> None:
            raise OSError(98, "Address already in use")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("qwen3ft_jupyter.mirror.mirror.Mirror", Watched)
    assert cli.main(["mirror", "--host", "192.0.2.7", "--cache-dir", str(tmp_path)]) == 1
    assert len(given["token"]) >= 32
    assert cli.main(["mirror", "--cache-dir", str(tmp_path)]) == 1
    assert given["token"] is None


def test_a_deleted_working_folder_stops_no_command(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from qwen3ft_jupyter.cli import main; sys.exit(main(['status']))"
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "gone", env=environment, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "USE_MODELSCOPE" in done.stdout


@pytest.mark.parametrize("entry", ["qwen3ft_jupyter", "qwen3ft_jupyter.cli"])
def test_help_comes_at_once_and_names_every_verb(entry: str) -> None:
    code = (
        "import atexit, runpy, sys; sys.argv = ['qwen3ft', '--help']\n"
        "heavy = {'torch', 'urllib3', 'yaml', 'asyncio', 'psutil'}\n"
        "atexit.register(lambda: print('HEAVY', heavy & set(sys.modules)))\n"
        f"runpy.run_module({entry!r}, run_name='__main__')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    assert "HEAVY set()" in said
    spellings = [spelled for verb in verbs_of("cli") for spelled in (verb.name, *verb.aliases)]
    assert {"download", "cache", "jobs", "finetune", "mirror", "practice", "status"} <= set(spellings)
    for spelled in spellings:
        assert f"\n    {spelled} " in said


def test_practice_copies_the_model_and_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from qwen3ft_jupyter.practice.model import MODEL_FOLDER, data_files

    assert cli.main(["practice", str(tmp_path / "new")]) == 0

    assert capsys.readouterr().out == f"{tmp_path / 'new'}\n"
    for source, name in ((MODEL_FOLDER / "config.json", "config.json"), (data_files()[0], "data/train.jsonl")):
        assert (tmp_path / "new" / name).read_bytes() == source.read_bytes()


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip()[0].isdigit()


def test_every_error_is_shown_with_its_code() -> None:
    assert in_words(Qwen3ftError("What.")) == "qwen3ft: error: What."


def test_a_hint_names_the_command_of_a_terminal() -> None:
    error = Qwen3ftError("What.", hint="Do: {command}", command=Command("download", "a/b"))
    assert in_words(error).splitlines()[1] == "  Do: qwen3ft download a/b"
