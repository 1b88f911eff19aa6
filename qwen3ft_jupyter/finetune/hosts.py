"""The first host of a fine-tune on several: it says how others join, starts the processes of all, and hears them.

Each other host runs `joining.join`, which starts and ends processes there when it is told so. When one dies, or a host
is lost, all processes are ended and, once all hosts are there again, started anew from the last complete checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from qwen3ft_jupyter.errors import JobFailed, Qwen3ftError, Stopped, error_from_json
from qwen3ft_jupyter.finetune.fleet import Fleet
from qwen3ft_jupyter.finetune.launch import (
    LEAVE_S,
    MOST_RESTARTS,
    Heard,
    Lateness,
    command,
    named,
    pass_on,
    rank_environ,
)
from qwen3ft_jupyter.finetune.reception import Host, Reception
from qwen3ft_jupyter.finetune.results import Outcome
from qwen3ft_jupyter.finetune.wire import HOSTS_FOLDER, KEY_NAME, free_port, interface_of
from qwen3ft_jupyter.messages import Message, with_messages
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.start import Start
    from qwen3ft_jupyter.work import Work

LOOK_S = 0.25
ALONE_S = 2.0
"""torchrun may take so long to end once none of its processes is left."""
COME_BACK_S = 600.0
"""A host that is lost may take so long to join again."""
END_S = 3 * LEAVE_S + 10
"""A host may take so long to end its processes; else it counts as lost."""


class _Again(Exception):
    """All processes have to be started again; the message says why."""

    def __init__(self, why: Message) -> None:
        super().__init__(str(why))
        self.why = why


def train_on_hosts(config: FineTuneConfig, start: Start, devices: Sequence[str], work: Work) -> Outcome:
    """Fine-tune as `training.train` does, on `config.hosts` hosts of which this is the first.

    Raises what that raises, and JobFailed if a host cannot take part, or processes die again and again.
    """
    with contextlib.ExitStack() as stack:
        first = _First(config, start, devices, work, stack)
        try:
            outcome = first.train()
        except BaseException as error:
            first.tell_end(error)
            raise
        first.tell_end(None)
        return outcome


class _First:
    """The first host, from when others can join."""

    def __init__(
        self, config: FineTuneConfig, start: Start, devices: Sequence[str], work: Work, stack: contextlib.ExitStack
    ) -> None:
        self._config, self._start, self._devices, self._work = config, start, devices, work
        self._reception = Reception(config, start, stack)
        self._heard = Heard(self._reception.door, self._reception.greet)
        stack.callback(self._heard.close)
        self._has_host_asked_to_stop = self._is_training = False

    def train(self) -> Outcome:
        """Train until the end; each time that processes die or a host is lost, all are started again."""
        self._tell_how_to_join()
        self._gather(None)
        restarts = 0
        while isinstance(outcome := self._try(restarts), Message):
            self._read_news()
            if self._is_to_stop():  # what was to be stopped is not started once more
                raise Stopped(
                    "{why} The fine-tune was to stop, so it is not started again.",
                    hint="Resume goes on from the last complete checkpoint.",
                    why=outcome,
                )
            restarts += 1
            if restarts > MOST_RESTARTS:
                raise JobFailed(
                    "{why} All had been started again {most} times before.",
                    hint="What was saved is kept: resume goes on from there. The end of the job's log shows more.",
                    why=outcome,
                    most=MOST_RESTARTS,
                )
            self._gather(outcome)
            self._work.notice(
                "{why} All have been started again ({number} of {most} times).",
                why=outcome,
                number=restarts,
                most=MOST_RESTARTS,
            )
        return outcome

    def _try(self, restarts: int) -> Outcome | Message:
        """Train; return why all have to be started again if that is so."""
        self._is_training = True
        try:
            return self._train_once(restarts)
        except _Again as again:
            return again.why
        finally:
            self._is_training = False

    def tell_end(self, error: BaseException | None) -> None:
        """Tell all hosts that it is over, and how."""
        told: dict[str, Any] = {"code": 0}
        if isinstance(error, Stopped):
            told = {"code": 130, "error": error.to_json()}
        elif error is not None:
            known = error if isinstance(error, Qwen3ftError) else JobFailed("The job on the first host has failed.")
            told = {"code": 1, "error": known.to_json()}
        self._reception.dismiss(told)

    def _tell_how_to_join(self) -> None:
        self._work.notice(
            "Hosts that are still to join: {count}. Start this on each: {command}",
            count=self._config.hosts - 1,
            command=self._reception.join_command,
        )
        if reason := self._reception.unknown_because:
            self._work.notice(
                "WARNING: this host cannot look up {host} ({reason}): others join by that name only if they can. "
                "hosts_address says it.",
                host=self._reception.address[0],
                reason=reason,
            )
        if not self._reception.keeps_rights:
            self._work.notice(
                "WARNING: the mount of output_dir keeps no rights: whoever can read {folder} there can join.",
                folder=f"{HOSTS_FOLDER}/{KEY_NAME}",
            )

    def _gather(self, why: Message | None) -> None:
        """Wait until all hosts are there and ready. Raises Stopped, JobFailed."""
        until = time.monotonic() + COME_BACK_S
        told = -1
        if why is not None and self._present() < self._config.hosts:
            self._work.notice(
                "{why} The others wait for it. It can join again within {minutes:.0f} minutes: {command}",
                why=why,
                minutes=COME_BACK_S / 60,
                command=self._reception.join_command,
            )
        while (present := self._present()) < self._config.hosts:
            if self._is_to_stop():
                raise Stopped("Stopped while it waited for hosts.", hint="Resume waits for them again.")
            if why is not None and time.monotonic() > until:
                raise JobFailed(
                    "{why} It has not joined again within {minutes:.0f} minutes.",
                    hint="Resume goes on from the last checkpoint, with another number of hosts if need be.",
                    why=why,
                    minutes=COME_BACK_S / 60,
                )
            if (digested := self._reception.digested) is not None:
                told = -1
                self._work.progress(Progress("checking", *digested, "bytes"))
            elif present != told:
                told = present
                here = Message("{present} of {count} hosts", present=present, count=self._config.hosts)
                self._work.progress(Progress("waiting", detail=here))
            self._read_news(LOOK_S)

    def _present(self) -> int:
        return 1 + len(self._reception.hosts())

    def _is_to_stop(self) -> bool:
        """Return whether the run is to stop, be it here or because a host asked for it at any time."""
        return self._work.stop.is_set() or self._has_host_asked_to_stop

    def _read_news(self, wait_s: float = 0) -> None:
        """Take note of what hosts have said, and of strangers; waits for the first word so long.

        Raises JobFailed if a host that a launcher has started cannot take part.
        """
        for host, news in self._next_news(wait_s):
            if "stop" in news and not self._has_host_asked_to_stop:
                self._has_host_asked_to_stop = True
                self._work.notice("The host {host} asks to stop.", host=host.facts.name)
            elif "refused" in news:
                error = error_from_json(news["refused"])
                if host.index is not None and not self._is_training:
                    raise error  # whoever started it will not start it again
                self._work.reporter.notice(Message("{message} {hint}", message=error.message, hint=error.hint))
        for address in self._reception.new_strangers():
            self._work.notice(
                "{address} tried to join without the key: does it see output_dir, and is it the same user?",
                address=address,
            )

    def _next_news(self, wait_s: float) -> Iterator[tuple[Host, dict[str, Any]]]:
        with contextlib.suppress(queue.Empty):
            yield self._reception.news.get(timeout=wait_s) if wait_s else self._reception.news.get_nowait()
            while True:
                yield self._reception.news.get_nowait()

    def _train_once(self, restarts: int) -> Outcome:
        """Start the processes of all hosts and hear them to the end. Raises _Again, and what they tell."""
        hosts = self._reception.hosts()
        groups = [(self._reception.facts.name, len(self._devices))]
        groups += [(host.facts.name, len(host.devices)) for host in hosts]
        names = list(_names_of(groups))
        devices = [*self._devices, *(device for host in hosts for device in host.devices)]
        fleet = Fleet(self._work, devices, names)
        self._heard.begin_again(restarts)
        self._read_news()
        if restarts == 0:
            self._work.notice(
                "{count} processes on {hosts} hosts train together. A step has the same {samples} samples as with one.",
                count=len(names),
                hosts=self._config.hosts,
                samples=self._config.effective_batch_size,
            )
        start = self._start.going_on() if restarts else self._start
        task = {"config": self._config.to_dict(), "start": start.to_dict(), "restarts": restarts}
        port = free_port()
        for node, host in enumerate(hosts, 1):
            host.ended, host.number = None, restarts
            with contextlib.suppress(OSError):  # its end comes as news
                host.line.tell(start={"task": task, "node": node, "hosts": self._config.hosts, "port": port})
        with tempfile.TemporaryDirectory(prefix="qwen3ft-") as folder:
            here = "::1" if self._reception.address[0] == "::1" else "127.0.0.1"
            place = place_of(self._config.hosts, 0, (here, port))
            process = start_ranks(
                Path(folder),
                task,
                self._devices,
                (here, self._reception.door.port),
                key=self._reception.key,
                place=place,
                own_host=self._reception.address[0],
            )
            try:
                return self._hear(process, hosts, names, fleet)
            finally:
                for host in hosts:
                    with contextlib.suppress(OSError):
                        host.line.tell(end=True)
                self._heard.dismiss()
                end_ranks(process)
                self._wait_until_ended(hosts)

    def _hear(
        self, process: subprocess.Popen[bytes], hosts: Sequence[Host], names: Sequence[str], fleet: Fleet
    ) -> Outcome:
        """Pass on what is told until the first process tells its outcome."""
        lateness = Lateness(len(names), names)
        while True:
            if self._is_to_stop():
                self._heard.ask_to_stop()
            for rank, message in self._heard.messages():
                if "error" in message:
                    raise error_from_json(message["error"])
                if "outcome" in message:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(LEAVE_S)
                    return Outcome.from_dict(with_messages(message["outcome"]))
                lateness.hear(rank, message, time.monotonic())
                fleet.hear(rank, message)
                pass_on(message, self._work)
            for notice in lateness.news(time.monotonic()):
                self._work.reporter.notice(notice)
            self._read_news()
            try:
                self._look_at(process, hosts, names)
            finally:  # also of those whose end has just been seen
                fleet.show(lateness, time.monotonic(), self._gone(hosts))

    def _gone(self, hosts: Sequence[Host]) -> set[int | None]:
        """Return the processes that are gone: those of hosts that are lost, and the first whose connection broke."""
        gone = {self._heard.first_gone}
        before = len(self._devices)
        for host in hosts:
            if host.is_lost:
                gone.update(range(before, before + len(host.devices)))
            before += len(host.devices)
        return gone

    def _look_at(self, process: subprocess.Popen[bytes], hosts: Sequence[Host], names: Sequence[str]) -> None:
        """Raise _Again if a host is lost, or processes have ended too early."""
        for host in hosts:
            if host.is_lost:
                raise _Again(Message("The host {host} is gone.", host=host.facts.name))
        if process.poll() or any(host.ended for host in hosts):
            gone = named(self._heard.first_gone, names)
            if gone is not None:
                raise _Again(Message("Process {rank} of {count} died.", rank=gone, count=len(names)))
            ended = [host.facts.name for host in hosts if host.ended] or [self._reception.facts.name]
            raise _Again(Message("The processes of {host} ended before they had begun.", host=", ".join(ended)))

    def _wait_until_ended(self, hosts: Sequence[Host]) -> None:
        """Wait for the processes of other hosts; one that does not answer counts as lost."""
        until = time.monotonic() + END_S
        while any(host.ended is None and not host.is_lost for host in hosts):
            if time.monotonic() > until:
                for host in hosts:
                    if host.ended is None:
                        host.is_lost = True
                        host.line.close()
                return
            time.sleep(LOOK_S / 5)


def _names_of(groups: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield for each process the name of its host; hosts of one name get their place, too.

    >>> list(_names_of([("a", 2), ("b", 1)])), list(_names_of([("a", 1), ("a", 1)]))
    (['a', 'a', 'b'], ['a, host 0', 'a, host 1'])
    """
    known = Counter(name for name, _ in groups)
    for place, (name, count) in enumerate(groups):
        yield from [name if known[name] == 1 else f"{name}, host {place}"] * count


def end_ranks(process: subprocess.Popen[bytes]) -> int:
    """Let processes leave that have been told to, or end them; return torchrun's exit code.

    Without them torchrun would wait five minutes for that of another host, which may be gone, and heed no signal.
    """
    until = time.monotonic() + LEAVE_S
    while process.poll() is None and time.monotonic() < until:
        if not _has_ranks(process):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(ALONE_S)
            process.kill()
            return process.wait()
        time.sleep(LOOK_S / 5)
    for urge in (process.terminate, process.kill):
        urge()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(LEAVE_S)
    return process.wait()


def _has_ranks(process: subprocess.Popen[bytes]) -> bool:
    try:
        return bool(psutil.Process(process.pid).children())
    except psutil.Error:
        return False


def place_of(hosts: int, node: int, master: tuple[str, int]) -> list[str]:
    """Return what torchrun is told of its place among hosts."""
    return [
        *(f"--nnodes={hosts}", f"--node-rank={node}"),
        *(f"--master-addr={master[0]}", f"--master-port={master[1]}", "--max-restarts=0"),
    ]


def start_ranks(
    folder: Path,
    task: Mapping[str, Any],
    devices: Sequence[str],
    address: tuple[str, int],
    *,
    key: bytes,
    place: Sequence[str],
    own_host: str,
    has_terminal: bool = False,
) -> subprocess.Popen[bytes]:
    """Start this host's processes, which tell of themselves at `address`.

    Where we have a terminal, they get a session of their own: its Ctrl-C would end them, and is to end them with a
    checkpoint. A job's processes stay in its group, and are killed with that.
    """
    file = folder / "ranks.json"
    file.write_text(json.dumps({**task, "devices": list(devices), "address": address}), encoding="utf-8")
    environ = rank_environ(key)
    if interface := interface_of(own_host):
        environ.setdefault("GLOO_SOCKET_IFNAME", interface)  # gloo takes that of the host's name, often a loopback
    words = command(sys.executable, len(devices), file, place)
    return subprocess.Popen(words, env=environ, start_new_session=has_terminal)
