from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.own.manifest import (
    Manifest,
    ManifestFile,
    Stamp,
    manifest_path,
    read_manifest,
    write_manifest,
)
from qwen3ft_jupyter.cache.own.piece_sums import MOST_PIECES
from qwen3ft_jupyter.hubs.names import LeftOut, SafePath, Sha256, parse_repo_id
from tests.played_disks import RecordingDisk

if TYPE_CHECKING:
    from pathlib import Path

PIECES = ((0, 40, 7), (40, 100, 1 << 31))


def manifest_of(pieces: tuple[tuple[int, int, int], ...] | None = PIECES) -> Manifest:
    file = ManifestFile(SafePath("model.safetensors"), 100, Sha256("ab" * 32), Stamp(100, 1, 2, 3), pieces)
    return Manifest(parse_repo_id("Qwen/Qwen3-0.6B"), "modelscope", "master", "c" * 40, 1.0, 2.0, (file,))


def with_pieces(pieces: object) -> Any:
    data = manifest_of().to_dict()
    data["files"][0]["pieces"] = pieces
    return data


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest = replace(manifest_of(), left_out=(LeftOut("pytorch_model.bin", 7),))

    write_manifest(tmp_path, manifest)

    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("value", [None, 7, "x", [7], [["a", "b"]], [["a"]], [[7, 7]], {"a": 1}])
def test_what_stayed_on_the_hub_is_only_shown_so_garbage_there_costs_no_model(value: object) -> None:
    assert Manifest.from_dict({**manifest_of().to_dict(), "left_out": value}) == manifest_of()


@pytest.mark.parametrize("field", ["created", "last_used"])
@pytest.mark.parametrize("value", [10**400, float("nan"), float("-inf"), "now", True])
def test_a_time_that_is_none_makes_no_manifest(field: str, value: object) -> None:
    data = manifest_of().to_dict()
    assert field in data

    with pytest.raises(ValueError, match="not a manifest"):
        Manifest.from_dict({**data, field: value})


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    disk = RecordingDisk()

    write_manifest(tmp_path, manifest_of(), disk=disk)

    assert [operation for operation, path in disk.done if path != tmp_path / ".qwen3ft"] == [
        "fsync_folder",  # the new record folder's name
        "write",
        "fsync",
        "replace",
    ]
    assert disk.done[-1] == ("fsync_folder", tmp_path / ".qwen3ft")


def test_a_manifest_from_before_there_were_piece_sums_is_read(tmp_path: Path) -> None:
    data = with_pieces(None)
    del data["files"][0]["pieces"]
    (tmp_path / ".qwen3ft").mkdir()
    manifest_path(tmp_path).write_text(json.dumps(data), "utf-8")

    assert read_manifest(tmp_path) == manifest_of(None)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        "x",
        [1],
        [[0, 40]],
        [[0, 40, "7"]],
        [[0, 40, True]],
        [[40, 40, 7]],
        [[-1, 40, 7]],
        [[0, 101, 7]],
        [[0, 40, 1 << 32]],
        [[0, 40, -1]],
        [[0, 40, 7], [39, 100, 8]],
        [[40, 100, 8], [0, 40, 7]],
        [[0, 1, 7]] * (MOST_PIECES + 1),
    ],
)
def test_piece_sums_that_make_no_sense_are_none(pieces: object) -> None:
    """They only say where damage is: without them the whole file is fetched again."""
    assert Manifest.from_dict(with_pieces(pieces)) == manifest_of(None)


def test_stamps_change_and_piece_sums_stay() -> None:
    stamped = manifest_of().with_stamps({"model.safetensors": None})

    assert (stamped.files[0].stamp, stamped.files[0].pieces) == (None, PIECES)


def test_a_planted_record_folder_is_not_written_through(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "model"
    outside.mkdir()
    folder.mkdir()
    (folder / ".qwen3ft").symlink_to(outside, target_is_directory=True)

    write_manifest(folder, manifest_of())

    assert list(outside.iterdir()) == []
    assert read_manifest(folder) == manifest_of()
