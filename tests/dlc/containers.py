"""The containers of a job at PAI-DLC, played by processes on this machine: they run what was submitted, as it is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO = Path(__file__).parent.parent.parent
_ALIEN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "MODEL_CACHE_DIR", "QWEN3FT_STATE_DIR")


class Containers:
    """One process group for each host, with the variables that DLC sets: WORLD_SIZE counts hosts, RANK names one."""

    def __init__(self, logs: Path, *, prefixes: tuple[tuple[str, ...], ...] = (), master: str = "127.0.0.1") -> None:
        """`prefixes` lead the command of each host, such as `ip netns exec NAME`."""
        self._logs, self._prefixes, self._master = logs, prefixes, master
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, job: dict[str, Any]) -> None:
        """Start them as the job says."""
        count, port = job["JobSpecs"][0]["PodCount"], _free_port()
        plain = {name: value for name, value in os.environ.items() if name not in _ALIEN}
        for index in range(count):
            environ = {
                **plain,
                "PYTHONPATH": str(REPO),
                "WORLD_SIZE": str(count),
                "RANK": str(index),
                "NPROC_PER_NODE": "1",
                "MASTER_ADDR": self._master,
                "MASTER_PORT": str(port),
            }
            prefix = self._prefixes[index] if self._prefixes else ()
            with (self._logs / f"pod-{index}.log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        [*prefix, "sh", "-c", job["UserCommand"]],
                        cwd="/",
                        env=environ,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )

    def tell(self, job: dict[str, Any], _number: int = 0) -> None:
        """Have a job stand as its containers do."""
        codes = [process.poll() for process in self._processes]
        job["Status"] = "Running" if None in codes else "Failed" if any(codes) else "Succeeded"
        job["ReasonMessage"] = f"exit codes {codes}"

    def log(self) -> str:
        """Return what they said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._logs.glob("pod-*.log")))

    def end(self) -> None:
        """End what is left of them."""
        for process in self._processes:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


@contextlib.contextmanager
def two_networks() -> Iterator[tuple[tuple[tuple[str, ...], ...], str]]:
    """Yield what leads a command into each of two network namespaces that are joined, and the address of the first.

    Raises OSError, CalledProcessError where that cannot be had: it takes root and iproute2.
    """
    names = [f"q3dlc{os.getpid()}{letter}" for letter in "ab"]
    links = [f"q3d{os.getpid() % 100_000}{letter}" for letter in "ab"]
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", links[0], "netns", names[0], "type", "veth", "peer", "name", links[1], "netns", names[1])
        for number, (name, link) in enumerate(zip(names, links, strict=True), 1):
            _ip("-n", name, "address", "add", f"10.99.7.{number}/24", "dev", link)
            _ip("-n", name, "link", "set", link, "up")
        yield tuple(("ip", "netns", "exec", name) for name in names), "10.99.7.1"
    finally:
        for name in names:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)  # noqa: S607 - wherever it is


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
