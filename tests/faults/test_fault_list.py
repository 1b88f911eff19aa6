"""`docs/faults.md` names tests that exist, and leaves out no module of faults."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs/faults.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)(?:\[([^]`]+)])?`", TEXT)))


@cache
def source(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@cache
def functions(path: str) -> set[str]:
    """Return the functions of a module, those of a class as ``Class::function``."""
    found = set()
    for node in ast.parse(source(path)).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("path", sorted({path for path, _, _ in NAMED}))
def test_every_test_that_is_named_exists(path: str) -> None:
    for _, name, variant in (named for named in NAMED if named[0] == path):
        assert re.search(r"(^|::)test_\w+$", name)
        assert name in functions(path)
        assert not variant or f'"{variant}"' in source(path), f"{name} has no variant {variant}"


def test_every_fault_has_an_outcome_and_tests() -> None:
    heads = ("| fault |", "| place that deletes |", "| --- |")
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith(heads)]
    assert len(rows) > 100
    for row in rows:
        assert re.fullmatch(r"\| [^|]+ \| [^|]+ \| `tests/[^`|]+::[^`|]+`(, `tests/[^`|]+::[^`|]+`)* \|", row), row


def test_every_module_of_faults_is_named() -> None:
    modules = {f"tests/faults/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert modules - {path for path, _, _ in NAMED} == {"tests/faults/test_fault_list.py"}


CHANGERS = {
    "unlink", "rmtree", "rmdir", "removedirs", "remove_folder", "rename", "renames", "truncate", "ftruncate",
    "copyfile", "copytree", "link", "symlink_to", "mkdtemp", "TemporaryDirectory", "write_text", "write_bytes",
    "write_atomic", "write_json", "save_pretrained",
}  # fmt: skip
"""Calls that delete, rename or write over something, whoever offers them."""
FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")
DISKS = ("os", "supervisor")
"""Modules whose ``replace`` is one of files; a disk's is as well."""


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def may_change_files(call: ast.Call) -> bool:
    """Return whether a call may delete, rename or write a file. Too often yes is a line in the table."""
    name, owner = name_of(call.func), name_of(getattr(call.func, "value", call.func))
    if name == "replace":
        is_path = isinstance(call.func, ast.Attribute) and len(call.args) == 1
        return owner in DISKS or owner.endswith("disk") or is_path
    if name in {"open", "fdopen"}:
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
        modes = [str(one.value) for one in given if isinstance(one, ast.Constant)]
        flags = ast.unparse(call)
        is_mode = any(re.fullmatch(r"(?=.*[wax+])[rwabxt+]{1,3}", mode) for mode in modes)
        return "devnull" not in flags and (is_mode or any(flag in flags for flag in FLAGS))
    return name in CHANGERS or (name == "remove" and owner == "os")


def changes_files(path: Path) -> bool:
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return any(map(may_change_files, calls))


def test_every_module_that_deletes_renames_or_writes_files_is_in_the_table() -> None:
    """Who adds such a call says what it may touch, and which test shows that it touches nothing else."""
    section = TEXT.partition("## What may be deleted")[2].partition("\n## ")[0]
    modules = [*(ROOT / "qwen3ft_jupyter").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    found = {
        path.relative_to(ROOT).as_posix().removeprefix("qwen3ft_jupyter/") for path in filter(changes_files, modules)
    }

    named = set(re.findall(r"`([\w/]+\.py)`", section)) - {"tests/faults/test_fault_list.py"}

    assert "cache/own/evict.py" in found
    assert found == named


@pytest.mark.parametrize(
    "call",
    [
        "path.unlink()", "os.remove(path)", "shutil.rmtree(path)", "os.replace(one, other)",
        "self.disk.replace(one, other)", "path.replace(other)", "path.rename(other)", "path.open('wb')",
        "open(path, 'a')", "os.open(path, os.O_WRONLY)",
        "path.write_text('')", "write_json(path, 1)", "model.save_pretrained(folder)",
    ],
)  # fmt: skip
def test_such_calls_are_seen(call: str) -> None:
    (found,) = (node for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Call))

    assert may_change_files(found)


@pytest.mark.parametrize(
    "call", ["text.replace('a', 'b')", "replace(request, force=True)", "path.open('rb')", "open(path)"]
)
def test_others_are_not(call: str) -> None:
    (found,) = (node for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Call))

    assert not may_change_files(found)
