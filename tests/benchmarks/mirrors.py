"""Measures our mirror with many clients at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measuring import new_place
from tests.benchmarks.models import MB
from tests.benchmarks.programs import NOWHERE
from tests.cache.making import make_cached

FILE_BYTES = 10 * MB
SERVE = """
import sys
from pathlib import Path
from qwen3ft_jupyter.mirror.mirror import Mirror
with Mirror(cache_dir=Path(sys.argv[1])) as mirror:
    print(mirror.url, flush=True)
    sys.stdin.read()
"""


def measure_crowds(counts: list[int]) -> None:
    """Let ever more clients fetch one file each from a mirror in a process of its own, all at once."""
    print(f"\nmirror: {FILE_BYTES // MB} MB to each of many clients at once, seconds until the first, …, last had it")
    print(
        f"  {'clients':>10}"
        + "".join(f"{head:>9}" for head in ("first", "median", "last", "MB/s", "failed", "peak MB"))
    )
    for count in counts:
        with new_place([NOWHERE]) as place:
            make_cached(place.target, "qwen3ft/Crowd", {"model.safetensors": os.urandom(FILE_BYTES)})
            command = [sys.executable, "-c", SERVE, str(place.target)]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=place.environment
            ) as mirror:
                assert mirror.stdout is not None
                url = f"{mirror.stdout.readline().strip()}/qwen3ft/Crowd/resolve/main/model.safetensors"
                words = [sys.executable, "-m", "tests.benchmarks.crowd", url, str(count)]
                crowd = subprocess.run(words, env=place.environment, check=True, capture_output=True, text=True)
                found = json.loads(crowd.stdout)
                peak = _peak(mirror.pid)
        speed = (count - found["failed"]) * FILE_BYTES / found["last"] / MB
        texts = [f"{found[key]:.2f}" for key in ("first", "median", "last")]
        texts += [f"{speed:.0f}", str(found["failed"]), f"{peak / MB:.0f}" if peak else "?"]
        print(f"  {count:>10}" + "".join(f"{text:>9}" for text in texts), flush=True)


def _peak(pid: int) -> int:
    """Return the most memory a process has held, in bytes; 0 where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text("utf-8").splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
