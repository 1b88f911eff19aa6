"""Reading a model again: at a speed, with pauses, and what it leaves behind in the record."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.manifest import Stamp, read_manifest
from qwen3ft_jupyter.cache.reading import digest_file
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.work import Controls, Work
from tests.cache.making import make_cached
from tests.transfer.origin import Interrupter, Recorder, bytes_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.cache.reports import VerifyReport

MB = 1 << 20
NAME = "Qwen/Qwen3-0.6B"
FILES = {"config.json": b"{}", "model.safetensors": bytes_of(9 * MB, 4)}


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def test_a_model_is_verified_at_the_speed_asked_for(cache: ModelCache) -> None:
    make_cached(cache.root, NAME, FILES)
    recorder = Recorder()
    began = time.monotonic()

    assert cache.verify(NAME, work=Work(reporter=recorder, controls=Controls(max_speed=18 * MB))).is_ok

    assert time.monotonic() - began > 0.3
    assert recorder.events[-1].done == sum(map(len, FILES.values()))


def test_verifying_can_be_paused_and_goes_on(cache: ModelCache) -> None:
    make_cached(cache.root, NAME, FILES)
    controls = Controls()
    recorder = Interrupter("verifying", lambda: setattr(controls, "is_paused", True))
    reports: list[VerifyReport] = []
    work = threading.Thread(
        target=lambda: reports.append(cache.verify(NAME, work=Work(reporter=recorder, controls=controls))), daemon=True
    )

    work.start()
    recorder.wait_for(lambda seen: "paused" in seen.phases())
    assert reports == []
    controls.is_paused = False
    work.join(120)

    assert reports[0].is_ok
    assert recorder.events[-1].phase == "verifying"
    done = [event.done for event in recorder.events]
    assert done == sorted(done)


def test_a_paused_verification_is_stopped_within_a_second(cache: ModelCache) -> None:
    make_cached(cache.root, NAME, FILES)
    stop = threading.Event()
    errors: list[BaseException] = []

    def verify() -> None:
        try:
            cache.verify(NAME, work=Work(stop=stop, controls=Controls(is_paused=True)))
        except Stopped as error:
            errors.append(error)

    work = threading.Thread(target=verify, daemon=True)
    work.start()
    stop.set()
    work.join(120)

    assert len(errors) == 1


def test_verifying_leaves_check_sums_by_which_damage_is_located_later(cache: ModelCache) -> None:
    folder = make_cached(cache.root, NAME, FILES)

    cache.verify(NAME)

    manifest = read_manifest(folder)
    assert manifest is not None
    config, weights = manifest.files
    assert config.pieces is None
    assert weights.pieces is not None
    assert [start for start, _, _ in weights.pieces] == [0, 4 * MB, 8 * MB]


def test_a_file_that_is_wrong_gets_no_check_sums(cache: ModelCache) -> None:
    folder = make_cached(cache.root, NAME, FILES)
    path = folder / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(b"x" * 9 * MB)

    cache.verify(NAME)

    manifest = read_manifest(folder)
    assert manifest is not None
    assert all(file.pieces is None for file in manifest.files)


def test_a_second_name_made_while_a_file_is_read_does_not_make_it_wrong(tmp_path: Path) -> None:
    """Another revision that shares the file may come or go meanwhile."""
    path, second = tmp_path / "model.safetensors", tmp_path / "second"
    path.write_bytes(FILES["model.safetensors"])

    def link(_: int) -> None:
        if not second.exists():
            second.hardlink_to(path)

    digest = digest_file(path, with_git=False, on_bytes=link)

    assert digest is not None
    assert Stamp.of(digest.status) == Stamp.of(path.lstat())
    assert digest.sha256 == hashlib.sha256(FILES["model.safetensors"]).hexdigest()


def test_a_file_that_is_written_to_while_it_is_read_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(FILES["model.safetensors"])
    os.utime(path, ns=(1, 1))

    def write(_: int) -> None:
        with path.open("r+b") as file:
            file.write(b"!")

    assert digest_file(path, with_git=False, on_bytes=write) is None
