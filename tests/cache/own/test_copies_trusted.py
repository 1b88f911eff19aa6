"""A model that an image ships is not read again in each container, if the image says so."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.manager import get_model_manager
from tests.cache.making import make_cached
from tests.transfer.origin import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.manager import ModelManager

NAME = "Qwen/Qwen3-0.6B"
WEIGHTS = "model.safetensors"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A cache after its way through the layer of an image, which keeps times to the second and makes new files."""
    make_cached(tmp_path / "built", NAME)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(tmp_path / "built", "models")
    layer.seek(0)
    trusted: Any = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(fileobj=layer) as archive:
        archive.extractall(tmp_path / "image", **trusted)  # noqa: S202 - made above
    return tmp_path / "image" / "models"


def manager_of(cache_dir: Path, state_dir: Path, **given: Any) -> ModelManager:
    return get_model_manager(cache_dir=cache_dir, state_dir=state_dir, offline=True, **given)


def weights_in(cache_dir: Path) -> Path:
    return cache_dir / "Qwen_Qwen3-0.6B" / WEIGHTS


def edit(path: Path) -> None:
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_it_is_used_without_reading_it_if_the_image_says_so(shipped: Path, tmp_path: Path) -> None:
    told = Recorder()
    manager = manager_of(shipped, tmp_path / "state", trust_copies=True)

    (row,) = manager.list_cached_models()
    folder = manager.ensure_model_cached(NAME, reporter=told)

    assert (row["verified"], row["problems"]) == (True, [])
    assert str(folder) == str(shipped / "Qwen_Qwen3-0.6B")
    assert told.phases() == []


def test_the_variable_in_the_image_says_so(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(shipped))
    monkeypatch.setenv("MODEL_CACHE_TRUST_COPIES", "1")

    (row,) = get_model_manager().list_cached_models()

    assert row["verified"]


def test_the_same_in_a_shared_cache(shipped: Path, tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "own", [shipped], trust_copies=True)

    (model,) = cache.list()
    manifest = cache.manifest(model)

    assert model.is_sound
    assert manifest is not None
    assert cache.stale_files(model, manifest) == []


def test_else_it_is_read_once(shipped: Path, tmp_path: Path) -> None:
    manager, told, again = manager_of(shipped, tmp_path / "state"), Recorder(), Recorder()
    (row,) = manager.list_cached_models()
    assert not row["verified"]

    manager.ensure_model_cached(NAME, reporter=told)
    manager.ensure_model_cached(NAME, reporter=again)

    assert (told.phases(), again.phases()) == (["checking"], [])


@pytest.mark.parametrize("change", ["size", "time", "in place"])
def test_what_does_not_look_like_a_copy_is_not_trusted(shipped: Path, tmp_path: Path, change: str) -> None:
    root = shipped
    path = weights_in(root)
    if change == "size":
        status = path.stat()
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"?")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 2_000_000_000))
    else:  # where it was built, its inode is that of the record
        root = tmp_path / "built"
        edit(weights_in(root))

    cache = ModelCache(root, trust_copies=True)
    (model,) = cache.list()
    manifest = cache.manifest(model)

    assert not model.is_sound
    assert manifest is not None
    assert [file.path for file in cache.stale_files(model, manifest)] == [WEIGHTS]


def test_verifying_reads_it_all_and_what_is_wrong_stays_wrong(shipped: Path) -> None:
    edit(weights_in(shipped))
    cache = ModelCache(shipped, trust_copies=True)

    assert cache.verify(NAME).wrong == (WEIGHTS,)

    (model,) = cache.list()
    assert not model.is_sound


def test_a_folder_that_a_stranger_may_have_chosen_is_not_trusted_for_it(shipped: Path) -> None:
    (model,) = ModelCache(shipped, trust_manifests=False, trust_copies=True).list()

    assert not model.is_verified
