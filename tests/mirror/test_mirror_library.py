"""What a mirror does when the disk changes under it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.own import manifest
from qwen3ft_jupyter.cache.own.manifest import mark_incomplete, unmark_incomplete
from qwen3ft_jupyter.cache.reading import digest_file
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.mirror import digests, folders
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.mirror.conftest import EXPECTED, FILES, REPO, Answer, ask, fill, git_sha1, own_commit, put_in_cache, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "c" * 40
CONFIG_HF = f"/{REPO}/resolve/main/config.json"
CONFIG_MS = f"/api/v1/models/{REPO}/repo?Revision=master&FilePath=config.json"
INFO = f"/api/models/{REPO}"
LISTING_MS = f"/api/v1/models/{REPO}/repo/files?Revision=master&Recursive=True"


def put(cache_dir: Path, repo_id: str, *, commit: str = COMMIT, revision: str = "master") -> Path:
    return put_in_cache(cache_dir / repo_id.replace("/", "_"), FILES, commit, revision, repo_id=repo_id)


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "RESCAN_S", 0.0)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def model(cache_dir: Path) -> Path:
    return put(cache_dir, REPO)


@pytest.fixture
def mirror(cache_dir: Path) -> Iterator[Mirror]:
    with Mirror(cache_dir=cache_dir) as running:
        yield running


def info(mirror: Mirror) -> Any:
    return json.loads(ask(mirror.url, INFO).body)


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))  # a clock too coarse to show the change in the time alone


def both(mirror: Mirror) -> list[Answer]:
    return [ask(mirror.url, CONFIG_HF), ask(mirror.url, CONFIG_MS)]


def test_a_cached_model_is_served_under_the_commit_of_what_is_here(model: Path, mirror: Mirror) -> None:
    assert info(mirror)["sha"] == own_commit(FILES) != COMMIT
    assert {entry["rfilename"] for entry in info(mirror)["siblings"]} == set(FILES)
    assert ask(mirror.url, f"/{REPO}/resolve/{COMMIT}/config.json").body == FILES["config.json"]
    assert ask(mirror.url, f"/{REPO}/resolve/main/.qwen3ft/manifest.json").status == 404


def test_a_revision_it_was_downloaded_by_is_known(cache_dir: Path, mirror: Mirror) -> None:
    put(cache_dir, REPO, revision="v1.0")

    assert ask(mirror.url, f"/{REPO}/resolve/v1.0/config.json").status == 200
    assert ask(mirror.url, f"/{REPO}/resolve/main/config.json").status == 200
    assert ask(mirror.url, f"/{REPO}/resolve/v2.0/config.json").status == 404


def test_a_model_without_commit_gets_one_from_its_contents(cache_dir: Path, mirror: Mirror) -> None:
    put(cache_dir, REPO, commit="")

    assert len(info(mirror)["sha"]) == 40


def test_a_new_model_appears_and_an_evicted_one_goes(cache_dir: Path, mirror: Mirror) -> None:
    assert ask(mirror.url, INFO).status == 404

    folder = put(cache_dir, REPO)
    assert ask(mirror.url, INFO).status == 200

    shutil.rmtree(folder)
    assert ask(mirror.url, INFO).status == 404
    assert [answer.status for answer in both(mirror)] == [404, 404]
    assert json.loads(ask(mirror.url, CONFIG_MS).body)["Success"] is False


def test_a_model_being_changed_is_not_served(model: Path, mirror: Mirror) -> None:
    mark_incomplete(model, parse_repo_id(REPO))
    assert ask(mirror.url, INFO).status == 404

    unmark_incomplete(model)
    assert ask(mirror.url, INFO).status == 200


def test_two_models_with_one_slug_are_told_apart(cache_dir: Path, mirror: Mirror) -> None:
    put(cache_dir, "a_b/c")

    assert ask(mirror.url, "/api/models/a_b/c").status == 200
    assert ask(mirror.url, "/api/models/a/b_c").status == 404


def test_a_file_of_another_size_is_not_served_nor_its_model_listed(model: Path, mirror: Mirror) -> None:
    assert ask(mirror.url, INFO).status == 200

    overwrite(model / "config.json", b"other")

    assert [answer.status for answer in both(mirror)] == [410, 410]
    assert ask(mirror.url, INFO).status == 404
    assert json.loads(ask(mirror.url, LISTING_MS).body)["Success"] is False
    assert ask(mirror.url, f"/{REPO}/resolve/main/sub/notes.md").body == FILES["sub/notes.md"]


def test_a_flipped_byte_is_not_served(model: Path, mirror: Mirror) -> None:
    data = FILES["config.json"]
    overwrite(model / "config.json", data[:-2] + b"x\n")

    assert [ask(mirror.url, target, method="HEAD").status for target in (CONFIG_MS, CONFIG_HF)] == [410, 410]
    assert [answer.status for answer in both(mirror)] == [410, 410]
    assert ask(mirror.url, INFO).status == 404


def test_a_model_that_was_copied_is_checked_and_served(model: Path, mirror: Mirror) -> None:
    """`cp -r` leaves the bytes and changes every stamp."""
    for path in FILES:
        overwrite(model / path, FILES[path])

    assert info(mirror)["sha"] == own_commit(FILES)
    assert {sha256(answer.body) for answer in both(mirror)} == {EXPECTED["config.json"]}


def test_small_files_do_not_wait_while_a_large_one_is_read(
    model: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a copied cache every byte has to be read before it is handed out; of a large model that takes minutes."""
    for path in FILES:
        overwrite(model / path, FILES[path])
    monkeypatch.setattr(digests, "MAX_PLAIN_BYTES", 1000)
    begun, may_end = threading.Event(), threading.Event()
    read = digest_file

    def slowly(path: Path, **options: Any) -> Any:
        if path.name == "model.safetensors":
            begun.set()
            assert may_end.wait(120)
        return read(path, **options)

    monkeypatch.setattr(digests, "digest_file", slowly)
    got: list[Answer] = []
    client = threading.Thread(target=lambda: got.append(ask(mirror.url, f"/{REPO}/resolve/main/model.safetensors")))
    client.start()
    assert begun.wait(120)
    meanwhile = [answer.status for answer in both(mirror)]
    may_end.set()
    client.join(120)

    assert meanwhile == [200, 200]
    assert sha256(got[0].body) == EXPECTED["model.safetensors"]


@pytest.mark.parametrize("kind", ["symlink", "pipe", "folder", "nothing"])
def test_what_is_no_file_any_more_is_not_served(model: Path, tmp_path: Path, mirror: Mirror, kind: str) -> None:
    place = model / "config.json"
    place.unlink()
    if kind == "symlink":
        place.symlink_to(fill(tmp_path / "out", {"secret": b"s" * len(FILES["config.json"])}) / "secret")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()

    assert [answer.status for answer in both(mirror)] == [410, 410]
    assert ask(mirror.url, INFO).status == 404


def test_a_folder_swapped_for_a_symlink_leads_nowhere(model: Path, tmp_path: Path, mirror: Mirror) -> None:
    shutil.rmtree(model / "sub")
    elsewhere = fill(tmp_path / "elsewhere", {"notes.md": b"s" * len(FILES["sub/notes.md"])})
    (model / "sub").symlink_to(elsewhere)

    assert ask(mirror.url, f"/{REPO}/resolve/main/sub/notes.md").status == 410


def test_a_hostile_manifest_is_no_model(model: Path, mirror: Mirror) -> None:
    path = model / ".qwen3ft" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][0]["path"] = "../../etc/passwd"
    path.write_text(json.dumps(manifest))

    assert ask(mirror.url, INFO).status == 404


def test_a_model_folder_that_is_a_symlink_is_not_followed(cache_dir: Path, tmp_path: Path, mirror: Mirror) -> None:
    folder = put(tmp_path / "elsewhere", REPO)
    cache_dir.mkdir()
    (cache_dir / folder.name).symlink_to(folder)

    assert ask(mirror.url, INFO).status == 404


def test_a_plain_folder_that_changes_gets_another_commit(tmp_path: Path) -> None:
    folder = fill(tmp_path / "plain", FILES)
    with Mirror({REPO: folder}) as mirror:
        before = info(mirror)["sha"]
        overwrite(folder / "config.json", b"{}")
        old = ask(mirror.url, f"/{REPO}/resolve/{before}/config.json")
        new = ask(mirror.url, CONFIG_HF)

        assert info(mirror)["sha"] != before

    assert old.headers["x-error-code"] == "RevisionNotFound"
    assert (new.body, new.headers["etag"]) == (b"{}", f'"{git_sha1(b"{}")}"')


def test_a_registered_folder_with_a_manifest_is_served_by_it(model: Path) -> None:
    (model / "stray.txt").write_text("not in the manifest")

    with Mirror({REPO: model}) as mirror:
        assert info(mirror)["sha"] == own_commit(FILES)
        assert ask(mirror.url, f"/{REPO}/resolve/main/stray.txt").status == 404


def test_a_thousand_models_are_found_without_reading_their_records_again(
    cache_dir: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = put(cache_dir, "a/model")
    data = json.loads((model / ".qwen3ft" / "manifest.json").read_text())
    for number in range(1000):
        folder = shutil.copytree(model, cache_dir / f"a_m{number}", copy_function=os.link)
        (folder / ".qwen3ft" / "manifest.json").unlink()
        (folder / ".qwen3ft" / "manifest.json").write_text(json.dumps({**data, "repo_id": f"a/m{number}"}))
    ask(mirror.url, "/")

    monkeypatch.setattr(manifest, "read_regular", lambda path, _limit: pytest.fail(f"{path} was read again"))
    found = json.loads(ask(mirror.url, "/").body)["models"]

    assert found == 1001


def test_missing_names_do_not_make_it_read_the_cache_each_time(
    model: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "RESCAN_S", 1e6)
    scans: list[Path] = []
    look = folders.model_folders

    def counted(root: Path) -> Iterator[str]:
        scans.append(root)
        return look(root)

    monkeypatch.setattr(folders, "model_folders", counted)

    answers = [ask(mirror.url, f"/api/models/qwen3ft/nothing-{number}").status for number in range(20)]

    assert (set(answers), len(scans)) == ({404}, 1)


def test_a_stranger_s_cache_is_not_served_by_its_own_manifests(cache_dir: Path, model: Path, tmp_path: Path) -> None:
    """A cloned repository may bring weights under a known name, and a manifest that vouches for them."""
    shutil.copytree(cache_dir, tmp_path / "cloned")

    for folder, status in ((cache_dir, 200), (tmp_path / "cloned", 404)):
        with Mirror(cache_dir=folder, trust_manifests=False) as careful:
            assert ask(careful.url, CONFIG_HF).status == status
            assert ask(careful.url, LISTING_MS).status == status
