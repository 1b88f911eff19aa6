"""The benchmarks run; what they measure is for people to read, never for a test to judge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_downloads_are_measured_side_by_side() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "--quick",
        "--size",
        "8",
        "--rounds",
        "1",
        "--only",
        "uncapped",
    ]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)

    rows = {line[2:40].strip(): line for line in done.stdout.splitlines() if line.startswith("  ")}
    assert done.returncode == 0, done.stderr
    assert {"qwen3ft download", "hf download", "modelscope download"} <= rows.keys()
    assert not [row for row in rows.values() if "failed" in row]
