from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter import processes
from qwen3ft_jupyter.jobs import launch
from qwen3ft_jupyter.jobs.folder import FRESH_S, is_alive
from qwen3ft_jupyter.processes import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = 10 * FRESH_S
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")


def test_this_process_is_alive() -> None:
    assert is_alive(ProcessIdentity.current().to_dict(), status_age_s=LONG_AGO)


def test_process_that_has_gone_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessIdentity.of(child.pid).to_dict()
        assert is_alive(identity, status_age_s=0)
    assert not is_alive(identity, status_age_s=0)


@linux
def test_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(child.pid).to_dict()
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # has ended, is not collected
    assert not is_alive(identity, status_age_s=0)
    child.wait()


@linux
def test_number_given_to_another_process_is_not_taken_for_the_first() -> None:
    identity = ProcessIdentity.current().to_dict()
    assert not is_alive({**identity, "started": identity["started"] - 1}, status_age_s=0)


@linux
def test_after_a_reboot_of_this_machine_its_processes_are_dead() -> None:
    assert not is_alive({**ProcessIdentity.current().to_dict(), "boot": "another"}, status_age_s=0)


@linux
@pytest.mark.parametrize("elsewhere", [{"boot": "another", "host": "another"}, {"space": "another"}])
def test_heartbeat_decides_where_the_process_cannot_be_seen(elsewhere: dict[str, Any]) -> None:
    identity = {**ProcessIdentity.current().to_dict(), **elsewhere}
    assert is_alive(identity, status_age_s=FRESH_S - 1)
    assert not is_alive(identity, status_age_s=FRESH_S + 1)


def test_without_proc_psutil_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "whereabouts", lambda: {"boot": "", "space": "", "host": "mac"})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = {"pid": child.pid, "started": time.time(), "boot": "", "space": "", "host": "mac"}
        assert is_alive(identity, status_age_s=LONG_AGO)
        assert not is_alive({**identity, "started": 1.0}, status_age_s=0)
    assert not is_alive(identity, status_age_s=0)


@pytest.mark.parametrize(("place", "sees_neighbours"), [("site-packages", False), ("checkout", True)])
def test_job_process_finds_this_very_package_but_not_its_environment(
    tmp_path: Path, place: str, *, sees_neighbours: bool
) -> None:
    """The job's Python may be of another environment than the one this package is installed in."""
    package = tmp_path / place / "qwen3ft_jupyter"
    package.mkdir(parents=True)
    entry = launch._ENTRY
    (package / "__main__.py").write_bytes(entry.read_bytes())
    (package / "__init__.py").touch()
    (package / "errors.py").touch()
    (package.parent / "neighbour.py").touch()
    for room in ("jobs", "manager"):
        (package / room).mkdir()
        (package / room / "__init__.py").touch()
    (package / "manager" / "kinds.py").write_text("KINDS = {}")
    (package / "jobs" / "worker.py").write_text(
        "import importlib.util as u\n"
        "import qwen3ft_jupyter.errors\n"
        "def main(folder, kinds):\n"
        "    print(qwen3ft_jupyter.errors.__file__, *(u.find_spec(n) is not None for n in ('errors', 'neighbour')))\n"
    )
    command = [*launch.worker_command(sys.executable)[:-1], "run", "FOLDER"]
    command[1] = str(package / entry.name)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=30
    ).stdout.split()
    assert answer == [str(package / "errors.py"), "False", str(sees_neighbours)]
