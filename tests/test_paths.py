"""Questions about paths have an answer, whatever the file system does."""

from __future__ import annotations

import ast
import errno
import os
from pathlib import Path

import pytest

from qwen3ft_jupyter.paths import (
    at_home,
    fault_of,
    is_file,
    is_folder,
    is_link,
    is_taken,
    is_there,
    matching,
    names_in,
    nearest_folder,
    why_unread,
    why_unseen,
)
from tests.played_paths import ANSWERS, answering
from tests.test_imports import MODULES

NAMELESS = ["", "x" * 300, "a\0b", "a/" * 3000]


@pytest.mark.parametrize("name", NAMELESS, ids=["none", "long", "zero", "deep"])
def test_what_no_path_can_be_is_not_there(tmp_path: Path, name: str) -> None:
    path = os.path.join(tmp_path, "x", name)  # noqa: PTH118 - pathlib refuses some

    assert not any(ask(path) for ask in (is_folder, is_file, is_link, is_there))
    assert names_in(path) == ()


@pytest.mark.parametrize("number", ANSWERS.values(), ids=list(ANSWERS))
def test_what_cannot_be_looked_at_is_not_there_and_there_is_a_reason(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    (folder / "a.json").touch()

    with answering(folder, number):
        assert not any(ask(folder / "a.json") for ask in (is_folder, is_file, is_link, is_there))
        assert matching(folder, "*") == []
        assert nearest_folder(folder / "deep" / "deeper") == tmp_path
        for path in (folder, folder / "deep"):
            fault = fault_of(path)
            assert fault is not None
            assert fault.errno == number


@pytest.mark.parametrize("number", ANSWERS.values(), ids=list(ANSWERS))
def test_what_must_be_known_is_an_error_where_nobody_can_tell(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.json"
    path.touch()

    with answering(path, number):
        for ask in (why_unseen, why_unread):
            fault = ask(path)
            assert fault is not None
            assert fault.errno == number
        with pytest.raises(OSError, match=os.strerror(number)):
            is_taken(path)

    assert is_taken(path)
    for other in (tmp_path / "b.json", path / "below"):
        assert not is_taken(other)
        assert why_unseen(other) is None
    assert why_unread(path) is why_unread(tmp_path / "b.json") is None


def test_a_folder_that_is_not_there_has_no_fault(tmp_path: Path) -> None:
    assert fault_of(tmp_path) is None
    assert fault_of(tmp_path / "new" / "newer") is None
    assert nearest_folder(tmp_path / "new" / "newer") == tmp_path


@pytest.mark.skipif(os.name == "nt", reason="symlinks need rights on Windows")
def test_a_link_that_leads_nowhere_is_a_fault(tmp_path: Path) -> None:
    """A drive that is not mounted, most of the time: what lies there is not gone."""
    (tmp_path / "link").symlink_to("gone")

    assert fault_of(tmp_path / "link") is not None
    assert fault_of(tmp_path / "link" / "models") is not None


def test_a_file_in_the_place_of_a_folder_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    fault = fault_of(tmp_path / "file" / "models")

    assert fault is not None
    assert fault.errno in {errno.ENOTDIR, errno.ENOENT}


def test_names_are_matched_as_pathlib_does(tmp_path: Path) -> None:
    for name in ("a.json", ".b.json", "c.txt", "[d].json"):
        (tmp_path / name).touch()

    assert matching(tmp_path, "*.json") == sorted(tmp_path.glob("*.json"))
    assert matching(tmp_path, "*") == sorted(tmp_path.glob("*"))


def test_a_home_that_nobody_has_raises_nothing() -> None:
    assert at_home("~nosuchuser/x") == Path("~nosuchuser/x")
    assert at_home("~/x").is_absolute()


RAISING = {"exists", "is_dir", "is_file", "is_symlink", "iterdir", "glob", "rglob", "expanduser", "is_mount", "cwd"}
ENTRIES = {"entry"}
"""What `os.scandir` yields knows the answer; the modules `os.path` and `glob` raise nothing."""
ELSEWHERE = {
    "qwen3ft_jupyter/paths.py": "here they are asked",
    "jobs/supervisor.py": "it has the standard library alone",
    "finetune/checkpoints.py": "what nobody can tell ends the run: `finetune.volume` names the answer",
    "finetune/output.py": "the same",
    "practice/model.py": "its own files, which are installed with it",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_room_asks_pathlib_what_may_raise(path: Path) -> None:
    if "/".join(path.parts[-2:]) in ELSEWHERE:
        return
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    asked = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in calls
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in RAISING
        and ast.unparse(node.func.value) not in {"os.path", "glob", *ENTRIES}
    ]
    assert asked == []
