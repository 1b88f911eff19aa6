"""One job at a time writes to an output folder, also where jobs of several machines see it.

The job holds a file there, and shows every few seconds that it is alive. Another one is refused while that goes on.
What a killed job has left is taken over: at once where its process can be seen to be gone, else when it has been silent
for long. No clock of another machine is believed: who waits sees the file change, or not.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import LOCAL, make_folders, read_regular, write_json
from qwen3ft_jupyter.errors import BadConfig, Stopped
from qwen3ft_jupyter.finetune.own import RECORD_FOLDER
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.processes import ProcessIdentity, start_thread
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.work import Work

HOLDER: Final = f"{RECORD_FOLDER}/holder.json"
BEAT_S: Final = 10.0
"""Between two signs of life."""
SILENT_S: Final = 60.0
"""A job on another machine that gives none for so long is gone."""
LOOK_S: Final = 0.5
_MAX_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Holder:
    """The job that writes to an output folder, as its file says."""

    job: str
    nonce: str
    process: ProcessIdentity
    beats: int

    @classmethod
    def read(cls, file: Path) -> Holder | None:
        """Return who holds the folder; None if nobody does, or the file is not one of ours."""
        try:
            data = json.loads(read_regular(file, _MAX_BYTES))
            process = ProcessIdentity.from_dict(data["process"])
            return cls(str(data["job"]), str(data["nonce"]), process, int(data["beats"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def refusal(self, folder: Path) -> BadConfig:
        """Return why another job cannot write to the folder."""
        return BadConfig(
            "output_dir: the job {job} on {host} (process {pid}) is writing to {folder}.",
            hint="Wait until it has ended, or stop it there; or name another output_dir.",
            job=self.job,
            host=self.process.host,
            pid=self.process.pid,
            folder=folder.name,
        )


def check_not_held(folder: Path) -> None:
    """Raise BadConfig if a job of this machine is writing to the folder. Quick; what others do, `holding` finds out."""
    holder = Holder.read(folder / HOLDER)
    if holder is not None and holder.process.is_surely_alive:
        raise holder.refusal(folder)


@contextlib.contextmanager
def holding(folder: Path, job: str, work: Work) -> Iterator[None]:
    """Hold the output folder for a job during the block. One that cannot be written is left to the run to tell of.

    Raises:
        BadConfig: Another job is writing to it.
        Stopped: The work was to stop while it waited to see whether another job lives.
    """
    is_new, held = not os.path.lexists(folder), _Held(folder / HOLDER, job)
    while not held.take():
        _wait_for_death(folder, work)
    over = threading.Event()
    thread = threading.Thread(target=held.beat, args=(over, work), name="qwen3ft-holder", daemon=True)
    is_beating = start_thread(thread)
    try:
        yield
    finally:
        over.set()
        if is_beating:
            thread.join(BEAT_S)
        held.leave()
        if is_new:  # nothing has come of it: leave no trace
            with contextlib.suppress(OSError):
                held.file.parent.rmdir()
                folder.rmdir()


def _wait_for_death(folder: Path, work: Work) -> None:
    """Return once nobody holds the folder, having taken away what a dead one left. Raises BadConfig, Stopped."""
    file, seen, since = folder / HOLDER, Holder.read(folder / HOLDER), time.monotonic()
    is_told = False
    while os.path.lexists(file):
        now = Holder.read(file)
        if now is not None and (now.process.is_surely_alive or (seen and now != seen)):
            raise now.refusal(folder)
        if (now and now.process.is_surely_dead) or time.monotonic() - since > SILENT_S:
            _take_away(file, now)
            return
        if now and not is_told:
            is_told = True
            work.notice(
                "The job {job} on {host} was writing to output_dir. Waiting up to {seconds:.0f} s for a sign that it "
                "lives.",
                job=now.job,
                host=now.process.host,
                seconds=SILENT_S,
            )
            work.progress(
                Progress("waiting", detail=Message("the job {job} on {host}", job=now.job, host=now.process.host))
            )
        seen = seen or now
        if work.stop.wait(LOOK_S):
            raise Stopped("Stopped while it waited for another job.")


def _take_away(file: Path, dead: Holder | None) -> None:
    """Delete the file of a dead job; of several that wait one succeeds."""
    aside = file.with_name(f"{secrets.token_hex(8)}.gone")
    with contextlib.suppress(OSError):
        LOCAL.replace(file, aside)
        taken = Holder.read(aside)
        if taken is not None and (dead is None or taken.nonce != dead.nonce):
            LOCAL.replace(aside, file)  # another was faster, and this is its file
        else:
            aside.unlink()


class _Held:
    """The file by which this job holds a folder."""

    def __init__(self, file: Path, job: str) -> None:
        self.file, self._job, self._nonce, self._beats = file, job, secrets.token_hex(8), 0

    def take(self) -> bool:
        """Create the file; return False if there is one already."""
        try:
            make_folders(self.file.parent)
            os.close(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            self._write()
        except FileExistsError:
            return False
        except OSError:
            return True
        return True

    def beat(self, over: threading.Event, work: Work) -> None:
        """Show that this job lives. If another has taken it for dead, this one stops: both would write."""
        while not over.wait(BEAT_S):
            holder = Holder.read(self.file)
            if holder is not None and holder.nonce != self._nonce:
                work.notice(
                    "WARNING: the job {job} on {host} has taken over output_dir. This one stops.",
                    job=holder.job,
                    host=holder.process.host,
                )
                work.stop.set()
                return
            with contextlib.suppress(OSError):  # a full disk ends the run, or it does not
                self._write()

    def leave(self) -> None:
        """Delete the file if it is ours."""
        holder = Holder.read(self.file)
        if holder is not None and holder.nonce == self._nonce:
            with contextlib.suppress(OSError):
                self.file.unlink()

    def _write(self) -> None:
        self._beats += 1
        process = ProcessIdentity.current().to_dict()
        write_json(self.file, {"job": self._job, "nonce": self._nonce, "process": process, "beats": self._beats})
