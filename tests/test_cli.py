from __future__ import annotations

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
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter import cli
from qwen3ft_jupyter.cache import EvictedModel, VerifyReport
from qwen3ft_jupyter.errors import NoSpace, Qwen3ftError, Stopped
from qwen3ft_jupyter.hubs import parse_repo_id
from qwen3ft_jupyter.jobs import Job, JobContext, JobStore, supervisor
from qwen3ft_jupyter.reporting import Progress

if TYPE_CHECKING:
    import threading

    from qwen3ft_jupyter.reporting import Reporter

ROOT = Path(__file__).parents[1]
EVERYWHERE = "0.0.0.0"  # noqa: S104 - no more than a word here
WORKER = [sys.executable, str(ROOT / "tests" / "jobs" / "worker_fixture.py"), "run"]


@dataclass
class StandIn:
    """In place of the model manager: it notes how it was called and answers what the test says."""

    job_store: JobStore
    overrides: dict[str, Any] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None
    missing: tuple[str, ...] = ()

    def make(self, **overrides: Any) -> StandIn:
        self.overrides = overrides
        return self

    def ensure_model_cached(
        self, name: str, *force: bool, revision: str | None, reporter: Reporter, stop: threading.Event
    ) -> str:
        assert not stop.is_set()
        self.calls.append((name, *force, revision))
        reporter.notice("a notice")
        if self.error:
            raise self.error
        return "/cache/Qwen_Qwen3-0.6B"

    def list_cached_models(self) -> list[dict[str, Any]]:
        return self.models

    def evict_model(self, name: str) -> int:
        self.calls.append(("evict", name))
        return 1500

    def evict_all(self) -> list[EvictedModel]:
        return [EvictedModel(parse_repo_id(f"Qwen/{name}"), name, size) for name, size in (("A", 1500), ("B", 7))]

    def verify(self, name: str, *, reporter: Reporter, stop: threading.Event) -> VerifyReport:
        assert not stop.is_set()
        reporter.progress(Progress("verifying"))
        return VerifyReport(parse_repo_id(name), 9, 1500, missing=self.missing, wrong=(), extra=("mine.txt",))

    def jobs(self) -> list[Job]:
        return self.job_store.list()

    def job(self, job_id: str) -> Job:
        return self.job_store.get(job_id)

    def fine_tune(self, config: dict[str, Any]) -> Job:
        return self.job_store.start("add", {"numbers": [], **config}, title="Fine-tune")


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(JobStore(tmp_path / "state", worker=WORKER))
    module = types.ModuleType("qwen3ft_jupyter.manager")
    module.get_model_manager = stand_in.make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "qwen3ft_jupyter.manager", module)
    return stand_in


# Download


def test_last_line_on_stdout_is_the_folder(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download", "Qwen/Qwen3-0.6B", "--force", "--revision", "v1"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "/cache/Qwen_Qwen3-0.6B"
    assert err == "a notice\n"
    assert manager.calls == [("Qwen/Qwen3-0.6B", True, "v1")]


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


@pytest.mark.parametrize("behaviour", ["stop.wait(); raise Stopped('x')", "import time; time.sleep(600)"])
def test_interrupt_ends_a_download_within_a_second(tmp_path: Path, behaviour: str) -> None:
    """Also one that does not heed it, for example while a name is looked up."""
    (tmp_path / "stand_in.py").write_text(
        "import sys, types\n"
        "from qwen3ft_jupyter.errors import Stopped\n"
        "class Manager:\n"
        "    def ensure_model_cached(self, *_, reporter, stop, **__):\n"
        "        print('at work', flush=True)\n"
        f"        {behaviour}\n"
        "module = sys.modules['qwen3ft_jupyter.manager'] = types.ModuleType('manager')\n"
        "module.get_model_manager = lambda **_: Manager()\n"
        "from qwen3ft_jupyter.cli import main\n"
        "sys.exit(main(['download', 'x/y']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "stand_in.py")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 1.5
    assert process.returncode == 130
    assert b"stopped" in said
    assert b"Traceback" not in said


# What is cached

CACHED = {"model_name": "Qwen/Qwen3-0.6B", "size": 1_503_300_328, "verified": True, "path": "/cache/Qwen_Qwen3-0.6B"}


def test_list_is_a_table_or_json(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    manager.models = [CACHED]
    assert cli.main(["list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "Qwen/Qwen3-0.6B",
        "1.5",
        "GB",
        "verified",
        CACHED["path"],
    ]
    assert cli.main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [CACHED]


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
    assert "qwen3ft download x/y" in err


def test_evict_takes_one_name_or_all(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evict", "Qwen/Qwen3-0.6B"]) == 0
    assert manager.calls == [("evict", "Qwen/Qwen3-0.6B")]
    assert cli.main(["evict", "--all"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Qwen/B  7 B freed"
    for wrong in (["evict"], ["evict", "x/y", "--all"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(wrong)


# Jobs


def test_jobs_are_listed_followed_and_forgotten(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    job = manager.job_store.start("add", {"numbers": [1]}, title="Add up")
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
    job = manager.job_store.start("count", {"keep": str(tmp_path / "n"), "enough": 10**9}, title="Count")
    assert cli.main(["jobs", "stop", job.id]) == 0
    assert job.wait(30).state == "stopped"
    assert cli.main(["jobs", "resume", job.id]) == 0
    assert job.status().attempt == 2
    job.stop()
    assert cli.main(["jobs", "follow", job.id]) == 1
    assert f"qwen3ft jobs resume {job.id}" in capsys.readouterr().err


def test_job_that_is_none_is_named(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["jobs", "log", "../../etc"]) == 1
    assert "job-not-found" in capsys.readouterr().err


def test_failed_job_shows_its_error(manager: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    job = manager.job_store.start("refuse", {}, title="Refuse")
    assert cli.main(["jobs", "follow", job.id]) == 1
    assert "qwen3ft: no-space: 12 bytes are missing." in capsys.readouterr().err


def test_interrupt_of_following_leaves_the_job_alone(
    manager: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = manager.job_store.start("count", {"keep": str(tmp_path / "n")}, title="Count")

    def interrupt(_job: Job, _timeout_s: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Job, "wait", interrupt)
        assert cli.main(["jobs", "follow", job.id]) == 130
    assert f"qwen3ft jobs stop {job.id}" in capsys.readouterr().err
    assert job.status().is_active
    job.stop()
    assert job.wait(30).state == "stopped"


# Fine-tune


def test_finetune_follows_its_job(manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("numbers: [1, 2]\n", encoding="utf-8")
    assert cli.main(["finetune", str(config)]) == 0
    (job,) = manager.jobs()
    assert job.status().result == {"sum": 3, "attempt": 1, "cwd": str(Path.cwd())}
    assert capsys.readouterr().out == f"{job.id}\n"


def test_detached_finetune_prints_its_job(manager: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("numbers: [1]\n", encoding="utf-8")
    assert cli.main(["finetune", str(tmp_path / "config.yaml"), "--detach"]) == 0
    job = manager.job(capsys.readouterr().out.strip())
    assert job.wait(30).state == "succeeded"


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


# Job processes


def test_run_calls_the_function_for_the_kind_under_the_starters_settings(
    manager: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(of: StandIn, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
        of.calls.append(params)
        return {"folder": str(context.folder)}

    monkeypatch.setattr(cli, "JOB_FUNCTIONS", {"download": download})
    job = JobStore(tmp_path, worker=[sys.executable, "-c", "0"]).start(
        "download", {"model_name": "x/y", "settings": {"offline": True}}, title="Download"
    )
    job.wait(30)
    supervisor.write_status(job.folder, {"attempt": 1, "state": "queued"})
    assert cli.main(["run", str(job.folder)]) == 0
    assert manager.overrides == {"offline": True, "is_trusted": True}
    assert manager.calls == [job.params]
    assert job.status().result == {"folder": str(job.folder)}


def test_job_process_comes_up_through_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package's own command, from a checkout that is on nobody's search path."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    job = JobStore(tmp_path).start("dance", {}, title="Dance", cwd=tmp_path)
    error = job.wait(30).error
    assert error is not None, job.log().text
    assert "no job of the kind dance" in error["message"]


def test_run_of_a_folder_that_is_no_job_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(tmp_path)]) == 1
    assert "job-not-found" in capsys.readouterr().err


# The rest


def test_mirror_says_where_it_is_and_ends_when_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "qwen3ft_jupyter", "mirror", "--cache-dir", str(tmp_path / "models")]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        host, _, port = process.stdout.readline().decode().strip().removeprefix("http://").partition(":")
        socket.create_connection((host, int(port)), timeout=10).close()
        taken = subprocess.run(
            [*command, "--port", port], env=environment, check=False, capture_output=True, timeout=30
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
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
        _, said = process.communicate(timeout=30)
    for word in re.findall(r"TOKEN=(\S+)", said):
        assert word not in seen
    return url, said


def test_a_mirror_for_other_machines_asks_for_a_token(tmp_path: Path) -> None:
    url, said = mirror_said(tmp_path, "--host", EVERYWHERE)

    assert EVERYWHERE not in url  # nobody can go there
    tokens = re.findall(r"(\w+)=(\S+) (\w+_TOKEN)=(\S+)", said)
    assert [(endpoint, at, name) for endpoint, at, name, _ in tokens] == [
        ("MODELSCOPE_ENDPOINT", url, "MODELSCOPE_API_TOKEN"),
        ("HF_ENDPOINT", url, "HF_TOKEN"),
    ]
    assert {len(token) >= 32 for *_, token in tokens} == {True}


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

    monkeypatch.setattr("qwen3ft_jupyter.mirror.Mirror", Watched)
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
        cwd=tmp_path / "gone", env=environment, check=False, capture_output=True, text=True, timeout=30,
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
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=30,
    ).stdout  # fmt: skip
    assert "HEAVY set()" in said
    for verb in ("download", "list", "verify", "evict", "jobs", "finetune", "mirror", "practice", "status", "run"):
        assert f"\n    {verb} " in said


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip()[0].isdigit()


def test_output_cut_off_by_a_pipe_is_no_traceback(manager: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off() -> list[dict[str, Any]]:
        raise BrokenPipeError

    monkeypatch.setattr(manager, "list_cached_models", cut_off)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert cli.main(["list"]) == 1


def test_every_error_is_shown_with_its_code() -> None:
    assert cli._in_words(Qwen3ftError("What.")) == "qwen3ft: error: What."
