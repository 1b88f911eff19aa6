"""Reading a model again: at a speed, with pauses, and what it leaves behind in the record."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache import ModelCache
from qwen3ft_jupyter.cache.digests import digest_file
from qwen3ft_jupyter.cache.manifest import Stamp, read_manifest
from qwen3ft_jupyter.cache.pace import Pace
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.work import Controls
from tests.cache.making import make_cached
from tests.transfer.origin import Interrupter, Recorder, bytes_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.cache import VerifyReport

MB = 1 << 20
NAME = "Qwen/Qwen3-0.6B"
FILES = {"config.json": b"{}", "model.safetensors": bytes_of(9 * MB, 4)}


class PlayedTime(threading.Event):
    """A stop signal whose waiting moves the clock, and does something at a given time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.at: dict[float, object] = {}

    def clock(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert timeout <= 0.25, "a change of the controls would be noticed too late"
        self.now += timeout
        for moment in [moment for moment in self.at if moment <= self.now]:
            action = self.at.pop(moment)
            assert callable(action)
            action()
        return self.is_set()


def spend(pace: Pace, count: int, pauses: list[bool] | None = None) -> None:
    pace.spend(count, on_pause=lambda: pauses.append(True) if pauses is not None else None)


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def test_reading_keeps_to_the_speed() -> None:
    signal = PlayedTime()
    pace = Pace(Controls(max_speed=10.0), stop=signal, clock=signal.clock)

    for _ in range(5):
        spend(pace, 20)

    assert signal.now == pytest.approx(10.0)


def test_time_that_passes_anyway_is_not_waited_for() -> None:
    signal = PlayedTime()
    pace = Pace(Controls(max_speed=10.0), stop=signal, clock=signal.clock)
    spend(pace, 10)

    signal.now += 100  # a slow disk; that does not allow a burst afterwards
    spend(pace, 10)
    before = signal.now
    spend(pace, 10)

    assert signal.now - before == pytest.approx(1.0)


def test_a_limit_lifted_while_waiting_ends_the_wait() -> None:
    signal = PlayedTime()
    controls = Controls(max_speed=1.0)
    signal.at[2.0] = lambda: setattr(controls, "max_speed", None)

    spend(Pace(controls, stop=signal, clock=signal.clock), 1000)

    assert signal.now < 2.3


def test_a_pause_lasts_until_it_ends_and_is_said_once() -> None:
    signal = PlayedTime()
    controls = Controls(is_paused=True)
    signal.at[5.0] = lambda: setattr(controls, "is_paused", False)
    pauses: list[bool] = []

    spend(Pace(controls, stop=signal, clock=signal.clock), 10, pauses)

    assert 5.0 <= signal.now < 5.3
    assert pauses == [True]


def test_a_pause_pays_nothing_off() -> None:
    signal = PlayedTime()
    controls = Controls(is_paused=True, max_speed=10.0)
    signal.at[5.0] = lambda: setattr(controls, "is_paused", False)

    spend(Pace(controls, stop=signal, clock=signal.clock), 20)

    assert signal.now == pytest.approx(7.0, abs=0.3)


@pytest.mark.parametrize("controls", [Controls(is_paused=True), Controls(max_speed=1.0)])
def test_a_stop_ends_every_wait(controls: Controls) -> None:
    signal = PlayedTime()
    signal.at[1.0] = signal.set

    with pytest.raises(Stopped):
        spend(Pace(controls, stop=signal, clock=signal.clock), 1000)

    assert signal.now < 1.3


def test_a_model_is_verified_at_the_speed_asked_for(cache: ModelCache) -> None:
    make_cached(cache.root, NAME, FILES)
    recorder = Recorder()
    began = time.monotonic()

    assert cache.verify(NAME, controls=Controls(max_speed=18 * MB), reporter=recorder).is_ok

    assert time.monotonic() - began > 0.3
    assert recorder.events[-1].done == sum(map(len, FILES.values()))


def test_verifying_can_be_paused_and_goes_on(cache: ModelCache) -> None:
    make_cached(cache.root, NAME, FILES)
    controls = Controls()
    recorder = Interrupter("verifying", lambda: setattr(controls, "is_paused", True))
    reports: list[VerifyReport] = []
    work = threading.Thread(
        target=lambda: reports.append(cache.verify(NAME, controls=controls, reporter=recorder)), daemon=True
    )

    work.start()
    recorder.wait_for(lambda seen: "paused" in seen.phases())
    assert reports == []
    controls.is_paused = False
    work.join(10)

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
            cache.verify(NAME, controls=Controls(is_paused=True), stop=stop)
        except Stopped as error:
            errors.append(error)

    work = threading.Thread(target=verify, daemon=True)
    work.start()
    stop.set()
    work.join(5)

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

    digest = digest_file(path, with_git=False, on_bytes=link, stop=threading.Event())

    assert digest is not None
    assert digest.stamp == Stamp.of(path.lstat())
    assert digest.sha256 == hashlib.sha256(FILES["model.safetensors"]).hexdigest()


def test_a_file_that_is_written_to_while_it_is_read_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(FILES["model.safetensors"])
    os.utime(path, ns=(1, 1))

    def write(_: int) -> None:
        with path.open("r+b") as file:
            file.write(b"!")

    assert digest_file(path, with_git=False, on_bytes=write, stop=threading.Event()) is None
