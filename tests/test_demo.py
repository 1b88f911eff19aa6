"""What the demo leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.demo import new_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_each_run_of_the_demo_has_a_folder_of_its_own_and_deletes_none(tmp_path: Path) -> None:
    first = new_folder(tmp_path / "demo" / "run")
    (first / "notes.txt").write_text("mine")

    second, third = (new_folder(tmp_path / "demo" / "run") for _ in range(2))

    assert [folder.name for folder in (first, second, third)] == ["run", "run-2", "run-3"]
    assert list(second.iterdir()) == []
    assert (first / "notes.txt").read_text() == "mine"
