"""What every test shares."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

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


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 in a folder; tests must not change it."""
    from tests.loading.tiny_qwen3 import make_model

    return make_model(tmp_path_factory.mktemp("models") / "Tiny-Qwen3")
