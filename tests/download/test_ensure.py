from __future__ import annotations

import hashlib
import json
import shutil
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import (
    CacheDamaged,
    HubUnreachable,
    ModelNotFound,
    NoSpace,
    NotCached,
    SourceFailed,
    Stopped,
    WrongBytes,
)
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from tests.cache.making import make_cached, safetensors
from tests.download.asking import ensure_model
from tests.lived import CpuTime
from tests.servers import Reply, Seen, Stall, file_reply
from tests.transfer.origin import COMMIT, REPO, Interrupter, Origin, Recorder, bytes_of, wait_until_given_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.work import Reporter

MB = 1 << 20
FILES = {
    "config.json": b'{"model_type": "qwen3"}',
    "model.safetensors": safetensors(bytes_of(3 * MB, 1)),
    "sub/notes.txt": b"notes",
    "tokenizer.json": b"{}",
}
NAME = "Qwen_Qwen3-Test"


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def ensure(
    cache: ModelCache,
    *origins: Origin,
    revision: str | None = None,
    force: bool = False,
    offline: bool = False,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
    **wanted: Any,
) -> Ensured:
    return ensure_model(
        cache,
        {origin.name: origin for origin in origins},
        REPO,
        revision=revision,
        force=force,
        offline=offline,
        order=[origin.name for origin in origins],
        max_connections=4,
        policy=RetryPolicy(attempts=3, first_delay_s=0.01, max_delay_s=0.02),
        reporter=reporter or Recorder(),
        stop=stop,
        **wanted,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".qwen3ft" not in path.parts
    }


def make_plain(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def replace_bytes(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_model_is_a_folder_of_read_only_files_with_a_manifest(cache: ModelCache, origin: Origin) -> None:
    ensured = ensure(cache, origin)

    folder = cache.root / NAME
    assert ensured.model.folder == folder
    assert ensured.bytes_fetched == sum(map(len, FILES.values()))
    assert not ensured.was_cached
    assert contents(folder) == FILES
    assert all(not stat.S_IMODE((folder / name).stat().st_mode) & 0o222 for name in FILES)
    manifest = json.loads((folder / ".qwen3ft/manifest.json").read_bytes())
    assert (manifest["version"], manifest["repo_id"], manifest["commit"]) == (1, REPO, COMMIT)
    assert {file["path"]: file["sha256"] for file in manifest["files"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()
    }
    assert not (cache.root / ".incoming").exists()


def test_a_warm_call_asks_nobody_and_reads_no_weights(
    cache: ModelCache, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(cache, origin)
    asked, listed = len(origin.server.seen), origin.listings_asked
    monkeypatch.setattr("qwen3ft_jupyter.cache.own.verify.digest_file", None)

    warm = ensure(cache, origin)

    assert warm.was_cached
    assert warm.bytes_fetched == 0
    assert warm.model.commit == COMMIT
    assert (len(origin.server.seen), origin.listings_asked) == (asked, listed)


@pytest.mark.parametrize("revision", [COMMIT, COMMIT[:7]])
def test_a_cached_commit_asked_for_by_name_needs_no_network(cache: ModelCache, origin: Origin, revision: str) -> None:
    ensure(cache, origin)

    assert ensure(cache, origin, revision=revision).was_cached
    assert origin.listings_asked == 1


def test_a_branch_that_did_not_move_costs_one_cheap_request(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    asked = len(origin.server.seen)

    ensured = ensure(cache, origin, revision="master")

    assert ensured.was_cached
    assert (origin.listings_asked, origin.commits_asked) == (1, 1)
    assert len(origin.server.seen) == asked


def test_a_new_commit_fetches_what_changed_and_removes_what_is_gone(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    cache.pin(REPO)
    origin.head = "d" * 40
    origin.files = {**FILES, "config.json": b"[]"}
    del origin.files["sub/notes.txt"]

    ensured = ensure(cache, origin, revision="master")

    assert ensured.bytes_fetched == 2
    assert contents(ensured.model.folder) == origin.files
    assert ensured.model.commit == "d" * 40
    assert ensured.model.pinned


def test_force_fetches_everything_again(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)

    again = ensure(cache, origin, force=True)

    assert again.bytes_fetched == sum(map(len, FILES.values()))
    assert contents(again.model.folder) == FILES


@pytest.mark.parametrize("way", ["mv", "cp -r"])
def test_a_moved_cache_is_read_once_and_then_trusted(
    cache: ModelCache, origin: Origin, tmp_path: Path, way: str
) -> None:
    ensure(cache, origin)
    if way == "mv":
        shutil.move(cache.root, tmp_path / "elsewhere")
    else:
        shutil.copytree(cache.root, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    moved = ModelCache(tmp_path / "elsewhere")
    told = Recorder()

    first = ensure(moved, origin, reporter=told)
    again = Recorder()
    ensure(moved, origin, reporter=again)

    assert first.was_cached
    assert origin.listings_asked == 1
    assert ("checking" in told.phases()) == (way == "cp -r")
    assert again.phases() == []


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "removed", "symlink"])
def test_a_file_damaged_in_the_cache_is_fetched_again_and_nothing_else(
    cache: ModelCache, origin: Origin, tmp_path: Path, damage: str
) -> None:
    path = ensure(cache, origin).model.folder / "model.safetensors"
    data = FILES["model.safetensors"]
    if damage == "flipped":
        replace_bytes(path, data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "cut":
        replace_bytes(path, data[:100])
    elif damage == "emptied":
        replace_bytes(path, b"")
    else:
        path.unlink()
    if damage == "symlink":
        make_plain(tmp_path, {"outside.bin": data[::-1]})
        path.symlink_to(tmp_path / "outside.bin")

    ensured = ensure(cache, origin)

    assert ensured.bytes_fetched == len(data)
    assert contents(ensured.model.folder) == FILES
    assert not path.is_symlink()
    assert origin.listings_asked == 1, "the manifest knows what is right"
    if damage == "symlink":
        assert (tmp_path / "outside.bin").read_bytes() == data[::-1]


def test_damage_is_named_when_nobody_may_be_asked(cache: ModelCache, origin: Origin) -> None:
    folder = ensure(cache, origin).model.folder
    (folder / "config.json").unlink()

    with pytest.raises(CacheDamaged, match=r"config\.json"):
        ensure(cache, origin, offline=True)


def test_offline_takes_what_is_cached_and_refuses_what_is_not(cache: ModelCache, origin: Origin) -> None:
    with pytest.raises(NotCached):
        ensure(cache, origin, offline=True)
    ensure(cache, origin)

    assert ensure(cache, origin, offline=True).was_cached
    assert ensure(cache, origin, offline=True, revision="master").was_cached
    with pytest.raises(NotCached):
        ensure(cache, origin, offline=True, revision="v2")


@pytest.mark.parametrize("name", ["Qwen--Qwen3-Test", "Qwen_Qwen3-Test"])
def test_a_plain_folder_is_compared_and_only_what_is_missing_or_wrong_is_fetched(
    cache: ModelCache, origin: Origin, name: str
) -> None:
    plain = make_plain(
        cache.root / name, {"config.json": b"mine", "model.safetensors": FILES["model.safetensors"], "own.txt": b"own"}
    )
    told = Recorder()

    ensured = ensure(cache, origin, reporter=told)

    assert ensured.model.folder == plain
    assert ensured.model.is_verified
    assert contents(plain) == {**FILES, "own.txt": b"own"}
    assert origin.bytes_asked("model.safetensors") == 0
    assert (plain / ".qwen3ft/replaced/config.json").read_bytes() == b"mine"
    assert any("config.json is not the hub's file" in notice for notice in told.notices)
    assert ensure(cache, origin).was_cached


def test_a_plain_folder_is_used_offline_with_a_warning(cache: ModelCache, origin: Origin) -> None:
    make_plain(cache.root / NAME, FILES)
    told = Recorder()

    ensured = ensure(cache, origin, offline=True, reporter=told)

    assert not ensured.model.is_verified
    assert ensured.hub is None
    assert "unverified" in told.notices[0]


def test_a_plain_folder_is_used_with_a_warning_when_no_hub_can_be_reached(cache: ModelCache, origin: Origin) -> None:
    make_plain(cache.root / NAME, FILES)
    origin.error = HubUnreachable("no network")
    told = Recorder()

    assert not ensure(cache, origin, reporter=told).model.is_verified
    assert "no hub can be reached" in told.notices[0]


def test_half_a_plain_folder_is_not_used_offline(cache: ModelCache, origin: Origin) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    make_plain(
        cache.root / NAME,
        {
            "config.json": b"{}",
            "model.safetensors.index.json": json.dumps(index).encode(),
            "model-00001-of-00002.safetensors": b"half",
        },
    )

    with pytest.raises(CacheDamaged):
        ensure(cache, origin, offline=True)


def test_wrong_bytes_leave_nothing_visible(cache: ModelCache, origin: Origin) -> None:
    def fault(seen: Seen, _count: int) -> Reply | None:
        return file_reply(seen, b"x" * 3 * MB) if seen.path == "/model.safetensors" else None

    origin.fault = fault
    with pytest.raises(WrongBytes, match=r"model\.safetensors"):
        ensure(cache, origin)

    assert cache.list() == []
    assert cache.find(REPO) is None
    assert not (cache.root / NAME).exists()


def test_a_failed_download_is_continued_by_the_next(cache: ModelCache, origin: Origin) -> None:
    told = Recorder()

    def fail_when_the_rest_is_here(seen: Seen, _count: int) -> Reply | None:
        if seen.path != "/model.safetensors":
            return None
        told.wait_for_bytes(sum(len(data) for name, data in FILES.items() if name != "model.safetensors"))
        return Reply(503)

    origin.fault = fail_when_the_rest_is_here
    with pytest.raises(Exception, match="503"):
        ensure(cache, origin, reporter=told)
    origin.fault = None

    ensured = ensure(cache, origin)

    assert ensured.bytes_fetched == len(FILES["model.safetensors"])
    assert len(origin.ranges("config.json")) == 1


def test_bytes_begun_at_one_hub_are_completed_at_the_other(cache: ModelCache) -> None:
    """The digest is the identity: only what is missing is asked of the second hub."""
    told = Recorder()

    def fault(seen: Seen, _count: int) -> Reply | None:
        first, _ = seen.range or (0, 0)
        if seen.path != "/model.safetensors" or first < MB:
            return None
        told.wait_for_bytes(MB // 2)
        return Reply(503)

    with Origin(FILES, fault=fault) as one, Origin(FILES, name="huggingface", commit="e" * 40) as other:
        ensured = ensure(cache, one, other, reporter=told)

        assert ensured.hub == "huggingface"
        assert contents(ensured.model.folder) == FILES
        assert other.bytes_asked("model.safetensors") < len(FILES["model.safetensors"])
        assert any("Trying Hugging Face" in notice for notice in told.notices)


def test_without_another_hub_the_failure_is_the_answer(cache: ModelCache, origin: Origin) -> None:
    origin.fault = lambda _seen, _n: Reply(404)

    with pytest.raises(ModelNotFound):
        ensure(cache, origin)


def test_stop_before_the_end_keeps_what_arrived_and_shows_nothing(cache: ModelCache, origin: Origin) -> None:
    hold = Stall()
    stop = threading.Event()

    def fault(seen: Seen, _count: int) -> Reply | None:
        if seen.path != "/model.safetensors":
            return None
        first, last = seen.range or (0, None)
        end = len(FILES["model.safetensors"]) if last is None else last + 1
        headers = {
            "Content-Range": f"bytes {first}-{end - 1}/{len(FILES['model.safetensors'])}",
            "Content-Length": str(end - first),
        }
        return Reply(206, [FILES["model.safetensors"][first : first + 1000], hold], headers)

    origin.fault = fault
    told = Recorder()
    stopper = threading.Thread(
        target=lambda: (told.wait_for(lambda r: any(e.done > 1000 for e in r.events)), stop.set())  # type: ignore[func-returns-value]
    )
    stopper.start()
    with pytest.raises(Stopped):
        ensure(cache, origin, reporter=told, stop=stop)
    stopper.join()
    hold.event.set()
    origin.fault = None
    wait_until_given_back(cache.root)

    assert cache.list() == []
    ensured = ensure(cache, origin)
    assert 0 < ensured.bytes_fetched < sum(map(len, FILES.values()))
    assert contents(ensured.model.folder) == FILES


def test_no_room_is_refused_before_the_first_byte(
    cache: ModelCache, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen3ft_jupyter.transfer.volume.LocalDisk.free_bytes", lambda _self, _folder: 1000)

    with pytest.raises(NoSpace, match="are missing"):
        ensure(cache, origin)

    assert origin.server.seen == []


def test_phases_have_their_own_names(cache: ModelCache, origin: Origin) -> None:
    told = Recorder()

    ensure(cache, origin, reporter=told)

    assert [phase for phase in told.phases() if phase != "verifying"] == ["resolving", "transferring", "committing"]


def test_a_model_in_a_shared_layer_is_used_there(origin: Origin, tmp_path: Path) -> None:
    ensure(ModelCache(tmp_path / "shared"), origin)
    cache = ModelCache(tmp_path / "own", [tmp_path / "shared"])

    ensured = ensure(cache, origin)

    assert ensured.was_cached
    assert ensured.model.is_shared
    assert not cache.root.exists()


def test_a_shared_layer_with_other_stamps_is_read_once(origin: Origin, tmp_path: Path) -> None:
    ensure(ModelCache(tmp_path / "origin"), origin)
    shutil.copytree(tmp_path / "origin", tmp_path / "shared", copy_function=shutil.copyfile)
    manifest = (tmp_path / "shared" / NAME / ".qwen3ft/manifest.json").read_bytes()
    cache = ModelCache(tmp_path / "own", [tmp_path / "shared"])
    first, second = Recorder(), Recorder()

    ensure(cache, origin, reporter=first)
    ensure(cache, origin, reporter=second)

    assert "checking" in first.phases()
    assert second.phases() == []
    assert (tmp_path / "shared" / NAME / ".qwen3ft/manifest.json").read_bytes() == manifest


def test_a_damaged_shared_model_is_replaced_by_an_own_copy(origin: Origin, tmp_path: Path) -> None:
    shared = ensure(ModelCache(tmp_path / "shared"), origin).model.folder
    replace_bytes(shared / "config.json", b"{}")
    cache = ModelCache(tmp_path / "own", [tmp_path / "shared"])

    ensured = ensure(cache, origin)

    assert not ensured.model.is_shared
    assert contents(ensured.model.folder) == FILES
    assert (shared / "config.json").read_bytes() == b"{}"


def test_an_interrupted_commit_is_completed_without_fetching(
    cache: ModelCache, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("qwen3ft_jupyter.cache.own.commit.write_manifest", fail)
        with pytest.raises(KeyboardInterrupt):
            ensure(cache, origin)
    assert cache.list() == []
    asked = len(origin.server.seen)

    ensured = ensure(cache, origin)

    assert ensured.bytes_fetched == 0
    assert len(origin.server.seen) == asked
    assert contents(ensured.model.folder) == FILES


def test_a_planted_symlink_is_not_written_through(cache: ModelCache, origin: Origin, tmp_path: Path) -> None:
    outside = make_plain(tmp_path / "outside", {"notes.txt": b"precious"})
    plain = make_plain(cache.root / NAME, {"config.json": FILES["config.json"]})
    (plain / "sub").symlink_to(outside, target_is_directory=True)
    (plain / "model.safetensors").symlink_to(outside / "notes.txt")

    ensured = ensure(cache, origin)

    assert contents(ensured.model.folder) == FILES
    assert not (plain / "sub").is_symlink()
    assert contents(outside) == {"notes.txt": b"precious"}


def test_two_threads_asking_for_one_model_fetch_it_once(cache: ModelCache, origin: Origin) -> None:
    results: list[Ensured] = []
    threads = [threading.Thread(target=lambda: results.append(ensure(cache, origin))) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert len(results) == 3
    assert sum(result.bytes_fetched for result in results) == sum(map(len, FILES.values()))


def test_warm_calls_cost_milliseconds(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)

    with CpuTime() as spent:
        for _ in range(20):
            ensure(cache, origin)

    assert spent.seconds / 20 < 0.05


def test_manifest_commit_is_read_back(cache: ModelCache, origin: Origin) -> None:
    folder = ensure(cache, origin).model.folder

    manifest = read_manifest(folder)

    assert manifest is not None
    assert manifest.size_bytes == sum(map(len, FILES.values()))


def test_no_source_failure_is_silent(cache: ModelCache, origin: Origin) -> None:
    origin.fault = lambda _seen, _n: Reply(418)

    with pytest.raises(SourceFailed, match="418"):
        ensure(cache, origin)


def test_a_pin_made_during_a_download_is_kept(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)

    again = ensure(cache, origin, force=True, reporter=Interrupter("transferring", lambda: cache.pin(REPO)))

    assert again.model.pinned


def test_a_model_replaced_while_its_files_are_checked_is_taken_as_it_is_now(
    cache: ModelCache, origin: Origin, tmp_path: Path
) -> None:
    ensure(cache, origin)
    shutil.copytree(cache.root, tmp_path / "copy", copy_function=shutil.copyfile)
    copied = ModelCache(tmp_path / "copy")

    def replace_model() -> None:
        origin.head = "d" * 40
        origin.files = {"config.json": b"{}", "model.safetensors": bytes_of(2 * MB, 2)}
        ensure(ModelCache(copied.root), origin, force=True)

    told = Interrupter("checking", replace_model)
    ensured = ensure(copied, origin, reporter=told)

    assert ensured.was_cached
    assert ensured.model.commit == "d" * 40
    assert contents(ensured.model.folder) == origin.files
    assert told.notices == []


def plant(root: Path, files: dict[str, bytes]) -> Path:
    """Put a model there as a cloned repository brings it: whole, with a manifest that vouches for its bytes."""
    folder = make_cached(root, REPO, files)
    record = folder / ".qwen3ft/manifest.json"
    manifest = json.loads(record.read_bytes())
    for file in manifest["files"]:
        file["stamp"] = None
    record.write_text(json.dumps(manifest), "utf-8")
    return folder


POISONED = {**FILES, "model.safetensors": safetensors(b"poison" * 1000)}


def test_a_planted_manifest_vouches_for_nothing_where_manifests_are_not_trusted(tmp_path: Path, origin: Origin) -> None:
    folder = plant(tmp_path, POISONED)
    cache = ModelCache(tmp_path, trust_manifests=False)
    assert [model.is_verified for model in cache.list()] == [False]

    ensured = ensure(cache, origin)

    assert ensured.model.is_verified
    assert contents(folder) == FILES
    assert ensured.bytes_fetched == len(FILES["model.safetensors"]), "what was right is kept"
    assert ensure(cache, origin).was_cached
    assert origin.listings_asked == 1


@pytest.mark.parametrize("layer", ["own", "shared"])
def test_a_planted_model_is_used_offline_with_a_warning(tmp_path: Path, origin: Origin, layer: str) -> None:
    plant(tmp_path / layer, POISONED)
    cache = ModelCache(tmp_path / "own", [tmp_path / "shared"], trust_manifests=False)
    told = Recorder()

    ensured = ensure(cache, origin, offline=True, reporter=told)

    assert not ensured.model.is_verified
    assert "unverified" in told.notices[0]


def test_a_planted_manifest_of_no_files_vouches_for_nothing(tmp_path: Path) -> None:
    record = plant(tmp_path, POISONED) / ".qwen3ft/manifest.json"
    record.write_text(json.dumps({**json.loads(record.read_bytes()), "files": []}), "utf-8")

    assert [model.is_verified for model in ModelCache(tmp_path, trust_manifests=False).list()] == [False]


def test_what_was_downloaded_here_is_trusted_everywhere(cache: ModelCache, origin: Origin) -> None:
    careful = ModelCache(cache.root, trust_manifests=False)
    ensure(careful, origin)
    asked = (len(origin.server.seen), origin.listings_asked)

    assert ensure(careful, origin).was_cached
    assert ensure(careful, origin, offline=True).model.is_verified
    assert (len(origin.server.seen), origin.listings_asked) == asked


def test_a_file_changed_after_the_download_is_compared_with_the_hub_where_manifests_are_not_trusted(
    cache: ModelCache, origin: Origin
) -> None:
    careful = ModelCache(cache.root, trust_manifests=False)
    folder = ensure(careful, origin).model.folder
    replace_bytes(folder / "config.json", b"mine")

    assert [model.is_verified for model in careful.list()] == [False]
    assert ensure(careful, origin).bytes_fetched == len(FILES["config.json"])
    assert contents(folder) == FILES


def test_equal_files_travel_once(cache: ModelCache, origin: Origin) -> None:
    origin.files = {**FILES, "copy/model.safetensors": FILES["model.safetensors"], "notes.txt": b"notes"}

    ensured = ensure(cache, origin)

    assert ensured.bytes_fetched == sum(map(len, FILES.values()))
    assert contents(ensured.model.folder) == origin.files
    assert not (ensured.model.folder / "notes.txt").stat().st_mode & 0o222
    assert cache.verify(REPO).is_ok
    assert ensure(cache, origin).was_cached


def test_a_file_equal_to_one_that_is_there_does_not_travel(cache: ModelCache, origin: Origin) -> None:
    folder = ensure(cache, origin).model.folder
    origin.head = "d" * 40
    origin.files = {**FILES, "notes.txt": FILES["config.json"], "config.json": b"{}"}
    ensure(cache, origin, revision="master")
    origin.head = "e" * 40
    origin.files = {**FILES, "config.json": b"notes"}

    again = ensure(cache, origin, revision="master")

    assert again.bytes_fetched == 0
    assert contents(folder) == origin.files
    assert cache.verify(REPO).is_ok
