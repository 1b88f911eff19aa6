"""Real processes that are killed in every phase, and many times at random."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.transfer.journal import parse_journal
from qwen3ft_jupyter.transfer.pieces import spans_of
from qwen3ft_jupyter.transfer.workers import RECORD_BYTES
from tests.faults.downloads import FILES, MB, NAME, SIZE, WEIGHTS, Child, check_visible, complete, contents, ensure
from tests.transfer.origin import Origin, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTIONS = 2


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def noted_bytes(root: Path) -> int:
    """Return how many bytes the journals and the model folder know to be there."""
    journals = [parse_journal(path.read_bytes()) for path in (root / ".incoming").rglob("*.journal")]
    present = {path.stem for path in (root / ".incoming").rglob("*.part")}
    backed = [j for j in journals if j is not None and j.data_name.removesuffix(".part") in present]
    noted = sum(spans_of(j.records).total for j in backed)
    moved = [path for path in (root / NAME).rglob("*") if path.is_file() and ".qwen3ft" not in path.parts]
    return noted + sum(path.stat().st_size for path in moved if path.name != "twin.json")


PHASES = {
    "taking the lease": ("create", "lease.json", 2),
    "claiming a file": ("create", ".tmp", 2),
    "naming its owner": ("append", "", 1),
    "opening it": ("create", ".part", 1),
    "making room": ("truncate", "", 3),
    "transferring": ("write_at", "", 6),
    "noting what arrived": ("append", "", 5),
    "syncing a file": ("fsync", "", 4),
    "marking the folder": ("replace", "incomplete", 1),
    "moving the first file": ("replace", ".part", 1),
    "making it read-only": ("chmod", "", 1),
    "moving the last file": ("replace", ".part", 3),
    "copying a twin": ("replace", "copy", 1),
    "syncing the folders": ("fsync_folder", "deep", 1),
    "forgetting a journal": ("unlink", ".journal", 2),
    "writing the manifest": ("replace", "manifest", 1),
    "taking the mark away": ("unlink", "incomplete", 1),
    "giving the lease back": ("unlink", "lease.json", 1),
}
"""The operation of the disk at which the process is killed, what it is done to, and which time it is."""


@pytest.mark.parametrize("phase", PHASES)
def test_killed_in_any_phase_nothing_wrong_is_visible_and_nothing_noted_travels_again(
    tmp_path: Path, origin: Origin, phase: str
) -> None:
    operation, name, nth = PHASES[phase]
    root = tmp_path / "cache"
    child = Child(origin, root, disk="KillingDisk", arguments=[nth, operation, name], connections=CONNECTIONS)
    assert child.end() == {}, "it was not killed"
    child.kill()
    check_visible(root)
    noted = noted_bytes(root)

    ensured = complete(root, origin)

    assert ensured.bytes_fetched <= SIZE - noted
    assert not list((root / ".incoming").rglob("*.part"))


def test_killed_many_times_at_random_each_try_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    chance = random.Random(3)  # noqa: S311 - so that it can be repeated
    root, data = tmp_path / "cache", bytes_of(64 * MB, 5)
    with Origin({"config.json": b"{}", WEIGHTS: data}) as origin:
        noted = 0
        for _ in range(8):
            child = Child(origin, root, disk="KillingDisk", arguments=[chance.randint(5, 80)], connections=CONNECTIONS)
            assert child.end() == {}, "it was not killed"
            child.kill()
            check_visible(root, origin.files)
            assert noted_bytes(root) >= noted
            noted = noted_bytes(root)
        assert noted > 0

        assert complete(root, origin).bytes_fetched == len(data) + 2 - noted


@pytest.mark.parametrize("megabytes", [5, 13, 20, 35])
def test_a_kill_costs_at_most_what_each_connection_had_not_noted_yet(tmp_path: Path, megabytes: int) -> None:
    root, data = tmp_path / "cache", bytes_of(40 * MB, 5)
    with Origin({WEIGHTS: data}) as origin:
        child = Child(origin, root, disk="ByteKillingDisk", arguments=[megabytes * MB], connections=CONNECTIONS)
        assert child.end() == {}, "it was not killed"
        child.kill()

        (part,) = root.rglob("*.part")
        bytes_there = part.read_bytes()
        blocks = [bytes_there[start : start + 4096] for start in range(0, len(data), 4096)]
        written = sum(len(block) for block in blocks if any(block))
        assert written > 0
        assert written - noted_bytes(root) <= CONNECTIONS * RECORD_BYTES


def test_a_verification_that_is_killed_leaves_the_model_as_it_was(tmp_path: Path, origin: Origin) -> None:
    root = tmp_path / "cache"
    complete(root, origin)
    asked = len(origin.ranges(WEIGHTS))
    for path in (root / NAME).rglob("*"):
        path.touch()  # so that everything has to be read
    child = Child(origin, root, disk="KillingDisk", arguments=[1, "replace", "manifest"])
    assert child.end() == {}, "it was not killed"
    child.kill()

    check_visible(root)
    assert ensure(ModelCache(root), origin).was_cached
    assert contents(root / NAME) == FILES
    assert len(origin.ranges(WEIGHTS)) == asked
