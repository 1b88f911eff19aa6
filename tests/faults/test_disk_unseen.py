"""A folder that cannot be looked into, in every setting that names one: of another user, on a drive that is gone, …

The cache itself is an error that names it. All else is a line, and the work goes on.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.played_paths import ANSWERS, run_without_rights

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions and errors of POSIX")

ROOT = Path(__file__).parents[2]
NAME = "qwen3ft/Qwen3-Practice"
DOWNLOAD, LIST, STATUS, JOBS = ["download", NAME], ["list"], ["status"], ["jobs"]

CACHE = ("MODEL_CACHE_DIR", "XDG_CACHE_HOME", "HOME")
"""Where the cache itself is, by its setting or by default."""
LAYERS = (
    *("MODEL_CACHE_SHARED_DIRS", "MODEL_CACHE_OTHER_DIRS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    *("TRANSFORMERS_CACHE", "MODELSCOPE_CACHE", "MS_CACHE_HOME"),
)
STATE = ("QWEN3FT_STATE_DIR", "XDG_STATE_HOME")
HARMLESS = ("XDG_CONFIG_HOME", "HF_TOKEN_PATH", "MODELSCOPE_HOME", "MODELSCOPE_CREDENTIALS_PATH", "TMPDIR")


def lock(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0)
    return folder


def lock_above(folder: Path) -> Path:
    (folder / "in").mkdir(parents=True)
    folder.chmod(0)
    return folder / "in"


def make_unlisted(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o300)
    return folder


def make_unentered(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o400)
    return folder


def make_long(folder: Path) -> Path:
    return folder.with_name("x" * 300)


def make_endless(folder: Path) -> Path:
    return Path(f"{folder}/{'a/' * 2500}")


def make_loop(folder: Path) -> Path:
    folder.symlink_to(folder.name)
    return folder


def make_dangling(folder: Path) -> Path:
    folder.symlink_to("gone")
    return folder


def make_file(folder: Path) -> Path:
    folder.write_bytes(b"")
    return folder


def make_below_file(folder: Path) -> Path:
    folder.write_bytes(b"")
    return folder / "in"


REAL: dict[str, Callable[[Path], Path]] = {
    "locked": lock,
    "below a locked one": lock_above,
    "not to be listed": make_unlisted,
    "not to be entered": make_unentered,
    "a name too long": make_long,
    "a path too long": make_endless,
    "a circle": make_loop,
    "a link that leads nowhere": make_dangling,
    "a file": make_file,
    "below a file": make_below_file,
}
KINDS = (*REAL, *ANSWERS)
NO_FAULT = {(variable, "not to be listed") for variable in ("XDG_CACHE_HOME", "HOME", "HF_HOME", *STATE)}
"""What matters lies below these, and can be reached by its name."""


@dataclass(frozen=True)
class Case:
    variable: str
    kind: str
    command: list[str]

    @property
    def key(self) -> str:
        return f"{self.variable} {self.kind} {self.command[0]}"


def cases_of(variables: tuple[str, ...], *commands: list[str]) -> list[Case]:
    return [Case(*one) for one in product(variables, KINDS, commands) if one[:2] not in NO_FAULT]


ALL = [
    *cases_of(CACHE, DOWNLOAD, LIST, STATUS),
    *cases_of(LAYERS, DOWNLOAD, LIST, STATUS),
    *cases_of(STATE, DOWNLOAD, JOBS, STATUS),
    *cases_of(HARMLESS, DOWNLOAD, LIST),
]


def written(case: Case, folder: Path) -> dict[str, Any]:
    """Return a case as the child takes it, its folder made."""
    folder.mkdir()
    bad = REAL[case.kind](folder / "bad") if case.kind in REAL else folder / "bad"
    bad_is_played = case.kind in ANSWERS
    if bad_is_played:
        bad.mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "MODEL_CACHE_DIR": str(folder / "cache"),
        "QWEN3FT_STATE_DIR": str(folder / "state"),
    }
    if case.variable in {"HOME", "XDG_CACHE_HOME"}:
        del environ["MODEL_CACHE_DIR"]
    if case.variable == "XDG_STATE_HOME":
        del environ["QWEN3FT_STATE_DIR"]
    environ[case.variable] = str(bad)
    number = ANSWERS.get(case.kind, 0)
    return {"environ": environ, "command": case.command, "folder": str(bad), "errno": number}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what each case ended with: all of them run in one process, for which permissions count."""
    folder = tmp_path_factory.mktemp("unseen")
    cases = [written(case, folder / str(number)) for number, case in enumerate(ALL)]
    (folder / "cases.json").write_text(json.dumps(cases))
    command = [sys.executable, str(Path(__file__).with_name("unseen_child.py")), str(folder / "cases.json")]
    done = run_without_rights(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder)
    assert done.returncode == 0, done.stderr
    return {case.key: answer for case, answer in zip(ALL, json.loads(done.stdout), strict=True)}


def of(answers: dict[str, Any], *case: Any) -> dict[str, Any]:
    if case[:2] in NO_FAULT:
        pytest.skip("no fault here")
    answer: dict[str, Any] = answers[Case(*case).key]
    assert "Traceback" not in answer["err"]
    return answer


kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("command", [DOWNLOAD, LIST], ids=lambda command: command[0])
@pytest.mark.parametrize("variable", CACHE)
def test_the_cache_is_an_error_that_names_setting_folder_and_cure(
    answers: dict[str, Any], variable: str, kind: str, command: list[str]
) -> None:
    """It is not empty: nobody knows what it holds."""
    answer = of(answers, variable, kind, command)

    assert answer["code"] == 1
    assert "The cache folder, MODEL_CACHE_DIR, cannot be looked into: " in answer["err"]
    assert "set MODEL_CACHE_DIR to another folder" in answer["err"]
    assert "folder: /" in answer["err"]
    assert "empty" not in answer["err"]


@kinds
@pytest.mark.parametrize("variable", LAYERS)
def test_another_cache_is_one_line_and_the_download_goes_on(answers: dict[str, Any], variable: str, kind: str) -> None:
    answer = of(answers, variable, kind, DOWNLOAD)

    assert answer["code"] == 0, answer["err"]
    assert answer["out"].rstrip().endswith("/cache/qwen3ft_Qwen3-Practice")
    assert len([line for line in answer["err"].splitlines() if "cannot be looked into (" in line]) == 1
    assert f"{variable}: " in answer["err"]


@kinds
@pytest.mark.parametrize("variable", LAYERS)
def test_a_listing_says_what_it_does_not_see(answers: dict[str, Any], variable: str, kind: str) -> None:
    answer = of(answers, variable, kind, LIST)

    assert answer["code"] == 0
    assert f"{variable}: " in answer["err"]


@kinds
@pytest.mark.parametrize("variable", STATE)
def test_where_jobs_cannot_be_kept_the_download_goes_on_and_says_so(
    answers: dict[str, Any], variable: str, kind: str
) -> None:
    answer = of(answers, variable, kind, DOWNLOAD)

    assert answer["code"] == 0
    assert "QWEN3FT_STATE_DIR" in answer["err"]


@kinds
@pytest.mark.parametrize("variable", STATE)
def test_jobs_that_cannot_be_seen_are_an_error(answers: dict[str, Any], variable: str, kind: str) -> None:
    """There are not none: nobody knows."""
    answer = of(answers, variable, kind, JOBS)

    assert answer["code"] == 1
    assert "The folder of jobs, QWEN3FT_STATE_DIR, cannot be looked into: " in answer["err"]


@kinds
@pytest.mark.parametrize("variable", [*CACHE, *LAYERS, *STATE])
def test_the_status_names_it(answers: dict[str, Any], variable: str, kind: str) -> None:
    answer = of(answers, variable, kind, STATUS)

    assert answer["code"] == 0
    assert "cannot be looked into" in answer["out"]


@kinds
@pytest.mark.parametrize("variable", HARMLESS)
def test_what_is_only_helpful_is_no_condition(answers: dict[str, Any], variable: str, kind: str) -> None:
    assert of(answers, variable, kind, DOWNLOAD)["code"] == 0
    assert of(answers, variable, kind, LIST)["code"] == 0
