"""The streams of a command: closed, full, cut off, or nobody's. Real processes of a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3ft_jupyter.cache.store import ModelCache

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

ROOT = Path(__file__).parents[2]
NAME = "qwen3ft/Qwen3-Practice"
VERBS = ["list", "list --json", "status", "status --json", "jobs --json", "models", "--help", "--version"]
VERBS += ["download --help", "help"]


@pytest.fixture(autouse=True)
def unbuffered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffer as Python does, whatever the environment of the tests says, unless a test asks for what containers do."""
    monkeypatch.setenv("PYTHONUNBUFFERED", getattr(request, "param", ""))


both = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"], indirect=True)
"""What cannot be written fails at other places if it is written at once."""


def run(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell in which `qwen3ft` is the command."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "QWEN3FT_LANG": "en"}
    environ |= {"MODEL_CACHE_DIR": str(folder / "cache"), "QWEN3FT_STATE_DIR": str(folder / "state")}
    line = line.replace("qwen3ft ", f"{sys.executable} -m qwen3ft_jupyter ", 1)
    command = ["bash", "-c", f"set -o pipefail; {line}"]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@both
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&- </dev/null"])
def test_a_download_without_a_stream_is_a_download(tmp_path: Path, closed: str) -> None:
    assert run(tmp_path, f"qwen3ft download {NAME} {closed}").returncode == 0

    assert ModelCache(tmp_path / "cache").verify(NAME).is_ok
    assert run(tmp_path, f"qwen3ft verify {NAME} {closed}").returncode == 0
    assert run(tmp_path, f"qwen3ft evict {NAME} {closed}").returncode == 0
    assert ModelCache(tmp_path / "cache").list() == []


@both
def test_where_the_result_cannot_be_written_the_work_is_done_and_that_is_said(tmp_path: Path) -> None:
    for line in (f"download {NAME}", f"verify {NAME}", f"evict {NAME}"):
        done = run(tmp_path, f"qwen3ft {line} >/dev/full")

        assert done.returncode == 1
        said = "The work is done, but its output could not be written: No space left on device.\n"
        assert done.stderr.endswith(said)
    assert ModelCache(tmp_path / "cache").list() == []


@both
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "list"])
def test_half_an_output_is_no_success(tmp_path: Path, verb: str) -> None:
    """Least of all half of what is for programs. A list of nothing has no output but what is said of it."""
    done = run(tmp_path, f"qwen3ft {verb} >/dev/full")

    assert done.returncode == 1
    assert "could not be written" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_said_where_nobody_reads(tmp_path: Path, verb: str) -> None:
    assert run(tmp_path, f"qwen3ft {verb} >&- 2>&-").returncode == 0
    assert run(tmp_path, f"qwen3ft {verb} | head -c 1").stderr.count("could not") == 0
    assert run(tmp_path, f"qwen3ft {verb} | true").stderr.count("could not") == 0


@both
def test_an_error_keeps_its_exit_code_wherever_it_is_said(tmp_path: Path) -> None:
    for closed in ("2>&-", "2>/dev/full", ">/dev/full 2>&-", ">&- 2>&- <&-"):
        assert run(tmp_path, f"qwen3ft evict nobody/nothing {closed}").returncode == 1
        assert run(tmp_path, f"qwen3ft nonsense {closed}").returncode == 2


def test_no_file_of_ours_becomes_the_stderr_of_a_process_that_has_none(tmp_path: Path) -> None:
    """The number of a closed stream goes to whatever is opened next: what programs then print would be in a model."""
    code = (
        "import os, sys; from qwen3ft_jupyter import cli; cli.main(['status']);"
        " print(sorted(os.path.realpath(f'/proc/self/fd/{n}') for n in (0, 1, 2)), file=open('said', 'w'))"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = ["bash", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-']

    subprocess.run(command, env=environ, cwd=tmp_path, check=True, timeout=120)

    assert (tmp_path / "said").read_text() == f"{['/dev/null'] * 3}\n"
