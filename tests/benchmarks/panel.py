"""What an open panel costs while a download runs: ``python -m tests.benchmarks.panel``.

A real JupyterLab and a real browser, first with nothing but the download, then with 200 jobs and 300 models beside it.
Prints for the panel shown and hidden: requests by route and their bytes, what the browser's page takes of a core, how
late the server's event loop is, and what its process takes of a core. Needs chromium; `CHROMIUM_PATH` may name it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.websocket import websocket_connect

from qwen3ft_jupyter.jobs import folder as files
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.kinds import JobKind, Plain
from qwen3ft_jupyter.jobs.store import Job, JobStore
from tests.cache.making import make_cached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "qwen3ft_jupyter" / "labextension"
WORKER = [sys.executable, str(Path(__file__).with_name("panel_job.py")), "run"]
START_S = 120.0
SETTLE_S = 6.0
"""After the panel has been shown or hidden, before its cost is counted."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.panel", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=25.0, help="how long each is measured")
    parser.add_argument("--jobs", type=int, default=200, help="jobs that have ended, in the second round")
    parser.add_argument("--models", type=int, default=300, help="cached models, in the second round")
    options = parser.parse_args()
    load = f"load before the start {os.getloadavg()[0]:.1f}"
    print(f"{os.cpu_count()} CPUs shared by all; {load}; {options.seconds:.0f} s each")
    for jobs, models in ((0, 0), (options.jobs, options.models)):
        print(f"a download, {jobs} jobs that have ended, {models} cached models")
        with tempfile.TemporaryDirectory(prefix="qwen3ft-panel-", ignore_cleanup_errors=True) as folder:
            asyncio.run(_measure(Path(folder), jobs, models, options.seconds))


async def _measure(folder: Path, jobs: int, models: int, seconds: float) -> None:
    fill(folder, jobs, models)
    with running_download(folder), lab(folder) as port:
        print_answers(port)
        async with Browser.open(folder / "browser") as browser:
            await browser.show_lab(f"http://127.0.0.1:{port}/lab?reset")
            for name, command in (("shown", "shell.activateById('qwen3ft-panel')"), ("hidden", "shell.collapseLeft()")):
                await browser.run(f"window.jupyterapp.{command}")
                await asyncio.sleep(SETTLE_S)
                _ask(port, "probe/start")
                before = await browser.counters()
                await asyncio.sleep(seconds)
                after, probe = await browser.counters(), _ask(port, "probe/stop")
                print_row(name, seconds, {key: after[key] - before[key] for key in after}, probe)


def print_row(name: str, seconds: float, spent: Mapping[str, float], probe: Mapping[str, Any]) -> None:
    """Print what one state of the panel took."""
    share = {key: f"{value / seconds:.1%}" for key, value in spent.items()}
    routes = ", ".join(f"{route} {count}" for route, count in sorted(probe["requests"].items())) or "none"
    print(f"  {name:7} requests: {routes}; {probe['bytes'] / seconds / 1000:.1f} kB/s")
    print(
        f"  {name:7} page: {share['process']} of a core"
        f" (tasks {share['TaskDuration']}, scripts {share['ScriptDuration']});"
        f" event loop late by p50 {probe['p50_ms']:.1f}, p99 {probe['p99_ms']:.1f}, most {probe['most_ms']:.0f} ms;"
        f" server {probe['cpu_s'] / seconds:.1%} of a core"
    )


def print_answers(port: int) -> None:
    """Print what each list costs: the first time, and the median of later ones."""
    routes = ("jobs", "models", "models/cache/list", "status")
    first = {route: _time(port, route)[0] for route in routes}
    time.sleep(SETTLE_S)  # what has just been written is read once more
    for route in routes:
        times, sizes = zip(*(_time(port, route) for _ in range(11)), strict=True)
        print(
            f"  GET {route:17} {sizes[0] / 1000:6.1f} kB, first {first[route]:5.0f} ms, then {sorted(times)[5]:5.1f} ms"
        )


def _time(port: int, route: str) -> tuple[float, int]:
    """Return how many milliseconds an answer takes, and its bytes."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/qwen3ft/{route}") as answer:
        size = len(answer.read())
    return (time.perf_counter() - began) * 1000, size


def fill(folder: Path, jobs: int, models: int) -> None:
    """Write jobs that have ended, and cached models, as they lie on a disk."""
    for number in range(jobs):
        write_job(folder / "state" / "jobs", number)
    for number in range(models):
        make_cached(folder / "cache", f"someone/Qwen3-Copy-{number:03}", {"config.json": b"{}", **_shards(number)})
    (folder / "config").mkdir()


def _shards(number: int) -> dict[str, bytes]:
    return {f"model-{shard:05}-of-00008.safetensors": f"{number} {shard}".encode() for shard in range(8)}


def write_job(jobs_dir: Path, number: int) -> None:
    """Write a download that has ended."""
    begun = time.time() - 86_400 + 60 * number
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(begun))
    folder = jobs_dir / f"{moment}-download-{number:04x}"
    folder.mkdir(parents=True)
    name = f"someone/Qwen3-Copy-{number:03}"
    params = {"model_name": name, "revision": None, "settings": {}, "is_trusted": True}
    spec = files.JobSpec(folder.name, "download", f"Download {name}", params, begun, sys.executable, str(folder), 60.0)
    files.write_spec(folder, spec)
    files.begin_attempt(folder, 1)
    sources = [{"name": source, "bytes": 10**9} for source in ("ModelScope", "Hugging Face")]
    result = {"bytes": 2 * 10**9, "hub": "modelscope", "sources": sources, "adopted": 10**8, "verified": True}
    end = {"attempt": 1, "state": "succeeded", "started": begun, "ended": begun + 50, "updated": begun + 50}
    supervisor.write_status(folder, {**end, "result": result})


@contextlib.contextmanager
def running_download(folder: Path) -> Iterator[Job]:
    """Yield a job that tells of a download and moves no byte."""
    store = JobStore(folder / "state", worker=WORKER)
    kind = JobKind(
        "download",
        Plain,
        Plain.from_dict,
        title=lambda _: "Download Qwen/Qwen3-4B",
        run=lambda params, _: params,
        can_pause=True,
    )
    job = store.start(kind, Plain({"model_name": "Qwen/Qwen3-4B"}), cwd=folder)
    try:
        yield job
    finally:
        job.stop()
        job.wait(30)


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[int]:
    """Yield the port of a JupyterLab with the front end of this checkout."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    labextensions = folder / "labextensions"
    labextensions.mkdir()
    (labextensions / "qwen3ft-jupyter").symlink_to(BUNDLE, target_is_directory=True)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": folder,
        "ServerApp.allow_root": True,
        "ServerApp.open_browser": False,
        "ServerApp.jpserver_extensions": "{'qwen3ft_jupyter': True, 'tests.benchmarks.panel_probe': True}",
        "LabApp.expose_app_in_browser": True,
        "IdentityProvider.token": "",
    }
    # Not as an option, for then what is installed comes first.
    config = f"c.LabServerApp.extra_labextensions_path = [{str(labextensions)!r}]\n"
    (folder / "config" / "jupyter_server_config.py").write_text(config, "utf-8")
    command = [sys.executable, "-m", "jupyter", "lab", *(f"--{name}={value}" for name, value in options.items())]
    ours = {
        "MODEL_CACHE_DIR": str(folder / "cache"),
        "QWEN3FT_STATE_DIR": str(folder / "state"),
        "QWEN3FT_OFFLINE": "1",
    }
    ours |= {"JUPYTER_CONFIG_DIR": str(folder / "config"), "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    with (folder / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **ours}, stdout=log, stderr=log)
    try:
        _await(lambda: _ask(port, "qwen3ft/status"), folder / "lab.log")
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _await(ask: Callable[[], object], log: Path) -> None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            ask()
            return
        time.sleep(0.2)
    raise SystemExit(log.read_text("utf-8", "replace"))


def _ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
        return json.loads(answer.read())


class Browser:
    """A page of chromium, driven over the DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._session: str | None = None
        self._target = ""
        self._number = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, profile: Path) -> AsyncIterator[Browser]:
        """Yield a browser without a window."""
        program = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise SystemExit("chromium is needed")
        flags = ["--headless=new", "--no-sandbox", "--remote-debugging-port=0", "--window-size=1280,900"]
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else happens meanwhile
            [program, *flags, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            address = profile / "DevToolsActivePort"
            _await(address.read_text, Path(os.devnull))
            await asyncio.sleep(0.5)
            port, path = address.read_text().split()
            yield cls(await websocket_connect(f"ws://127.0.0.1:{port}{path}", max_message_size=1 << 26))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    async def send(self, method: str, *, of_page: bool = True, **params: object) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        session = {"sessionId": self._session} if of_page and self._session else {}
        number = self._number
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": params, **session}))
        while True:
            answer = json.loads(await self._socket.read_message())
            if answer.get("id") == number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    async def open_page(self, url: str) -> None:
        """Open a page, in place of the one before, without waiting for what is on it."""
        if self._target:
            await self.send("Target.closeTarget", of_page=False, targetId=self._target)
        self._session = None
        self._target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        await self.send("Page.navigate", url=url)

    async def show_lab(self, url: str) -> None:
        """Open JupyterLab and wait until it is ready."""
        await self.open_page(url)
        deadline = time.monotonic() + START_S
        is_there = "!!window.jupyterapp && !!document.querySelector('#qwen3ft-panel')"
        ready = f"{is_there} && !document.querySelector('#jupyterlab-splash')"
        while not await self.run(ready):
            if time.monotonic() > deadline:
                raise SystemExit("JupyterLab does not come up in the browser")
            await asyncio.sleep(0.3)
        await self.send("Performance.enable")

    async def run(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        done = await self.send(
            "Runtime.evaluate",
            expression=f"Promise.resolve({expression}).then(value => value === undefined ? null : value)",
            awaitPromise=True,
            returnByValue=True,
        )
        return done["result"].get("value")

    async def counters(self) -> dict[str, float]:
        """Return the seconds that the page has taken so far: of its process, and of its main thread by purpose."""
        found = {one["name"]: one["value"] for one in (await self.send("Performance.getMetrics"))["metrics"]}
        processes = (await self.send("SystemInfo.getProcessInfo", of_page=False))["processInfo"]
        renderers = sum(one["cpuTime"] for one in processes if one["type"] == "renderer")
        return {"process": renderers, **{name: found[name] for name in ("TaskDuration", "ScriptDuration")}}


if __name__ == "__main__":
    main()
