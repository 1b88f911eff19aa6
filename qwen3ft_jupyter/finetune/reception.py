"""Where hosts come in: each is asked whether it can take part, and gets the model if it has not got it."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import shlex
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.disk import make_folders, write_json
from qwen3ft_jupyter.errors import JobFailed, Qwen3ftError, error_from_json
from qwen3ft_jupyter.finetune.addresses import split_address
from qwen3ft_jupyter.finetune.probe import (
    PROBE_FILES,
    HostFacts,
    Probe,
    data_digests,
    model_digests,
    other_data,
    other_versions,
    refusal,
)
from qwen3ft_jupyter.finetune.wire import (
    CONFIG_NAME,
    HOSTS_FOLDER,
    KEY_NAME,
    Door,
    Line,
    make_key,
    own_address,
    write_address,
)
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.mirror.addresses import is_everywhere
from qwen3ft_jupyter.paths import matching

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.start import Start

MOST_STRANGERS = 32
"""Addresses that are told of in one run; a scan of ports is not to fill the job's log."""


@dataclass(eq=False)
class Host:
    """Another host that has joined."""

    facts: HostFacts
    line: Line
    index: int | None
    """Its place, where whoever started it says so."""
    devices: Sequence[str] = ()
    is_ready: bool = False
    is_lost: bool = False
    number: int = -1
    """How often all had been started again before its processes were started."""
    ended: int | None = None
    """The exit code of those, once they have ended."""


class Reception:
    """Lets hosts in, from when it is made until `stack` ends."""

    def __init__(self, config: FineTuneConfig, start: Start, stack: contextlib.ExitStack) -> None:
        """Listen. Raises JobFailed if that cannot be."""
        self._config, self._start, self._stack = config, start, stack
        self.facts, self._digests = HostFacts.here(), data_digests(config.data)
        self._hosts: list[Host] = []
        self._lock = threading.Lock()
        self._mirror: dict[str, str] | None = None
        self._of_model: dict[str, str] | None = None
        self._digesting = threading.Lock()
        self.digested: tuple[int, int] | None = None
        """While the model is compared with a host's: how many of its bytes have been read, and how many there are."""
        self.news: queue.Queue[tuple[Host, dict[str, Any]]] = queue.Queue()
        """What hosts say, once they are ready; and who was refused."""
        self._strangers: dict[str, bool] = {}
        """Addresses from which somebody came without the key, and whether that has been told."""
        self.folder = Path(config.output_dir) / HOSTS_FOLDER
        stack.callback(_clear, self.folder)
        make_folders(self.folder)
        write_json(self.folder / CONFIG_NAME, config.to_dict())
        self.key = make_key(self.folder)
        wanted = split_address(config.hosts_address or "")
        try:
            self.door = Door(wanted, self.key, self._meet_stranger)
        except OSError as error:
            raise JobFailed(
                "hosts_address: nothing can listen on {address}: {reason}.",
                hint="Name another port, or leave it out.",
                address=write_address(wanted),
                reason=os.strerror(error.errno) if error.errno else str(error),  # Python adds a tuple to its words
            ) from error
        self.address = (own_address() if is_everywhere(wanted[0]) else wanted[0], self.door.port)
        """Where others find it; what was asked for may name no host."""

    @property
    def join_command(self) -> str:
        """Return what is typed in a shell on another host, whatever this fine-tune was started in."""
        words = ["qwen3ft", "finetune", str(self.folder / CONFIG_NAME), "--join", write_address(self.address)]
        return shlex.join(words)

    @property
    def unknown_because(self) -> str:
        """Return why this host cannot look up the name that others are told; "" if it can."""
        try:
            socket.getaddrinfo(*self.address)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    @property
    def keeps_rights(self) -> bool:
        """Return whether nobody else can read the key: some mounts keep no rights."""
        return not (self.folder / KEY_NAME).stat().st_mode & 0o077

    def _meet_stranger(self, address: str) -> None:
        with self._lock:
            if len(self._strangers) < MOST_STRANGERS:
                self._strangers.setdefault(address, False)

    def new_strangers(self) -> list[str]:
        """Return from where somebody came without the key; each address once, however often that is tried."""
        with self._lock:
            new = [address for address, is_told in self._strangers.items() if not is_told]
            self._strangers.update(dict.fromkeys(new, True))
        return new

    def hosts(self) -> list[Host]:
        """Return those that are ready, in their order."""
        with self._lock:
            self._hosts = [host for host in self._hosts if not host.is_lost]
            return sorted((host for host in self._hosts if host.is_ready), key=lambda host: host.index or 0)

    def dismiss(self, told: Mapping[str, Any]) -> None:
        """Tell all hosts that it is over, and how."""
        with self._lock:
            for host in self._hosts:
                with contextlib.suppress(OSError):
                    host.line.tell(over=told)

    def greet(self, connection: Connection, said: Mapping[str, Any]) -> None:
        """Find out whether a host can take part, then hear it until it is gone."""
        host = Host(HostFacts.from_dict(said["facts"]), Line(connection), said.get("index"))
        try:
            self._admit(host)
            while True:
                news = host.line.hear()
                if "ended" in news and news.get("number") == host.number:
                    host.ended = int(news["ended"])
                self.news.put((host, news))
        except Qwen3ftError as error:
            with contextlib.suppress(OSError):
                host.line.tell(over={"code": 1, "error": error.to_json()})
            self.news.put((host, {"refused": error.to_json()}))
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            pass
        finally:
            host.is_lost = True
            host.line.close()

    def _admit(self, host: Host) -> None:
        """Raises JobFailed if the host cannot take part."""
        if problems := other_versions(self.facts, host.facts):
            raise refusal(host.facts.name, problems)
        probe = Probe.begin(self.folder)
        host.line.tell(probe=probe.to_dict(), config=self._config.to_dict())
        answer = host.line.hear()
        if problem := probe.judge(answer):
            raise refusal(host.facts.name, [problem])
        if "error" in answer:
            error = error_from_json(answer["error"])
            raise refusal(host.facts.name, [Message("{error}", error=error.message)])
        if problems := other_data(self._digests, answer["digests"]):
            raise refusal(host.facts.name, problems)
        host.devices = [str(name) for name in answer["devices"]]
        self._take(host)
        model = {"name": self._config.model, "commit": self._start.base_commit, "folder": str(self._start.model_folder)}
        host.line.tell(model={**model, "digests": {} if self._start.base_commit else self._model_digests()})
        while "ready" not in (said := host.line.hear()):
            if "error" in said:
                raise refusal(host.facts.name, [Message("{error}", error=error_from_json(said["error"]).message)])
            host.line.tell(mirror=self._serve(host))
        host.is_ready = True

    def _take(self, host: Host) -> None:
        """Keep a host. One that was started for the same place takes it over: it has been started again."""
        with self._lock:
            for other in self._hosts:
                if host.index is not None and other.index == host.index and not other.is_lost:
                    other.is_lost = True
                    other.line.close()
            here = [one for one in self._hosts if not one.is_lost]
            if len(here) >= self._config.hosts - 1:
                raise JobFailed(
                    "The host {host} is one too many: all {count} are there.",
                    hint="hosts says how many take part.",
                    host=host.facts.name,
                    count=self._config.hosts,
                )
            self._hosts = [*here, host]

    def _model_digests(self) -> dict[str, str]:
        """Return what the first host's model consists of: without a commit nothing else says which one it is."""
        with self._digesting:
            if self._of_model is None:
                try:
                    self._of_model = model_digests(self._start.model_folder, self._note_digested)
                finally:
                    self.digested = None
            return self._of_model

    def _note_digested(self, done: int, total: int) -> None:
        self.digested = (done, total)

    def _serve(self, host: Host) -> dict[str, str] | None:
        """Return how another host fetches the model from this one; None where no record vouches for it."""
        from qwen3ft_jupyter.mirror.mirror import Mirror  # most hosts have the model

        with self._lock:
            if self._mirror is None:
                folder, token = self._start.model_folder, secrets.token_urlsafe(24)
                mirror = Mirror({self._config.model: folder}, host=host.line.own_host, token=token)
                try:
                    self._stack.enter_context(mirror)
                except (Qwen3ftError, OSError):
                    return None
                self._mirror = {"url": mirror.url, "token": token}
            return self._mirror


def _clear(folder: Path) -> None:
    """Delete what this host and the others have written there, and the folder if nothing else lies in it."""
    with contextlib.suppress(OSError):
        for path in (folder / KEY_NAME, folder / CONFIG_NAME, *matching(folder, PROBE_FILES)):
            path.unlink(missing_ok=True)
        folder.rmdir()
