"""Faults at every single step of a whole download by the real engine, and what a disk that fills up leaves."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import NoSpace, Qwen3ftError, TransferError
from qwen3ft_jupyter.transfer import journal
from tests.faults.downloads import MB, NAME, WEIGHTS, check_visible, complete, contents, ensure, try_once
from tests.played_disks import FailingDisk, FullDisk
from tests.power_cuts import LOSSES, Loss, PowerCut, PowerCutDisk
from tests.transfer.origin import Origin, bytes_of

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"config.json": b"{}", WEIGHTS: bytes_of(3000, 1), "sub/notes.txt": b"notes", "twin.json": b"{}"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # threads die of it, too
@pytest.mark.parametrize("loss", LOSSES)
def test_after_a_power_cut_at_any_step_the_model_is_absent_or_right_and_the_next_run_completes_it(
    tmp_path: Path, loss: Loss
) -> None:
    with Origin(FILES) as origin:
        for operations in range(1000):
            root = tmp_path / str(operations)
            root.mkdir()
            disk = PowerCutDisk(root, operations)
            with contextlib.suppress(PowerCut, Qwen3ftError):  # an error that another thread met first
                ensure(ModelCache(root, disk=disk), origin)
            disk.settle(loss)
            (root / ".incoming" / NAME / "lease.json").unlink(missing_ok=True)
            journal.held.clear()  # as if this process had died

            for model in ModelCache(root).list():
                assert not model.is_verified or contents(model.folder) == FILES
            check_visible(root, FILES)
            complete(root, origin)
            if not disk.is_cut:
                break
    assert operations > 40


@pytest.mark.parametrize(("operation", "at_least"), [("unlink", 5), ("chmod", 3), ("fsync_folder", 10)])
@pytest.mark.parametrize("how", ["once", "from then on"])
def test_an_input_output_error_at_a_name_is_an_error_of_ours_or_none_and_the_next_run_completes(
    tmp_path: Path, *, operation: str, at_least: int, how: str
) -> None:
    with Origin(FILES) as origin:
        for nth in range(1, 1000):
            root = tmp_path / str(nth)
            disk = FailingDisk(operation, nth, is_once=how == "once")

            error = try_once(ModelCache(root, disk=disk), origin)

            complete(root, origin)
            assert error is None or type(error) is TransferError
            if disk.count < nth:  # it was not asked that often
                assert error is None
                break
    assert nth > at_least


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_what_arrived_before_a_disk_was_full_is_not_fetched_again(tmp_path: Path, code: int) -> None:
    """A record of it fits behind the last one, in a block that the journal has already."""
    files, room = {"config.json": b"{}", WEIGHTS: bytes_of(12 * MB, 4)}, 9 * MB
    with Origin(files) as origin:
        error = try_once(ModelCache(tmp_path, disk=FullDisk(room, code, block=4096)), origin)

        assert type(error) is NoSpace
        assert complete(tmp_path, origin).bytes_fetched < sum(map(len, files.values())) - room // 2
