"""Programs nobody changed fetch from the mirror, told nothing but its address."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import AccessDenied, ModelNotFound, RevisionNotFound
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.routes import make_mirrors
from qwen3ft_jupyter.mirror.mirror import Mirror, client_settings
from qwen3ft_jupyter.settings.places import load_settings
from qwen3ft_jupyter.transfer.sources import MIN_SHARED_BYTES
from tests.download.asking import ensure_model
from tests.mirror.conftest import EXPECTED, FILES, REPO, digests, fill, git_sha1, own_commit, put_in_cache, sha256

if TYPE_CHECKING:
    from qwen3ft_jupyter.hubs.listing import Hub
    from qwen3ft_jupyter.settings.declared import HubName

BIN = Path(sys.executable).parent
TOKEN = "a-made-up-token"


def environment(tmp_path: Path, mirror: Mirror, **extra: str) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "SYSTEMROOT", "TMPDIR"}}
    return kept | {
        "HOME": str(home),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": mirror.url,
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "MODELSCOPE_CACHE": str(tmp_path / "ms"),
        "MODELSCOPE_ENDPOINT": mirror.url,
        "PYTHONDONTWRITEBYTECODE": "1",
        **extra,
    }


def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=400, check=False)


def run_python(code: str, env: dict[str, str]) -> Any:
    """Run `code` in a fresh interpreter; its last line is JSON."""
    done = run([sys.executable, "-W", "ignore", "-c", code], env)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_hf_command_downloads_every_file(tmp_path: Path, mirror: Mirror) -> None:
    target = tmp_path / "got"

    done = run([str(BIN / "hf"), "download", REPO, "--local-dir", str(target)], environment(tmp_path, mirror))

    assert done.returncode == 0, done.stderr
    assert digests(target) == EXPECTED


def test_modelscope_command_downloads_every_file(tmp_path: Path, mirror: Mirror) -> None:
    target = tmp_path / "got"

    done = run([str(BIN / "modelscope"), "download", REPO, "--local_dir", str(target)], environment(tmp_path, mirror))

    assert done.returncode == 0, done.stderr
    assert digests(target) == EXPECTED


def test_huggingface_hub_understands_every_answer(tmp_path: Path, mirror: Mirror) -> None:
    code = f"""
import json
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
api, repo = HfApi(), {REPO!r}
said = {{"snapshot": snapshot_download(repo)}}
for name, error, ask in [
    ("repo", RepositoryNotFoundError, lambda: snapshot_download("qwen3ft/nothing")),
    ("revision", RevisionNotFoundError, lambda: hf_hub_download(repo, "config.json", revision="v9")),
    ("file", RemoteEntryNotFoundError, lambda: hf_hub_download(repo, "nothing.json")),
]:
    try:
        said[name] = str(ask())
    except error:
        said[name] = "understood"
info = api.model_info(repo, files_metadata=True)
said["commit"] = info.sha
said["sizes"] = {{s.rfilename: s.size for s in info.siblings}}
said["lfs"] = {{s.rfilename: s.lfs.sha256 for s in info.siblings if s.lfs}}
said["git"] = {{s.rfilename: s.blob_id for s in info.siblings if not s.lfs}}
said["pinned"] = hf_hub_download(repo, "sub/notes.md", revision=info.sha)
said["paths"] = [entry.path for entry in api.get_paths_info(repo, ["sub/notes.md", "sub", "nothing"], expand=True)]
said["children"] = [entry.path for entry in api.list_repo_tree(repo, "sub")]
said["branches"] = {{branch.name: branch.target_commit for branch in api.list_repo_refs(repo).branches}}
said["models"] = [model.id for model in api.list_models()]
print(json.dumps(said))
"""
    said = run_python(code, environment(tmp_path, mirror))

    assert digests(Path(said["snapshot"])) == EXPECTED
    assert (said["repo"], said["revision"], said["file"]) == ("understood",) * 3
    assert said["sizes"] == {path: len(data) for path, data in FILES.items()}
    weights = "model.safetensors"
    assert said["lfs"] == {weights: EXPECTED[weights]}
    assert said["git"] == {path: git_sha1(data) for path, data in FILES.items() if path != weights}
    assert Path(said["pinned"]).read_bytes() == FILES["sub/notes.md"]
    assert Path(said["snapshot"]).name == said["commit"]
    assert said["paths"] == ["sub", "sub/notes.md"]
    assert said["children"] == ["sub/deep", "sub/notes.md"]
    assert said["branches"] == {"main": said["commit"], "master": said["commit"]}
    assert said["models"] == [REPO]


def test_modelscope_library_understands_every_answer(tmp_path: Path, mirror: Mirror) -> None:
    code = f"""
import json
from modelscope import snapshot_download
from modelscope.hub.api import HubApi
from modelscope.hub.file_download import model_file_download
repo, said = {REPO!r}, {{}}
said["snapshot"] = snapshot_download(repo)
said["file"] = model_file_download(repo, "sub/notes.md")
said["revisions"] = [entry["Revision"] for entry in HubApi().list_repo_revisions(repo, "model")]
files = HubApi().get_model_files(repo, recursive=True)
said["sizes"] = {{file["Path"]: file["Size"] for file in files}}
said["model"] = HubApi().get_model(repo)["Name"]
for name, ask in [
    ("no repo", lambda: snapshot_download("qwen3ft/nothing")),
    ("no file", lambda: model_file_download(repo, "nothing.json")),
    ("no revision", lambda: snapshot_download(repo, revision="v9")),
]:
    try:
        said[name] = str(ask())
    except Exception as error:
        said[name] = type(error).__name__
print(json.dumps(said))
"""
    said = run_python(code, environment(tmp_path, mirror))

    assert digests(Path(said["snapshot"])) == EXPECTED
    assert Path(said["file"]).read_bytes() == FILES["sub/notes.md"]
    assert {"main", "master"} <= set(said["revisions"])
    assert said["sizes"].items() >= {path: len(data) for path, data in FILES.items()}.items()
    assert said["model"] == "Qwen3-Practice"
    assert (said["no file"], said["no revision"]) == ("HTTPError", "HTTPError")


def hubs_of(mirror: Mirror, token: str | None = None) -> dict[HubName, Hub]:
    client = HttpClient(max_connections=8)
    return {
        "modelscope": ModelScopeHub(client, mirror.url, token),
        "huggingface": HuggingFaceHub(client, mirror.url, token),
    }


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_our_own_clients_list_the_same_files_and_commit(mirror: Mirror, name: HubName) -> None:
    hubs = hubs_of(mirror)
    repo = parse_repo_id(REPO)

    listing = hubs[name].listing(repo)

    assert {file.path: file.sha256 for file in listing.files} == EXPECTED
    assert listing.commit == listing.pin == hubs["huggingface"].listing(repo).commit
    assert hubs[name].listing(repo, listing.commit).files == listing.files


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_our_own_clients_understand_what_is_missing(mirror: Mirror, name: HubName) -> None:
    hub = hubs_of(mirror)[name]

    with pytest.raises(ModelNotFound):
        hub.listing(parse_repo_id("qwen3ft/nothing"))
    with pytest.raises(RevisionNotFound):
        hub.listing(parse_repo_id(REPO), "v9")


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_our_own_cache_is_filled_from_a_mirror_of_another_cache(tmp_path: Path, mirror: Mirror, name: HubName) -> None:
    """One machine downloads, the next fetches from it: same commit, same bytes."""
    first, second = ModelCache(tmp_path / "first"), ModelCache(tmp_path / "second")
    repo = parse_repo_id(REPO)
    got = ensure_model(first, hubs_of(mirror), repo, order=(name,), max_connections=4)

    with Mirror(cache_dir=first.root) as relay:
        again = ensure_model(second, hubs_of(relay), repo, order=(name,), max_connections=4)

    assert digests(again.model.folder) == EXPECTED
    assert again.model.commit == got.model.commit


def test_commands_show_their_token(tmp_path: Path, model_folder: Path) -> None:
    """ModelScope's is sent in parts of a file, too."""
    with Mirror({REPO: model_folder}, token=TOKEN) as mirror:
        env = environment(
            tmp_path,
            mirror,
            HF_TOKEN=TOKEN,
            MODELSCOPE_API_TOKEN=TOKEN,
            MODELSCOPE_DOWNLOAD_PARALLEL_WORKERS="4",
            MODELSCOPE_DOWNLOAD_PARALLEL_THRESHOLD_MB="1",
            MODELSCOPE_DOWNLOAD_PART_SIZE_MB="2",
        )
        done = [
            run([str(BIN / "hf"), "download", REPO, "--local-dir", str(tmp_path / "a")], env),
            run([str(BIN / "modelscope"), "download", REPO, "--local_dir", str(tmp_path / "b")], env),
        ]
        refused = run([str(BIN / "hf"), "download", REPO, "config.json"], environment(tmp_path, mirror))

    assert [one.returncode for one in (*done, refused)] == [0, 0, 1]
    assert digests(tmp_path / "a") == digests(tmp_path / "b") == EXPECTED


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_our_own_clients_show_their_token(model_folder: Path, name: HubName) -> None:
    with Mirror({REPO: model_folder}, token=TOKEN) as mirror:
        listing = hubs_of(mirror, TOKEN)[name].listing(parse_repo_id(REPO))

        with pytest.raises(AccessDenied):
            hubs_of(mirror)[name].listing(parse_repo_id(REPO))

    assert {file.path for file in listing.files} == set(FILES)


def test_a_colleagues_mirror_supplies_bytes_of_what_a_hub_lists(tmp_path: Path) -> None:
    """Its address and token come from the settings; the hub itself is not needed for the bytes."""
    weights = random.Random(5).randbytes(MIN_SHARED_BYTES)  # noqa: S311 - any bytes will do
    origin = fill(tmp_path / "origin", {"config.json": b"{}", "model.safetensors": weights})
    colleague, mine, repo = ModelCache(tmp_path / "colleague"), ModelCache(tmp_path / "mine"), parse_repo_id(REPO)
    with Mirror({REPO: origin}) as hub, Mirror(cache_dir=colleague.root, token=TOKEN) as mirror:
        ensure_model(colleague, hubs_of(hub), repo, order=("modelscope",))
        given = client_settings(mirror.url, TOKEN)
        mirrors = make_mirrors(load_settings(environ={name: given[name] for name in given if "QWEN3FT" in name}))
        is_known = mirrors[0].commit(repo) == mirrors[0].listing(repo).commit

        ensured = ensure_model(
            mine, hubs_of(hub), repo, order=("modelscope",), mirrors=mirrors, sources=("mirrors",), max_connections=4
        )

    assert is_known
    assert digests(ensured.model.folder) == {"config.json": sha256(b"{}"), "model.safetensors": sha256(weights)}


def test_commands_fetch_another_revision_beside_the_default(tmp_path: Path) -> None:
    """Each by its commit, through a token; the folder of a further revision has its name behind an @."""
    old, new = {"config.json": b'{"old": 1}'}, {"config.json": b'{"new": 1}'}
    put_in_cache(tmp_path / "cache" / "qwen3ft_Qwen3-Practice", new, "b" * 40, "main")
    put_in_cache(tmp_path / "cache" / "qwen3ft_Qwen3-Practice@v1.0", old, "a" * 40, "v1.0")
    targets = [tmp_path / name for name in ("hf", "hf-old", "ms", "ms-old")]
    with Mirror(cache_dir=tmp_path / "cache", token=TOKEN) as mirror:
        env = environment(tmp_path, mirror, HF_TOKEN=TOKEN, MODELSCOPE_API_TOKEN=TOKEN)
        hf, ms = [str(BIN / "hf"), "download", REPO], [str(BIN / "modelscope"), "download", REPO]
        done = [
            run([*hf, "--local-dir", str(targets[0])], env),
            run([*hf, "--local-dir", str(targets[1]), "--revision", own_commit(old)], env),
            run([*ms, "--local_dir", str(targets[2])], env),
            run([*ms, "--local_dir", str(targets[3]), "--revision", "v1.0"], env),
        ]

    assert [one.returncode for one in done] == [0] * 4, done
    assert [digests(target)["config.json"] for target in targets] == [
        sha256(files["config.json"]) for files in (new, old, new, old)
    ]


def test_many_clients_fetch_at_once(tmp_path: Path, mirror: Mirror) -> None:
    hubs = hubs_of(mirror)
    failures: list[BaseException] = []

    def fetch(number: int) -> None:
        try:
            cache = ModelCache(tmp_path / f"cache-{number}")
            ensured = ensure_model(cache, hubs, parse_repo_id(REPO), order=("modelscope",), max_connections=4)
            assert digests(ensured.model.folder) == EXPECTED
        except BaseException as error:  # noqa: BLE001 - told to the thread that looks
            failures.append(error)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert failures == []
