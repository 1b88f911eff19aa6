"""A mirror claims no commit that it does not hold whole, and a client that believes what it says stays right.

The hub has more files in a commit than a download takes from it: pickles, programs, dotfiles. Clients of Hugging Face
note for good which files a commit has (`trees/`) and which it lacks (`.no_exist/`).
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import RevisionNotFound
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.mirror import folders
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.download.asking import ensure_model
from tests.mirror.conftest import REPO, ask, digests, fill, git_sha1, own_commit, put_in_cache, sha256
from tests.mirror.test_mirror_clients import environment, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.settings.declared import HubName

HUBS = "a" * 40
"""The hub's commit."""
HELD = {"config.json": b'{"model_type": "qwen3"}', "model.safetensors": b"w" * 5000, "sub/vocab.json": b"{}"}
LEFT = {"generation_config.json": b"{}", "extra.txt": b"more"}
OWN = own_commit(HELD)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    put_in_cache(tmp_path / "cache" / "qwen3ft_Qwen3-Practice", HELD, HUBS, "main")
    return tmp_path / "cache"


@pytest.fixture
def mirror(cache_dir: Path) -> Iterator[Mirror]:
    with Mirror(cache_dir=cache_dir) as running:
        yield running


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Plays the hub: all files of the commit, under the hub's name of it."""
    monkeypatch.setattr(folders, "derived_commit", lambda _: HUBS)
    with Mirror({REPO: fill(tmp_path / "hub", HELD | LEFT)}) as running:
        yield running


def error_of(mirror: Mirror, target: str) -> tuple[int, str | None, str | None]:
    answer = ask(mirror.url, target)
    return answer.status, answer.headers.get("x-error-code"), answer.headers.get("x-repo-commit")


@pytest.mark.parametrize("revision", ["main", "master", OWN, OWN[:9]])
def test_every_listing_is_of_a_commit_of_exactly_what_is_here(mirror: Mirror, revision: str) -> None:
    info = json.loads(ask(mirror.url, f"/api/models/{REPO}/revision/{revision}").body)
    tree = ask(mirror.url, f"/api/models/{REPO}/tree/{revision}?recursive=true")
    commits = json.loads(ask(mirror.url, f"/api/models/{REPO}/commits/{revision}").body)
    files = f"/api/v1/models/{REPO}/repo/files?Revision={revision}&Recursive=True"
    listing = json.loads(ask(mirror.url, files).body)["Data"]

    named = [info["sha"], tree.headers["x-repo-commit"], listing["LatestCommitter"]["Id"], commits[0]["id"]]
    assert named == [OWN] * 4
    assert {file["rfilename"] for file in info["siblings"]} == set(HELD)
    assert {entry["Path"] for entry in listing["Files"] if entry["Type"] == "blob"} == set(HELD)


@pytest.mark.parametrize("revision", [HUBS, HUBS[:7], HUBS[:20]])
@pytest.mark.parametrize("topic", ["revision/{}", "tree/{}", "tree/{}/sub", "commits/{}"])
def test_the_hubs_commit_is_not_listed(mirror: Mirror, topic: str, revision: str) -> None:
    answer = ask(mirror.url, f"/api/models/{REPO}/{topic.format(revision)}")
    files = ask(mirror.url, f"/api/v1/models/{REPO}/repo/files?Revision={revision}&Recursive=True")

    assert (answer.status, answer.headers["x-error-code"]) == (404, "RevisionNotFound")
    assert "but not all of them" in answer.headers["x-error-message"]
    assert (files.status, "but not all of them" in json.loads(files.body)["Message"]) == (404, True)


@pytest.mark.parametrize("revision", [HUBS, HUBS[:7]])
def test_a_file_of_the_hubs_commit_comes_by_that_name_and_none_is_said_to_be_missing_from_it(
    mirror: Mirror, revision: str
) -> None:
    here = ask(mirror.url, f"/{REPO}/resolve/{revision}/config.json")
    ours, theirs = (error_of(mirror, f"/{REPO}/resolve/{name}/extra.txt") for name in ("main", revision))

    assert (here.status, here.body, here.headers["x-repo-commit"]) == (200, HELD["config.json"], HUBS)
    assert ours == (404, "EntryNotFound", OWN)
    assert theirs == (404, "EntryNotFound", None)


def test_what_is_called_like_a_commit_is_no_branch(cache_dir: Path) -> None:
    """A model may have been asked for by its commit, whole or short; then that is the revision on record."""
    other = HELD | {"config.json": b"{}"}
    put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice@short", other, "b" * 40, "b" * 7)
    put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice@long", other | {"a.txt": b""}, "c" * 40, "c" * 40)
    put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice@relayed", other | {"b.txt": b""}, "d" * 40, "e" * 40)
    with Mirror(cache_dir=cache_dir) as mirror:
        refs = json.loads(ask(mirror.url, f"/api/models/{REPO}/refs").body)["branches"]
        listed = [
            error_of(mirror, f"/api/models/{REPO}/tree/{name}")[:2]
            for name in ("b" * 7, "b" * 40, "c" * 40, "d" * 40, "e" * 40)
        ]

    assert {ref["name"] for ref in refs} == {"main", "master"}
    assert listed == [(404, "RevisionNotFound")] * 5


def test_copies_with_the_same_files_keep_their_own_names(cache_dir: Path) -> None:
    put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice@v1.0", HELD, "b" * 40, "v1.0")
    with Mirror(cache_dir=cache_dir) as mirror:
        refs = json.loads(ask(mirror.url, f"/api/models/{REPO}/refs").body)["branches"]
        files = [ask(mirror.url, f"/{REPO}/resolve/{name * 40}/config.json") for name in "ab"]

    assert {ref["name"]: ref["targetCommit"] for ref in refs} == dict.fromkeys(("main", "master", "v1.0"), OWN)
    assert [file.headers["x-repo-commit"] for file in files] == ["a" * 40, "b" * 40]


ASK = f"""
import json, os
from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache
repo, hubs, said = {REPO!r}, {HUBS!r}, {{}}
def tried(name, ask):
    try:
        said[name] = ask()
    except Exception as error:
        said[name] = type(error).__name__
files = lambda folder: sorted(os.path.relpath(os.path.join(at, name), folder)
                              for at, _, names in os.walk(folder) for name in names)
tried("all", lambda: files(snapshot_download(repo)))
tried("pinned", lambda: files(snapshot_download(repo, revision=hubs)))
tried("file", lambda: open(hf_hub_download(repo, "config.json", revision=hubs)).read())
tried("missing", lambda: hf_hub_download(repo, "generation_config.json") and "here")
tried("missing pinned", lambda: hf_hub_download(repo, "generation_config.json", revision=hubs) and "here")
tried("remembered", lambda: isinstance(try_to_load_from_cache(repo, "generation_config.json", revision=hubs), str))
print(json.dumps(said))
"""


def test_a_client_that_asks_the_mirror_first_and_the_hub_then_has_all_of_the_hubs_commit(
    tmp_path: Path, mirror: Mirror, hub: Mirror
) -> None:
    """With one cache folder for both, as where an endpoint is set for a while."""
    env = environment(tmp_path, mirror)
    first = run_python(ASK, env)
    then = run_python(ASK, env | {"HF_ENDPOINT": hub.url})

    assert first["all"] == sorted(HELD)
    assert first["pinned"] == "RevisionNotFoundError"
    assert (first["file"], first["missing"], first["missing pinned"]) == (
        HELD["config.json"].decode(),
        "RemoteEntryNotFoundError",
        "RemoteEntryNotFoundError",
    )
    assert then["all"] == then["pinned"] == sorted(HELD | LEFT)
    assert (then["missing"], then["missing pinned"], then["remembered"]) == ("here", "here", True)


def test_a_client_that_asks_the_hub_first_fetches_nothing_again_from_the_mirror(
    tmp_path: Path, mirror: Mirror, hub: Mirror
) -> None:
    """Its cache names bytes by the validator, which is the hub's."""
    code = f"""
import json, os
from huggingface_hub import snapshot_download
folder = snapshot_download({REPO!r})
blobs = os.path.join(folder, "..", "..", "blobs")
print(json.dumps([os.path.basename(folder), sorted((name, os.stat(os.path.join(blobs, name)).st_ino)
                                                   for name in os.listdir(blobs))]))
"""
    env = environment(tmp_path, mirror)
    first, before = run_python(code, env | {"HF_ENDPOINT": hub.url})
    then, after = run_python(code, env)

    assert (first, then) == (HUBS, OWN)
    assert before == after


def test_transformers_finds_at_the_hub_what_the_mirror_did_not_have(
    tmp_path: Path, mirror: Mirror, hub: Mirror
) -> None:
    code = f"""
import json
from transformers.utils import cached_file
def find(name, **options):
    return cached_file({REPO!r}, name, _raise_exceptions_for_missing_entries=False, **options) is not None
print(json.dumps([find(name, revision=revision) for revision in ("main", {HUBS!r})
                  for name in ("config.json", "generation_config.json")]))
"""
    env = environment(tmp_path, mirror)

    assert run_python(code, env) == [True, False, True, False]
    assert run_python(code, env | {"HF_ENDPOINT": hub.url}) == [True, True, True, True]


def test_modelscope_fetches_from_the_hub_what_the_mirror_did_not_have(
    tmp_path: Path, mirror: Mirror, hub: Mirror
) -> None:
    code = f"""
import json, os
from modelscope import snapshot_download
folder = snapshot_download({REPO!r})
print(json.dumps(sorted(name for _, _, names in os.walk(folder) for name in names if not name.startswith("."))))
"""
    env = environment(tmp_path, mirror)

    names = [sorted(path.rpartition("/")[2] for path in files) for files in (HELD, HELD | LEFT)]
    assert run_python(code, env) == names[0]
    assert run_python(code, env | {"MODELSCOPE_ENDPOINT": hub.url}) == names[1]


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_our_own_update_from_the_hub_brings_what_the_mirror_did_not_have(
    tmp_path: Path, mirror: Mirror, hub: Mirror, name: HubName
) -> None:
    cache, repo = ModelCache(tmp_path / "mine"), parse_repo_id(REPO)
    kinds = {"modelscope": ModelScopeHub, "huggingface": HuggingFaceHub}
    first, then = ({name: kinds[name](HttpClient(), one.url)} for one in (mirror, hub))
    ensure_model(cache, first, repo, order=(name,))
    before = cache.find(REPO)
    assert before is not None

    ensured = ensure_model(cache, then, repo, order=(name,), update=True)

    assert (before.commit, ensured.model.commit) == (OWN, HUBS)
    assert digests(ensured.model.folder) == {path: sha256(data) for path, data in (HELD | LEFT).items()}


def test_our_own_client_records_no_hubs_commit_that_a_mirror_lists(mirror: Mirror) -> None:
    """For bytes alone it may ask by the hub's commit; it then goes by the one that the answer names."""
    repo = parse_repo_id(REPO)
    listing = HuggingFaceHub(HttpClient(), mirror.url, is_mirror=True).listing(repo, HUBS)

    assert (listing.commit, listing.pin) == (OWN, OWN)
    for hub in (HuggingFaceHub(HttpClient(), mirror.url), ModelScopeHub(HttpClient(), mirror.url)):
        with pytest.raises(RevisionNotFound):
            hub.listing(repo, HUBS)


class ListsByGit(HuggingFaceHub):
    """Hugging Face itself: of small files it lists git's digest alone."""

    def listing(self, *asked: Any, **options: Any) -> Listing:
        listing = super().listing(*asked, **options)
        files = [
            replace(file, git_sha1=None) if file.path.endswith(".safetensors") else replace(file, sha256=None)
            for file in listing.files
        ]
        return replace(listing, files=tuple(files))


@pytest.mark.parametrize("kind", [ListsByGit, ModelScopeHub])
@pytest.mark.parametrize("revision", [None, "v1.0", "b" * 40])
def test_all_bytes_come_from_a_mirror_whichever_hub_lists_them(
    tmp_path: Path,
    cache_dir: Path,
    kind: type[ListsByGit | ModelScopeHub],
    revision: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hub is asked for its listing alone; a colleague has the version that is wanted, and another."""
    old = HELD | {"config.json": b'{"old": 1}', "sub/vocab.json": b'{"old": 2}', "model.safetensors": os.urandom(4000)}
    put_in_cache(cache_dir / "qwen3ft_Qwen3-Practice@v1.0", old, "b" * 40, "v1.0")
    wanted, at_hub = (HELD, HUBS) if revision is None else (old, "b" * 40)
    put_in_cache(tmp_path / "theirs" / "qwen3ft_Qwen3-Practice", wanted, at_hub, revision or "main")
    mine, repo = ModelCache(tmp_path / "mine"), parse_repo_id(REPO)
    name: HubName = "huggingface" if kind is ListsByGit else "modelscope"
    with Mirror(cache_dir=cache_dir) as colleague:
        mirrors = [HuggingFaceHub(HttpClient(), colleague.url, is_mirror=True)]
        monkeypatch.setattr(folders, "derived_commit", lambda _: at_hub)
        with Mirror({REPO: fill(tmp_path / "hub", wanted)}) as hub:
            hubs = {name: kind(HttpClient(), hub.url)}
            asked = None if revision == "v1.0" else revision  # a plain folder has no tags
            ensured = ensure_model(
                mine, hubs, repo, order=(name,), mirrors=mirrors, sources=("mirrors",), revision=asked
            )

    assert digests(ensured.model.folder) == {path: sha256(data) for path, data in wanted.items()}


def test_small_files_are_listed_by_git_and_large_ones_by_lfs(tmp_path: Path) -> None:
    """As on the hub: so that a listing there and one here name the same digests."""
    large = bytes((10 << 20) + 1)
    files = HELD | {"tokenizer.json": large, "just.txt": bytes(10 << 20), "speech.onnx": b"o", "quant.gguf": b"g"}
    with Mirror({REPO: fill(tmp_path / "model", files)}) as mirror:
        tree = json.loads(ask(mirror.url, f"/api/models/{REPO}/tree/main?recursive=true").body)
        blobs = json.loads(ask(mirror.url, f"/api/models/{REPO}?blobs=true").body)["siblings"]
        etags = {path: ask(mirror.url, f"/{REPO}/resolve/main/{path}", method="HEAD").headers["etag"] for path in files}

    by_lfs = {"model.safetensors", "tokenizer.json", "speech.onnx", "quant.gguf"}
    listed = {entry["path"]: entry for entry in tree if entry["type"] == "file"}
    assert {path for path, entry in listed.items() if "lfs" in entry} == by_lfs
    assert {path: entry["oid"] for path, entry in listed.items() if path not in by_lfs} == {
        path: git_sha1(data) for path, data in files.items() if path not in by_lfs
    }
    assert {path: listed[path]["lfs"]["oid"] for path in by_lfs} == {path: sha256(files[path]) for path in by_lfs}
    assert {blob["rfilename"]: blob["blobId"] for blob in blobs} == {path: one["oid"] for path, one in listed.items()}
    assert etags == {path: f'"{sha256(data) if path in by_lfs else git_sha1(data)}"' for path, data in files.items()}
