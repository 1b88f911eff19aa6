"""Starts the hub of the benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.benchmarks.models import REPO
from tests.benchmarks.origin import Behaviour, Sent

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Origin:
    """A hub that is running."""

    url: str
    _orders: IO[str]
    _answers: IO[str]

    def take_sent(self) -> Sent:
        """Return what it has sent since the last time, and let it count anew."""
        self._orders.write("\n")
        self._orders.flush()
        return Sent(**json.loads(self._answers.readline()))


@contextlib.contextmanager
def serving(folder: Path, behaviour: Behaviour | None = None) -> Iterator[Origin]:
    """Serve the model in `folder` while the block runs."""
    words = json.dumps(asdict(behaviour or Behaviour()))
    command = [sys.executable, "-m", "tests.benchmarks.origin", str(folder), REPO, words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        with server.stdin:
            yield Origin(server.stdout.readline().strip(), server.stdin, server.stdout)
