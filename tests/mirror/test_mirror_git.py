"""``git clone`` from a mirror, with git itself and without."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from qwen3ft_jupyter.mirror import git, packs
from qwen3ft_jupyter.mirror.mirror import Mirror
from qwen3ft_jupyter.mirror.packs import packet, packets_of
from tests.mirror.conftest import EXPECTED, FILES, REPO, Answer, ask, digests, fill, put_in_cache, sha256

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "a-made-up-token"
UPLOAD_PACK = f"/{REPO}.git/git-upload-pack"
LFS_BATCH = f"/{REPO}.git/info/lfs/objects/batch"
WEIGHTS = "model.safetensors"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def run_git(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_LFS_SKIP_SMUDGE": "1"}
    command = [shutil.which("git") or "git", *words]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)


@needs_git
@pytest.mark.parametrize(
    ("address", "options"),
    [
        (f"/{REPO}", []),
        (f"/{REPO}.git", ["--depth", "1"]),
        (f"/models/{REPO}.git", ["--branch", "master"]),
        (f"/{REPO}.git/", ["--filter=blob:none"]),
        (f"/{REPO.upper()}", ["--single-branch"]),
        (f"/{REPO}.git", ["--bare"]),
    ],
)
def test_git_clones(tmp_path: Path, mirror: Mirror, address: str, options: list[str]) -> None:
    done = run_git(tmp_path, "clone", *options, mirror.url + address, "got")
    checked = run_git(tmp_path, "-C", "got", "fsck", "--strict")

    assert done.returncode == 0, done.stderr
    assert checked.returncode == 0, checked.stderr
    if "--bare" not in options:
        got = digests(tmp_path / "got")
        pointer = (tmp_path / "got" / WEIGHTS).read_text()
        assert {path: got[path] for path in FILES if path != WEIGHTS} == {
            path: digest for path, digest in EXPECTED.items() if path != WEIGHTS
        }
        assert f"oid sha256:{EXPECTED[WEIGHTS]}" in pointer
        assert f'"/{WEIGHTS}" filter=lfs' in (tmp_path / "got" / ".gitattributes").read_text()


@needs_git
def test_a_clone_is_brought_up_to_date(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model", {"config.json": b"{}"})
    with Mirror({REPO: folder}) as mirror:
        run_git(tmp_path, "clone", f"{mirror.url}/{REPO}", "got")
        same = run_git(tmp_path, "-C", "got", "pull")
        (folder / "config.json").write_bytes(b'{"new": 1}')
        fetched = run_git(tmp_path, "-C", "got", "fetch")
        run_git(tmp_path, "-C", "got", "reset", "--hard", "origin/main")

    assert same.returncode == fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "got" / "config.json").read_bytes() == b'{"new": 1}'


@needs_git
def test_git_fetches_each_revision(tmp_path: Path) -> None:
    for name, revision in (("", "main"), ("@v1.0", "v1.0")):
        folder = tmp_path / "cache" / f"qwen3ft_Qwen3-Practice{name}"
        put_in_cache(folder, {"config.json": revision.encode()}, "a" * 40, revision)
    with Mirror(cache_dir=tmp_path / "cache") as mirror:
        for revision in ("main", "v1.0"):
            run_git(tmp_path, "clone", "--branch", revision, f"{mirror.url}/{REPO}", revision)

    assert [(tmp_path / name / "config.json").read_text() for name in ("main", "v1.0")] == ["main", "v1.0"]


@needs_git
def test_git_is_told_no(tmp_path: Path, mirror: Mirror) -> None:
    run_git(tmp_path, "clone", f"{mirror.url}/{REPO}", "got")
    missing = run_git(tmp_path, "clone", f"{mirror.url}/qwen3ft/nothing")
    old = run_git(tmp_path, "-c", "protocol.version=0", "clone", f"{mirror.url}/{REPO}", "old")
    pushed = run_git(tmp_path, "-C", "got", "push", "origin", "HEAD:other")

    assert [one.returncode for one in (missing, old, pushed)] == [128] * 3
    assert "not found" in missing.stderr
    assert "remote: This mirror does not have it whole" in missing.stderr
    assert "protocol.version=2" in old.stderr
    assert "remote: This mirror is read-only." in pushed.stderr


@needs_git
def test_git_shows_its_password(tmp_path: Path, model_folder: Path) -> None:
    with Mirror({REPO: model_folder}, token=TOKEN) as mirror:
        host = urlsplit(mirror.url).netloc
        found = [
            run_git(tmp_path, "clone", f"http://{user}{host}/{REPO}", f"got{number}")
            for number, user in enumerate((f"any:{TOKEN}@", f"{TOKEN}:@", "any:wrong@", ""))
        ]

    assert [one.returncode for one in found] == [0, 0, 128, 128]
    assert "Authentication failed" in found[2].stderr
    assert "remote: The token is not this mirror's" in found[2].stderr


@needs_git
def test_names_that_git_could_misread_are_kept(tmp_path: Path) -> None:
    files = {
        "a b.safetensors": b"1",
        "#x.safetensors": b"2",
        "!x.safetensors": b"3",
        "[x].safetensors": b"4",
        "\u8bfb\u6211.safetensors": b"5",
        "a.txt": b"6",
        "a/b.txt": b"7",
        "a-b/c.txt": b"8",
        "a/b/c.txt.txt": b"9",
    }
    with Mirror({REPO: fill(tmp_path / "model", {**files, "a0": b""})}) as mirror:
        done = run_git(tmp_path, "clone", f"{mirror.url}/{REPO}", "got")
    filters = run_git(tmp_path, "-C", "got", "check-attr", "filter", "--", *files)

    assert done.returncode == 0, done.stderr
    assert run_git(tmp_path, "-C", "got", "fsck", "--strict").returncode == 0
    assert set(digests(tmp_path / "got")) == set(files)
    assert filters.stdout.count(": lfs") == 5


def ask_git(mirror: Mirror, *lines: str, **headers: str) -> Answer:
    body = b"".join(packet(f"{line}\n") for line in lines) + b"0000"
    return ask(mirror.url, UPLOAD_PACK, method="POST", body=body, **headers)


def commit_of(mirror: Mirror) -> str:
    return ask_git(mirror, "command=ls-refs").body[4:44].decode()


def test_what_asks_in_the_first_protocol_gets_the_commit_of_the_listings(mirror: Mirror) -> None:
    info = json.loads(ask(mirror.url, f"/api/models/{REPO}").body)
    first = ask(mirror.url, f"/{REPO}.git/info/refs?service=git-upload-pack")
    second = ask(mirror.url, f"/{REPO}.git/info/refs?service=git-upload-pack", Git_Protocol="version=2")

    assert info["sha"].encode() in first.body
    assert b"version 2" in second.body
    assert info["sha"].encode() not in second.body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"0000",
        b"zzzz",
        b"ffff",
        b"-001-001",
        b"0004" * 50_000,
        b"0014command=ls-refs\n" + b"0",
        packet("command=nonsense\n"),
        packet("command=fetch\n") + b"0000",
        packet("command=fetch\n") + packet("want " + "0" * 40) + packet("done"),
        packet("command=fetch\n") + packet("want ../../etc/passwd\n") + packet("done"),
        os.urandom(5000),
    ],
)
def test_garbage_gets_a_refusal(mirror: Mirror, body: bytes) -> None:
    answer = ask(mirror.url, UPLOAD_PACK, method="POST", body=body)

    assert answer.status in {200, 400}
    assert b"PACK" not in answer.body
    assert ask_git(mirror, "command=ls-refs").status == 200


def test_a_compressed_question_is_understood_and_a_bomb_is_not(mirror: Mirror) -> None:
    lines = gzip.compress(packet("command=ls-refs\n") + b"0000")
    bomb = gzip.compress(b"0" * (64 << 20))
    good = ask(mirror.url, UPLOAD_PACK, method="POST", body=lines, Content_Encoding="gzip")
    bad = ask(mirror.url, UPLOAD_PACK, method="POST", body=bomb, Content_Encoding="gzip")
    none = ask(mirror.url, UPLOAD_PACK, method="POST", body=b"no gzip", Content_Encoding="gzip")

    assert b"refs/heads/main" in good.body
    assert [b"PACK" in answer.body for answer in (bad, none)] == [False, False]


def test_a_model_too_large_for_git_is_refused_in_words(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "MAX_PACK_BYTES", 1)

    answer = ask_git(mirror, "command=fetch", f"want {commit_of(mirror)}", "done")

    assert b"ERR too much for git" in answer.body


def test_a_file_that_was_changed_is_in_no_pack(tmp_path: Path) -> None:
    folder = put_in_cache(tmp_path / "cache" / "qwen3ft_Qwen3-Practice", FILES, "a" * 40, "main")
    with Mirror(cache_dir=folder.parent) as mirror:
        commit = commit_of(mirror)
        (folder / "config.json").write_bytes(b"x" * len(FILES["config.json"]))
        answer = ask_git(mirror, "command=fetch", f"want {commit}", "done")

    assert answer.status == 404 or b"ERR" in answer.body
    assert b"PACK" not in answer.body


def test_many_who_clone_at_once_share_one_pack(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(*asked: Any) -> bytes | None:
        made.append(1)
        return packs.join(*asked)

    monkeypatch.setattr(git, "join", counted)
    want, got = f"want {commit_of(mirror)}", []
    threads = [
        threading.Thread(target=lambda: got.append(ask_git(mirror, "command=fetch", want, "done").body))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert (len(made), len(got), len({sha256(body) for body in got})) == (1, 20, 1)


def name_objects(mirror: Mirror, value: object, **headers: str) -> tuple[int, Any]:
    answer = ask(mirror.url, LFS_BATCH, method="POST", body=json.dumps(value).encode(), **headers)
    return answer.status, json.loads(answer.body)


def test_git_lfs_is_told_where_the_files_are_and_shows_its_token_there(model_folder: Path) -> None:
    digest = EXPECTED[WEIGHTS]
    objects = [{"oid": digest, "size": len(FILES[WEIGHTS])}, {"oid": "0" * 64, "size": 1}]
    with Mirror({REPO: model_folder}, token=TOKEN) as mirror:
        bearer = f"Bearer {TOKEN}"
        status, said = name_objects(mirror, {"operation": "download", "objects": objects}, Authorization=bearer)
        action = said["objects"][0]["actions"]["download"]
        got = ask(mirror.url, urlsplit(action["href"]).path, **action["header"])
        url = mirror.url

    assert (status, action["href"].startswith(url)) == (200, True)
    assert sha256(got.body) == digest
    assert said["objects"][1]["error"]["code"] == 404


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"operation": "upload", "objects": []}, 403),
        ({"operation": "download"}, 422),
        ({"operation": "download", "objects": [{"oid": 1}]}, 422),
        ({"operation": "download", "objects": {"a": 1}}, 422),
        ([], 422),
        ({"operation": "download", "objects": [{"oid": "../../etc/passwd", "size": 1}]}, 200),
    ],
)
def test_git_lfs_may_not_write_and_garbage_is_refused(mirror: Mirror, value: object, status: int) -> None:
    assert name_objects(mirror, value)[0] == status


def test_lines_are_parted_by_their_length() -> None:
    assert packets_of(b"0007ab\n00000001000dcommand=x0004") == ["ab", "command=x", ""]


def test_a_connection_that_ends_within_a_question_is_left(mirror: Mirror) -> None:
    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=120)
    connection.putrequest("POST", UPLOAD_PACK)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"0014")
    connection.close()

    assert ask_git(mirror, "command=ls-refs").status == 200
