from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others import places
from qwen3ft_jupyter.cache.others.adopt import adopt
from qwen3ft_jupyter.cache.others.candidates import find_candidates
from qwen3ft_jupyter.cache.others.places import Place, known_places
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import LOCAL, LocalDisk
from qwen3ft_jupyter.errors import NoSpace, Stopped
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.work import SILENT, Reporter, Work
from tests.cache.making import make_cached, make_plain
from tests.cache.other_caches import (
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
from tests.download.asking import ensure_model
from tests.transfer.origin import REPO as HUB_REPO
from tests.transfer.origin import Origin, Recorder, bytes_of, remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.manifest import Manifest
    from qwen3ft_jupyter.disk import Disk
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.partial import FetchedFile


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    yield
    places._remembered.clear()


@pytest.fixture
def notes() -> Recorder:
    return Recorder()


def adopt_found(
    files: Sequence[RemoteFile],
    *,
    places: Sequence[Place],
    own: Sequence[tuple[CachedModel, Manifest]] = (),
    incoming: Path,
    work: Work,
    disk: Disk = LOCAL,
) -> list[FetchedFile]:
    found = find_candidates(files, repo_id=REPO, places=places, own=own)
    listed = [(file, found[file.path]) for file in files if file.path in found]
    return adopt(listed, incoming=incoming, work=work, disk=disk)


def take(
    tmp_path: Path, *places: Place, files: Sequence[RemoteFile] | None = None, notes: Reporter = SILENT
) -> dict[str, FetchedFile]:
    """Adopt into the incoming folder of an empty cache; hold every promise that always holds."""
    listed = {file.path: file for file in (remotes() if files is None else files)}
    got = adopt_found(list(listed.values()), places=places, incoming=tmp_path / "incoming", work=Work(reporter=notes))
    for fetched in got:
        assert fetched.file == listed[fetched.file.path]
        assert remote(fetched.file.path, fetched.path.read_bytes()).sha256 == fetched.sha256
        assert fetched.sha256 == remote(fetched.file.path, FILES[fetched.file.path]).sha256
        assert (fetched.bytes_fetched, dict(fetched.shares)) == (0, {})
        assert fetched.path.stat().st_nlink == 1
    return {fetched.file.path: fetched for fetched in got}


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# Finding


def test_what_the_clients_themselves_downloaded_is_not_downloaded_again(tmp_path: Path) -> None:
    environ = run_clients(tmp_path)
    hugging_face, modelscope, *_ = known_places(environ)
    before = state_of(tmp_path / "hf"), state_of(tmp_path / "ms")

    for place, label in ((hugging_face, "Hugging Face cache"), (modelscope, "ModelScope cache")):
        got = take(tmp_path / place.owner, place)

        assert set(got) == set(FILES)
        assert {fetched.adopted_from for fetched in got.values()} == {label}
    assert (state_of(tmp_path / "hf"), state_of(tmp_path / "ms")) == before


@pytest.mark.parametrize("by_git", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_adopted_and_left_as_it_was(tmp_path: Path, layout: str, *, by_git: bool) -> None:
    LAYOUTS[layout][1](tmp_path / "theirs", FILES)
    before = state_of(tmp_path / "theirs")

    got = take(tmp_path, place_of(layout, tmp_path / "theirs"), files=remotes(by_git=by_git))

    assert set(got) == set(FILES)
    assert state_of(tmp_path / "theirs") == before


def test_what_was_adopted_needs_no_source_any_more(tmp_path: Path) -> None:
    """A later attempt, by any process, finds the bytes in the partials."""
    make_modelscope(tmp_path / "theirs")
    for fetched in take(tmp_path, Place("modelscope", tmp_path / "theirs")).values():
        fetched.release()

    with Origin(FILES) as hub:
        source = HubSource(hub, hub.listing(HUB_REPO), HttpClient())
        got = fetch(remotes(), sources=[source], folder=tmp_path / "incoming", work=Work())
        asked = hub.server.seen

    assert not asked
    assert {fetched.file.path: fetched.path.read_bytes() for fetched in got} == FILES
    assert sum(fetched.bytes_fetched for fetched in got) == 0


def test_our_own_models_and_the_shared_ones_are_copied_from_by_digest(tmp_path: Path) -> None:
    make_cached(tmp_path / "cache", "someone/Other", {"weights.safetensors": WEIGHTS, "config.json": b"{}"})
    make_cached(tmp_path / "team", "team/Third", {"tok.json": FILES["tokenizer.json"]})
    cache = ModelCache(tmp_path / "cache", [tmp_path / "team"])
    own = [(model, manifest) for model in cache.list() if (manifest := cache.manifest(model)) is not None]

    got = adopt_found(remotes(), places=[], own=own, incoming=tmp_path / "incoming", work=Work())

    assert {fetched.file.path: fetched.adopted_from for fetched in got} == {
        "model.safetensors": "cache",
        "tokenizer.json": "shared cache",
    }
    assert all(fetched.path.stat().st_nlink == 1 for fetched in got)


def test_an_older_cache_of_ours_is_copied_from_by_digest(tmp_path: Path) -> None:
    make_cached(tmp_path / "old", "someone/Other", {"weights.safetensors": WEIGHTS})

    assert set(take(tmp_path, Place("folder", tmp_path / "old"))) == {"model.safetensors"}


def test_a_blob_of_another_repo_is_found_by_its_name(tmp_path: Path) -> None:
    make_hugging_face(tmp_path / "hf", {"other.safetensors": WEIGHTS}, repo="someone/Copy")

    assert set(take(tmp_path, Place("huggingface", tmp_path / "hf"))) == {"model.safetensors"}


def test_a_blob_of_no_snapshot_yet_is_found(tmp_path: Path) -> None:
    make_plain(tmp_path / "hf" / "models--Qwen--Qwen3-0.6B" / "blobs", {blob_of(WEIGHTS): WEIGHTS})

    assert set(take(tmp_path, Place("huggingface", tmp_path / "hf"))) == {"model.safetensors"}


def test_half_a_model_gives_what_it_has(tmp_path: Path) -> None:
    make_modelscope(tmp_path / "ms", {"model.safetensors": WEIGHTS})

    assert set(take(tmp_path, Place("modelscope", tmp_path / "ms"))) == {"model.safetensors"}


def test_a_small_file_of_another_repo_is_tried_a_large_one_is_not(tmp_path: Path, notes: Recorder) -> None:
    big = bytes_of(33 << 20, seed=1)
    make_plain(tmp_path / "some" / "Qwen" / "Qwen3-4B", {**FILES, "big.safetensors": big})
    files = [*remotes(), remote("big.safetensors", big)]

    found = find_candidates(files, repo_id=REPO, places=[Place("folder", tmp_path / "some")])

    assert set(found) == set(FILES)
    assert {some[0].label for some in found.values()} == {"other folders"}


def test_a_folder_of_no_name_is_tried(tmp_path: Path) -> None:
    make_plain(tmp_path / "some" / "favourite", FILES)

    assert set(take(tmp_path, Place("folder", tmp_path / "some"))) == set(FILES)


def test_nothing_found_makes_nothing(tmp_path: Path, notes: Recorder) -> None:
    (tmp_path / "empty").mkdir()

    assert take(tmp_path, Place("modelscope", tmp_path / "empty"), notes=notes) == {}
    assert not (tmp_path / "incoming").exists()
    assert (notes.notices, notes.events) == ([], [])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_download_of_what_lies_in_a_layout_moves_no_byte_of_it(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout][1](tmp_path / "theirs", FILES)
    cache = ModelCache(tmp_path / "cache", places=[place_of(layout, tmp_path / "theirs")])

    with Origin(FILES) as hub:
        ensured = ensure_model(cache, {"modelscope": hub}, HUB_REPO, order=["modelscope"])
        asked = [path for path in FILES if hub.ranges(path)]

    assert (asked, ensured.bytes_fetched) == ([], 0)
    assert {path: (ensured.model.folder / path).read_bytes() for path in FILES} == FILES


# Believing


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_corrupted_file_is_refused_and_named(tmp_path: Path, notes: Recorder, layout: str) -> None:
    folder = LAYOUTS[layout][1](tmp_path / "theirs", FILES)
    damaged = (folder / "model.safetensors").resolve()
    damaged.write_bytes(flipped(WEIGHTS, hash(layout) % len(WEIGHTS)))

    got = take(tmp_path, place_of(layout, tmp_path / "theirs"), notes=notes)

    assert set(got) == set(FILES) - {"model.safetensors"}
    (notice,) = [notice for notice in notes.notices if "not used" in notice]
    assert notice.startswith("model.safetensors: the copy in the ")
    assert not [name for name in left_in(tmp_path / "incoming") if object_key(remote("", WEIGHTS)) in name]


def test_a_wrong_copy_costs_only_itself(tmp_path: Path, notes: Recorder) -> None:
    make_hugging_face(tmp_path / "hf")
    blob = tmp_path / "hf" / "models--Qwen--Qwen3-0.6B" / "blobs" / blob_of(WEIGHTS)
    blob.write_bytes(flipped(WEIGHTS, 5))
    make_modelscope(tmp_path / "ms")

    got = take(tmp_path, Place("huggingface", tmp_path / "hf"), Place("modelscope", tmp_path / "ms"), notes=notes)

    assert got["model.safetensors"].adopted_from == "ModelScope cache"
    assert notes.notices == [
        "model.safetensors: the copy in the Hugging Face cache has other bytes than the hub lists; it is not used.",
        "Copied 70.0 kB in 3 files from the Hugging Face cache on this disk instead of downloading.",
        "Copied 9.0 MB in 1 file from the ModelScope cache on this disk instead of downloading.",
    ]


def test_another_revision_s_blob_is_not_even_read(tmp_path: Path, notes: Recorder) -> None:
    other = bytes_of(len(WEIGHTS), seed=99)
    make_hugging_face(tmp_path / "hf", {"model.safetensors": other})

    assert take(tmp_path, Place("huggingface", tmp_path / "hf"), notes=notes) == {}
    assert notes.notices == []


def test_the_clone_is_what_is_believed(tmp_path: Path, notes: Recorder) -> None:
    """Right bytes that go wrong on their way are wrong bytes."""
    make_modelscope(tmp_path / "ms", {"model.safetensors": WEIGHTS})

    class Scratched(LocalDisk):
        def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
            super().write_at(descriptor, memoryview(flipped(bytes(data), 0)), offset)

    place = Place("modelscope", tmp_path / "ms")
    got = adopt_found(
        remotes(),
        places=[place],
        incoming=tmp_path / "incoming",
        disk=Scratched(),
        work=Work(reporter=notes),
    )

    assert got == []
    assert left_in(tmp_path / "incoming") == []


@pytest.mark.skipif(os.name == "nt", reason="symlinks need a privilege on Windows")
def test_a_symlink_out_of_the_cache_is_not_followed(tmp_path: Path) -> None:
    secret = make_plain(tmp_path / "secret", {"model.safetensors": WEIGHTS}) / "model.safetensors"
    snapshot = make_hugging_face(tmp_path / "hf", {"config.json": b"{}"})
    folder = make_modelscope(tmp_path / "ms", {"config.json": b"{}"})
    blobs = tmp_path / "hf" / "models--Qwen--Qwen3-0.6B" / "blobs"
    for planted in (snapshot / "model.safetensors", folder / "model.safetensors", blobs / blob_of(WEIGHTS)):
        planted.symlink_to(secret)

    assert take(tmp_path, Place("huggingface", tmp_path / "hf"), Place("modelscope", tmp_path / "ms")) == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
def test_nobody_waits_at_a_pipe(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "some", {"config.json": FILES["config.json"]})
    os.mkfifo(folder / "model.safetensors")
    os.mkfifo(folder / "tokenizer.json")

    assert set(take(tmp_path, Place("folder", tmp_path / "some"))) == {"config.json"}


def test_a_file_that_grew_since_it_was_found_is_not_copied(tmp_path: Path) -> None:
    folder = make_modelscope(tmp_path / "ms", {"model.safetensors": WEIGHTS})
    opened: list[str] = []

    class Late(LocalDisk):
        def make_folder(self, path: Path) -> None:
            super().make_folder(path)
            os.truncate(folder / "model.safetensors", 1 << 40)  # sparse

        def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
            opened.append(path.name)
            return super().open(path, flags, mode)

    place = Place("modelscope", tmp_path / "ms")
    got = adopt_found(remotes(), places=[place], incoming=tmp_path / "incoming", disk=Late(), work=Work())

    assert (got, opened) == ([], [])


# Ours


def test_begun_bytes_make_way_for_the_whole_file(tmp_path: Path) -> None:
    make_modelscope(tmp_path / "ms")
    weights = remote("model.safetensors", WEIGHTS)
    (tmp_path / "incoming").mkdir()
    partial = claim(tmp_path / "incoming", object_key(weights), weights.size, disk=LOCAL, name="weights")
    partial.open()
    partial.write(memoryview(b"wrong"), 100)
    partial.record(100, 105, 0, "somebody")
    partial.close(release=True)

    got = take(tmp_path, Place("modelscope", tmp_path / "ms"))["model.safetensors"]

    assert {record.source for record in got.partial.records} == {"ModelScope cache"}
    assert sum(record.end - record.start for record in got.partial.records) == weights.size


def test_begun_bytes_stay_if_the_copy_is_wrong(tmp_path: Path) -> None:
    make_modelscope(tmp_path / "ms", {"model.safetensors": flipped(WEIGHTS, 7)})
    weights = remote("model.safetensors", WEIGHTS)
    (tmp_path / "incoming").mkdir()
    partial = claim(tmp_path / "incoming", object_key(weights), weights.size, disk=LOCAL, name="weights")
    partial.open()
    partial.write(memoryview(WEIGHTS[:1000]), 0)
    partial.record(0, 1000, 1)
    partial.close(release=True)

    assert take(tmp_path, Place("modelscope", tmp_path / "ms")) == {}

    again = claim(tmp_path / "incoming", object_key(weights), weights.size, disk=LOCAL, name="weights")
    assert again.done_bytes == 1000
    again.close(release=True)


def test_progress_counts_every_byte_once_and_says_from_where(tmp_path: Path, notes: Recorder) -> None:
    make_modelscope(tmp_path / "ms")

    take(tmp_path, Place("modelscope", tmp_path / "ms"), notes=notes)

    assert {progress.phase for progress in notes.events} == {"adopting"}
    done = [progress.done for progress in notes.events]
    assert done == sorted(done)
    assert notes.events[-1].done == notes.events[-1].total == sum(map(len, FILES.values()))
    assert any("from the ModelScope cache" in progress.detail for progress in notes.events)


def test_a_stop_keeps_what_was_adopted(tmp_path: Path) -> None:
    make_modelscope(tmp_path / "ms")
    stop = threading.Event()

    class Stopper(LocalDisk):
        def replace(self, source: Path, target: Path) -> None:
            super().replace(source, target)
            stop.set()

    with pytest.raises(Stopped):
        adopt_found(
            sorted(remotes(), key=lambda file: file.size),
            places=[Place("modelscope", tmp_path / "ms")],
            incoming=tmp_path / "incoming",
            disk=Stopper(),
            work=Work(stop=stop),
        )

    journals = list((tmp_path / "incoming").glob("*.journal"))
    assert "released" in journals[0].read_text("utf-8")
    assert len(journals) == 1
    assert len([name for name in left_in(tmp_path / "incoming") if name.endswith(".part")]) == len(journals)


def test_a_full_volume_is_said_and_leaves_nothing_half(tmp_path: Path) -> None:
    make_modelscope(tmp_path / "ms")

    class Full(LocalDisk):
        def write_at(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoSpace):
        adopt_found(
            remotes(),
            places=[Place("modelscope", tmp_path / "ms")],
            incoming=tmp_path / "incoming",
            disk=Full(),
            work=Work(),
        )

    assert left_in(tmp_path / "incoming") == []


def test_another_owner_s_repo_of_the_same_name_is_tried(tmp_path: Path) -> None:
    make_plain(tmp_path / "ms" / "models" / "unsloth--Qwen3-0.6B" / "snapshots" / "master", FILES)

    assert set(take(tmp_path, Place("modelscope", tmp_path / "ms"))) == set(FILES)
