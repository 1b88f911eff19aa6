"""Real processes that are killed, or want the same model at the same time."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.servers import Reply, Seen, Stall
from tests.transfer.origin import COMMIT, REPO, Origin, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MB = 1 << 20
DATA = bytes_of(16 * MB, 3)
FILES = {"config.json": b"{}", "model.safetensors": DATA}
ROOT = Path(__file__).parent.parent.parent


class Gate:
    """Lets some ranges of the weights through and holds the others until it is opened."""

    def __init__(self, admitted: int) -> None:
        self.admitted = admitted
        self.opened = threading.Event()
        self.served: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def __call__(self, seen: Seen, _count: int) -> Reply | None:
        if seen.path != "/model.safetensors":
            return None
        first, last = seen.range or (0, None)
        end = len(DATA) if last is None else last + 1
        with self._lock:
            is_admitted = self.admitted > 0 or self.opened.is_set()
            self.admitted -= 1
            if is_admitted:
                self.served.append((first, end))
        body: list[bytes | Stall] = [DATA[first:end]] if is_admitted else [Stall(self.opened), DATA[first:end]]
        headers = {"Content-Range": f"bytes {first}-{end - 1}/{len(DATA)}", "Content-Length": str(end - first)}
        return Reply(206, body, headers)


class Child:
    """A process that downloads the model, and what it says."""

    def __init__(self, origin: Origin, cache: Path) -> None:
        listing = cache.parent / "listing.json"
        files = [[path, len(data), hashlib.sha256(data).hexdigest()] for path, data in FILES.items()]
        listing.write_text(
            json.dumps({"url": origin.server.url, "repo_id": REPO, "commit": COMMIT, "files": files}), "utf-8"
        )
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ensure_child.py")), str(cache), str(listing)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        self.stdout: IO[str] = self.process.stdout

    def lines(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self.stdout)

    def wait_for(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        assert any(condition(line) for line in self.lines()), "it ended without saying that"

    def result(self) -> dict[str, Any]:
        found = [line["result"] for line in self.lines() if "result" in line]
        assert self.process.wait(120) == 0
        return dict(found[0])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(120)
        self.stdout.close()


@pytest.fixture
def children() -> Iterator[list[Child]]:
    children: list[Child] = []
    yield children
    for child in children:
        child.kill()


def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def test_after_a_kill_only_what_is_missing_is_asked_for(tmp_path: Path, children: list[Child]) -> None:
    """A connection asks for its next piece after it has noted the last: five asked, two on their way, three noted."""
    gate = Gate(admitted=3)
    with Origin(FILES, fault=gate) as origin:
        children.append(Child(origin, tmp_path / "cache"))
        origin.server.wait_for(1 + 5)
        children[0].kill()
        gate.opened.set()
        noted, asked_before = list(gate.served[:3]), len(origin.ranges("model.safetensors"))

        children.append(Child(origin, tmp_path / "cache"))
        result = children[1].result()

        asked = origin.ranges("model.safetensors")[asked_before:]
        assert not any(overlap(one, other) for one in asked for other in noted)
        assert result["bytes"] == len(DATA) - sum(end - start for start, end in noted)
        assert len(origin.ranges("config.json")) == 1
        assert (Path(result["folder"]) / "model.safetensors").read_bytes() == DATA


def test_killed_again_and_again_it_still_ends_and_moves_no_finished_piece_twice(
    tmp_path: Path, children: list[Child]
) -> None:
    gate = Gate(admitted=0)
    with Origin(FILES, fault=gate) as origin:
        for attempt in range(3):
            gate.admitted = 2
            expected = len(origin.server.seen) + 4 + (attempt == 0)  # config.json, too
            children.append(Child(origin, tmp_path / "cache"))
            origin.server.wait_for(expected)
            children[-1].kill()
        noted = sorted(gate.served)
        gate.opened.set()
        children.append(Child(origin, tmp_path / "cache"))
        result = children[-1].result()

        assert not any(overlap(one, other) for one, other in itertools.pairwise(noted))
        assert not any(overlap(one, other) for one in gate.served[len(noted) :] for other in noted)
        assert result["bytes"] == len(DATA) - sum(end - start for start, end in noted)
        assert (Path(result["folder"]) / "model.safetensors").read_bytes() == DATA


def test_a_second_process_joins_the_download_of_the_first(tmp_path: Path, children: list[Child]) -> None:
    gate = Gate(admitted=0)
    with Origin(FILES, fault=gate) as origin:
        children.append(Child(origin, tmp_path / "cache"))
        origin.server.wait_for(1 + 2)
        children.append(Child(origin, tmp_path / "cache"))
        children[1].wait_for(lambda line: line.get("phase") == "waiting" and "downloading" in line["detail"])
        gate.opened.set()

        first, second = children[0].result(), children[1].result()

        assert first["bytes"] == len(DATA) + len(FILES["config.json"])
        assert second == {"bytes": 0, "folder": first["folder"]}


def test_a_waiting_process_takes_over_when_the_owner_is_killed(tmp_path: Path, children: list[Child]) -> None:
    gate = Gate(admitted=3)
    with Origin(FILES, fault=gate) as origin:
        children.append(Child(origin, tmp_path / "cache"))
        origin.server.wait_for(1 + 5)
        children.append(Child(origin, tmp_path / "cache"))
        children[1].wait_for(lambda line: line.get("phase") == "waiting")
        noted = list(gate.served[:3])
        gate.opened.set()
        children[0].kill()

        result = children[1].result()

        assert result["bytes"] <= len(DATA) - sum(end - start for start, end in noted)
        assert (Path(result["folder"]) / "model.safetensors").read_bytes() == DATA
