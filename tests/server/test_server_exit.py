"""A real Jupyter server ends at once when it is told to, whatever the extension's routes are doing.

A thread that outlives the event loop keeps the process: a container then waits its time of grace out at each restart.
"""

from __future__ import annotations

import ast
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.jobs.store import JobStore
from tests.jobs.following import WORKER, start, wait_until
from tests.test_imports import MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = int(os.environ.get("QWEN3FT_EXIT_ROUNDS", "1"))
"""Of six servers each: 5 for thirty of them."""
LIMIT_S = 10.0
"""That the process waits from the signal to its end, half a second in all; what hangs, hangs for ever."""
LOOK_S = 0.05
START_S = 90.0
ENDS = {"SIGTERM": 0, "SIGINT": 0, "SIGHUP": -1} if sys.platform != "win32" else {}
"""By what a server is ended, and its exit code: Jupyter leaves the last signal to the system."""
CLIENTS = 8
PATHS = ("/models", "/jobs", "/models/cache/list", "/status")


class PolledServer:
    """A Jupyter server with a job at work in its state folder, and as many panels that poll it without a pause."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hub = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
        (folder / "config").mkdir(parents=True)
        self.job = start(
            JobStore(folder / "state", worker=WORKER), "count", {"keep": str(folder / "number")}, cwd=folder
        )
        # bound, but not listened on: nobody else is given the port, and the server, which reuses addresses, can take it
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self._port = self._reserved.getsockname()[1]
        self._log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(self._command(), env=self._environ(), stdout=self._log, stderr=self._log)
        self.asked = 0
        self._held: list[socket.socket | http.client.HTTPConnection] = []

    def _command(self) -> list[str]:
        options = {
            "ip": "127.0.0.1",
            "port": self._port,
            "port_retries": 0,
            "root_dir": self.folder,
            "allow_root": True,
            "open_browser": False,
            "disable_check_xsrf": True,
            "jpserver_extensions": "{'qwen3ft_jupyter': True, 'jupyter_server_terminals': False}",
        }
        flags = [f"--ServerApp.{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "jupyter_server", "--IdentityProvider.token=", *flags]

    def _environ(self) -> dict[str, str]:
        nowhere = str(self.folder / "config")  # so that no extension that is installed here takes part
        ours = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_RUNTIME_DIR", "HOME"), nowhere)
        ours |= {"MODEL_CACHE_DIR": str(self.folder / "cache"), "QWEN3FT_STATE_DIR": str(self.folder / "state")}
        hub = f"http://127.0.0.1:{self._hub.getsockname()[1]}"
        hubs = {"MODELSCOPE_ENDPOINT": hub, "HF_ENDPOINT": hub}
        return {**os.environ, **ours, **hubs, "JUPYTER_NO_CONFIG": "1"}

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

    def hold_requests(self) -> None:
        """Have a page listen to events, and another ask for a plan, which waits for a hub."""
        events = socket.create_connection(("127.0.0.1", self._port))
        lines = ["GET /api/events/subscribe HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", ""]
        events.sendall("\r\n".join(lines).encode())
        assert b"101" in events.recv(64)
        plan = http.client.HTTPConnection("127.0.0.1", self._port)
        body = '{"model_name": "Qwen/Qwen3-0.6B", "dry_run": true}'
        plan.request("POST", "/qwen3ft/models/download", body)
        self._hub.settimeout(START_S)
        asked, _ = self._hub.accept()
        self._held = [events, plan, asked]

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
        for each in (*self._held, self._log, self._hub, self._reserved):
            each.close()
        self.job.stop()
        self.job.wait(START_S)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PolledServer]:
    server = PolledServer(tmp_path / "server")
    yield server
    server.close()


def hang_disk(state_dir: Path) -> None:
    """Let whoever lists the jobs wait for ever, as on a network drive whose server has gone."""
    folder = state_dir / "jobs" / "20260102-030405-download-0000"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "job.json")


def is_asleep(pid: int) -> bool:
    """Return whether no thread of a process runs, nor would on a machine less busy; True where nobody can tell."""
    try:
        threads = [path.read_text("ascii", "replace") for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # one has just ended
        return False
    return not any(stat.rpartition(")")[2].split()[0] == "R" for stat in threads)


@pytest.mark.parametrize("is_disk_dead", [False, True], ids=["polled", "polled, dead drive"])
@pytest.mark.parametrize(("name", "exit_code"), ENDS.items())
@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_a_server_with_panels_and_a_job_ends_within_seconds(
    server: PolledServer, round_number: int, name: str, exit_code: int, *, is_disk_dead: bool
) -> None:
    wait_until(server.listens, START_S)
    server.hold_requests()
    if is_disk_dead:
        hang_disk(server.folder / "state")
    server.poll(until=CLIENTS if is_disk_dead else 4 * CLIENTS)
    if is_disk_dead:
        with pytest.raises(TimeoutError):
            server.ask("/jobs", timeout_s=0.5)

    began = time.monotonic()
    server.process.send_signal(signal.Signals[name])
    waited_s, is_swallowed = 0.0, False
    while server.process.poll() is None:
        time.sleep(LOOK_S)
        waited_s += LOOK_S if is_asleep(server.process.pid) else 0.0
        assert waited_s < LIMIT_S
        if name == "SIGINT" and not is_swallowed and "KeyboardInterrupt" in server.output():
            # tornado takes an interrupt that comes while it reads the head of a request for an error of that request
            is_swallowed = True
            server.process.send_signal(signal.SIGINT)

    print(f"round {round_number}, {name}: {time.monotonic() - began:.2f} s")  # noqa: T201 - for who measures, with `-s`
    assert server.process.returncode == exit_code
    assert is_swallowed or "Traceback" not in server.output()


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
