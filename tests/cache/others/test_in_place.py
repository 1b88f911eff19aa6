from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others import places
from qwen3ft_jupyter.cache.others.in_place import (
    forget,
    manifest_of,
    use_in_place,
    verify_in_place,
    with_records,
)
from qwen3ft_jupyter.cache.others.places import Place, known_places
from qwen3ft_jupyter.cache.others.scan import scan
from qwen3ft_jupyter.cache.own.layout import IN_PLACE_FOLDER
from qwen3ft_jupyter.errors import CacheDamaged, CacheError, CacheNotWritable, NotCached, Stopped
from qwen3ft_jupyter.hubs.listing import Listing
from qwen3ft_jupyter.hubs.names import Sha256
from qwen3ft_jupyter.work import Work
from tests.cache.making import make_cached, make_plain
from tests.cache.other_caches import (
    COMMIT,
    FILES,
    LAYOUTS,
    REPO,
    WEIGHTS,
    blob_of,
    make_folder,
    make_hugging_face,
    make_modelscope,
    place_of,
    remotes,
    run_clients,
    state_of,
)
from tests.transfer.origin import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel

WITHOUT_NOTES = {path: data for path, data in FILES.items() if path != "sub/notes.md"}


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    yield
    places._remembered.clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def listing(files: Mapping[str, bytes] = FILES, *, by_git: bool = False) -> Listing:
    return Listing(REPO, "modelscope", "master", "a" * 40, tuple(remotes(files, by_git=by_git)))


def only(*places: Place) -> CachedModel:
    (model,) = scan(places)
    return model


@pytest.mark.parametrize("by_git", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_used_where_it_is_and_left_as_it_was(
    tmp_path: Path, root: Path, layout: str, *, by_git: bool
) -> None:
    LAYOUTS[layout][1](tmp_path / "theirs", FILES)
    place = place_of(layout, tmp_path / "theirs")
    before = state_of(tmp_path / "theirs")
    model = only(place)

    used = use_in_place(model, root=root, places=[place], listing=listing(by_git=by_git), work=Work())

    assert state_of(tmp_path / "theirs") == before
    assert (used.is_verified, used.owner, used.folder) == (True, place.owner, model.folder)
    assert (used.hub, used.commit, used.revision) == ("modelscope", "a" * 40, "master")
    assert with_records(root, scan([place])) == [used]
    manifest = manifest_of(root, used)
    assert manifest is not None
    assert {file.path for file in manifest.files} == set(FILES)


def test_hugging_face_s_own_cache_is_verified_without_a_hub(tmp_path: Path, root: Path) -> None:
    environ = run_clients(tmp_path)
    (place,) = [place for place in known_places(environ) if place.owner == "huggingface"]
    model = only(place)

    used = use_in_place(model, root=root, places=[place], work=Work())

    assert (used.is_verified, used.hub, used.commit, used.revision) == (True, "huggingface", model.commit, "main")


def test_a_snapshot_without_a_listing_is_verified_by_the_names_of_its_blobs(tmp_path: Path, root: Path) -> None:
    make_hugging_face(tmp_path / "hf")
    place = Place("huggingface", tmp_path / "hf")

    used = use_in_place(only(place), root=root, places=[place], work=Work())

    assert (used.is_verified, used.commit) == (True, COMMIT)
    assert used.size_bytes == sum(map(len, FILES.values()))


@pytest.mark.parametrize("path", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_blob_that_is_not_what_its_name_says_is_found_without_a_hub(tmp_path: Path, root: Path, path: str) -> None:
    snapshot = make_hugging_face(tmp_path / "hf")
    place = Place("huggingface", tmp_path / "hf")
    model = only(place)
    blob = (snapshot / path).resolve()
    blob.write_bytes(b"!" + blob.read_bytes()[1:])

    with pytest.raises(CacheDamaged, match=path):
        use_in_place(model, root=root, places=[place], work=Work())

    assert with_records(root, [model]) == [model]


def test_a_tool_that_keeps_no_digests_needs_a_hub(tmp_path: Path, root: Path) -> None:
    make_modelscope(tmp_path / "ms")
    place = Place("modelscope", tmp_path / "ms")

    with pytest.raises(CacheError, match="nobody here knows"):
        use_in_place(only(place), root=root, places=[place], work=Work())


def test_an_older_cache_of_ours_is_verified_by_its_manifest(tmp_path: Path, root: Path) -> None:
    make_cached(tmp_path / "old", REPO)
    place = Place("folder", tmp_path / "old")

    used = use_in_place(only(place), root=root, places=[place], work=Work())

    assert (used.is_verified, used.hub, used.commit) == (True, "modelscope", "c" * 40)


def test_a_readme_may_be_missing_or_another_hub_s(tmp_path: Path, root: Path) -> None:
    """Programs that load a model fetch no README; and each hub has its own."""
    listed = {**WITHOUT_NOTES, "README.md": b"# from one hub", "LICENSE": b"free", "configuration.json": b"{}"}
    make_folder(tmp_path / "some", {**WITHOUT_NOTES, "README.md": b"# the other's"})
    place = Place("folder", tmp_path / "some")

    used = use_in_place(only(place), root=root, places=[place], listing=listing(listed), work=Work())

    manifest = manifest_of(root, used)
    assert manifest is not None
    assert {file.path for file in manifest.files} == set(WITHOUT_NOTES)


@pytest.mark.parametrize("path", sorted(WITHOUT_NOTES))
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, root: Path, path: str) -> None:
    folder = make_folder(tmp_path / "some")
    place = Place("folder", tmp_path / "some")
    model = only(place)
    (folder / path).write_bytes(b"!" * len(FILES[path]))

    with pytest.raises(CacheDamaged, match=f"other folders: {path} missing or not the listed bytes"):
        use_in_place(model, root=root, places=[place], listing=listing(), work=Work())
    (folder / path).unlink()
    with pytest.raises((CacheDamaged, NotCached)):
        use_in_place(model, root=root, places=[place], listing=listing(), work=Work())

    assert not (root / IN_PLACE_FOLDER).exists()


def change_bytes(path: Path) -> None:
    path.write_bytes(bytes(len(WEIGHTS)))


def replace_file(path: Path) -> None:
    path.unlink()
    path.write_bytes(WEIGHTS)


@pytest.mark.parametrize("change", [change_bytes, replace_file, os.unlink])
@pytest.mark.parametrize("layout", ["huggingface", "modelscope", "folder"])
def test_a_record_ends_when_a_file_changes(tmp_path: Path, root: Path, layout: str, change: object) -> None:
    folder = LAYOUTS[layout][1](tmp_path / "theirs", FILES)
    place = place_of(layout, tmp_path / "theirs")
    model = only(place)
    used = use_in_place(model, root=root, places=[place], listing=listing(), work=Work())
    assert callable(change)

    change((folder / "model.safetensors").resolve())

    assert manifest_of(root, used) is None
    assert with_records(root, [model]) == [model]


def test_a_symlink_that_leads_to_another_blob_ends_the_record(tmp_path: Path, root: Path) -> None:
    snapshot = make_hugging_face(tmp_path / "hf")
    place = Place("huggingface", tmp_path / "hf")
    used = use_in_place(only(place), root=root, places=[place], work=Work())
    link = snapshot / "model.safetensors"
    twin = make_plain(tmp_path / "hf" / "models--Qwen--Qwen3-0.6B" / "blobs", {"f" * 64: WEIGHTS}) / ("f" * 64)

    link.unlink()
    link.symlink_to(twin)

    assert manifest_of(root, used) is None


def test_a_cache_behind_another_path_has_no_record(tmp_path: Path, root: Path) -> None:
    """A record is for one folder; a copy of the cache is verified anew."""
    make_modelscope(tmp_path / "ms")
    place = Place("modelscope", tmp_path / "ms")
    use_in_place(only(place), root=root, places=[place], listing=listing(), work=Work())
    shutil.copytree(tmp_path / "ms", tmp_path / "copy")
    moved = only(Place("modelscope", tmp_path / "copy"))

    assert with_records(root, [moved]) == [moved]


def test_a_record_that_is_garbage_counts_for_nothing(tmp_path: Path, root: Path) -> None:
    make_modelscope(tmp_path / "ms")
    place = Place("modelscope", tmp_path / "ms")
    model = only(place)
    use_in_place(model, root=root, places=[place], listing=listing(), work=Work())
    (path,) = (root / IN_PLACE_FOLDER).iterdir()
    good = json.loads(path.read_text("utf-8"))

    for bad in (
        "",
        "[]",
        "null",
        "[" * 100_000,
        json.dumps({**good, "version": 2}),
        json.dumps({**good, "owner": "somebody"}),
        json.dumps({**good, "root": str(tmp_path / "elsewhere")}),
        json.dumps({**good, "folder": "/"}),
        json.dumps({**good, "manifest": {}}),
    ):
        path.write_text(bad, "utf-8")
        assert with_records(root, [model]) == [model]
    path.write_text(json.dumps(good), "utf-8")
    assert with_records(root, [model]) != [model]


def test_a_record_can_be_dropped(tmp_path: Path, root: Path) -> None:
    make_modelscope(tmp_path / "ms")
    place = Place("modelscope", tmp_path / "ms")
    used = use_in_place(only(place), root=root, places=[place], listing=listing(), work=Work())

    forget(root, used.folder)
    forget(root, used.folder)

    assert manifest_of(root, used) is None


def test_reading_is_reported_and_can_be_stopped(tmp_path: Path, root: Path) -> None:
    make_modelscope(tmp_path / "ms")
    place = Place("modelscope", tmp_path / "ms")
    recorder, stop = Recorder(), threading.Event()

    use_in_place(only(place), root=root, places=[place], listing=listing(), work=Work(reporter=recorder))
    stop.set()
    with pytest.raises(Stopped):
        use_in_place(only(place), root=root, places=[place], listing=listing(), work=Work(stop=stop))

    assert recorder.phases() == ["verifying"]
    assert recorder.events[-1].done == sum(map(len, FILES.values()))


def test_a_model_that_is_gone_is_not_used(tmp_path: Path, root: Path) -> None:
    make_modelscope(tmp_path / "ms")
    place = Place("modelscope", tmp_path / "ms")
    model = only(place)

    with pytest.raises(NotCached):
        use_in_place(replace(model, folder=tmp_path), root=root, places=[place], listing=listing(), work=Work())
    with pytest.raises(NotCached):
        use_in_place(model, root=root, places=[], listing=listing(), work=Work())


@pytest.mark.skipif(os.name == "nt", reason="symlinks need a privilege on Windows")
def test_a_cache_folder_that_is_a_file_is_said(tmp_path: Path, root: Path) -> None:
    make_modelscope(tmp_path / "ms")
    place = Place("modelscope", tmp_path / "ms")
    root.write_text("in the way")

    with pytest.raises(CacheError) as caught:
        use_in_place(only(place), root=root, places=[place], listing=listing(), work=Work())

    assert not isinstance(caught.value, CacheNotWritable)
    assert blob_of(WEIGHTS) not in str(caught.value)


def test_what_is_used_in_place_can_be_read_again(tmp_path: Path, root: Path) -> None:
    make_folder(tmp_path / "some", WITHOUT_NOTES)
    place = Place("folder", tmp_path / "some")
    used = use_in_place(only(place), root=root, places=[place], listing=listing(WITHOUT_NOTES), work=Work())
    manifest = manifest_of(root, used)
    assert manifest is not None

    report = verify_in_place(used, manifest, root=root, places=[place], work=Work())

    assert (report.is_ok, report.checked_files) == (True, len(WITHOUT_NOTES))
    assert manifest_of(root, used) is not None


def test_what_has_gone_bad_under_its_stamp_is_named_and_used_no_more(tmp_path: Path, root: Path) -> None:
    make_folder(tmp_path / "some", WITHOUT_NOTES)
    place = Place("folder", tmp_path / "some")
    used = use_in_place(only(place), root=root, places=[place], listing=listing(WITHOUT_NOTES), work=Work())
    manifest = manifest_of(root, used)
    assert manifest is not None
    rotten = [replace(f, sha256=Sha256("0" * 64)) if f.path == "model.safetensors" else f for f in manifest.files]

    report = verify_in_place(used, replace(manifest, files=tuple(rotten)), root=root, places=[place], work=Work())

    assert report.wrong == ("model.safetensors",)
    assert manifest_of(root, used) is None
