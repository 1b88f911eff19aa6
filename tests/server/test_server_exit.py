"""A real Jupyter server ends at once when it is told to, whatever the extension's routes are doing.

A thread that outlives the event loop keeps the process: a container then waits its time of grace out at each restart.
"""

from __future__ import annotations

import ast
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.jobs.store import JobStore
from tests.jobs.following import WORKER, start, wait_until
from tests.test_imports import MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 10.0
"""From the signal to the end of the process: half a second unless the machine is busy; what hangs, hangs for ever."""
START_S = 90.0
SERVERS = 3
CLIENTS = 8
PATHS = ("/models", "/jobs", "/models/cache/list", "/status")


class PolledServer:
    """A Jupyter server with a job at work in its state folder, and as many panels that poll it without a pause."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config").mkdir(parents=True)
        self.job = start(
            JobStore(folder / "state", worker=WORKER), "count", {"keep": str(folder / "number")}, cwd=folder
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(self._command(), env=self._environ(), stdout=self._log, stderr=self._log)
        self.asked = 0

    def _command(self) -> list[str]:
        options = {
            "ip": "127.0.0.1",
            "port": self._port,
            "port_retries": 0,
            "root_dir": self.folder,
            "allow_root": True,
            "open_browser": False,
            "jpserver_extensions": "{'qwen3ft_jupyter': True, 'jupyter_server_terminals': False}",
        }
        flags = [f"--ServerApp.{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "jupyter_server", "--IdentityProvider.token=", *flags]

    def _environ(self) -> dict[str, str]:
        nowhere = str(self.folder / "config")  # so that no extension that is installed here takes part
        ours = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_RUNTIME_DIR", "HOME"), nowhere)
        ours |= {"MODEL_CACHE_DIR": str(self.folder / "cache"), "QWEN3FT_STATE_DIR": str(self.folder / "state")}
        return {**os.environ, **ours, "JUPYTER_NO_CONFIG": "1", "QWEN3FT_OFFLINE": "1"}

    def poll(self, *, until: int) -> None:
        """Start the panels and return when they have asked so often."""
        for number in range(CLIENTS):
            threading.Thread(target=self._poll, args=(number,), daemon=True).start()
        wait_until(lambda: self.asked >= until, START_S)

    def _poll(self, number: int) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the server ends
            while True:
                number += 1
                self.asked += 1
                self.ask(PATHS[number % len(PATHS)])

    def ask(self, path: str, timeout_s: float = 60.0) -> int:
        """Return the status of the answer. Raises OSError, HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)
        with contextlib.closing(connection):
            connection.request("GET", f"/qwen3ft{path}")
            return connection.getresponse().status

    def listens(self) -> bool:
        assert self.process.poll() is None, self.output()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("/status") == 200
        return False

    def output(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()
        self.job.stop()
        self.job.wait(START_S)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[PolledServer]]:
    servers = [PolledServer(tmp_path / f"server{number}") for number in range(SERVERS)]
    yield servers
    for server in servers:
        server.close()


def hang_disk(state_dir: Path) -> None:
    """Let whoever lists the jobs wait for ever, as on a network drive whose server has gone."""
    folder = state_dir / "jobs" / "20260102-030405-download-0000"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "job.json")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("is_disk_dead", [False, True], ids=["polled", "polled, dead drive"])
def test_servers_with_panels_and_a_job_end_within_seconds(servers: list[PolledServer], *, is_disk_dead: bool) -> None:
    for server in servers:
        wait_until(server.listens, START_S)
        if is_disk_dead:
            hang_disk(server.folder / "state")
        server.poll(until=CLIENTS if is_disk_dead else 4 * CLIENTS)
        if is_disk_dead:
            with pytest.raises(TimeoutError):
                server.ask("/jobs", timeout_s=0.5)

    for server in servers:
        server.process.terminate()
    for server in servers:
        server.process.wait(LIMIT_S)

    assert [server.process.returncode for server in servers] == [0] * SERVERS
    assert not [server.output() for server in servers if "Traceback" in server.output()]


def test_no_thread_of_the_package_outlives_the_process() -> None:
    """The interpreter waits at its end for threads of AnyIO, `asyncio.to_thread` and executors."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("threading.Thread", "Thread"):
                given = [ast.unparse(word.value) for word in node.keywords if word.arg == "daemon"]
                assert given == ["True"], f"{path}:{node.lineno}"
            if isinstance(node, ast.Attribute):
                joined = ("to_thread", "run_in_executor", "ThreadPoolExecutor", "ThreadPool")
                assert node.attr not in joined, f"{path}:{node.lineno}"
