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
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.jobs import folder as files
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.jobs.kinds import JobKind, Plain
from qwen3ft_jupyter.jobs.store import Job, JobStore
from tests.benchmarks.browser import Browser, await_answer
from tests.cache.making import make_cached

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "qwen3ft_jupyter" / "labextension"
WORKER = [sys.executable, str(Path(__file__).with_name("panel_job.py")), "run"]
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
    name = "Qwen/Qwen3-4B"
    with running(folder, "download", f"Download {name}", {"model_name": name}), lab(folder) as port:
        print_answers(port)
        async with Browser.open(folder / "browser") as browser:
            await browser.show_lab(f"http://127.0.0.1:{port}/lab?reset")
            await browser.wait_for("!!document.querySelector('#qwen3ft-panel')")
            for name, command in (("shown", "shell.activateById('qwen3ft-panel')"), ("hidden", "shell.collapseLeft()")):
                await browser.run(f"window.jupyterapp.{command}")
                await asyncio.sleep(SETTLE_S)
                ask(port, "probe/start")
                before = await browser.counters()
                await asyncio.sleep(seconds)
                after, probe = await browser.counters(), ask(port, "probe/stop")
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
def running(folder: Path, kind: str, title: str, params: Mapping[str, Any]) -> Iterator[Job]:
    """Yield a job that tells of work as one of its kind does, and does none."""
    told = JobKind(kind, Plain, Plain.from_dict, title=lambda _: title, run=lambda given, _: given)
    job = JobStore(folder / "state", worker=WORKER).start(told, Plain(params), cwd=folder)
    try:
        yield job
    finally:
        job.stop()
        job.wait(30)


@contextlib.contextmanager
def lab(folder: Path, bundle: Path = BUNDLE) -> Iterator[int]:
    """Yield the port of a JupyterLab with a build of the front end, by default that of this checkout."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    labextensions = folder / "labextensions"
    labextensions.mkdir()
    (labextensions / "qwen3ft-jupyter").symlink_to(bundle, target_is_directory=True)
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
        await_answer(lambda: ask(port, "qwen3ft/status"), folder / "lab.log")
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def ask(port: int, path: str) -> Any:
    """Return what the server answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    main()
