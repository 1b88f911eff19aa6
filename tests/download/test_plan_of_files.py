from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.models import SharedFile
from qwen3ft_jupyter.cache.others.candidates import Candidate
from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.own.manifest import ManifestFile, read_manifest, write_manifest
from qwen3ft_jupyter.cache.own.partials import partial_spans
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.download.plan import DownloadPlan, make_plan
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.download.room import Volume, check_room
from qwen3ft_jupyter.download.survey import Found
from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.hubs.listing import Listing
from qwen3ft_jupyter.hubs.names import SafePath
from qwen3ft_jupyter.transfer.objects import RESERVE_BYTES, object_key
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.transfer.volume import LocalDisk
from tests.cache.making import make_cached
from tests.transfer.origin import COMMIT, REPO, bytes_of, remote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

KB = 1000
GB = 10**9
FILES = {"config.json": b"{}", "a.safetensors": bytes_of(40 * KB, 1), "b.safetensors": bytes_of(60 * KB, 2)}
ALL = sum(map(len, FILES.values()))


def plan(
    files: Mapping[str, bytes] = FILES,
    *,
    free: int = GB,
    used: int = 0,
    quota: int | None = None,
    cache: ModelCache | None = None,
    kept: Collection[str] = (),
    adopted: Mapping[str, str] | None = None,
    linked: Collection[str] = (),
    rate: float | None = None,
    **given: Any,
) -> DownloadPlan:
    wanted = tuple(remote(path, data) for path, data in files.items())
    listing = Listing(REPO, "modelscope", "master", COMMIT, wanted)
    volume = Volume(free, used, quota, cache.holdings() if cache else [], now=1e6)
    found = Found(
        wanted,
        kept={SafePath(path): entry(path) for path in kept},
        lent={SafePath(path): SharedFile(Path(path), entry(path), "other") for path in linked},
        candidates={SafePath(path): [candidate(path, label)] for path, label in (adopted or {}).items()},
        **given,
    )
    sources = ("ModelScope", "Hugging Face")
    return make_plan(DownloadRequest(REPO), listing, Path("folder"), found, volume).forecast(sources, rate)


def entry(path: str) -> ManifestFile:
    file = remote(path, FILES[path])
    assert file.sha256 is not None
    return ManifestFile(file.path, file.size, file.sha256, None)


def candidate(path: str, label: str) -> Candidate:
    return Candidate(Place("folder", Path("other")), Path("other") / path, label, is_expected=True)


def actions(planned: DownloadPlan) -> list[tuple[str, str, int]]:
    return [(file.path, file.action, file.bytes_to_fetch) for file in planned.files]


def used_at(folder: Path, last_used: float) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None
    write_manifest(folder, replace(manifest, last_used=last_used))


def test_everything_travels_when_nothing_is_here() -> None:
    planned = plan(rate=50 * KB)

    assert actions(planned) == [
        ("config.json", "fetched", 2),
        ("a.safetensors", "fetched", 40 * KB),
        ("b.safetensors", "fetched", 60 * KB),
    ]
    assert (planned.bytes_to_fetch, planned.bytes_reused, planned.room_bytes) == (ALL, 0, ALL + RESERVE_BYTES)
    assert planned.seconds == pytest.approx(2.0, rel=0.01)
    assert (planned.files[0].source, planned.sources) == ("ModelScope", ("ModelScope", "Hugging Face"))
    assert planned.has_room
    assert not planned.is_update


def test_what_is_here_does_not_travel() -> None:
    planned = plan(
        kept={"config.json"},
        adopted={"a.safetensors": "the Hugging Face cache"},
        partial_bytes={object_key(remote("b.safetensors", FILES["b.safetensors"])): 45 * KB},
    )

    assert actions(planned) == [
        ("config.json", "kept", 0),
        ("a.safetensors", "adopted", 0),
        ("b.safetensors", "resumed", 15 * KB),
    ]
    assert [file.source for file in planned.files] == ["", "the Hugging Face cache", "ModelScope"]
    assert (planned.bytes_to_fetch, planned.bytes_reused) == (15 * KB, ALL - 15 * KB)
    assert planned.room_bytes == 15 * KB + 40 * KB + RESERVE_BYTES


def test_what_another_revision_shares_takes_no_room() -> None:
    planned = plan(linked={"a.safetensors"}, kept={"b.safetensors"})

    assert planned.room_bytes == 2 + RESERVE_BYTES


def test_nothing_to_do_needs_no_room() -> None:
    planned = plan(kept=set(FILES), free=0)

    assert (planned.room_bytes, planned.missing_bytes, planned.seconds) == (0, 0, None)
    check_room(planned)


def test_equal_files_travel_once() -> None:
    planned = plan({"a.txt": b"same", "b.txt": b"same"})

    assert actions(planned) == [("a.txt", "fetched", 4), ("b.txt", "adopted", 0)]
    assert planned.files[1].source == "a.txt"


def test_an_update_says_what_goes(tmp_path: Path) -> None:
    old = {"config.json": FILES["config.json"], "a.safetensors": b"old" * KB, "gone.safetensors": b"g" * KB}
    folder = make_cached(tmp_path, REPO, old)

    planned = plan(kept={"config.json"}, previous=read_manifest(folder), quota=GB)

    assert ("gone.safetensors", "removed", 0) in actions(planned)
    assert ("a.safetensors", "fetched", 40 * KB) in actions(planned)
    assert not planned.is_update  # the same commit, damaged
    manifest = read_manifest(folder)
    assert manifest is not None
    assert plan(previous=replace(manifest, commit="d" * 40)).is_update


def test_the_quota_counts_what_stays_not_what_an_update_replaces(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    folder = make_cached(tmp_path, REPO, {"a.safetensors": b"o" * 100 * KB})

    fits = plan(previous=read_manifest(folder), used=100 * KB, quota=ALL, cache=cache)
    too_much = plan(previous=read_manifest(folder), used=100 * KB, quota=ALL - 1, cache=cache)

    assert (fits.over_quota_bytes, too_much.over_quota_bytes) == (0, 1)


def test_what_the_quota_would_evict_is_named_and_makes_room(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    used_at(make_cached(tmp_path, "a/old", {"model.safetensors": b"o" * 90 * KB}), 1)
    used_at(make_cached(tmp_path, "a/new", {"model.safetensors": b"n" * 90 * KB}), 2)

    planned = plan(cache=cache, used=180 * KB, quota=200 * KB, free=RESERVE_BYTES + 20 * KB)

    assert planned.to_evict == ("a/old",)
    assert planned.evictable == (("a/old", 90 * KB), ("a/new", 90 * KB))
    assert (planned.over_quota_bytes, planned.missing_bytes) == (0, 0)
    check_room(planned)


def test_what_does_not_fit_into_the_quota_is_refused(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    make_cached(tmp_path, "a/pinned", {"model.safetensors": b"p" * 90 * KB}, pinned=True)

    planned = plan(cache=cache, used=90 * KB, quota=100 * KB)

    assert not planned.has_room
    assert (planned.to_evict, planned.evictable) == ((), ())
    with pytest.raises(NoSpace, match=r"quota of 100 kB: 90\.0 kB \(90,002 bytes\) are missing"):
        check_room(planned)


def test_no_room_is_refused_with_the_missing_bytes_and_what_could_be_evicted(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    used_at(make_cached(tmp_path, "a/old", {"model.safetensors": b"o" * 30 * KB}), 1)
    used_at(make_cached(tmp_path, "a/mid", {"model.safetensors": b"m" * 30 * KB}), 2)
    used_at(make_cached(tmp_path, "a/new", {"model.safetensors": b"n" * 30 * KB}), 3)

    planned = plan(cache=cache, free=RESERVE_BYTES + ALL - 50 * KB)

    assert planned.missing_bytes == 50 * KB
    with pytest.raises(NoSpace, match=r"50\.0 kB \(50,000 bytes\) are missing") as caught:
        check_room(planned)
    assert "Evict a/old (30.0 kB) and a/mid (30.0 kB)" in caught.value.hint
    assert "a/new" not in caught.value.hint


def test_nobody_is_told_to_evict_in_vain(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    make_cached(tmp_path, "a/small", {"model.safetensors": b"o" * KB})

    with pytest.raises(NoSpace) as caught:
        check_room(plan(cache=cache, free=0))

    assert "a/small" not in caught.value.hint
    assert "MODEL_CACHE_DIR" in caught.value.hint


def test_a_plan_is_ready_for_json(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    make_cached(tmp_path, "a/b")

    data = json.loads(json.dumps(plan(cache=cache).to_dict()))

    assert data["model_name"] == REPO
    assert data["has_room"] is True
    assert data["files"][0] == {
        "path": "config.json",
        "size": 2,
        "action": "fetched",
        "source": "ModelScope",
        "bytes_to_fetch": 2,
    }


def test_what_was_begun_is_seen_without_taking_it(tmp_path: Path) -> None:
    key = "ab" * 32
    partial = claim(tmp_path, key, 1000, disk=LocalDisk(), name="model.safetensors")
    partial.open()
    partial.write(memoryview(b"x" * 300), 0)
    partial.record(0, 300, 1)
    partial.close(release=True)
    (tmp_path / "garbage.journal").write_bytes(b"\xff" * 100)
    before = sorted(path.name for path in tmp_path.iterdir())

    assert {key: spans.total for key, spans in partial_spans(tmp_path).items()} == {key: 300}
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert {key: spans.total for key, spans in partial_spans(tmp_path / "missing").items()} == {}


def test_a_journal_whose_data_is_gone_promises_nothing(tmp_path: Path) -> None:
    partial = claim(tmp_path, "ab" * 32, 1000, disk=LocalDisk(), name="model.safetensors")
    partial.open()
    partial.record(0, 300, 1)
    partial.close(release=True)
    partial.path.unlink()

    assert {key: spans.total for key, spans in partial_spans(tmp_path).items()} == {}
