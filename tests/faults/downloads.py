"""A model on loopback, a cache on some disk, and the two outcomes that are allowed whatever the disk does."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.own.manifest import file_state, read_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.names import slug
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from tests.download.asking import ensure_model, plan_model
from tests.transfer.origin import COMMIT, REPO, Origin, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.work import Reporter

MB = 1 << 20
WEIGHTS = "model.safetensors"
FILES: Mapping[str, bytes] = {
    "config.json": b'{"model_type": "qwen3"}',
    WEIGHTS: bytes_of(3 * MB, 1),
    "sub/deep/notes.txt": b"notes",
    "twin.json": b'{"model_type": "qwen3"}',
}
NAME = slug(REPO)
SIZE = len(FILES["config.json"]) + len(FILES[WEIGHTS]) + len(FILES["sub/deep/notes.txt"])
"""What has to travel: a twin is copied."""
ROOT = Path(__file__).parent.parent.parent


def ensure(cache: ModelCache, origin: Origin, *, reporter: Reporter | None = None, force: bool = False) -> Ensured:
    return ensure_model(
        cache,
        {origin.name: origin},
        REPO,
        order=[origin.name],
        force=force,
        max_connections=4,
        policy=RetryPolicy(attempts=3, first_delay_s=0.01, max_delay_s=0.02),
        reporter=reporter or Recorder(),
    )


def plan(cache: ModelCache, origin: Origin) -> DownloadPlan:
    return plan_model(cache, {origin.name: origin}, REPO, order=[origin.name], max_connections=4)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".qwen3ft" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def check_visible(root: Path, files: Mapping[str, bytes] = FILES) -> None:
    """Assert that no file of a model in the cache is wrong under a stamp that says it is right."""
    for model in ModelCache(root).list():
        manifest = read_manifest(model.folder) if model.is_verified else None
        for file in manifest.files if manifest is not None else ():
            if file_state(model.folder, file) == "same":
                assert (model.folder / file.path).read_bytes() == files[file.path]


def try_once(cache: ModelCache, origin: Origin, *, force: bool = False) -> Qwen3ftError | None:
    """Download; return the error of ours that it ended with, or None when the right bytes are there."""
    error: Qwen3ftError | None = None
    try:
        ensured = ensure(cache, origin, force=force)
    except Qwen3ftError as caught:
        error = caught
    else:
        assert contents(ensured.model.folder) == origin.files
    check_visible(cache.root, origin.files)
    return error


def complete(root: Path, origin: Origin) -> Ensured:
    """Download on the disk as it is, and assert that all is right then."""
    ensured = ensure(ModelCache(root), origin)
    assert contents(ensured.model.folder) == origin.files
    assert ModelCache(root).verify(REPO).is_ok
    return ensured


class Child:
    """A process that downloads the model of an `Origin`; see `download_child`."""

    def __init__(self, origin: Origin, cache: Path, **options: Any) -> None:
        files = [[path, len(data), hashlib.sha256(data).hexdigest()] for path, data in origin.files.items()]
        listing = {"url": origin.server.url, "repo_id": REPO, "commit": COMMIT, "files": files}
        command = [sys.executable, str(Path(__file__).with_name("download_child.py")), str(cache)]
        self.process = subprocess.Popen(
            [*command, json.dumps(listing), json.dumps(options)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def wait_for(self, **expected: object) -> dict[str, Any]:
        found = next((line for line in self.lines() if expected.items() <= line.items()), None)
        assert found is not None, f"it ended without saying {expected}"
        return found

    def end(self) -> dict[str, Any]:
        """Wait for its end and return its result or error; empty if it was killed."""
        said = [line for line in self.lines() if "result" in line or "error" in line]
        self.process.wait(120)
        if self.process.stdout is not None:
            self.process.stdout.close()
        assert self.process.returncode in {0, -signal.SIGKILL}
        return said[-1] if said else {}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(120)
        if self.process.stdout is not None:
            self.process.stdout.close()
