"""Two revisions of one model beside each other, and files that share their bytes on the disk."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.evict import remove_model
from qwen3ft_jupyter.cache.own.layout import beside_names, incoming_folder, other_slug
from qwen3ft_jupyter.cache.own.lease import Lease
from qwen3ft_jupyter.cache.own.manifest import file_state, mark_incomplete, read_manifest, write_manifest
from qwen3ft_jupyter.cache.own.stamps import stamps_kept
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import write_json
from qwen3ft_jupyter.errors import CacheError, NotCached
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id
from qwen3ft_jupyter.work import SILENT
from tests.cache.making import FILES, make_cached, make_plain, share_file

if TYPE_CHECKING:
    from pathlib import Path

SMALL = RepoId("Qwen/Qwen3-0.6B")
SLUG = "Qwen_Qwen3-0.6B"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def make_revision(
    cache: ModelCache, revision: str, *, repo_id: str = SMALL, commit: str = COMMIT, name: str | None = None
) -> Path:
    """Make a revision where a download would put it."""
    folder = cache.root / name if name else cache.folder_for(parse_repo_id(repo_id), revision)
    folder = make_cached(cache.root, repo_id, name=folder.name)
    manifest = read_manifest(folder)
    assert manifest is not None
    write_manifest(folder, replace(manifest, revision=revision, commit=commit))
    return folder


def is_trusted(folder: Path) -> bool:
    manifest = read_manifest(folder)
    return manifest is not None and all(file_state(folder, file) == "same" for file in manifest.files)


def test_the_first_revision_lies_under_the_slug_whatever_it_is_called(cache: ModelCache) -> None:
    for revision in (None, "v1.0", COMMIT):
        assert cache.folder_for(SMALL, revision) == cache.root / SLUG


@pytest.mark.parametrize("revision", [None, "main", COMMIT, COMMIT[:7]])
def test_what_the_first_folder_holds_is_updated_there(cache: ModelCache, revision: str | None) -> None:
    make_revision(cache, "main")

    assert cache.folder_for(SMALL, revision) == cache.root / SLUG


def test_another_name_for_the_commit_that_is_there_needs_no_second_folder(cache: ModelCache) -> None:
    make_revision(cache, "main")

    assert cache.folder_for(SMALL, "v1.0", commit=COMMIT) == cache.root / SLUG
    assert cache.folder_for(SMALL, "v1.0", commit="f" * 40).name == f"{SLUG}@v1.0"


@pytest.mark.parametrize(
    ("revision", "name"),
    [
        ("v1.0", f"{SLUG}@v1.0"),
        ("f" * 40, f"{SLUG}@ffffffffffff"),
        ("fffffff", f"{SLUG}@fffffff"),
        ("refs/pr/1", f"{SLUG}@refs-pr-1"),
        ("a@b", f"{SLUG}@a-b"),
        ("../../etc", f"{SLUG}@..-..-etc"),
        ("x" * 300, f"{SLUG}@{'x' * 32}"),
        ("模型", f"{SLUG}@--"),
        ("", f"{SLUG}@"),
    ],
)
def test_a_revision_asked_for_by_name_lies_beside_the_first(cache: ModelCache, revision: str, name: str) -> None:
    make_revision(cache, "main")

    assert cache.folder_for(SMALL, revision) == cache.root / name


def test_a_branch_that_moves_on_stays_in_its_folder(cache: ModelCache) -> None:
    make_revision(cache, "main")
    beside = make_revision(cache, "dev", commit="d" * 40)

    assert cache.folder_for(SMALL, "dev", commit="e" * 40) == beside
    assert cache.folder_for(SMALL, "d" * 40) == beside


def test_revisions_that_read_the_same_once_safe_have_two_folders(cache: ModelCache) -> None:
    make_revision(cache, "main")
    first = make_revision(cache, "a/b", commit="a" * 40)
    second = make_revision(cache, "a-b", commit="b" * 40)

    assert first != second
    assert cache.folder_for(SMALL, "a/b") == first
    assert cache.folder_for(SMALL, "a-b") == second


def test_two_repos_of_one_slug_have_revisions_of_their_own(cache: ModelCache) -> None:
    for repo_id in ("a_b/c", "a/b_c"):
        make_revision(cache, "main", repo_id=repo_id)
        make_revision(cache, "v1", repo_id=repo_id, commit="1" * 40)

    found = [cache.find(repo_id, revision) for repo_id in ("a_b/c", "a/b_c") for revision in ("main", "v1")]

    assert len({model.folder for model in found if model}) == 4
    assert [model.repo_id for model in found if model] == ["a_b/c", "a_b/c", "a/b_c", "a/b_c"]


def test_a_folder_being_downloaded_for_another_repo_is_not_shared(cache: ModelCache) -> None:
    make_revision(cache, "main", repo_id="a/b_c")
    incoming = incoming_folder(cache.root, "a_b_c@v1")
    incoming.mkdir(parents=True)
    write_json(incoming / "lease.json", Lease(incoming, "a_b/c", SILENT, has_waited=False).to_dict())

    assert cache.folder_for(RepoId("a/b_c"), "v1").name == beside_names(RepoId("a/b_c"), "v1")[1]


def test_names_taken_by_something_else_are_refused(cache: ModelCache, tmp_path: Path) -> None:
    make_revision(cache, "main")
    first, second = beside_names(SMALL, "v1")
    (cache.root / first).symlink_to(tmp_path)
    (cache.root / second).write_text("a file", "utf-8")

    with pytest.raises(CacheError, match="no folder left"):
        cache.folder_for(SMALL, "v1")


def test_a_revision_that_is_gone_again_does_not_take_the_first_folder(cache: ModelCache) -> None:
    """The first is being changed just now, so nobody finds it; it is still the first."""
    main = make_revision(cache, "main")
    mark_incomplete(main, SMALL)

    assert cache.folder_for(SMALL, "v1").name == f"{SLUG}@v1"
    assert cache.folder_for(SMALL) == main


def test_a_second_revision_is_never_updated_in_place_of_the_first(cache: ModelCache) -> None:
    make_revision(cache, "main")
    make_revision(cache, "v1", commit="1" * 40)
    cache.evict(SMALL, revision="main")

    assert cache.folder_for(SMALL) == cache.root / SLUG
    assert cache.folder_for(SMALL, "v1").name == f"{SLUG}@v1"
    found = cache.find(SMALL)
    assert found is not None
    assert found.revision == "v1"


def test_the_first_is_found_unless_another_is_asked_for(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    beside = make_revision(cache, "v1", commit="1" * 40)

    def folder(revision: str | None) -> Path | None:
        model = cache.find(SMALL, revision)
        return model.folder if model else None

    assert [folder(None), folder("main"), folder("v1"), folder("1111111"), folder(COMMIT)] == [
        main,
        main,
        beside,
        beside,
        main,
    ]
    assert folder("v2") is None
    assert folder("111111") is None


def test_a_branch_called_like_the_beginning_of_a_commit_is_found_by_its_name(cache: ModelCache) -> None:
    make_revision(cache, "main")
    branch = make_revision(cache, COMMIT[:7], commit="f" * 40, name=f"{SLUG}@branch")

    found = cache.find(SMALL, COMMIT[:7])

    assert found is not None
    assert found.folder == branch
    cache.evict(SMALL, revision="f" * 40)
    assert cache.find(SMALL, COMMIT[:7]) is not None


def test_an_unverified_folder_has_no_revision_anyone_knows(cache: ModelCache) -> None:
    make_plain(cache.root / SLUG)

    assert cache.find(SMALL) is not None
    assert cache.find(SMALL, "main") is None
    assert cache.folder_for(SMALL, "main") == cache.root / SLUG


def test_a_folder_with_an_at_sign_that_is_not_ours_is_no_model(cache: ModelCache) -> None:
    make_plain(cache.root / f"{SLUG}@mine")

    assert cache.list() == []
    with pytest.raises(NotCached):
        cache.evict(SMALL)
    assert (cache.root / f"{SLUG}@mine/config.json").exists()


def test_one_revision_is_evicted_and_the_other_stays(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    beside = make_revision(cache, "v1", commit="1" * 40)

    cache.evict(SMALL, revision="v1")

    assert main.exists()
    assert not beside.exists()
    with pytest.raises(NotCached):
        cache.evict(SMALL, revision="v1")
    cache.evict(SMALL)
    assert not main.exists()


def test_evicting_without_a_revision_takes_all_of_them_and_what_was_begun(cache: ModelCache) -> None:
    make_revision(cache, "main")
    make_revision(cache, "v1", commit="1" * 40)
    incoming_folder(cache.root, f"{SLUG}@v2").mkdir(parents=True)

    cache.evict(SMALL)

    assert list(cache.root.iterdir()) == []


def test_what_another_repo_of_the_same_slug_has_begun_is_left(cache: ModelCache) -> None:
    make_revision(cache, "main", repo_id="a_b/c")
    make_revision(cache, "main", repo_id="a/b_c")
    incoming_folder(cache.root, "a_b_c@v2").mkdir(parents=True)

    cache.evict("a/b_c")

    assert incoming_folder(cache.root, "a_b_c@v2").is_dir()


def test_evicting_one_name_of_a_file_frees_nothing_and_costs_the_other_no_read(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    beside = make_revision(cache, "v1", commit="1" * 40)
    share_file(main, beside, "model.safetensors")

    freed = cache.evict(SMALL, revision="v1")

    assert freed < 1000  # the config, and our record
    assert is_trusted(main)
    assert (main / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_file_that_changed_is_not_trusted_because_a_sibling_was_evicted(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    beside = make_revision(cache, "v1", commit="1" * 40)
    share_file(main, beside, "model.safetensors")
    (main / "model.safetensors").chmod(0o644)
    (main / "model.safetensors").write_bytes(b"other")

    cache.evict(SMALL, revision="v1")

    assert not is_trusted(main)


def test_linking_costs_the_first_name_no_read(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    inode = (main / "model.safetensors").stat().st_ino

    with stamps_kept(cache.root, {inode}):
        os.link(main / "model.safetensors", cache.root / "elsewhere")
        (cache.root / "elsewhere").rename(cache.root / "renamed")
        assert not is_trusted(main)

    assert is_trusted(main)


def test_a_stamp_is_renewed_also_if_the_block_fails(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    path = main / "model.safetensors"

    def link_and_fail() -> None:
        with stamps_kept(cache.root, {path.stat().st_ino}):
            os.link(path, cache.root / "elsewhere")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        link_and_fail()

    assert is_trusted(main)


def test_a_file_that_is_rewritten_meanwhile_is_not_trusted(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    path = main / "model.safetensors"

    with stamps_kept(cache.root, {path.stat().st_ino}):
        path.chmod(0o644)
        path.write_bytes(FILES["model.safetensors"])

    assert not is_trusted(main)


def test_a_pin_made_meanwhile_survives_the_renewal(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    path = main / "model.safetensors"

    with stamps_kept(cache.root, {path.stat().st_ino}):
        os.link(path, cache.root / "elsewhere")
        cache.pin(SMALL)

    assert is_trusted(main)
    assert [model.pinned for model in cache.list()] == [True]


def test_damage_under_a_right_stamp_is_distrusted_under_every_name(cache: ModelCache) -> None:
    """A bit that rots leaves no trace in `stat`; both revisions have it."""
    main = make_revision(cache, "main")
    beside = make_revision(cache, "v1", commit="1" * 40)
    path = main / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(b"x" + FILES["model.safetensors"][1:])
    share_file(main, beside, "model.safetensors")

    assert cache.verify(SMALL).wrong == ("model.safetensors",)

    assert not is_trusted(beside)


def test_shared_files_count_once_in_the_cache_and_fully_in_each_model(cache: ModelCache) -> None:
    main = make_revision(cache, "main")
    beside = make_revision(cache, "v1", commit="1" * 40)
    before = cache.used_bytes()
    share_file(main, beside, "model.safetensors")

    assert before == 2 * SIZE
    assert cache.used_bytes() == 2 * SIZE - len(FILES["model.safetensors"])
    assert [model.size_bytes for model in cache.list()] == [SIZE, SIZE]


def test_pins_and_uses_are_of_one_revision(cache: ModelCache) -> None:
    make_revision(cache, "main")
    make_revision(cache, "v1", commit="1" * 40)

    cache.pin(SMALL, revision="v1")

    assert [(model.revision, model.pinned) for model in cache.list()] == [("main", False), ("v1", True)]


def test_a_renamed_first_folder_stays_the_first(cache: ModelCache) -> None:
    make_revision(cache, "main", name="my favourite")
    make_revision(cache, "v0", commit="0" * 40, name=f"{SLUG}@v0")

    found = cache.find(SMALL)

    assert found is not None
    assert found.slug == "my favourite"
    assert cache.folder_for(SMALL).name == "my favourite"
    assert cache.folder_for(SMALL, "v1").name == f"{SLUG}@v1"


def test_the_other_slug_is_a_first_folder_too(cache: ModelCache) -> None:
    make_revision(cache, "main", repo_id="a_b/c")
    second = make_revision(cache, "main", repo_id="a/b_c")

    assert second.name == other_slug("a/b_c")
    assert cache.folder_for(RepoId("a/b_c"), "main") == second


def test_a_folder_outside_the_cache_is_never_deleted(cache: ModelCache, tmp_path: Path) -> None:
    outside = make_cached(tmp_path / "outside", SMALL)

    for folder in (outside, cache.root / ".." / "outside" / outside.name, cache.root / ".incoming"):
        with pytest.raises(CacheError):
            remove_model(cache.root, folder, SMALL)

    assert outside.exists()
