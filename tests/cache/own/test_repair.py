from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.manifest import read_manifest, write_manifest
from qwen3ft_jupyter.cache.own.repair import repair_model
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import NotCached, Qwen3ftError, Stopped
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.work import SILENT, Work
from tests.download.asking import ensure_model
from tests.servers import Reply
from tests.transfer.origin import REPO, Interrupter, Origin, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.reports import RepairReport
    from qwen3ft_jupyter.work import Reporter

MB = 1 << 20
SIZE = 16 * MB
WEIGHTS = "model.safetensors"
FILES = {"config.json": b"{}", WEIGHTS: bytes_of(SIZE, 1), "tokenizer.json": bytes_of(3 * MB, 2)}


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def ensure(
    cache: ModelCache,
    origin: Origin,
    *,
    revision: str | None = None,
    reporter: Reporter = SILENT,
    stop: threading.Event | None = None,
) -> int:
    return ensure_model(
        cache,
        {origin.name: origin},
        REPO,
        revision=revision,
        order=[origin.name],
        max_connections=4,
        policy=RetryPolicy(attempts=2, first_delay_s=0.01, max_delay_s=0.02),
        reporter=reporter,
        stop=stop,
    ).bytes_fetched


def repair(
    cache: ModelCache, origin: Origin, *, reporter: Reporter = SILENT, stop: threading.Event | None = None
) -> RepairReport:
    """Repair as the manager does."""

    def fetch(model: CachedModel) -> int:
        return ensure(cache, origin, revision=model.commit, reporter=reporter, stop=stop)

    return repair_model(cache, REPO, fetch, work=Work(reporter=reporter, stop=stop or threading.Event()))


def flip(path: Path, *positions: int) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        for position in positions:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 0xFF]))


def folder_of(cache: ModelCache) -> Path:
    model = cache.find(REPO)
    assert model is not None
    return model.folder


def contents(cache: ModelCache) -> dict[str, bytes]:
    return {name: (folder_of(cache) / name).read_bytes() for name in FILES}


def test_a_flipped_byte_of_40_megabytes_costs_one_range(cache: ModelCache) -> None:
    data = bytes_of(40 * MB, 3)
    with Origin({"config.json": b"{}", WEIGHTS: data}) as origin:
        ensure(cache, origin)
        flip(folder_of(cache) / WEIGHTS, 17 * MB)
        asked = len(origin.ranges(WEIGHTS))

        report = repair(cache, origin)

        assert report.repaired == (WEIGHTS,)
        assert 0 < report.bytes_fetched <= 9 * MB
        assert origin.bytes_asked(WEIGHTS, since=asked) <= 9 * MB
    assert (folder_of(cache) / WEIGHTS).read_bytes() == data
    assert cache.verify(REPO).is_ok


def test_a_cut_file_costs_what_was_cut(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    path = folder_of(cache) / WEIGHTS
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(SIZE - 5)

    assert repair(cache, origin).bytes_fetched <= 9 * MB
    assert contents(cache) == FILES


@pytest.mark.parametrize("damage", ["removed", "emptied", "a folder", "a symlink"])
def test_what_has_no_right_range_travels_whole(cache: ModelCache, origin: Origin, damage: str, tmp_path: Path) -> None:
    ensure(cache, origin)
    path = folder_of(cache) / WEIGHTS
    path.chmod(0o644)
    path.unlink()
    if damage == "emptied":
        path.touch()
    if damage == "a folder":
        path.mkdir()
    if damage == "a symlink":
        (tmp_path / "other").write_bytes(FILES[WEIGHTS])
        path.symlink_to(tmp_path / "other")

    report = repair(cache, origin)

    assert (report.repaired, report.bytes_fetched) == ((WEIGHTS,), SIZE)
    assert contents(cache) == FILES
    assert not (folder_of(cache) / WEIGHTS).is_symlink()


def test_a_model_that_is_right_asks_nobody(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    seen = len(origin.server.seen)

    report = repair(cache, origin)

    assert report.to_dict() == {
        "repo_id": REPO,
        "repaired": (),
        "bytes_fetched": 0,
        "checked_bytes": sum(map(len, FILES.values())),
        "ok": True,
    }
    assert len(origin.server.seen) == seen


def test_a_record_without_check_sums_gets_them_when_it_is_verified(cache: ModelCache, origin: Origin) -> None:
    """Then damage is located the next time; this time the file travels whole."""
    ensure(cache, origin)
    folder = folder_of(cache)
    forget_sums(folder)
    flip(folder / WEIGHTS, 5)

    assert repair(cache, origin).bytes_fetched == SIZE
    forget_sums(folder)
    cache.verify(REPO)
    flip(folder / WEIGHTS, 5)

    assert repair(cache, origin).bytes_fetched <= 9 * MB


def forget_sums(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None
    write_manifest(folder, replace(manifest, files=tuple(replace(file, pieces=None) for file in manifest.files)))


def test_check_sums_that_lie_cost_bytes_and_nothing_else(cache: ModelCache, origin: Origin) -> None:
    """The digest of the whole file decides: what they vouched for wrongly is fetched after all."""
    ensure(cache, origin)
    folder = folder_of(cache)
    flip(folder / WEIGHTS, 5, 12 * MB)
    manifest = read_manifest(folder)
    assert manifest is not None
    wrong = tuple((start, start + MB, crc_of(folder / WEIGHTS, start)) for start in range(0, SIZE, MB))
    files = (replace(file, pieces=wrong) if file.path == WEIGHTS else file for file in manifest.files)
    write_manifest(folder, replace(manifest, files=tuple(files)))

    repair(cache, origin)

    assert contents(cache) == FILES


def crc_of(path: Path, start: int) -> int:
    import zlib

    return zlib.crc32(path.read_bytes()[start : start + MB])


def test_a_stopped_repair_keeps_what_was_found_right(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    flip(folder_of(cache) / WEIGHTS, 7 * MB)
    stop = threading.Event()
    with pytest.raises(Stopped):
        repair(cache, origin, reporter=Interrupter("checking", stop.set), stop=stop)
    before = (folder_of(cache) / WEIGHTS).read_bytes()

    assert repair(cache, origin).bytes_fetched <= 9 * MB
    assert contents(cache) == FILES
    assert before != FILES[WEIGHTS]


def test_a_repair_that_fails_loses_nothing(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    path = folder_of(cache) / WEIGHTS
    flip(path, 7 * MB)
    damaged = path.read_bytes()
    origin.fault = lambda _request, _count: Reply(404)
    with pytest.raises(Qwen3ftError):
        repair(cache, origin)
    assert path.read_bytes() == damaged

    origin.fault = None
    assert repair(cache, origin).bytes_fetched <= 9 * MB
    assert contents(cache) == FILES


def test_a_model_that_is_not_there_cannot_be_repaired(cache: ModelCache, origin: Origin) -> None:
    with pytest.raises(NotCached):
        repair(cache, origin)


def test_what_is_damaged_is_said(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    flip(folder_of(cache) / WEIGHTS, 7 * MB)
    recorder = Recorder()

    repair(cache, origin, reporter=recorder)

    assert recorder.notices[0] == f"{REPO}: {WEIGHTS}: missing or wrong; fetching what is damaged."
    assert any("are right and need not travel again" in notice for notice in recorder.notices)
