"""Measures downloads side by side, and calls on what is cached: ``make bench``, or ``python -m tests.benchmarks``.

Every program is as its makers ship it, and fetches the same generated model from one server on loopback, cold, into a
folder of its own, in turns. Ours and ModelScope's compare digests, Hugging Face's sizes; only ours syncs to disk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache import ModelCache
from tests.cache.making import make_cached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REPO = "qwen3ft/Benchmark"
BIN = Path(sys.executable).parent
MB = 1_000_000
LIMIT = 20 * MB
MODELS = 1_000
SMALL_FILES = {"README.md": 14_000, "config.json": 700, "generation_config.json": 240, "merges.txt": 1_670_000}
SMALL_FILES |= {"tokenizer.json": 11_400_000, "tokenizer_config.json": 9_700, "vocab.json": 2_780_000}
WARM = {
    "qwen3ft_jupyter": "from qwen3ft_jupyter import get_model_manager\nask = get_model_manager().ensure_model_cached",
    "modelscope": "from modelscope import snapshot_download as ask",
    "huggingface_hub": "from huggingface_hub import snapshot_download as ask",
}
TIMER = f"""
import contextlib, json, sys, time
times = []
with contextlib.redirect_stdout(sys.stderr):
    for _ in range(21):
        began = time.perf_counter()
        ask({REPO!r})
        times.append(time.perf_counter() - began)
print(json.dumps(times[1:]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a download took, in seconds; the CPU's on this side only."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Place:
    """The home of one program, and the server's address."""

    home: Path
    url: str

    @property
    def target(self) -> Path:
        return self.home / "target"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in {"LANG", "PATH", "TMPDIR"}}
        return kept | {
            "HOME": str(self.home),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "MODELSCOPE_ENDPOINT": self.url,
            "MODEL_CACHE_DIR": str(self.target),
        }


def ours(_place: Place, _names: list[str]) -> list[str]:
    return [sys.executable, "-m", "qwen3ft_jupyter", "download", REPO]


def hf(place: Place, _names: list[str]) -> list[str]:
    return [str(BIN / "hf"), "download", REPO, "--local-dir", str(place.target)]


def modelscope(place: Place, _names: list[str]) -> list[str]:
    return [str(BIN / "modelscope"), "download", REPO, "--local_dir", str(place.target)]


def curl(place: Place, names: list[str]) -> list[str]:
    pairs = [("-o", str(place.target / name), f"{place.url}/{REPO}/resolve/main/{name}") for name in names]
    return ["curl", "-sS", "--create-dirs", *(word for pair in pairs for word in pair)]


def aria2c(place: Place, names: list[str]) -> list[str]:
    links = place.home / "links.txt"
    links.write_text("".join(f"{place.url}/{REPO}/resolve/main/{name}\n out={name}\n" for name in names), "utf-8")
    return ["aria2c", "-x16", "-s16", "-j2", "--quiet", f"--dir={place.target}", f"--input-file={links}"]


PROGRAMS: dict[str, Callable[[Place, list[str]], list[str]]] = {
    "qwen3ft download, 16 connections": ours,
    "hf download": hf,
    "modelscope download": modelscope,
    "curl, file by file": curl,
    "aria2c -x16 -s16 -j2": aria2c,
}


def make_model(folder: Path, size: int) -> dict[str, int]:
    """Write a model of `size` bytes, in files as they are published; return their sizes."""
    rest = max(2, size - sum(SMALL_FILES.values()))
    weights = {"model-00001-of-00002.safetensors": rest // 2, "model-00002-of-00002.safetensors": rest - rest // 2}
    sizes = SMALL_FILES | weights
    folder.mkdir()
    for name, length in sizes.items():
        with (folder / name).open("wb") as file:
            for start in range(0, length, 16 * MB):
                file.write(os.urandom(min(16 * MB, length - start)))
    return sizes


@contextlib.contextmanager
def serving(folder: Path, limit: int) -> Iterator[str]:
    """Yield the address of a server of the model in `folder`; at most `limit` bytes/s a connection, or 0 for any."""
    command = [sys.executable, "-m", "tests.benchmarks.origin", str(folder), REPO, str(limit)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        out, ends_it = server.stdout, server.stdin
        assert out is not None
        assert ends_it is not None
        with ends_it:
            yield out.readline().strip()


@contextlib.contextmanager
def new_place(url: str) -> Iterator[Place]:
    """Yield an empty home for one program."""
    with tempfile.TemporaryDirectory(prefix="qwen3ft-bench-", ignore_cleanup_errors=True) as home:
        yield Place(Path(home), url)


def measure(command: list[str], place: Place, sizes: Mapping[str, int]) -> Cost | None:
    """Run one download; return None, with the reason on stderr, if not all of the model has come."""
    log = place.home / "log.txt"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=place.environment, cwd=place.home, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    found = {path.name: path.stat().st_size for path in place.target.rglob("*") if path.name in sizes}
    if process.returncode or found != sizes:
        sys.stderr.write(f"{command[0]}: exit code {process.returncode}\n{log.read_text('utf-8', 'replace')[-2000:]}\n")
        return None
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def compare_downloads(url: str, sizes: Mapping[str, int], rounds: int) -> None:
    """Let the programs download in turns; print the medians, and the time of each as a multiple of ours."""
    programs = {
        name: make for name, make in PROGRAMS.items() if make in {ours, hf, modelscope} or shutil.which(make.__name__)
    }
    costs: dict[str, list[Cost | None]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, make in programs.items():
            with new_place(url) as place:
                costs[name].append(measure(make(place, list(sizes)), place, sizes))
    total_mb = sum(sizes.values()) / MB
    our_wall = 0.0
    print(f"  {'':38}{'wall s':>8}{'CPU s':>8}{'MB/s':>8}{'ratio':>8}")
    for name, found in costs.items():
        good = [cost for cost in found if cost is not None]
        if len(good) < len(found):
            print(f"  {name:38}  failed")
            continue
        wall, cpu = (statistics.median(values) for values in zip(*((c.wall, c.cpu) for c in good), strict=True))
        our_wall = our_wall or wall
        print(f"  {name:38}{wall:8.2f}{cpu:8.2f}{total_mb / wall:8.0f}{wall / our_wall:7.2f}x")


def compare_warm_calls(url: str) -> None:
    """Ask each library again and again for a model it has; print the median."""
    print(f"  {'':38}{'ms':>8}{'':16}{'ratio':>8}")
    our_ms = 0.0
    for name, setup in WARM.items():
        with new_place(url) as place:
            command = [sys.executable, "-W", "ignore", "-c", setup + TIMER]
            answer = subprocess.run(
                command,
                env=place.environment,
                cwd=place.home,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        ms = 1000 * statistics.median(json.loads(answer.stdout.splitlines()[-1]))
        our_ms = our_ms or ms
        print(f"  {name:38}{ms:8.2f}{'':16}{ms / our_ms:7.1f}x")


def measure_list(folder: Path) -> None:
    """List a large cache, first by a process that has not seen it, then by one that has."""
    for number in range(MODELS):
        make_cached(folder, f"Qwen/Qwen3-{number}")
    for name, is_trusting in (("", True), (", manifests not trusted", False)):
        cache = ModelCache(folder, trust_manifests=is_trusting)
        times = []
        for _ in range(2):
            began = time.perf_counter()
            assert len(cache.list()) == MODELS
            times.append(1000 * (time.perf_counter() - began))
        print(f"  {MODELS} models{name:27} first {times[0]:6.0f} ms, again {times[1]:6.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=float, default=500.0, help="size of the model in MB (default: %(default)g)")
    parser.add_argument("--rounds", type=int, default=3, help="downloads of each program (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="64 MB, one round")
    options = parser.parse_args()
    size_mb, rounds = (64.0, 1) if options.quick else (options.size, options.rounds)
    with tempfile.TemporaryDirectory(prefix="qwen3ft-bench-") as scratch:
        model = Path(scratch) / "model"
        sizes = make_model(model, int(size_mb * MB))
        total_mb = sum(sizes.values()) / MB
        print(
            f"{total_mb:.0f} MB in {len(sizes)} files, median of {rounds}, {os.cpu_count()} CPUs shared with the server"
        )
        for limit in (0, LIMIT):
            print(f"\ndownload, {f'at most {limit // MB} MB/s a connection' if limit else 'no limit'}")
            with serving(model, limit) as url:
                compare_downloads(url, sizes, rounds)
        print("\nwarm call in a running process")
        with serving(model, 0) as url:
            compare_warm_calls(url)
        print("\nlist of what is cached")
        measure_list(Path(scratch) / "cache")


if __name__ == "__main__":
    main()
