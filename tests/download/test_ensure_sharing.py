"""What is on this disk already does not travel: other revisions, other models, other tools, and damaged files' rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.own.commit import commit_model
from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import BadInput, CacheDamaged, NoSpace, NotCached, SourceFailed
from tests.cache.making import make_cached
from tests.cache.other_caches import make_hugging_face
from tests.download.test_ensure import FILES, NAME, contents, ensure, make_plain, replace_bytes
from tests.transfer.origin import COMMIT, REPO, Origin, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB = 1 << 20
NEWER = {**FILES, "config.json": b'{"model_type": "qwen3", "newer": true}'}


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def change(origin: Origin) -> None:
    origin.head, origin.files = "d" * 40, dict(NEWER)


# Two revisions


def test_two_revisions_lie_beside_each_other_and_share_what_did_not_change(cache: ModelCache, origin: Origin) -> None:
    first = ensure(cache, origin)
    change(origin)

    second = ensure(cache, origin, revision="v2")

    assert second.model.folder != first.model.folder
    assert contents(first.model.folder) == FILES
    assert contents(second.model.folder) == NEWER
    assert second.bytes_fetched == len(NEWER["config.json"])
    weights = [model.folder / "model.safetensors" for model in (first.model, second.model)]
    assert weights[0].stat().st_ino == weights[1].stat().st_ino
    assert cache.verify(REPO).is_ok
    assert cache.verify(REPO, "v2").is_ok


def test_what_is_shared_costs_no_reading_of_either_revision_later(cache: ModelCache, origin: Origin) -> None:
    first = ensure(cache, origin).model
    change(origin)
    ensure(cache, origin, revision="v2")

    for revision in (None, "v2"):
        model = cache.find(REPO, revision)
        assert model is not None
        manifest = cache.manifest(model)
        assert manifest is not None
        assert not cache.stale_files(model, manifest)

    cache.evict(REPO, revision="v2")
    manifest = cache.manifest(first)
    assert manifest is not None
    assert not cache.stale_files(first, manifest)


def test_a_second_revision_asked_for_again_is_there(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    change(origin)
    ensure(cache, origin, revision="v2")
    listed = origin.listings_asked

    again = ensure(cache, origin, revision="d" * 12)

    assert again.was_cached
    assert origin.listings_asked == listed


def test_a_tag_of_the_commit_that_is_cached_is_that_model(cache: ModelCache, origin: Origin) -> None:
    first = ensure(cache, origin)

    tagged = ensure(cache, origin, revision="v1")

    assert tagged.was_cached
    assert tagged.model.folder == first.model.folder


def test_offline_a_revision_that_is_not_here_is_missed(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    with pytest.raises(NotCached, match="not at revision v2"):
        ensure(cache, origin, revision="v2", offline=True)


# Updates


def test_an_update_fetches_only_what_changed_and_keeps_the_folder(cache: ModelCache, origin: Origin) -> None:
    first = ensure(cache, origin)
    change(origin)
    assert ensure(cache, origin).was_cached  # nobody asked for news

    updated = ensure(cache, origin, update=True)

    assert updated.model.folder == first.model.folder
    assert updated.model.commit == "d" * 40
    assert updated.bytes_fetched == len(NEWER["config.json"])
    assert contents(updated.model.folder) == NEWER


def test_an_update_without_news_costs_one_cheap_request(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    asked = len(origin.server.seen)

    assert ensure(cache, origin, update=True).was_cached

    assert (origin.listings_asked, origin.commits_asked) == (1, 1)
    assert len(origin.server.seen) == asked


# Repair


def test_of_a_damaged_file_only_the_wrong_piece_travels(cache: ModelCache) -> None:
    data = bytes_of(40 * MB, 7)
    with Origin({"config.json": b"{}", "model.safetensors": data}) as origin:
        folder = ensure(cache, origin).model.folder
        damaged = bytearray(data)
        damaged[20 * MB] ^= 1
        replace_bytes(folder / "model.safetensors", bytes(damaged))

        again = ensure(cache, origin)

    assert (folder / "model.safetensors").read_bytes() == data
    assert 0 < again.bytes_fetched <= 8 * MB


# Other models and other tools


def test_a_file_that_another_model_here_has_does_not_travel(cache: ModelCache, origin: Origin) -> None:
    make_cached(cache.root, "someone/Else", {"model.safetensors": FILES["model.safetensors"]})

    ensured = ensure(cache, origin)

    assert ensured.bytes_fetched == sum(map(len, FILES.values())) - len(FILES["model.safetensors"])
    assert ensured.adopted == {"cache": len(FILES["model.safetensors"])}
    assert contents(ensured.model.folder) == FILES
    assert cache.verify("someone/Else").is_ok


def test_a_model_in_a_folder_the_user_named_is_brought_here_without_traffic(tmp_path: Path, origin: Origin) -> None:
    theirs = make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", FILES)
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])

    ensured = ensure(cache, origin)

    assert ensured.bytes_fetched == 0
    assert sum(ensured.adopted.values()) == sum(map(len, FILES.values()))
    assert contents(ensured.model.folder) == FILES
    assert contents(theirs) == FILES
    assert (theirs / "model.safetensors").stat().st_nlink == 1


def test_used_in_place_it_stays_where_it_is(tmp_path: Path, origin: Origin) -> None:
    theirs = make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", FILES)
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])

    ensured = ensure(cache, origin, in_place=True)

    assert ensured.model.folder == theirs
    assert ensured.model.is_verified
    assert not (cache.root / NAME).exists()
    assert read_manifest(theirs) is None
    listed = origin.listings_asked
    assert ensure(cache, origin).model.folder == theirs
    assert origin.listings_asked == listed


def test_used_in_place_a_wrong_file_is_found_out_and_the_model_downloaded(tmp_path: Path, origin: Origin) -> None:
    wrong = FILES["model.safetensors"][:-1] + b"?"
    theirs = make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", {**FILES, "model.safetensors": wrong})
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])
    recorder = Recorder()

    ensured = ensure(cache, origin, in_place=True, reporter=recorder)

    assert ensured.model.folder == cache.root / NAME
    assert contents(ensured.model.folder) == FILES
    assert any("model.safetensors" in notice for notice in recorder.notices)
    assert (theirs / "model.safetensors").read_bytes() == wrong


# Sources


def test_without_the_disk_as_a_source_other_tools_are_not_looked_at(tmp_path: Path, origin: Origin) -> None:
    make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", FILES)
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])

    ensured = ensure(cache, origin, sources=["modelscope"])

    assert ensured.shares == {"ModelScope": sum(map(len, FILES.values()))}


def test_from_the_disk_alone_what_is_not_there_is_named(cache: ModelCache, origin: Origin) -> None:
    with pytest.raises(SourceFailed, match=r"config\.json: no source has it"):
        ensure(cache, origin, sources=["disk"])


def test_a_source_that_is_none_is_named(cache: ModelCache, origin: Origin) -> None:
    with pytest.raises(BadInput, match="floppy"):
        ensure(cache, origin, sources=["floppy"])


def test_two_hubs_share_the_work_of_one_large_file(cache: ModelCache) -> None:
    files = {"config.json": b"{}", "model.safetensors": bytes_of(48 * MB, 3)}
    with Origin(files) as first, Origin(files, name="huggingface", commit="e" * 40) as second:
        ensured = ensure(cache, first, second)

    assert contents(ensured.model.folder) == files
    assert ensured.model.commit == COMMIT
    assert set(ensured.shares) <= {"ModelScope", "Hugging Face"}
    assert sum(ensured.shares.values()) == sum(map(len, files.values()))


# Room


def test_a_quota_lets_the_least_recently_used_model_go_and_says_so(cache: ModelCache, origin: Origin) -> None:
    make_cached(cache.root, "someone/Old", {"model.safetensors": bytes_of(4 * MB, 5)})
    recorder = Recorder()

    ensured = ensure(cache, origin, quota=5 * MB, reporter=recorder)

    assert ensured.evicted == ["someone/Old"]
    assert [model.repo_id for model in cache.list()] == [REPO]
    assert any("someone/Old" in notice for notice in recorder.notices)


def test_what_does_not_fit_into_the_quota_is_refused_before_anything_is_deleted(
    cache: ModelCache, origin: Origin
) -> None:
    make_cached(cache.root, "someone/Old", {"model.safetensors": bytes_of(1 * MB, 5)})
    asked = len(origin.server.seen)

    with pytest.raises(NoSpace, match="quota"):
        ensure(cache, origin, quota=2 * MB)

    assert [model.repo_id for model in cache.list()] == ["someone/Old"]
    assert len(origin.server.seen) == asked


def test_a_model_that_makes_room_lends_nothing(cache: ModelCache, origin: Origin) -> None:
    lender = {"weights.safetensors": FILES["model.safetensors"], "more.safetensors": bytes_of(4 * MB, 5)}
    make_cached(cache.root, "someone/Old", lender)

    ensured = ensure(cache, origin, quota=4 * MB)

    assert ensured.evicted == ["someone/Old"]
    assert ensured.bytes_fetched == sum(map(len, FILES.values()))
    assert contents(ensured.model.folder) == FILES


def test_a_model_that_is_evicted_while_it_lends_is_done_without(
    cache: ModelCache, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cached(cache.root, "someone/Else", {"weights.safetensors": FILES["model.safetensors"]})
    commits: list[object] = []

    def evict_first(*arguments: Any, **options: Any) -> Any:
        if not commits:
            cache.evict("someone/Else")
        commits.append(arguments)
        return commit_model(*arguments, **options)

    monkeypatch.setattr("qwen3ft_jupyter.download.apply.commit_model", evict_first)

    ensured = ensure(cache, origin)

    assert len(commits) == 2
    assert contents(ensured.model.folder) == FILES
    assert cache.verify(REPO).is_ok


# Offline


def test_offline_another_tool_s_damaged_copy_is_not_used(tmp_path: Path, origin: Origin) -> None:
    snapshot = make_hugging_face(tmp_path / "hf", FILES, repo=REPO)
    blob = (snapshot / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    cache = ModelCache(tmp_path / "cache", places=[Place("huggingface", tmp_path / "hf")])

    with pytest.raises(CacheDamaged, match=r"model\.safetensors"):
        ensure(cache, origin, offline=True)


def test_a_tool_s_cache_that_appears_later_is_seen(tmp_path: Path, origin: Origin) -> None:
    cache = ModelCache(tmp_path / "cache", places=lambda: [Place("folder", path) for path in tmp_path.glob("models")])
    assert cache.list() == []

    make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", FILES)

    assert ensure(cache, origin).bytes_fetched == 0
