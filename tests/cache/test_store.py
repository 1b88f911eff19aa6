from __future__ import annotations

import errno
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.layout import incoming_folder, other_slug
from qwen3ft_jupyter.cache.own.lease import Lease
from qwen3ft_jupyter.cache.own.manifest import manifest_path, mark_incomplete, read_manifest, write_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import read_regular, write_json
from qwen3ft_jupyter.errors import BadName, CacheError, CacheNotWritable, ModelInUse, NotCached
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.transfer.volume import LocalDisk
from qwen3ft_jupyter.work import SILENT, Work
from tests.cache.making import FILES, make_cached, make_plain
from tests.transfer.origin import Interrupter

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel

SIZE = sum(map(len, FILES.values()))
SMALL = "Qwen/Qwen3-0.6B"


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache", [tmp_path / "shared"])


def names(cache: ModelCache) -> list[tuple[str, bool, bool]]:
    return [(model.repo_id, model.is_verified, model.is_shared) for model in cache.list()]


def test_a_cache_that_does_not_exist_is_empty(cache: ModelCache) -> None:
    assert cache.list() == []
    assert cache.find(SMALL) is None
    assert cache.evict_all() == []


def test_own_and_shared_verified_and_plain_models_are_listed(cache: ModelCache, tmp_path: Path) -> None:
    make_cached(cache.root, "Qwen/Qwen3-4B")
    make_plain(cache.root / "Qwen--Qwen3-0.6B")
    make_cached(tmp_path / "shared", "Qwen/Qwen3-8B")

    assert names(cache) == [
        ("Qwen/Qwen3-0.6B", False, False),
        ("Qwen/Qwen3-4B", True, False),
        ("Qwen/Qwen3-8B", True, True),
    ]


@pytest.mark.parametrize("name", ["notes", ".hidden_model", "a b", "con_x", "Qwen--"])
def test_a_folder_whose_name_tells_no_repo_is_not_listed(cache: ModelCache, name: str) -> None:
    make_plain(cache.root / name)

    assert cache.list() == []


def test_a_folder_without_model_files_is_not_listed(cache: ModelCache) -> None:
    make_plain(cache.root / "my_data", {"train.jsonl": b"{}"})

    assert cache.list() == []


def test_what_is_shown_of_a_model(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL, pinned=True)

    (model,) = cache.list()

    assert model.to_dict() == {
        "model_name": SMALL,
        "size": SIZE,
        "path": str(folder),
        "slug": "Qwen_Qwen3-0.6B",
        "hub": "modelscope",
        "commit": "c" * 40,
        "revision": "master",
        "created": model.created,
        "last_used": model.last_used,
        "pinned": True,
        "verified": True,
        "recorded": True,
        "problems": [],
        "shared": False,
        "owner": "qwen3ft",
    }
    json.dumps(model.to_dict())


def test_a_verified_copy_goes_before_a_plain_and_an_own_before_a_shared_one(cache: ModelCache, tmp_path: Path) -> None:
    make_plain(cache.root / "Qwen--Qwen3-0.6B")
    make_cached(tmp_path / "shared", SMALL)
    found = cache.find(SMALL)
    assert found is not None
    assert found.is_shared

    make_cached(cache.root, SMALL)

    found = cache.find(SMALL)
    assert found is not None
    assert not found.is_shared


def test_looking_at_a_shared_folder_does_not_make_it_ours(cache: ModelCache, tmp_path: Path) -> None:
    folder = make_cached(tmp_path / "shared", SMALL)

    model = cache.at(folder)

    assert model is not None
    assert model.is_shared
    assert names(cache) == [(SMALL, True, True)]


def test_a_renamed_model_folder_is_still_found(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL, name="my favourite")

    found = cache.find(SMALL)

    assert found is not None
    assert found.slug == "my favourite"


def test_a_slug_is_looked_up_and_never_decoded(cache: ModelCache) -> None:
    make_cached(cache.root, "a_b/c")

    assert cache.by_slug("a_b_c").repo_id == "a_b/c"
    for name in ("a/b_c", "../cache/a_b_c", "all", "", ".", ".incoming"):
        with pytest.raises(NotCached):
            cache.by_slug(name)


def test_two_repos_with_one_slug_have_two_folders(cache: ModelCache) -> None:
    first = make_cached(cache.root, "a_b/c")
    repo_id = parse_repo_id("a/b_c")

    second = cache.folder_for(repo_id)
    make_cached(cache.root, repo_id, name=second.name)

    assert first.name == "a_b_c"
    assert second.name == other_slug(repo_id)
    for name, folder in (("a_b/c", first), ("a/b_c", second)):
        found = cache.find(name)
        assert found is not None
        assert found.folder == folder


def test_a_slug_being_downloaded_for_another_repo_is_taken(cache: ModelCache) -> None:
    lease_for(cache, "a_b/c")

    assert cache.folder_for(parse_repo_id("a/b_c")).name == other_slug("a/b_c")
    assert cache.folder_for(parse_repo_id("a_b/c")).name == "a_b_c"


def lease_for(cache: ModelCache, repo_id: str) -> None:
    folder = incoming_folder(cache.root, repo_id.replace("/", "_"))
    folder.mkdir(parents=True)
    write_json(folder / "lease.json", Lease(folder, repo_id, SILENT, has_waited=False).to_dict())


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{}", b"[]", b"null", b"not json", b"[" * 100_000, b"\xff\xfe", b'{"version": 1}', b" " * 100],
)
def test_a_garbage_manifest_is_no_manifest(cache: ModelCache, manifest: bytes) -> None:
    folder = make_cached(cache.root, SMALL)
    (folder / ".qwen3ft/manifest.json").write_bytes(manifest)

    assert names(cache) == [(SMALL, False, False)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("repo_id", "../../etc"),
        ("hub", "evil"),
        ("commit", "main"),
        ("created", "yesterday"),
        ("created", float("nan")),
        ("files", {}),
        ("files", [{"path": "../outside", "size": 1, "sha256": "a" * 64}]),
        ("files", [{"path": "/etc/passwd", "size": 1, "sha256": "a" * 64}]),
        ("files", [{"path": "a", "size": -1, "sha256": "a" * 64}]),
        ("files", [{"path": "a", "size": True, "sha256": "a" * 64}]),
        ("files", [{"path": "a", "size": 1, "sha256": "a"}]),
        ("files", ["a"]),
    ],
)
def test_a_hostile_manifest_is_no_manifest(cache: ModelCache, field: str, value: object) -> None:
    folder = make_cached(cache.root, SMALL)
    path = folder / ".qwen3ft/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), field: value}), "utf-8")

    assert read_manifest(folder) is None


def test_a_model_being_changed_is_no_model(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL)
    mark_incomplete(folder, parse_repo_id(SMALL))

    assert cache.list() == []
    assert cache.find(SMALL) is None
    assert cache.folder_for(parse_repo_id(SMALL)) == folder


def test_a_symlink_is_no_model(cache: ModelCache, tmp_path: Path) -> None:
    outside = make_cached(tmp_path / "outside", SMALL)
    cache.root.mkdir()
    (cache.root / outside.name).symlink_to(outside, target_is_directory=True)
    (cache.root / "Qwen--Qwen3-4B").symlink_to(outside, target_is_directory=True)

    assert cache.list() == []
    assert cache.find(SMALL) is None
    with pytest.raises(NotCached):
        cache.evict(SMALL)
    assert (outside / "config.json").exists()


def test_evicting_frees_the_bytes_of_the_model_and_of_what_was_begun(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL)
    incoming = incoming_folder(cache.root, folder.name)
    incoming.mkdir(parents=True)
    partial = claim(incoming, "ab" * 32, 1000, disk=LocalDisk(), name="model.safetensors")
    partial.open()
    partial.write(memoryview(b"x" * 10), 0)
    partial.record(0, 10, 1)
    partial.close(release=True)

    assert cache.evict(SMALL) >= SIZE + 10
    assert list(cache.root.iterdir()) == []
    with pytest.raises(NotCached):
        cache.evict(SMALL)


def test_what_was_begun_and_never_completed_can_be_evicted(cache: ModelCache) -> None:
    incoming_folder(cache.root, "Qwen_Qwen3-0.6B").mkdir(parents=True)

    cache.evict(SMALL)

    assert list(cache.root.iterdir()) == []


def test_evicting_does_not_follow_symlinks(cache: ModelCache, tmp_path: Path) -> None:
    outside = make_plain(tmp_path / "outside", {"precious.txt": b"precious"})
    folder = make_cached(cache.root, SMALL)
    (folder / "link").symlink_to(outside, target_is_directory=True)
    (folder / "file").symlink_to(outside / "precious.txt")

    assert cache.evict(SMALL) < SIZE + 10_000
    assert (outside / "precious.txt").read_bytes() == b"precious"
    assert outside.stat().st_mode & 0o200


def test_evicting_takes_read_only_folders_too(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL, {**FILES, "sub/notes.txt": b"notes"})
    (folder / "sub").chmod(0o555)
    folder.chmod(0o555)

    cache.evict(SMALL)

    assert not folder.exists()


def test_the_record_goes_first_when_evicting(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_cached(cache.root, SMALL)

    def fail(_path: object, _disk: object, **_but: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("qwen3ft_jupyter.cache.own.evict._remove_content", fail)
    with pytest.raises(Exception, match="broken"):
        cache.evict(SMALL)

    assert not (folder / ".qwen3ft/manifest.json").exists()
    assert cache.list() == []


def test_a_shared_model_is_not_evicted(cache: ModelCache, tmp_path: Path) -> None:
    folder = make_cached(tmp_path / "shared", SMALL)

    with pytest.raises(CacheNotWritable):
        cache.evict(SMALL)
    with pytest.raises(CacheNotWritable):
        cache.evict_slug(folder.name)

    assert cache.evict_all() == []
    assert folder.exists()


def test_a_model_being_downloaded_is_in_use(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL)
    lease_for(cache, SMALL)

    with pytest.raises(ModelInUse):
        cache.evict(SMALL)

    assert cache.evict_all() == []
    assert cache.find(SMALL) is not None


def test_evict_all_keeps_what_is_pinned_and_what_is_not_ours(cache: ModelCache) -> None:
    make_cached(cache.root, "Qwen/Qwen3-4B")
    make_cached(cache.root, SMALL, pinned=True)
    make_plain(cache.root / "my_finetune")
    (cache.root / "notes.txt").write_text("mine", "utf-8")

    evicted = cache.evict_all()

    assert [(model.repo_id, model.slug) for model in evicted] == [("Qwen/Qwen3-4B", "Qwen_Qwen3-4B")]
    assert names(cache) == [("my/finetune", False, False), (SMALL, True, False)]
    assert cache.evict_all() == []
    assert (cache.root / "notes.txt").read_text("utf-8") == "mine"


def test_a_model_called_all_is_a_model(cache: ModelCache) -> None:
    make_cached(cache.root, "all/all", name="all")
    make_cached(cache.root, SMALL)

    assert cache.evict_slug("all").repo_id == "all/all"
    assert names(cache) == [(SMALL, True, False)]


def test_of_two_folders_of_one_model_a_slug_names_one(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL)
    make_plain(cache.root / "Qwen--Qwen3-0.6B")

    cache.evict_slug("Qwen--Qwen3-0.6B")

    assert names(cache) == [(SMALL, True, False)]


def test_pins_are_kept_in_the_record(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL)

    cache.pin(SMALL)
    assert [model.pinned for model in ModelCache(cache.root).list()] == [True]
    cache.pin(SMALL, pinned=False)
    assert [model.pinned for model in cache.list()] == [False]
    with pytest.raises(NotCached):
        cache.pin("Qwen/Qwen3-4B")


def test_the_last_use_is_noted(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL)
    before = time.time()

    cache.touch(SMALL)

    (model,) = cache.list()
    assert model.last_used is not None
    assert model.last_used >= before


def test_touching_what_is_not_there_or_not_writable_is_silent(cache: ModelCache, tmp_path: Path) -> None:
    make_cached(tmp_path / "shared", SMALL)

    cache.touch(SMALL)
    cache.touch("Qwen/Qwen3-4B")


def test_verifying_names_what_is_missing_wrong_and_extra(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL, {**FILES, "a.txt": b"a", "b.txt": b"b"})
    assert cache.verify(SMALL).is_ok
    (folder / "a.txt").unlink()
    (folder / "b.txt").chmod(0o644)
    (folder / "b.txt").write_bytes(b"B")
    make_plain(folder / "more", {"c.txt": b"c"})
    (folder / "link").symlink_to("b.txt")

    report = cache.verify(SMALL)

    assert (report.missing, report.wrong, report.extra) == (("a.txt",), ("b.txt",), ("link", "more/c.txt"))
    assert not report.is_ok
    assert report.to_dict()["ok"] is False


def test_a_bit_that_rots_under_an_unchanged_stamp_is_found_and_distrusted(cache: ModelCache) -> None:
    """Verifying reads everything; afterwards the stamp no longer vouches for the file."""
    folder = make_cached(cache.root, SMALL)
    path = folder / "config.json"
    path.chmod(0o644)
    path.write_bytes(b"[]")
    status = path.lstat()
    record = folder / ".qwen3ft/manifest.json"
    data = json.loads(record.read_bytes())
    data["files"][0]["stamp"] = [2, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    record.write_text(json.dumps(data), "utf-8")

    assert cache.verify(SMALL).wrong == ("config.json",)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.files[0].stamp is None


def test_what_has_no_record_cannot_be_verified(cache: ModelCache) -> None:
    make_plain(cache.root / "Qwen--Qwen3-0.6B")

    with pytest.raises(CacheError, match="no record"):
        cache.verify(SMALL)
    with pytest.raises(NotCached):
        cache.verify("Qwen/Qwen3-4B")


def test_a_malformed_name_is_refused(cache: ModelCache) -> None:
    with pytest.raises(BadName):
        cache.find("../../etc")


def test_listing_reads_each_record_once_and_again_only_when_it_changes(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = make_cached(cache.root, "Qwen/Qwen3-0", {f"model-{n:05}-of-00008.safetensors": b"x" for n in range(8)})
    record = manifest_path(template).read_text("utf-8")
    for number in range(1, 100):
        path = manifest_path(cache.root / f"Qwen_Qwen3-{number}")
        path.parent.mkdir(parents=True)
        path.write_text(record.replace("Qwen/Qwen3-0", f"Qwen/Qwen3-{number}"), "utf-8")

    opened: list[str] = []

    def read_noting(path: Path, limit: int) -> bytes:
        opened.append(str(path))
        return read_regular(path, limit)

    monkeypatch.setattr("qwen3ft_jupyter.cache.own.manifest.read_regular", read_noting)

    cold = cache.list()
    read = sorted(path for path in opened if path.endswith("manifest.json"))
    opened.clear()
    warm = cache.list()

    assert cold == warm
    assert read == sorted(str(manifest_path(cache.root / f"Qwen_Qwen3-{number}")) for number in range(100))
    assert not opened


def test_a_pin_made_while_a_model_is_verified_is_kept(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL)

    cache.verify(SMALL, work=Work(reporter=Interrupter("verifying", lambda: ModelCache(cache.root).pin(SMALL))))

    assert [model.pinned for model in cache.list()] == [True]


def test_a_model_replaced_while_it_is_verified_keeps_its_new_record(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL)
    old = read_manifest(folder)
    assert old is not None
    new = replace(old, commit="d" * 40, created=old.created + 1, files=old.files[:1])

    cache.verify(SMALL, work=Work(reporter=Interrupter("verifying", lambda: write_manifest(folder, new))))

    assert read_manifest(folder) == new


def test_a_model_evicted_while_it_is_verified_is_not_recorded_again(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL)

    with pytest.raises(NotCached):
        cache.verify(SMALL, work=Work(reporter=Interrupter("verifying", lambda: cache.evict(SMALL))))

    assert not folder.exists()


def test_a_last_use_is_noted_without_losing_a_pin_made_at_the_same_moment(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was read before is read again when it is written."""
    make_cached(cache.root, SMALL)
    look = cache.find

    def find_and_be_overtaken(repo_id: str, revision: str | None) -> CachedModel | None:
        model = look(repo_id, revision)
        ModelCache(cache.root).pin(SMALL)
        return model

    monkeypatch.setattr(cache, "find", find_and_be_overtaken)
    cache.touch(SMALL)

    (model,) = cache.list()
    assert model.pinned
    assert time.time() - (model.last_used or 0) < 100


def test_our_own_folder_is_no_layer_below_itself(tmp_path: Path) -> None:
    make_cached(tmp_path / "cache", SMALL)
    (tmp_path / "link").symlink_to(tmp_path / "cache")
    layer = make_cached(tmp_path / "layer", SMALL)

    cache = ModelCache(tmp_path / "cache", [tmp_path / "link", layer.parent, layer.parent, tmp_path / "cache"])

    assert [(model.folder.parent.name, model.owner) for model in cache.list()] == [
        ("cache", "qwen3ft"),
        ("layer", "shared"),
    ]
