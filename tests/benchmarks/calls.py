"""Measures calls on what is cached already: the warm call and the list."""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.benchmarks.measuring import LIMIT_S, new_place
from tests.benchmarks.models import MB, REPO
from tests.benchmarks.programs import NOWHERE
from tests.benchmarks.tables import print_calls
from tests.cache.making import make_cached

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.models import Model
    from tests.benchmarks.programs import Place

_MANAGER = "from qwen3ft_jupyter import get_model_manager\n"
WARM = {
    "ensure_model_cached": f"{_MANAGER}ask = get_model_manager().ensure_model_cached",
    "ensure_model_cached, commit pinned": (
        f"{_MANAGER}manager = get_model_manager()\n"
        f"manager.ensure_model_cached({REPO!r})\n"
        "commit = manager.list_cached_models()[0]['commit']\n"
        "def ask(name): return manager.ensure_model_cached(name, revision=commit)"
    ),
    "modelscope.snapshot_download": "from modelscope import snapshot_download as ask",
    "huggingface_hub.snapshot_download": "from huggingface_hub import snapshot_download as ask",
}
LIST = {
    "list_cached_models": f"{_MANAGER}ask = get_model_manager().list_cached_models",
    "huggingface_hub.scan_cache_dir": (
        "from huggingface_hub import scan_cache_dir\ndef ask(): return scan_cache_dir().repos"
    ),
}
TIMER = """
import contextlib, json, sys, time
times = []
with contextlib.redirect_stdout(sys.stderr):
    for _ in range({times}):
        began = time.perf_counter()
        answer = ask({argument})
        times.append(time.perf_counter() - began)
        assert answer and len(answer) >= {least}
print(json.dumps(times))
"""


def compare_warm_calls(url: str, model: Model) -> None:
    """Ask each library again and again for a model it has, in one process; print the medians."""
    rows: list[tuple[str, list[float | None]]] = []
    for name, setup in WARM.items():
        with new_place([url]) as place:
            times = _timed(setup + TIMER.format(times=21, argument=repr(REPO), least=1), place)
        rows.append((name, [1000 * statistics.median(times[1:]) if times else None]))
    print_calls(f"warm call in a running process, {model.size / MB:.0f} MB cached", ["ms"], rows)


def compare_listings(count: int) -> None:
    """List a cache of `count` models in a process that has not seen it, then again and again in that process."""
    rows: list[tuple[str, list[float | None]]] = []
    for name, setup in LIST.items():
        with new_place([NOWHERE]) as place:
            for number in range(count):
                repo_id = f"Qwen/Qwen3-{number}"
                if name == "list_cached_models":
                    make_cached(place.target, repo_id)
                else:
                    _make_hf_repo(place.home / ".cache" / "huggingface" / "hub", repo_id)
            times = _timed(setup + TIMER.format(times=6, argument="", least=count), place)
        rows.append((name, [1000 * times[0], 1000 * statistics.median(times[1:])] if times else [None, None]))
    print_calls(f"list of {count} cached models", ["first, ms", "again, ms"], rows)


def _timed(code: str, place: Place) -> list[float]:
    """Run `code` in a process of its own; return the seconds of each call it made, none if it failed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=place.environment,
        cwd=place.home,
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        return []
    return [float(value) for value in json.loads(done.stdout.splitlines()[-1])]


def _make_hf_repo(cache: Path, repo_id: str) -> None:
    """Make a model of two files as Hugging Face's cache has it."""
    folder, commit = cache / f"models--{repo_id.replace('/', '--')}", "c" * 40
    snapshot = folder / "snapshots" / commit
    for part in (snapshot, folder / "refs", folder / "blobs"):
        part.mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit, "utf-8")
    for name, data in {"config.json": b"{}", "model.safetensors": b"weights" * 1000}.items():
        blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / name).symlink_to(blob)
