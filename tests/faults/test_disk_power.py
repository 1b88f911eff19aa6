"""The power fails somewhere in a whole download; `tests/cache/own/test_power_cut.py` cuts a commit everywhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.transfer import journal
from tests.faults.downloads import FILES, NAME, check_visible, complete, contents, ensure
from tests.power_cuts import LOSSES, Loss, PowerCut, PowerCutDisk
from tests.transfer.origin import Origin

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # threads die of it, too
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("operations", [3, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 100, 105, 110])
def test_a_power_cut_leaves_the_model_absent_or_right_and_the_next_run_completes_it(
    tmp_path: Path, loss: Loss, operations: int
) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    disk = PowerCutDisk(root, operations)
    with Origin(FILES) as origin:
        with contextlib.suppress(PowerCut, Qwen3ftError):  # an error that another thread met first
            ensure(ModelCache(root, disk=disk), origin)
        disk.settle(loss)
        (root / ".incoming" / NAME / "lease.json").unlink(missing_ok=True)
        journal.held.clear()  # as if this process had died

        for model in ModelCache(root).list():
            assert not model.is_verified or contents(model.folder) == FILES
        check_visible(root)
        complete(root, origin)
