"""Runs one program in a home of its own, and says what it took."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.models import missing_from
from tests.benchmarks.programs import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.models import Model
    from tests.benchmarks.programs import Program
    from tests.benchmarks.serving import Origin

LIMIT_S = 300.0
"""A program that has not ended after this is ended."""
LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a program took, on this side only."""

    problem: str
    """Why it did not do what was asked, or ""."""
    wall: float
    """Seconds from its start to its end, the interpreter's start counted."""
    cpu: float
    """Seconds, user and system, of the program and its children."""
    peak: int
    """Bytes resident at most, of the largest of the program and its children."""
    requests: int = 0
    wire_bytes: int = 0
    """Of files, sent to it."""


def download(program: Program, origins: Sequence[Origin], model: Model) -> Run:
    """Let a program download a model into an empty home, and look at every byte it got."""
    with new_place([origin.url for origin in origins]) as place:
        for origin in origins:
            origin.take_sent()
        run = launch(program.command(place, model.names), place, dict(program.environment))
        sent = [origin.take_sent() for origin in origins]
        problem = run.problem or missing_from(place.target, model)
    requests, wire = sum(one.requests for one in sent), sum(one.body_bytes for one in sent)
    return Run(problem, run.wall, run.cpu, run.peak, requests, wire)


def launch(command: list[str], place: Place, environment: dict[str, str]) -> Run:
    """Run one command to its end."""
    log = place.home / "log.txt"
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(LIMIT_S), str(log)]
    answer = subprocess.run(
        [*launcher, *command],
        env=place.environment | environment,
        cwd=place.home,
        check=True,
        stdout=subprocess.PIPE,
    )
    cost = json.loads(answer.stdout)
    problem = ""
    if cost["exit_code"]:
        problem = f"gave up after {LIMIT_S:.0f} s" if cost["exit_code"] == -9 else f"exit code {cost['exit_code']}"
        if os.environ.get("BENCH_LOGS"):
            sys.stderr.write(f"{command}\n{log.read_text('utf-8', 'replace')[-3000:]}\n")
    return Run(problem, cost["wall"], cost["cpu"], cost["peak"])


@contextlib.contextmanager
def new_place(urls: Sequence[str]) -> Iterator[Place]:
    """Make an empty home for one program; there is nothing in it to adopt."""
    with tempfile.TemporaryDirectory(prefix="qwen3ft-bench-", ignore_cleanup_errors=True) as home:
        yield Place(Path(home), tuple(urls))
