"""What Jupyter's file browser calls a folder: nothing of a path that it does not show."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3ft_jupyter.server.shown import ShownFolder


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/me/models/a_b", "models/a_b"),
        ("/home/me/models/a b/ü", "models/a b/ü"),
        ("/home/me", None),
        ("/home/other/a_b", None),
        ("/home/mean/a_b", None),
        ("/home/me/.cache/models/a_b", None),
        ("/home/me/models/.datasets/a", None),
    ],
)
def test_a_folder_is_called_by_its_way_from_the_root(folder: str, name: str | None) -> None:
    assert ShownFolder(Path("/home/me")).name_of(Path(folder)) == name


def test_hidden_folders_are_shown_where_jupyter_is_told_to() -> None:
    assert ShownFolder(Path("/home/me"), has_hidden=True).name_of(Path("/home/me/.cache/a_b")) == ".cache/a_b"


def test_a_root_or_cache_behind_a_link_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "disk/models/a_b").mkdir(parents=True)
    (tmp_path / "home").symlink_to("disk")

    assert ShownFolder(tmp_path / "home").name_of(tmp_path / "disk/models/a_b") == "models/a_b"
    assert ShownFolder(tmp_path / "disk").name_of(tmp_path / "home/models/a_b") == "models/a_b"


def test_a_link_out_of_the_root_is_shown_where_it_is(tmp_path: Path) -> None:
    """The file browser follows links."""
    (tmp_path / "disk/a_b").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/models").symlink_to(tmp_path / "disk")

    assert ShownFolder(tmp_path / "home").name_of(tmp_path / "home/models/a_b") == "models/a_b"
    assert ShownFolder(tmp_path / "home").name_of(tmp_path / "disk/a_b") is None
