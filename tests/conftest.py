"""What every test shares."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests.mounting import keep_mounts_to_this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

# hypothesis otherwise keeps its examples in the checkout, where pytest warns of the folder
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "qwen3ft-hypothesis")
# a busy machine is no reason to fail, nor is luck: the examples are the same each time, but for those who explore
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("qwen3ft", settings.get_profile("explore"), derandomize=True)
settings.load_profile("qwen3ft")

# what `nohup` and a shell's `&` ignore, the processes that tests start and signal would ignore, too
for _name, _handler in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler)):
    _number = getattr(signal, _name, None)  # Windows has no SIGHUP
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_configure() -> None:
    """Do it before there are threads: each of them would keep what it started with."""
    keep_mounts_to_this_process()


_FSYNC = os.fsync


def _stat(file: int | IO[bytes]) -> None:
    """Do nothing with an open file. Raises OSError as `fsync` does for one that is closed."""
    os.fstat(file if isinstance(file, int) else file.fileno())


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Leave the disk its time: a real `fsync` takes half of what the tests of the cache take, on a busy disk more.

    What a power cut takes along is played; see `tests.power_cuts`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _stat)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep jobs, cache and config of the tests, and of processes they start, apart from those of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("STATE", "CACHE", "CONFIG"):
            patch.setenv(f"XDG_{kind}_HOME", str(tmp_path_factory.mktemp(kind.lower())))
        # each of these would name another folder
        for variable in ("QWEN3FT_STATE_DIR", "MODEL_CACHE_DIR", "DSW_INSTANCE_ID", "JUPYTER_NAME", "MODELSCOPE_CACHE"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the real disk all the same."""
    monkeypatch.setattr(os, "fsync", _FSYNC)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 in a folder; tests must not change it."""
    from tests.loading.tiny_qwen3 import make_model

    return make_model(tmp_path_factory.mktemp("models") / "Tiny-Qwen3")
