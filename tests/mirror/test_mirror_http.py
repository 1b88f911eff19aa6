from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from qwen3ft_jupyter.errors import BadName, NotCached
from qwen3ft_jupyter.mirror import handler
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.lived import Lived
from tests.mirror.conftest import EXPECTED, FILES, REPO, WEIGHTS, ask, fill, sha256

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS_HF = f"/{REPO}/resolve/main/model.safetensors"
WEIGHTS_MS = f"/api/v1/models/{REPO}/repo?Revision=master&FilePath=model.safetensors"
WEIGHTS_PAGE = f"/models/{REPO}/resolve/master/model.safetensors"
LISTING_MS = f"/api/v1/models/{REPO}/repo/files?Revision=master&Recursive=True"
TREE = f"/api/models/{REPO}/tree/main?recursive=true&expand=false"

every_way = pytest.mark.parametrize("target", [WEIGHTS_HF, WEIGHTS_MS, WEIGHTS_PAGE])


def commit_of(mirror: Mirror) -> str:
    return str(json.loads(ask(mirror.url, f"/api/models/{REPO}").body)["sha"])


@every_way
def test_a_file_comes_whole_with_its_digest_as_validator(mirror: Mirror, target: str) -> None:
    answer = ask(mirror.url, target)

    assert (answer.status, sha256(answer.body)) == (200, EXPECTED["model.safetensors"])
    assert answer.headers["etag"] == f'"{EXPECTED["model.safetensors"]}"'
    assert answer.headers["x-repo-commit"] == commit_of(mirror)
    assert answer.headers["accept-ranges"] == "bytes"


@every_way
def test_head_says_what_get_would_and_sends_no_body(mirror: Mirror, target: str) -> None:
    answer = ask(mirror.url, target, method="HEAD", Range="bytes=0-9")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(WEIGHTS))
    assert answer.headers["x-linked-size"] == str(len(WEIGHTS))


@every_way
def test_a_range_comes_as_asked(mirror: Mirror, target: str) -> None:
    answer = ask(mirror.url, target, Range="bytes=1000-2999")

    assert (answer.status, answer.body) == (206, WEIGHTS[1000:3000])
    assert answer.headers["content-range"] == f"bytes 1000-2999/{len(WEIGHTS)}"
    assert answer.headers["content-length"] == "2000"


@every_way
def test_a_range_past_the_end_is_refused_with_the_size(mirror: Mirror, target: str) -> None:
    answer = ask(mirror.url, target, Range=f"bytes={len(WEIGHTS)}-")

    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(WEIGHTS)}"


@pytest.mark.parametrize(
    ("asked", "status", "length"),
    [
        ("bytes=0-99999999999999999999", 200, len(WEIGHTS)),  # more digits than any file has bytes
        ("bytes=99999999999999999999-", 200, len(WEIGHTS)),
        ("bytes=9223372036854775807-", 416, 0),
        ("bytes=-9223372036854775808", 206, len(WEIGHTS)),
        ("bytes=0-0," * 2000 + "0-0", 431, None),
        ("bytes=" + ",".join(["0-0"] * 100), 200, len(WEIGHTS)),  # several at once: the whole file, once
        ("bytes=5-4", 200, len(WEIGHTS)),
        ("bytes=0x10-0x20", 200, len(WEIGHTS)),
        ("seconds=1-2", 200, len(WEIGHTS)),
        ("bytes=" + "9" * 5000 + "-", 200, len(WEIGHTS)),
    ],
)
def test_absurd_ranges_get_the_whole_file_or_a_refusal(
    mirror: Mirror, asked: str, status: int, length: int | None
) -> None:
    answer = ask(mirror.url, WEIGHTS_HF, Range=asked)

    assert answer.status == status
    assert length is None or len(answer.body) == length
    assert ask(mirror.url, WEIGHTS_HF, Range="bytes=0-0").body == WEIGHTS[:1]


def test_if_range_with_another_version_gets_the_whole_file(mirror: Mirror) -> None:
    etag = ask(mirror.url, WEIGHTS_HF, method="HEAD").headers["etag"]

    assert ask(mirror.url, WEIGHTS_HF, Range="bytes=5-9", If_Range=etag).status == 206
    assert ask(mirror.url, WEIGHTS_HF, Range="bytes=5-9", If_Range='"other"').body == WEIGHTS
    assert ask(mirror.url, WEIGHTS_HF, If_None_Match=etag).status == 304


def test_conditions_are_those_of_the_standard(mirror: Mirror) -> None:
    """RFC 9110, sections 13.1 and 13.2: If-Match goes before If-None-Match, and both before a range."""
    etag = ask(mirror.url, WEIGHTS_HF, method="HEAD").headers["etag"]
    weak, other = f"W/{etag}", '"other"'

    def status(method: str = "GET", **headers: str) -> tuple[int, int]:
        answer = ask(mirror.url, WEIGHTS_HF, method=method, body=None, **headers)
        return answer.status, len(answer.body)

    for method in ("GET", "HEAD"):
        for known in (etag, weak, "*", f"{other}, {etag}", f"{other},{weak}"):
            assert status(method, If_None_Match=known) == (304, 0)
            assert status(method, If_None_Match=known, Range="bytes=0-9") == (304, 0)
        assert status(method, If_Match=other) == status(method, If_Match=weak) == (412, 0)
        assert status(method, If_Match=other, If_None_Match=etag) == (412, 0)
    assert status(If_None_Match=other, Range="bytes=0-9") == (206, 10)
    assert (
        status(If_Match=f"{other}, {etag}", Range="bytes=0-9") == status(If_Match="*", Range="bytes=0-9") == (206, 10)
    )
    for version in (weak, other, "Sat, 28 Nov 2026 00:00:00 GMT", "*"):
        assert status(If_Range=version, Range="bytes=0-9") == (200, len(WEIGHTS))


@every_way
def test_an_answer_without_a_body_has_the_headers_of_one_with(mirror: Mirror, target: str) -> None:
    names = ("etag", "content-length", "content-type", "accept-ranges", "x-repo-commit")
    head, get = (ask(mirror.url, target, method=method) for method in ("HEAD", "GET"))
    same = ask(mirror.url, target, If_None_Match=get.headers["etag"])

    assert {name: head.headers[name] for name in names} == {name: get.headers[name] for name in names}
    assert (same.status, same.headers["etag"], "content-length" in same.headers) == (304, get.headers["etag"], False)
    assert "date" in get.headers


@pytest.mark.parametrize("target", ["/nothing", f"/{REPO}/resolve/main/nothing", "/api/models/a/b", TREE, "/"])
def test_a_head_is_answered_like_a_get_whatever_is_asked(mirror: Mirror, target: str) -> None:
    head, get = (ask(mirror.url, target, method=method) for method in ("HEAD", "GET"))

    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-length"] == str(len(get.body))


def test_a_request_that_names_two_hosts_is_refused(mirror: Mirror) -> None:
    host = urlsplit(mirror.url).netloc
    with connect(mirror) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n".encode())
        received = drained(connection)

    assert received.startswith(b"HTTP/1.1 400 ")


def test_fifty_ranges_at_once_make_the_file(mirror: Mirror) -> None:
    step = len(WEIGHTS) // 50 + 1
    starts = range(0, len(WEIGHTS), step)

    def part(start: int) -> bytes:
        return ask(mirror.url, WEIGHTS_MS, Range=f"bytes={start}-{start + step - 1}").body

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        whole = b"".join(pool.map(part, starts))

    assert sha256(whole) == EXPECTED["model.safetensors"]


def test_a_connection_serves_request_after_request(mirror: Mirror) -> None:
    """HTTP/1.1 keep-alive: an error, a body and a HEAD in between leave it in step."""
    import http.client

    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=120)
    ports, statuses = set(), []
    with contextlib.closing(connection):
        for method, target in [
            ("GET", TREE),
            ("HEAD", WEIGHTS_HF),
            ("POST", f"{TREE}&x=1"),
            ("GET", "/no"),
            ("GET", TREE),
        ]:
            connection.request(method, target, body=b"a body" if method == "POST" else None)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
            ports.add(connection.sock.getsockname()[1] if connection.sock else None)

    assert statuses == [200, 200, 405, 404, 200]
    assert len(ports) == 1


def test_only_safe_regular_files_are_listed(mirror: Mirror) -> None:
    """No dotfile, nothing in a dotfolder, no symlink, nothing that runs code."""
    tree = json.loads(ask(mirror.url, TREE).body)
    files = json.loads(ask(mirror.url, LISTING_MS).body)["Data"]["Files"]

    assert {entry["path"] for entry in tree if entry["type"] == "file"} == set(FILES)
    assert {entry["Path"] for entry in files if entry["Type"] == "blob"} == set(FILES)
    assert {entry["Path"] for entry in files if entry["Type"] == "tree"} == {"sub", "sub/deep"}


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/api/models/qwen3ft/nothing", 404, "RepoNotFound"),
        ("/qwen3ft/nothing/resolve/main/config.json", 404, "RepoNotFound"),
        (f"/api/models/{REPO}/revision/v9", 404, "RevisionNotFound"),
        (f"/api/models/{REPO}/tree/v9", 404, "RevisionNotFound"),
        (f"/{REPO}/resolve/v9%0d%0aX-Planted:1/config.json", 404, "RevisionNotFound"),
        (f"/{REPO}/resolve/main/nothing.json", 404, "EntryNotFound"),
        (f"/api/models/{REPO}/tree/main/nothing", 404, "EntryNotFound"),
    ],
)
def test_hugging_face_names_what_is_missing(mirror: Mirror, target: str, status: int, code: str) -> None:
    answer = ask(mirror.url, target)

    assert (answer.status, answer.headers["x-error-code"]) == (status, code)
    assert "x-planted" not in answer.headers


def test_a_missing_repo_is_missing_in_the_status_and_in_the_body(mirror: Mirror) -> None:
    answer = ask(mirror.url, "/api/v1/models/qwen3ft/nothing/repo/files?Revision=master&Recursive=True")

    assert (answer.status, json.loads(answer.body)["Success"]) == (404, False)


def test_a_long_tree_comes_in_pages(tmp_path: Path) -> None:
    names = {f"part/{number:04}.txt" for number in range(2100)}
    fill(tmp_path / "long", dict.fromkeys(names, b"x"))
    seen: list[str] = []
    with Mirror({REPO: tmp_path / "long"}) as mirror:
        target, pages = TREE, 0
        while target:
            answer = ask(mirror.url, target)
            seen += [entry["path"] for entry in json.loads(answer.body) if entry["type"] == "file"]
            pages += 1
            link = answer.headers.get("link", "")
            assert not link or link.startswith(f"<{mirror.url}/api/")
            target = link.partition(">")[0].removeprefix(f"<{mirror.url}")
        whole = json.loads(ask(mirror.url, LISTING_MS).body)["Data"]["Files"]

    assert (pages, set(seen), len(seen)) == (3, names, 2100)
    assert {entry["Path"] for entry in whole} == names | {"part"}


def test_git_is_told_the_commit_of_both_default_branches(mirror: Mirror) -> None:
    from qwen3ft_jupyter.hubs.git_refs import commit_of as commit_in
    from qwen3ft_jupyter.hubs.git_refs import parse_refs

    refs = parse_refs(ask(mirror.url, f"/{REPO}.git/info/refs?service=git-upload-pack").body)

    assert commit_in(refs, "master") == commit_in(refs, "main") == commit_of(mirror)


def test_the_commit_depends_on_the_contents_alone(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    fill(one, {"a.txt": b"1", "b.txt": b"2"})
    fill(same, {"b.txt": b"2", "a.txt": b"1"})
    fill(other, {"a.txt": b"2", "b.txt": b"1"})
    with Mirror({"a/one": one, "b/same": same, "c/other": other}) as mirror:
        commits = [
            json.loads(ask(mirror.url, f"/api/models/{repo}").body)["sha"] for repo in ("a/one", "b/same", "c/other")
        ]

    assert commits[0] == commits[1] != commits[2]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(mirror: Mirror, method: str) -> None:
    answer = ask(mirror.url, WEIGHTS_HF, method=method)

    assert answer.status == (501 if method == "OPTIONS" else 405)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "x\u00ff"]
)
def test_a_page_that_moves_its_name_to_loopback_is_refused(mirror: Mirror, host: str) -> None:
    """DNS rebinding: the browser sends the page's own name."""
    assert ask(mirror.url, WEIGHTS_HF, Host=host).status == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic token"}, 401),
        ({"Cookie": "m_session_id=wrong"}, 401),
        ({"Authorization": "Bearer token"}, 200),
        ({"Cookie": "m_session_id=token"}, 200),
        ({"Cookie": "other=1; m_session_id=token"}, 200),
    ],
)
@pytest.mark.parametrize("target", [WEIGHTS_HF, WEIGHTS_MS, TREE, LISTING_MS, "/", "/nothing"])
def test_the_token_guards_everything(model_folder: Path, target: str, headers: dict[str, str], status: int) -> None:
    with Mirror({REPO: model_folder}, token="token") as mirror:
        answer = ask(mirror.url, target, method="GET", body=None, **headers)

    assert answer.status == (404 if status == 200 and target == "/nothing" else status)


def connect(mirror: Mirror) -> socket.socket:
    parts = urlsplit(mirror.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=120)


def drained(connection: socket.socket) -> bytes:
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return bytes(received)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"a" * 1000 * 17 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 80 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"411"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\n\r\n", b"421"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"505"),
        (b"GET /\r\nHost: localhost\r\n\r\n", b"505"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ],
)
def test_dishonest_requests_are_refused_and_hung_up_on(mirror: Mirror, request_bytes: bytes, status: bytes) -> None:
    with connect(mirror) as connection:
        connection.sendall(request_bytes)
        received = drained(connection)  # ends, so the mirror closed

    assert status in received.partition(b"\r\n")[0]
    assert ask(mirror.url, TREE).status == 200


CONFIG = FILES["config.json"]


@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [
        (f"GET /{REPO}/resolve/main/config.json HTTP/1.0\r\n\r\n", CONFIG),
        (f"GET /{REPO}/resolve/main/config.json HTTP/1.0\r\nHost: localhost\r\n\r\n", CONFIG),
        (f"GET http://127.0.0.1:8/{REPO}/resolve/main/config.json HTTP/1.1\r\nHost: proxy\r\n", CONFIG),
        (f"GET HTTP://localhost/{REPO}/resolve/main/config.json HTTP/1.1\r\nHost: localhost\r\n", CONFIG),
        (f"GET /{REPO}/resolve/main/sub/deep/读我%20+%20100%25.txt HTTP/1.1\r\nHost: localhost\r\n", None),
    ],
    ids=["no host", "older", "through a proxy", "in capitals", "letters as they are typed"],
)
def test_what_older_programs_proxies_and_people_send_is_understood(
    mirror: Mirror, request_bytes: str, body: bytes | None
) -> None:
    with connect(mirror) as connection:
        connection.sendall(request_bytes.encode() + b"Connection: close\r\n\r\n")
        received = drained(connection)

    head, _, found = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert found == (body or FILES["sub/deep/读我 + 100%.txt"])


@pytest.mark.parametrize("target", ["http://evil.example/", "http://", "http://localhost@evil.example/", "https:///x"])
def test_a_whole_address_of_another_host_is_refused_in_words(mirror: Mirror, target: str) -> None:
    answer = ask(mirror.url, target)

    assert answer.status == 421
    assert "--host" in json.loads(answer.body)["error"]


def test_a_request_that_trickles_is_given_up(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "REQUEST_S", 0.3)

    with connect(mirror) as connection, Lived() as lived:
        connection.sendall(b"GET / HTT")
        received = drained(connection)

    assert received == b""
    assert lived.seconds < 5


def test_without_sendfile_the_bytes_are_the_same(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, and file systems that refuse it."""

    def refuse(*_args: Any) -> int:
        raise OSError("not here")

    monkeypatch.setattr(os, "sendfile", refuse)

    assert sha256(ask(mirror.url, WEIGHTS_HF).body) == EXPECTED["model.safetensors"]
    assert ask(mirror.url, WEIGHTS_HF, Range="bytes=5-9").body == WEIGHTS[5:10]


def test_nothing_is_written_to_stderr(mirror: Mirror, capfd: pytest.CaptureFixture[str]) -> None:
    ask(mirror.url, "/nothing")
    with connect(mirror) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        drained(connection)

    assert capfd.readouterr() == ("", "")


def test_a_folder_with_nothing_to_serve_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("x")

    with pytest.raises(NotCached), Mirror({REPO: tmp_path}):
        pass
    with pytest.raises(NotCached), Mirror({REPO: tmp_path / "nowhere"}):
        pass
    with pytest.raises(BadName):
        Mirror({"no owner": tmp_path})
