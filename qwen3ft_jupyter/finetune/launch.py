"""Starts the processes that compute a fine-tune together, hears what they tell, and says when one does not come along.

torchrun starts them, and starts all of them again when one dies: they then go on from the last complete checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qwen3ft_jupyter.errors import JobFailed, error_from_json
from qwen3ft_jupyter.finetune.fleet import Fleet
from qwen3ft_jupyter.finetune.ranks import KEY_VARIABLE, LEAVE, STOP
from qwen3ft_jupyter.finetune.results import Outcome
from qwen3ft_jupyter.finetune.wire import is_place
from qwen3ft_jupyter.messages import Message, from_json, with_messages
from qwen3ft_jupyter.processes import start_thread
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.start import Start
    from qwen3ft_jupyter.work import Health, Work

MOST_RESTARTS = 3
"""Of all processes, after the death of one."""
LOOK_S = 0.25
LATE_S = 90.0
"""Who holds up a process that has waited for so long is named."""
WAITING_S = 5.0
"""Who has waited for the others for less is shown as at work."""
LEAVE_S = 20.0
"""Processes may take that long to leave, once the end is told, and again when they are urged."""
_ENTRY = Path(__file__).parent.parent / "__main__.py"


ALONE = ("--standalone", f"--max-restarts={MOST_RESTARTS}")
"""What torchrun is told on the one host of a fine-tune. Of several hosts the first says when all are started again."""


def command(python: str, count: int, file: Path | str, place: Sequence[str] = ALONE) -> list[str]:
    """Return the command that starts `count` processes on this host, which take part in what `file` describes."""
    return [
        *(python, "-m", "torch.distributed.run", *place),
        *(f"--nproc-per-node={count}", str(_ENTRY), "rank", str(file)),
    ]


def train_together(config: FineTuneConfig, start: Start, devices: Sequence[str], work: Work) -> Outcome:
    """Fine-tune as `training.train` does, in one process for each device.

    Raises what that raises, and JobFailed if processes die again and again.
    """
    work.notice(
        "{count} processes train together. A step has the same {samples} samples as with one.",
        count=len(devices),
        samples=config.effective_batch_size,
    )
    key = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory(prefix="qwen3ft-") as folder, Listener(authkey=key) as listener:
        file = Path(folder) / "ranks.json"
        task = {"config": config.to_dict(), "start": start.to_dict(), "devices": list(devices)}
        file.write_text(json.dumps({**task, "address": listener.address}), encoding="utf-8")
        heard = Heard(listener)
        environ = rank_environ(key)
        process = subprocess.Popen(command(sys.executable, len(devices), file), env=environ)
        try:
            return _until_end(process, heard, work, devices)
        finally:
            end(process, heard)
            heard.close()


def _until_end(process: subprocess.Popen[bytes], heard: Heard, work: Work, devices: Sequence[str]) -> Outcome:
    """Pass on what is told until the first process tells its outcome. Raises what any of them tells."""
    count = len(devices)
    restarts, lateness, fleet = 0, Lateness(count), Fleet(work, devices)
    while process.poll() is None or not heard.is_over():
        if work.stop.is_set():
            heard.ask_to_stop()
        for rank, message in heard.messages():
            if "error" in message:
                raise error_from_json(message["error"])
            if "outcome" in message:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LEAVE_S)
                return Outcome.from_dict(with_messages(message["outcome"]))
            if message.get("restarts", 0) > restarts:
                restarts, lateness, fleet = message["restarts"], Lateness(count), Fleet(work, devices)
                _tell_of_restart(heard, work, restarts, count)
            lateness.hear(rank, message, time.monotonic())
            fleet.hear(rank, message)
            pass_on(message, work)
        for notice in lateness.news(time.monotonic()):
            work.reporter.notice(notice)
        fleet.show(lateness, time.monotonic(), [heard.first_gone])
    raise JobFailed(
        "The processes that train together have ended, again and again.", hint="The end of the job's log shows why."
    )


def _tell_of_restart(heard: Heard, work: Work, restarts: int, count: int) -> None:
    work.notice(
        "Process {rank} of {count} died: all have been started again ({number} of {most} times).",
        rank=heard.first_gone,
        count=count,
        number=restarts,
        most=MOST_RESTARTS,
    )
    heard.first_gone = None


def pass_on(message: Mapping[str, Any], work: Work) -> None:
    """Tell whoever started the work what a process tells."""
    if "progress" in message:
        work.progress(Progress.from_dict(message["progress"]))
    elif "notice" in message:
        work.reporter.notice(from_json(message["notice"]))
    elif "metrics" in message:
        work.metrics(message["metrics"])


def end(process: subprocess.Popen[bytes], heard: Heard) -> None:
    """Let all leave, torchrun then ends; or end it, and what it has started with it."""
    heard.dismiss()
    for urge in (process.terminate, process.kill, process.wait):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LEAVE_S)
            return
        urge()


def rank_environ(key: bytes) -> dict[str, str]:
    """Return the environment of the processes: nothing in it tells of a place that another launcher gave this one."""
    return {name: value for name, value in os.environ.items() if not is_place(name)} | {KEY_VARIABLE: key.hex()}


class Listens(Protocol):
    """A listener of `multiprocessing`, or a `wire.Door`."""

    def accept(self) -> Connection:
        """Return the next one who knows the key."""

    def close(self) -> None:
        """Accept no more."""


class Heard:
    """What processes tell, in the order in which it comes. Threads of its own accept and read.

    Who begins with "host" is the launcher of another host, and handed to `on_host` with what it said.
    """

    def __init__(
        self, listener: Listens, on_host: Callable[[Connection, Mapping[str, Any]], None] = lambda _, __: None
    ) -> None:
        self._listener, self._on_host = listener, on_host
        self._queue: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self._first: Connection | None = None
        self._open: list[Connection] = []
        self._ranks: list[Connection] = []
        """Those of them that are known to be of processes."""
        self._is_closed = self._is_dismissed = False
        self.first_gone: int | None = None
        """The process whose connection broke first since all were started."""
        self.oldest = 0
        """Processes that were started before that many restarts are let go."""
        start_thread(threading.Thread(target=self._accept, name="qwen3ft-ranks", daemon=True))

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rank and the message of what has come; waits for the first one a moment."""
        with contextlib.suppress(queue.Empty):
            yield self._queue.get(timeout=LOOK_S)
            while True:
                yield self._queue.get_nowait()

    def is_over(self) -> bool:
        """Return whether nothing can come any more."""
        return not self._open and self._queue.empty()

    def ask_to_stop(self) -> None:
        """Ask the first process to end after the step at hand."""
        first, self._first = self._first, None
        if first is not None:
            with contextlib.suppress(OSError):
                first.send_bytes(STOP)

    def dismiss(self) -> None:
        """Let all processes go, whatever they do, and those that still come."""
        self._is_dismissed = True
        for connection in list(self._ranks):
            with contextlib.suppress(OSError):
                connection.send_bytes(LEAVE)

    def begin_again(self, restarts: int) -> None:
        """Hear those that are started now; what others still tell is of no account."""
        self.oldest, self.first_gone, self._first = restarts, None, None
        for connection in list(self._ranks):
            with contextlib.suppress(OSError):
                connection.send_bytes(LEAVE)
        self._is_dismissed = False
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def close(self) -> None:
        """Accept no more."""
        self._is_closed = True
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):  # closed, or somebody without the key
                if self._is_closed:
                    return
                continue
            self._open.append(connection)
            start_thread(threading.Thread(target=self._read, args=(connection,), daemon=True))

    def _read(self, connection: Connection) -> None:
        rank = restarts = -1
        try:
            message = json.loads(connection.recv_bytes())
            if "host" in message:
                self._open.remove(connection)  # a host says itself when it goes
                self._on_host(connection, message["host"])
                return
            rank, restarts = message.get("rank", rank), message.get("restarts", 0)
            self._ranks.append(connection)
            if restarts < self.oldest or self._is_dismissed:  # it was still starting
                connection.send_bytes(LEAVE)
            elif rank == 0:
                self._first = connection
            while restarts >= self.oldest:
                self._queue.put((rank, message))
                message = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            if self.first_gone is None and restarts >= self.oldest:
                self.first_gone = rank
        finally:
            for known in (self._open, self._ranks):
                with contextlib.suppress(ValueError):
                    known.remove(connection)


def named(rank: int | None, hosts: Sequence[str]) -> int | str | None:
    """Return what to call a process: its number, with its host if there are several.

    >>> named(1, ()), named(1, ("gpu-1", "gpu-2"))
    (1, '1 (gpu-2)')
    """
    return rank if rank is None or not 0 <= rank < len(hosts) else f"{rank} ({hosts[rank]})"


@dataclass
class Lateness:
    """Tells which process holds the others up."""

    count: int
    hosts: Sequence[str] = ()
    """Of each process the host, where there are several."""
    _step: int = -1
    _waiting: dict[int, float] = field(default_factory=dict)
    """Since when processes have waited at the step, by their rank."""
    _heard: dict[int, float] = field(default_factory=dict)
    _is_told: bool = False

    def hear(self, rank: int, message: Mapping[str, Any], now: float) -> None:
        """Note what a process tells of itself."""
        self.heard(rank, now)
        if "at" in message:
            self.arrived(rank, message["at"], now)
        elif "past" in message:
            self.left(rank)

    def heard(self, rank: int, now: float) -> None:
        """Note that something has come of a process."""
        self._heard[rank] = now

    def arrived(self, rank: int, step: int, now: float) -> None:
        """Note that a process has computed its part of a step."""
        if step != self._step:
            self._step, self._waiting, self._is_told = step, {}, False
        self._waiting[rank] = now

    def left(self, rank: int) -> None:
        """Note that a process has what the others computed."""
        self._waiting.pop(rank, None)

    def health(self, rank: int, now: float) -> Health:
        """Return how a process is that is not known to be gone."""
        if rank not in self._heard:
            return "starting"
        if rank in self._waiting:
            return "waiting" if now - self._waiting[rank] >= WAITING_S else "running"
        return "late" if self._waited(now) >= LATE_S else "running"

    def _waited(self, now: float) -> float:
        """Return how long the first who waits has waited."""
        return now - min(self._waiting.values(), default=now)

    def news(self, now: float) -> Iterator[Message]:
        """Yield, once a step, why processes have waited for each other for so long."""
        if self._is_told or not self._waiting or self._waited(now) < LATE_S:
            return
        self._is_told = True
        silent = [rank for rank, when in sorted(self._heard.items()) if now - when >= LATE_S]
        late = [rank for rank in range(self.count) if rank not in self._waiting and rank not in silent]
        for rank in silent:
            yield Message(
                "Process {rank} of {count} has been silent for {seconds:.0f} s, and the others wait for it.",
                rank=named(rank, self.hosts),
                count=self.count,
                seconds=LATE_S,
            )
        for rank in late if not silent else ():
            yield Message(
                "Process {rank} of {count} is {seconds:.0f} s behind the others at step {step}, and they wait for it.",
                rank=named(rank, self.hosts),
                count=self.count,
                seconds=LATE_S,
                step=self._step + 1,
            )
        if not silent and not late:
            yield Message(
                "All {count} processes have waited for each other for {seconds:.0f} s at step {step}: what one sends "
                "does not reach another.",
                count=self.count,
                seconds=LATE_S,
                step=self._step + 1,
            )
