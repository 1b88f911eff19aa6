"""Several revisions of one model, and the layers below a cache."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.own import stamps
from qwen3ft_jupyter.cache.own.manifest import Stamp, read_manifest
from qwen3ft_jupyter.hubs.git_refs import commit_of, parse_refs
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.mirror import folders
from qwen3ft_jupyter.mirror.digests import Digests
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.mirror.conftest import REPO, ask, fill, own_commit, put_in_cache, sha256

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW, THIRD = "a" * 40, "b" * 40, "d" * 40
OLD_FILES = {"config.json": b'{"old": 1}', "model.safetensors": b"w" * 5000}
NEW_FILES = {"config.json": b'{"new": 1}', "model.safetensors": b"w" * 5000}
THIRD_FILES = {"config.json": b'{"new": 2}', "model.safetensors": b"v" * 5000}
OWN_OLD, OWN_NEW, OWN_THIRD = (own_commit(files) for files in (OLD_FILES, NEW_FILES, THIRD_FILES))
"""The mirror's commits of what it has of those of the hub."""


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "RESCAN_S", 0.0)
    monkeypatch.setattr(folders, "REFRESH_S", 0.0)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    """A cache with the default branch and, beside it, an older version that somebody asked for by its tag."""
    put_in_cache(tmp_path / "cache" / "qwen3ft_Qwen3-Practice", NEW_FILES, NEW, "master")
    put_in_cache(tmp_path / "cache" / "qwen3ft_Qwen3-Practice@v1.0", OLD_FILES, OLD, "v1.0")
    return tmp_path / "cache"


def commit(mirror: Mirror, revision: str) -> str:
    answer = ask(mirror.url, f"/api/models/{REPO}/revision/{revision}")
    return str(json.loads(answer.body).get("sha", answer.headers.get("x-error-code")))


def config(mirror: Mirror, revision: str) -> list[bytes | int]:
    """Return the file as both protocols hand it out."""
    ways = (
        f"/{REPO}/resolve/{revision}/config.json",
        f"/api/v1/models/{REPO}/repo?Revision={revision}&FilePath=config.json",
        f"/models/{REPO}/resolve/{revision}/config.json",
    )
    answers = [ask(mirror.url, way) for way in ways]
    return [answer.body if answer.status == 200 else answer.status for answer in answers]


def test_both_revisions_are_served_by_commit_and_by_name(cache_dir: Path) -> None:
    with Mirror(cache_dir=cache_dir) as mirror:
        news = {name: config(mirror, name) for name in ("main", "master", NEW, NEW[:7], OWN_NEW, OWN_NEW[:7])}
        olds = {name: config(mirror, name) for name in ("v1.0", OLD, OLD[:12], OWN_OLD, OWN_OLD[:39])}
        none = {name: config(mirror, name) for name in ("v9", NEW[:6], OWN_NEW[:6], OWN_NEW.upper(), THIRD)}

    assert news == dict.fromkeys(news, [NEW_FILES["config.json"]] * 3)
    assert olds == dict.fromkeys(olds, [OLD_FILES["config.json"]] * 3)
    assert none == dict.fromkeys(none, [404] * 3)


@pytest.mark.parametrize("hub_type", [HuggingFaceHub, ModelScopeHub])
def test_our_own_clients_list_each_revision(cache_dir: Path, hub_type: type[HuggingFaceHub | ModelScopeHub]) -> None:
    repo = parse_repo_id(REPO)
    with Mirror(cache_dir=cache_dir) as mirror:
        hub = hub_type(HttpClient(), mirror.url)
        listings = [hub.listing(repo, revision) for revision in (None, "v1.0", OWN_OLD)]

    assert [listing.commit for listing in listings] == [OWN_NEW, OWN_OLD, OWN_OLD]
    assert [{str(file.path): file.sha256 for file in listing.files} for listing in listings] == [
        {path: sha256(data) for path, data in files.items()} for files in (NEW_FILES, OLD_FILES, OLD_FILES)
    ]


def test_every_branch_is_named_with_its_commit(cache_dir: Path) -> None:
    with Mirror(cache_dir=cache_dir) as mirror:
        refs = json.loads(ask(mirror.url, f"/api/models/{REPO}/refs").body)["branches"]
        git = parse_refs(ask(mirror.url, f"/{REPO}.git/info/refs?service=git-upload-pack").body)
        revisions = json.loads(ask(mirror.url, f"/api/v1/models/{REPO}/revisions").body)["Data"]["RevisionMap"]

    expected = {"main": OWN_NEW, "master": OWN_NEW, "v1.0": OWN_OLD}
    assert {ref["name"]: ref["targetCommit"] for ref in refs} == expected
    assert {name: commit_of(git, name) for name in expected} == expected
    assert {branch["Revision"] for branch in revisions["Branches"]} == set(expected)


def test_a_model_counts_once_whatever_its_revisions(cache_dir: Path) -> None:
    with Mirror(cache_dir=cache_dir) as mirror:
        listed = json.loads(ask(mirror.url, "/api/models?full=true").body)

    assert [(model["id"], model["sha"]) for model in listed] == [(REPO, OWN_NEW)]


def test_a_revision_that_comes_later_is_found_and_one_that_goes_is_not(cache_dir: Path) -> None:
    beside = cache_dir / "qwen3ft_Qwen3-Practice@v2.0"
    with Mirror(cache_dir=cache_dir) as mirror:
        before = commit(mirror, "v2.0")
        put_in_cache(beside, THIRD_FILES, THIRD, "v2.0")
        between = commit(mirror, "v2.0")
        (beside / ".qwen3ft" / "manifest.json").unlink()
        after = commit(mirror, "v2.0")

    assert (before, between, after) == ("RevisionNotFound", OWN_THIRD, "RevisionNotFound")


def test_the_default_branch_is_the_one_downloaded_as_such_else_the_one_in_the_models_own_folder(
    tmp_path: Path,
) -> None:
    cache_dir = tmp_path / "cache"
    with Mirror(cache_dir=cache_dir) as mirror:
        seen = [commit(mirror, "main")]
        put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice@v1.0", OLD_FILES, OLD, "v1.0", created=9.0)
        seen.append(commit(mirror, "main"))  # the only one there is
        put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice", NEW_FILES, NEW, "v2.0")
        seen.append(commit(mirror, "main"))
        put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice@main", THIRD_FILES, THIRD, "main")
        seen.append(commit(mirror, "main"))

    assert seen == ["RepoNotFound", OWN_OLD, OWN_NEW, OWN_THIRD]


def test_layers_are_served_below_the_cache(tmp_path: Path, cache_dir: Path) -> None:
    layer = tmp_path / "layer"
    put_in_cache(layer / "qwen3ft_Qwen3-Practice", THIRD_FILES, THIRD, "main")
    with Mirror(cache_dir=cache_dir, shared_dirs=[layer, tmp_path / "not-mounted"]) as mirror:
        with_both = [commit(mirror, name) for name in ("main", "v1.0", OWN_THIRD)]
        for folder in cache_dir.iterdir():
            (folder / ".qwen3ft" / "manifest.json").unlink()
        with_layer = [commit(mirror, name) for name in ("main", "v1.0", OWN_THIRD)]

    assert with_both == [OWN_NEW, OWN_OLD, OWN_THIRD]
    assert with_layer == [OWN_THIRD, "RevisionNotFound", OWN_THIRD]


def test_files_of_a_layer_are_not_read_again_if_this_cache_knows_their_stamps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer is mounted under other inodes and times than its manifests say; what was verified once is kept here."""
    layer, cache_dir = tmp_path / "layer", tmp_path / "cache"
    folder = put_in_cache(layer / "qwen3ft_Qwen3-Practice", NEW_FILES, NEW, "main")
    for path in NEW_FILES:
        os.utime(folder / path, ns=(1, 1))
    manifest = read_manifest(folder)
    assert manifest is not None
    found = {path: Stamp.of((folder / path).stat()) for path in NEW_FILES}
    cache_dir.mkdir()
    stamps.save(cache_dir, folder, manifest.with_stamps(found))
    monkeypatch.setattr(Digests, "of", lambda *_: None)

    with Mirror(cache_dir=cache_dir, shared_dirs=[layer]) as mirror:
        answer = ask(mirror.url, f"/{REPO}/resolve/main/model.safetensors")

    assert answer.body == NEW_FILES["model.safetensors"]


def test_a_commit_is_looked_up_without_reading_a_file(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if all stamps are strange, as after `cp -r`."""
    for path in NEW_FILES:
        os.utime(cache_dir / "qwen3ft_Qwen3-Practice" / path, ns=(1, 1))
    read: list[Any] = []
    monkeypatch.setattr(Digests, "of", lambda *asked: read.append(asked))

    with Mirror(cache_dir=cache_dir) as mirror:
        found = commit(mirror, "main")

    assert (found, read) == (OWN_NEW, [])


def test_an_update_between_look_up_and_opening_is_not_called_damage(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder holds another version by the time the file is opened; it is looked up again."""
    folder = cache_dir / "qwen3ft_Qwen3-Practice"
    read: list[Any] = []
    monkeypatch.setattr(Digests, "of", lambda *asked: read.append(asked))
    with Mirror(cache_dir=cache_dir) as mirror:
        assert mirror._server is not None
        library = mirror._server.library
        open_file, updates = library.open, [THIRD_FILES]

        def open_after_update(*asked: Any) -> Any:
            if updates:
                put_in_cache(folder, updates.pop(), THIRD, "master")
            return open_file(*asked)

        monkeypatch.setattr(library, "open", open_after_update)
        by_branch = ask(mirror.url, f"/{REPO}/resolve/main/model.safetensors")
        by_old_commit = ask(mirror.url, f"/{REPO}/resolve/{NEW}/model.safetensors")

    assert (by_branch.status, by_branch.body) == (200, THIRD_FILES["model.safetensors"])
    assert by_branch.headers["x-repo-commit"] == OWN_THIRD
    assert read == []  # what was replaced is not worth reading
    assert (by_old_commit.status, by_old_commit.headers["x-error-code"]) == (404, "RevisionNotFound")


def test_nothing_in_a_cache_folder_is_shown_but_files_named_in_manifests(cache_dir: Path) -> None:
    secrets = {
        ".incoming/qwen3ft_Qwen3-Practice/model.safetensors.part": b"secret",
        ".stamps/x.json": b"secret",
        ".in-place/x.json": b"secret",
        "qwen3ft_Qwen3-Practice/.qwen3ft/replaced/config.json": b"secret",
        "qwen3ft_Qwen3-Practice/.env": b"secret",
        "qwen3ft_Qwen3-Practice/notes.md": b"secret",
        "hub/models--a--b/blobs/x": b"secret",
        "a_plain/model.safetensors": b"secret",
        "loose.txt": b"secret",
    }
    fill(cache_dir, secrets)
    folder = cache_dir / "qwen3ft_Qwen3-Practice"
    manifest = json.loads((folder / ".qwen3ft" / "manifest.json").read_text())
    hidden = {"path": ".env", "size": 6, "sha256": sha256(b"secret"), "stamp": None}
    (folder / ".qwen3ft" / "manifest.json").write_text(json.dumps({**manifest, "files": [*manifest["files"], hidden]}))
    inner = {path.partition("/")[2] for path in secrets} - NEW_FILES.keys()
    asked = [*inner, *secrets]
    with Mirror(cache_dir=cache_dir) as mirror:
        answers = [ask(mirror.url, f"/{REPO}/resolve/main/{path}") for path in asked]
        answers += [ask(mirror.url, f"/{path}") for path in asked if path]
        answers += [ask(mirror.url, f"/a/plain/resolve/main/{path}") for path in asked]
        listed = json.loads(ask(mirror.url, f"/api/models/{REPO}/tree/main?recursive=true").body)
        models = [model["id"] for model in json.loads(ask(mirror.url, "/api/models?full=true").body)]

    assert not any(b"secret" in answer.body for answer in answers)
    assert {answer.status for answer in answers} == {404}
    assert {entry["path"] for entry in listed} == set(NEW_FILES)
    assert models == [REPO]
