"""Another host of a fine-tune: it joins the first one, and starts and ends its processes when it is told so."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import JobFailed, Qwen3ftError, Stopped, error_from_json
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.devices import devices_here
from qwen3ft_jupyter.finetune.hosts import end_ranks, place_of, start_ranks
from qwen3ft_jupyter.finetune.probe import HostFacts, Probe, data_digests, model_digests, other_model
from qwen3ft_jupyter.finetune.wire import HANDSHAKE_S, HOSTS_FOLDER, Line, connect, read_key, write_address
from qwen3ft_jupyter.messages import Message, Names
from qwen3ft_jupyter.processes import start_thread
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from qwen3ft_jupyter.work import Work

    class Models(Protocol):
        """Where a host has its models."""

        def find(self, name: str, commit: str | None, folder: Path) -> Path | None:
            """Return the folder of the model of the first host, if it is here; `folder` is where it is there."""

        def fetch(self, name: str, commit: str | None, mirror: Mapping[str, str] | None) -> Path:
            """Return the folder, having brought the model here; `mirror` is where the first host serves it."""


BEAT_S = 2.0
_NO_KEY = b"none"
RETRY_S, MOST_RETRY_S = 1.0, 15.0
"""Between two tries to get in. Who is not let in waits twice as long each time: the first host hears each try."""
JOIN_S, START_S = 60.0, 3600.0
"""How long the first host may take to listen: where a person has seen it do so; where all are started at once."""


def join(output_dir: Path, address: tuple[str, int], models: Models, work: Work, *, index: int | None = None) -> None:
    """Take part in a fine-tune until it ends.

    Args:
        output_dir: The output folder of the fine-tune, which this host shares with the first one.
        address: Where the first host listens.
        models: Where this host has its models.
        work: Is told what is done; when it is to stop, the whole run is asked to stop, with a checkpoint.
        index: This host's place, where all are started at once: the first host may take its time then.

    Raises:
        JobFailed: The first host does not answer, or is gone; or the fine-tune has failed, or this host cannot take
            part.
        Stopped: The fine-tune has been stopped.
    """
    line, key = _enter(output_dir, address, work, wait_s=JOIN_S if index is None else START_S)
    _Joined(line, key, address, models, work).take_part(index)


def _enter(output_dir: Path, address: tuple[str, int], work: Work, *, wait_s: float) -> tuple[Line, bytes]:
    """Return the line to the first host once it lets us in, and the key. Raises JobFailed, Stopped."""
    until, told, place = time.monotonic() + wait_s, "", write_address(address)
    pause_s = RETRY_S
    while True:
        found: tuple[Line, bytes] | Message
        try:
            found = _try_door(output_dir, address)
        except (OSError, EOFError) as error:
            found = Message("The first host, {address}, does not answer: {reason}.", address=place, reason=_why(error))
            pause_s = RETRY_S
        if not isinstance(found, Message):
            return found
        if work.stop.is_set():
            raise Stopped("Stopped before it had joined.")
        if time.monotonic() > until:
            raise JobFailed(
                found,
                hint="Join with the line that the first host says, on a mount of output_dir that both share, and see "
                "that a firewall lets you through; hosts_address of the config says where it listens.",
                details={"output_dir": str(output_dir)},
            )
        if str(found) != told:
            told = str(found)
            work.notice("{why} Waiting for it.", why=found)
            work.progress(Progress("waiting", detail=place))
        work.stop.wait(pause_s)
        pause_s = min(2 * pause_s, MOST_RETRY_S)


def _why(error: OSError | EOFError) -> str:
    """Return why nobody lets us in; a name that is not known and a port that is closed have different cures."""
    if isinstance(error, TimeoutError | BlockingIOError):
        return Message("nothing came within {seconds:.0f} s", seconds=HANDSHAKE_S)
    return getattr(error, "strerror", None) or Message("what listens there is no fine-tune, or has hung up")


def _try_door(output_dir: Path, address: tuple[str, int]) -> tuple[Line, bytes] | Message:
    """Return the line and the key, or why we are not let in. Raises OSError, EOFError: nobody answers.

    Who has no key knocks all the same: the first host says so.
    """
    place = write_address(address)
    try:
        key = read_key(output_dir / HOSTS_FOLDER)
    except PermissionError:
        return Message("The key in output_dir cannot be read: join as the user who started the fine-tune.")
    try:
        return Line(connect(address, key or _NO_KEY)), key or _NO_KEY
    except AuthenticationError:
        if key is None:
            return Message("{address} answers, but there is no key in output_dir: is that the same?", address=place)
        return Message("{address} has another key than output_dir: that is another fine-tune.", address=place)


@dataclass
class _Joined:
    line: Line
    key: bytes
    address: tuple[str, int]
    models: Models
    work: Work
    devices: tuple[str, ...] = ()
    model_folder: Path = Path()
    process: subprocess.Popen[bytes] | None = None
    number: int = 0
    """How often all had been started again before these processes were started."""
    has_started: bool = False

    def take_part(self, index: int | None) -> None:
        """Do what the first host says until it says that it is over."""
        self.line.tell(host={"facts": HostFacts.here().to_dict(), "index": index})
        for work in (self._beat, self._watch_stop):
            start_thread(threading.Thread(target=work, name="qwen3ft-host", daemon=True))
        with tempfile.TemporaryDirectory(prefix="qwen3ft-") as folder:
            try:
                while not (told := self._hear()).get("over"):
                    self._do(told, Path(folder))
            finally:
                self._end()
        error = told["over"].get("error")
        if error:
            raise error_from_json(error)

    def _hear(self) -> dict[str, Any]:
        try:
            return self.line.hear()
        except (OSError, EOFError, ValueError):
            if self.work.stop.is_set() and not self.has_started:
                raise Stopped("Stopped before the fine-tune had begun.") from None
            raise JobFailed(
                "The first host, {address}, is gone.",
                hint="Resume the fine-tune there, then join again: it goes on from the last complete checkpoint.",
                address=write_address(self.address),
            ) from None

    def _do(self, told: Mapping[str, Any], folder: Path) -> None:
        if "probe" in told:
            self._answer(told)
        elif "model" in told:
            self._get_model(told["model"])
        elif "start" in told:
            self._start(told["start"], folder)
        elif "end" in told:
            code = self._end()
            self.line.tell(ended=code, number=self.number)

    def _answer(self, told: Mapping[str, Any]) -> None:
        self.work.progress(Progress("checking"))
        answer: dict[str, Any] = Probe.answer(told["probe"])
        try:
            config = FineTuneConfig.from_dict(told["config"])
            self.devices = devices_here(config.device, config.devices)
            answer |= {"devices": list(self.devices), "digests": data_digests(config.data)}
        except Qwen3ftError as error:
            answer |= {"error": error.to_json()}
        self.line.tell(**answer)

    def _get_model(self, model: Mapping[str, Any]) -> None:
        name, commit = str(model["name"]), model["commit"]
        try:
            found = self.models.find(name, commit, Path(str(model["folder"])))
            others = self._other_files(found, model) if found is not None else []
            if others:
                self.work.notice(
                    "The {model} that is here is not that of the first host: {names}. Taking it from there.",
                    model=name,
                    names=Names(others),
                )
            if found is None or others:
                self.line.tell(lacks=True)
                found = self.models.fetch(name, commit, self._hear().get("mirror"))
                if others := self._other_files(found, model):
                    raise JobFailed(
                        "{model} is not the first host's in {names}: delete it here, or download the same to both",
                        model=name,
                        names=Names(others),
                    )
        except Stopped:
            raise
        except Qwen3ftError as error:
            self.line.tell(error=error.to_json())
            return
        self.model_folder = found
        self.line.tell(ready=True)
        self.work.notice(
            "Joined {address}. This host computes on: {devices}",
            address=write_address(self.address),
            devices=", ".join(self.devices),
        )
        self.work.progress(Progress("waiting", detail=write_address(self.address)))

    def _other_files(self, folder: Path, model: Mapping[str, Any]) -> list[str]:
        """Return in which files the model in a folder is not the first host's, where no commit says which that is."""
        if not (wanted := dict(model.get("digests") or {})):
            return []

        def tell(done: int, total: int) -> None:
            self.work.check()
            self.work.progress(Progress("checking", done, total, "bytes"))

        return other_model(wanted, model_digests(folder, tell))

    def _start(self, told: Mapping[str, Any], folder: Path) -> None:
        self._end()
        self.has_started = True
        task = dict(told["task"])
        self.number = int(task["restarts"])
        task["start"] = {**task["start"], "model_folder": str(self.model_folder)}
        place = place_of(told["hosts"], told["node"], (self.address[0], told["port"]))
        self.process = start_ranks(
            folder,
            task,
            self.devices,
            self.address,
            key=self.key,
            place=place,
            own_host=self.line.own_host,
            has_terminal=True,
        )
        start_thread(threading.Thread(target=self._tell_end, args=(self.process,), daemon=True))
        self.work.progress(Progress("training"))
        self.work.notice("Processes started here: {count}", count=len(self.devices))

    def _tell_end(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if process is self.process:
            with contextlib.suppress(OSError):
                self.line.tell(ended=code, number=self.number)

    def _end(self) -> int:
        """Let this host's processes leave, as they have been told; or end them. Returns their exit code."""
        process, self.process = self.process, None
        return 0 if process is None else end_ranks(process)

    def _beat(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                time.sleep(BEAT_S)
                self.line.tell()

    def _watch_stop(self) -> None:
        """Ask the first host to stop all, once this one is to stop; before anything was started, just leave."""
        self.work.stop.wait()
        if not self.has_started:
            self.line.close()
            return
        self.work.notice("All hosts stop after the step at hand; the checkpoint is kept.")
        with contextlib.suppress(OSError):
            self.line.tell(stop=True)
