"""Several hosts train one model. Here they are launchers on loopback, each with a state folder and a cache of its own.

The first is this process; another is the command line, started by the very line that the first one says.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.hosts import train_on_hosts
from qwen3ft_jupyter.finetune.launch import Lateness
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.work import Work
from tests.finetune.test_together import NO_CHANCE, Ear, alone, names_in, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.finetune.results import Outcome

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(sys.platform == "win32", reason="NCCL and gloo groups are on Linux"),
]

ROOT = Path(__file__).parents[2]
MODEL = "me/tiny"


class OtherHosts(Ear):
    """Listens to the first host, and starts another one whenever it says how."""

    def __init__(self, tmp_path: Path, on_step: Callable[[int], None] = lambda _step: None) -> None:
        super().__init__(on_step)
        self.folder = tmp_path
        self.started: list[psutil.Popen] = []

    def notice(self, message: str) -> None:
        super().notice(message)
        if "--join" in message:
            self.join(message[message.index("qwen3ft finetune") :])

    def join(self, line: str) -> None:
        own = self.folder / f"host-{len(self.started)}"
        own.mkdir()
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "QWEN3FT_OFFLINE": "1"}
        environ |= {"QWEN3FT_STATE_DIR": str(own / "state"), "MODEL_CACHE_DIR": str(own / "cache")}
        words = [sys.executable, "-m", "qwen3ft_jupyter", *shlex.split(line)[1:]]
        with (own / "said").open("w") as said:
            # as in a terminal: a group of its own, in which Ctrl-C is heeded even if it is not where the tests run
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            started = psutil.Popen(words, env=environ, stdout=said, stderr=said, cwd=own, start_new_session=True)
            signal.signal(signal.SIGINT, before)
            self.started.append(started)

    def said(self, number: int = 0) -> str:
        return (self.folder / f"host-{number}" / "said").read_text()

    def tree(self) -> list[psutil.Process]:
        """The newest of them, its launcher first, and all that it has started."""
        return [self.started[-1], *self.started[-1].children(recursive=True)]

    def rank(self) -> psutil.Process:
        """The process of the newest of them that trains."""
        return next(
            one
            for one in self.tree()
            if one.cmdline()[-2:-1] == ["rank"] and "torch.distributed.run" not in one.cmdline()
        )


@contextlib.contextmanager
def ended(ear: OtherHosts) -> Iterator[None]:
    try:
        yield
    finally:
        for one in ear.started:
            for process in [*one.children(recursive=True), one] if one.is_running() else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            one.wait(60)


def on_hosts(fields: dict[str, Any], model: Path, work: Work, *, resume: bool = False) -> Outcome:
    config = FineTuneConfig.from_dict({**fields, "hosts": 2, "hosts_address": "127.0.0.1"})
    return train_on_hosts(config, Start(model, resume, run_id="a run"), ("cpu",), work)


def test_two_hosts_learn_what_one_process_does_also_after_a_death(
    tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    """The other one has no model, and no hub: it gets it from the first."""
    fields = {**fields, "model": MODEL, "lora": NO_CHANCE}
    whole = {**fields, "output_dir": str(tmp_path / "whole")}
    alone(whole, tiny)
    lines: list[str] = []

    def kill(step: int) -> None:
        if step == 7 and not lines:
            lines.extend(word for one in psutil.process_iter(["cmdline"]) for word in one.info["cmdline"] or ())
            keys.append((Path(fields["output_dir"]) / ".qwen3ft/hosts/key").read_text())
            keys.append(oct((Path(fields["output_dir"]) / ".qwen3ft/hosts/key").stat().st_mode))
            ear.rank().send_signal(signal.SIGKILL)

    keys: list[str] = []
    ear = OtherHosts(tmp_path, kill)
    with ended(ear):
        on_hosts(fields, tiny, Work(ear))
        assert ear.started[0].wait(60) == 0

    host = os.uname().nodename
    assert values(fields) == pytest.approx(values(whole), abs=1e-6)
    assert names_in(tmp_path / "run") == names_in(tmp_path / "whole")
    assert f"Process 1 ({host}, host 1) of 2 died. All have been started again (1 of 3 times)." in ear.notices
    assert "Resuming from checkpoint-5." in ear.notices
    assert list((tmp_path / "host-0" / "cache").glob("me_tiny/*.safetensors"))
    assert keys[1].endswith("600")
    assert not any(keys[0] in line for line in lines)
    assert len(ear.started) == 1


def test_a_lost_host_joins_again_and_stops_the_run_which_goes_on_with_one(
    tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    fields = {**fields, "model": MODEL, "lora": NO_CHANCE}
    whole = {**fields, "output_dir": str(tmp_path / "whole")}
    alone(whole, tiny)

    def disturb(step: int) -> None:
        if step == 7 and len(ear.started) == 1:
            orphans.extend(ear.tree()[1:])
            ear.started[0].send_signal(signal.SIGKILL)  # what it has started is not to go on without it
        elif step == 8:
            os.killpg(ear.started[-1].pid, signal.SIGINT)  # Ctrl-C reaches all processes of the group

    orphans: list[psutil.Process] = []
    ear = OtherHosts(tmp_path, disturb)
    with ended(ear):
        with pytest.raises(Stopped):
            on_hosts(fields, tiny, Work(ear))
        assert ear.started[1].wait(60) == 128 + signal.SIGINT
        assert len(orphans) >= 2
        assert not psutil.wait_procs(orphans, 60)[1]
    stopped_at = len(values(fields))
    alone(fields, tiny, resume=True)

    gone = f"The host {os.uname().nodename} is gone."
    assert any(notice.startswith(f"{gone} The others wait for it.") for notice in ear.notices)
    assert f"{gone} All have been started again (1 of 3 times)." in ear.notices
    lost = [told["ranks"][1] for told in ear.ranked if told["ranks"][1]["health"] == "gone"]
    assert lost[0]["host"] == f"{os.uname().nodename}, host 1"
    assert 8 <= stopped_at < 12
    assert values(fields) == pytest.approx(values(whole), abs=1e-6)


def test_two_hosts_share_a_model_out_and_learn_what_one_process_does_also_after_a_death(
    tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Each has a part of a full fine-tune (FSDP2); a checkpoint is put together from both, and given out again."""
    fields = {**fields, "model": MODEL, "method": "full", "learning_rate": 1e-3, "max_steps": 8}
    fields |= {"eval_fraction": 0.2, "eval_steps": 4, "save_steps": 3}
    whole = {**fields, "output_dir": str(tmp_path / "whole")}
    one = alone(whole, tiny)

    def kill(step: int) -> None:
        if step == 5 and "Resuming from checkpoint-3." not in ear.notices:
            ear.rank().send_signal(signal.SIGKILL)

    ear = OtherHosts(tmp_path, kill)
    with ended(ear):
        two = on_hosts(fields, tiny, Work(ear))
        assert ear.started[0].wait(60) == 0, ear.said()

    assert (two.sharding, two.processes, two.steps) == ("full", 2, one.steps)
    assert "The model is sharded (FSDP): each of the 2 processes keeps a part of it." in ear.notices
    assert "Resuming from checkpoint-3." in ear.notices
    for name in ("loss", "eval_loss", "grad_norm"):
        assert values(fields, name) == pytest.approx(values(whole, name), abs=1e-6)
    assert names_in(tmp_path / "run") == names_in(tmp_path / "whole")


def test_who_hangs_is_named_with_its_host() -> None:
    lateness = Lateness(2, ("gpu-1", "gpu-2"))
    lateness.heard(0, 99.0)
    lateness.heard(1, 99.0)
    lateness.arrived(0, 1, now=0.0)
    lateness.heard(0, 99.0)

    assert list(map(str, lateness.news(100.0))) == [
        "Process 1 (gpu-2) of 2 is 90 s behind the others at step 2, and they wait for it."
    ]
