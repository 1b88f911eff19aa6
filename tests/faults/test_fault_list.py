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
