"""All tests of downloads once more, where open files, threads and rights are scarce; see `scarcity`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.played_paths import run_without_rights

ROOT = Path(__file__).parents[2]
SUITE = ("tests/download", "tests/faults/test_network_bodies.py", "tests/faults/test_disk_steps.py")
NOT_ABOUT_THAT = (
    # what is said is compared word by word, and a folder that cannot be looked into is said, too
    "tests/download/test_ensure.py::test_a_plain_folder_is_used_with_a_warning_when_no_hub_can_be_reached",
    "tests/download/test_ensure_revisions.py::test_a_file_becomes_a_folder_and_a_file_again",
    "tests/download/test_news.py::test_what_is_here_is_used_and_that_there_was_no_news_is_said_once",
    "tests/download/test_usable.py::test_weights_that_stay_on_the_hub_are_said_in_the_plan_at_the_download_in_the_list_and_at_the_load",
    "tests/download/test_usable.py::test_of_a_repo_that_has_both_what_stays_on_the_hub_is_said_and_the_model_is_whole",
    # it renames a folder
    "tests/download/test_ensure.py::test_a_moved_cache_is_read_once_and_then_trusted",
    # hundreds of plans, which need none of that
    "tests/download/test_plan_is_executed.py",
)


@pytest.mark.skipif(sys.platform != "linux", reason="limits and rights of Linux")
def test_every_download_works_with_few_files_few_threads_no_renamed_folders_and_unreadable_ones() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider"]
    command += ["-p", "tests.faults.scarcity", *SUITE]
    command += [word for one in NOT_ABOUT_THAT for word in ("--deselect", one)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    done = run_without_rights(command, cwd=ROOT, env=environ, timeout=800)

    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout
