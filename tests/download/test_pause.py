"""A pause, a speed limit and a stop hold in every phase of a download in which files are read."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.work import Controls
from tests.cache.making import safetensors
from tests.download.asking import ensure_model
from tests.download.test_ensure import make_plain
from tests.lived import Lived
from tests.transfer.origin import REPO, Interrupter, Origin, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.download.apply import Ensured

MB = 1 << 20
FILES = {"config.json": b"{}", "model.safetensors": safetensors(bytes_of(9 * MB, 4)), "tokenizer.json": b"{}"}
PHASES = ["checking", "adopting", "verifying"]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def prepared(phase: str, origin: Origin, tmp_path: Path) -> ModelCache:
    """Return a cache with which a download has to read files in that phase."""
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])
    if phase == "checking":  # a cache that was copied has other stamps
        ensure_model(ModelCache(tmp_path / "old"), {"modelscope": origin}, REPO, order=["modelscope"])
        shutil.copytree(tmp_path / "old", cache.root)
    else:
        make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", FILES)
    return cache


def ensure(cache: ModelCache, origin: Origin, phase: str, **given: object) -> Ensured:
    is_in_place = phase == "verifying"
    return ensure_model(cache, {"modelscope": origin}, REPO, order=["modelscope"], in_place=is_in_place, **given)


@pytest.mark.parametrize("phase", PHASES)
def test_reading_can_be_paused_and_goes_on(origin: Origin, tmp_path: Path, phase: str) -> None:
    cache, controls = prepared(phase, origin, tmp_path), Controls()
    recorder = Interrupter(phase, lambda: setattr(controls, "is_paused", True))
    ensured: list[Ensured] = []
    thread = threading.Thread(
        target=lambda: ensured.append(ensure(cache, origin, phase, reporter=recorder, controls=controls)), daemon=True
    )

    thread.start()
    recorder.wait_for(lambda told: "paused" in told.phases())
    assert ensured == []
    controls.is_paused = False
    thread.join(120)

    assert ensured[0].model.is_verified
    assert ensured[0].bytes_fetched == 0


@pytest.mark.parametrize("phase", PHASES)
def test_reading_keeps_to_the_speed(origin: Origin, tmp_path: Path, phase: str) -> None:
    cache = prepared(phase, origin, tmp_path)
    began = time.monotonic()

    ensure(cache, origin, phase, controls=Controls(max_speed=18 * MB))

    assert time.monotonic() - began > 0.3


@pytest.mark.parametrize("phase", PHASES)
def test_a_pause_ends_within_a_second_of_a_stop(origin: Origin, tmp_path: Path, phase: str) -> None:
    cache, stop, told = prepared(phase, origin, tmp_path), threading.Event(), Recorder()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            ensure(cache, origin, phase, controls=Controls(is_paused=True), stop=stop, reporter=told)
        except Stopped as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    told.wait_for(lambda told: "paused" in told.phases())
    with Lived() as lived:
        stop.set()
        thread.join(120)

    assert len(errors) == 1
    assert lived.seconds < 1
