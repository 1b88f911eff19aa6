"""A job process for tests: ``python worker_fixture.py run FOLDER`` runs the job with one of these functions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from qwen3ft_jupyter.errors import NoSpace, Stopped
from qwen3ft_jupyter.jobs import worker
from qwen3ft_jupyter.jobs.kinds import JobKind, Plain
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.jobs.kinds import JobContext


def add(params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    context.work.reporter.progress(Progress("checking", 1, 2, "files"))
    context.work.reporter.notice("one thing you should know")
    context.work.reporter.metrics({"step": 1, "loss": 0.5})
    context.work.reporter.metrics({"step": 2, "loss": float("nan")})
    print("adding", params["numbers"])  # noqa: T201
    return {"sum": sum(params["numbers"]), "attempt": context.attempt, "cwd": str(Path.cwd())}


def count(params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Count until told to stop, keeping the last number in a file and going on from it."""
    kept = Path(params["keep"])
    number = int(kept.read_text(encoding="utf-8")) if kept.exists() else 0
    print(f"from {number}")  # noqa: T201
    while not context.work.stop.is_set():
        number += 1
        kept.write_text(str(number), encoding="utf-8")
        context.work.reporter.metrics({"step": number})
        context.work.reporter.progress(Progress("training", number, None, "steps"))
        if number == params.get("enough"):
            return {"number": number}
        context.work.stop.wait(0.02)
    raise Stopped("stopped")


def obey(params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Count as `count` does, and rest while told to; each change of what it is told is a metric."""
    kept = Path(params["keep"])
    told: dict[str, float] | None = None
    while not context.work.stop.is_set():
        now = {"paused": float(context.work.controls.is_paused), "max_speed": context.work.controls.max_speed or 0.0}
        if told is None or now["paused"] != told["paused"]:
            context.work.reporter.progress(Progress("paused" if now["paused"] else "training"))
        if now != told:
            told = now
            context.work.reporter.metrics(now)
        if not now["paused"]:
            kept.write_text(str(int(kept.read_text("utf-8")) + 1 if kept.exists() else 1), encoding="utf-8")
        context.work.stop.wait(0.02)
    raise Stopped("stopped")


def refuse(_params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    raise NoSpace("12 bytes are missing.", hint="Make room.", details={"folder": "/some/where"})


def crash(params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    raise ValueError(params["text"])


def leave(params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    os._exit(params["code"])


def call_exit(_params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    sys.exit("a library gave up")


def signal_self(params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    os.kill(os.getpid(), getattr(signal, params["signal"]))
    time.sleep(60)
    return {}


def deaf(params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    """Never stop; a child in the same process group does not either."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(params["tell"]).write_text(str(child.pid), encoding="utf-8")
    while True:
        time.sleep(1)


def orphan(params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(params["tell"]).write_text(str(child.pid), encoding="utf-8")
    return {"attempt": context.attempt}


def tell_environment(_params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    print("模型 ✓")  # noqa: T201
    return {"session": os.getsid(0), "stdin": str(Path("/proc/self/fd/0").readlink()), "pid": os.getpid()}


def not_json(_params: dict[str, Any], _context: JobContext) -> dict[str, Any]:
    return {"folder": Path("/")}


def report_badly(_params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    (context.folder / "status.json").unlink()
    (context.folder / "status.json").mkdir()
    context.work.reporter.metrics({"step": 1, "loss": Path("no number")})  # type: ignore[dict-item]
    context.work.reporter.progress(Progress("training"))
    context.work.stop.wait(0.6)  # the status cannot be written meanwhile
    (context.folder / "status.json").rmdir()
    return {}


def made_up(function: Callable[[dict[str, Any], JobContext], dict[str, Any]]) -> JobKind[Plain, Plain]:
    def run(params: Plain, context: JobContext) -> Plain:
        return Plain(function(params.to_dict(), context))

    return JobKind(function.__name__, Plain, Plain.from_dict, title=lambda _: function.__name__, run=run)


KINDS = {
    function.__name__: made_up(function)
    for function in (
        add,
        count,
        obey,
        refuse,
        crash,
        leave,
        call_exit,
        signal_self,
        deaf,
        orphan,
        tell_environment,
        not_json,
        report_badly,
    )
}

if __name__ == "__main__":
    sys.exit(worker.run(Path(sys.argv[2]), KINDS))
