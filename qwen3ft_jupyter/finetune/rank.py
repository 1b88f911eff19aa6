"""One of the processes that compute a fine-tune together, as `launch` starts them by means of torchrun."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import traceback
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import Qwen3ftError, unexpected
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.ranks import KEY_VARIABLE, LEAVE, Together, is_lost, together
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.finetune.training import follow, lead
from qwen3ft_jupyter.finetune.wire import connect
from qwen3ft_jupyter.messages import map_texts, to_json
from qwen3ft_jupyter.processes import start_thread
from qwen3ft_jupyter.work import SILENT, Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.connection import Connection

    from qwen3ft_jupyter.work import Progress

BEAT_S = 1.0
"""Between two signs of life."""
WAIT_MIN = 10
"""Minutes after which a process that waits for the others gives up; all are then started again."""
_PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""What torchrun tells each process."""


def main(file: str) -> int:
    """Take part in the fine-tune that `file` describes, and return the exit code. Its place is in the environment."""
    task = json.loads(Path(file).read_bytes())
    index, _, local = (int(os.environ[name]) for name in _PLACE[:3])
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) + task.get("restarts", 0)
    address = task["address"]
    teller = Teller(
        connect(address if isinstance(address, str) else tuple(address), bytes.fromhex(os.environ.pop(KEY_VARIABLE)))
    )
    teller.tell(rank=index, restarts=restarts)
    try:
        end = _take_part(task, local, teller, restarts)
    except Exception as error:  # noqa: BLE001 - the border of the process: the log gets it all
        traceback.print_exc()
        if is_lost(error):
            return 1  # torchrun starts all of them again
        end = {"error": (error if isinstance(error, Qwen3ftError) else unexpected(error)).to_json()}
    teller.tell(**end)
    if "error" in end:
        threading.Event().wait()  # until we are told to leave: were we gone before, all would be started again
    return 0


def _take_part(task: Mapping[str, Any], local: int, teller: Teller, restarts: int) -> dict[str, Any]:
    config, start = FineTuneConfig.from_dict(task["config"]), Start.from_dict(task["start"])
    device = task["devices"][local]
    config = config.model_copy(update={"device": device})
    start = start.going_on() if restarts else start
    with _group(device, restarts):
        ranks = Together(lambda word, value: teller.tell(**{word: value}))
        if not ranks.is_first:
            follow(config, start, Work(SILENT, teller.stop), ranks)
            return {"done": True}
        outcome = lead(config, start, Work(teller, teller.stop), ranks)
    return {"outcome": map_texts(to_json, outcome.to_dict())}


@contextlib.contextmanager
def _group(device: str, restarts: int) -> Iterator[None]:
    """Join the others. `Trainer` sees nothing of them: it would part the data and wrap the model."""
    import torch
    import torch.distributed as dist

    is_cuda = device.startswith("cuda")
    if is_cuda:
        torch.cuda.set_device(device)
    wait = timedelta(minutes=WAIT_MIN)
    with together():
        store, rank, count = next(dist.rendezvous("env://", timeout=wait))
        # torchrun's store outlives a restart, and has the addresses of processes that are gone
        store = dist.PrefixStore(f"start-{restarts}", store)
        backend = "cpu:gloo,cuda:nccl" if is_cuda else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=wait)
    for name in _PLACE:
        os.environ.pop(name, None)
    yield
    dist.destroy_process_group()


class Teller(Reporter):
    """Tells whoever started this process of the work, and hears from it when to stop."""

    def __init__(self, connection: Connection) -> None:
        """Take the connection; when it breaks, nobody is interested any more, and this process ends."""
        self._connection, self._lock = connection, threading.Lock()
        self.stop = threading.Event()
        for work in (self._hear, self._beat):
            start_thread(threading.Thread(target=work, name="qwen3ft-rank", daemon=True))

    def tell(self, **message: object) -> None:
        """Send one message."""
        with self._lock:
            self._connection.send_bytes(json.dumps(message).encode())

    def _hear(self) -> None:
        try:
            while True:
                if self._connection.recv_bytes() == LEAVE:
                    os._exit(0)
                self.stop.set()
        except (EOFError, OSError):
            os._exit(1)

    def _beat(self) -> None:
        """Let it be known that this process lives, whatever it computes."""
        with contextlib.suppress(OSError):
            while True:
                time.sleep(BEAT_S)
                self.tell()

    def progress(self, progress: Progress) -> None:
        """Pass it on."""
        self.tell(progress=progress.to_json())

    def notice(self, message: str) -> None:
        """Pass it on."""
        self.tell(notice=to_json(message))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Pass them on."""
        self.tell(metrics=dict(values))
