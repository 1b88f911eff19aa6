"""What tests start lies in folders of their own, not in those of whoever runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from qwen3ft_jupyter.manager import get_model_manager
from qwen3ft_jupyter.practice import PRACTICE_REPO_ID

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which pytest lets this session write."""
    return tmp_path_factory.getbasetemp().resolve()


def folders() -> Iterator[Path]:
    settings = get_model_manager().settings
    yield from (settings.state_dir, settings.cache_dir, Path(platformdirs.user_config_dir("qwen3ft")))


def test_jobs_cache_and_config_of_a_test_that_names_no_folder_lie_in_those_of_the_session(home: Path) -> None:
    assert [folder for folder in folders() if not folder.resolve().is_relative_to(home)] == []


def test_a_job_that_a_test_starts_by_the_command_line_lies_there(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "qwen3ft_jupyter", "download", PRACTICE_REPO_ID]
    before = {job.id for job in get_model_manager().jobs()}

    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, timeout=300)
    [job] = [job for job in get_model_manager().jobs() if job.id not in before]

    assert job.folder.resolve().is_relative_to(home)
