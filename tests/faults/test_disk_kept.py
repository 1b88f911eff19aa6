"""Files of ours lie beside files of others: writing, renaming and deleting ours touches no other."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.layout import EVICTED_FOLDER, STAMPS_FOLDER, incoming_folder
from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.cache.own.stamps import forget, save
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import write_json
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.finetune.metrics import MetricsFile
from qwen3ft_jupyter.jobs import folder as job_folder
from qwen3ft_jupyter.jobs.supervisor import EventLog, write_status
from qwen3ft_jupyter.mirror.tls import own_certificate
from qwen3ft_jupyter.work import Controls
from tests.cache.making import make_cached
from tests.faults.downloads import FILES, NAME, WEIGHTS, ensure
from tests.transfer.origin import REPO, Origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THEIRS = ("notes.txt", "sub/notes.txt", "mine.json", "mine.tmp", ".hidden", "log.txt.1")


def put(folder: Path) -> dict[Path, bytes]:
    """Put files of somebody into a folder and return them."""
    files = {folder / name: f"mine: {name}".encode() for name in THEIRS}
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def write_job(folder: Path) -> None:
    write_status(folder, {"state": "running"})
    job_folder.write_controls(folder, Controls())
    job_folder.request_stop(folder, 1)
    job_folder.withdraw_stop(folder)
    EventLog(folder / "events.jsonl").close()
    job_folder.delete(folder)


def write_metrics(folder: Path) -> None:
    for _ in range(2):
        with MetricsFile(folder / "metrics.jsonl", last_step=0) as metrics:
            metrics.add({"step": 1})


def write_small(folder: Path) -> None:
    write_json(folder / "ours.json", 1)
    write_json(folder / "ours.json", 2)


def make_certificate(folder: Path) -> None:
    for host in ("127.0.0.1", "mirror.example"):
        own_certificate(folder, host)


@pytest.mark.parametrize("write", [write_job, write_metrics, write_small, make_certificate])
def test_what_lies_beside_our_small_files_stays(tmp_path: Path, write: Callable[[Path], None]) -> None:
    if write is make_certificate and shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    theirs = put(tmp_path)

    write(tmp_path)

    assert {path: path.read_bytes() for path in theirs} == theirs


def test_what_lies_beside_stamps_that_are_dropped_stays(tmp_path: Path) -> None:
    model = make_cached(tmp_path / "shared", REPO)
    manifest = read_manifest(model)
    assert manifest is not None
    theirs = put(tmp_path / STAMPS_FOLDER)

    save(tmp_path, model, manifest)
    forget(tmp_path, model)

    assert {path: path.read_bytes() for path in theirs} == theirs
    assert {path.name for path in (tmp_path / STAMPS_FOLDER).iterdir()} == {name.partition("/")[0] for name in THEIRS}


@pytest.mark.parametrize("evictions", [0, 1, 2])
def test_what_lies_in_the_folders_of_a_cache_stays(tmp_path: Path, evictions: int) -> None:
    """In those of partial files and of notes, and beside the files of the model, after a download and evictions."""
    cache = ModelCache(tmp_path / "cache")
    folders = (cache.root, incoming_folder(cache.root, NAME), cache.root / EVICTED_FOLDER, cache.root / NAME)
    theirs = {path: data for folder in folders for path, data in put(folder).items()}

    with Origin(FILES) as origin:
        ensure(cache, origin)
    for _ in range(evictions):
        cache.finish_evictions()
        with contextlib.suppress(NotCached):
            cache.evict(REPO)

    assert (cache.root / NAME / WEIGHTS).exists() == (evictions == 0)
    assert {path: path.read_bytes() for path in theirs} == theirs
