"""A hub on loopback that takes uploads from both hubs' own clients, and misbehaves where a test says so.

The routes are those that huggingface_hub 2 and modelscope_hub 0.5 use. Like the real ones it makes no difference
between a blob that was uploaded for a commit and one that an upload left which broke off: it is not asked for again.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

TOKEN = "a-made-up-token-of-nobody"
LARGE = (".safetensors", ".gguf")
"""What Hugging Face takes ahead of a commit; ModelScope's client decides by itself."""


@dataclass
class Repo:
    """One repo."""

    is_private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    """The paths that each commit brought."""

    @property
    def head(self) -> str:
        return _git_sha(repr((self.commits, sorted(self.files))).encode())


@dataclass(frozen=True)
class Fault:
    """An answer in place of the right one."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    reset_after: int | None = None
    """So many bytes of the body are read, and the connection is reset."""


class UploadHub:
    """Serves on 127.0.0.1 for the length of a `with` block. `me` may write, with the token."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.seen: list[tuple[str, str]] = []
        """Method and path of each request."""
        self.tokens: dict[str, set[str]] = {}
        """What was sent as authorization, by path."""
        self.sent: Counter[str] = Counter()
        """How often each blob was uploaded in whole, by digest."""
        self.faults: dict[str, list[Fault]] = {}
        """By a part of the path, the next answers to it."""
        self.on_put: Callable[[], None] = lambda: None
        """Called when half of a blob has come."""
        self.other: UploadHub | None = None
        """Where blobs are to go; here if left out."""
        self.creates_public = False
        self.part_bytes = 0
        """Hugging Face takes large blobs in parts of so many bytes; 0: in one."""
        self.parts: dict[tuple[str, int], bytes] = {}

        class Handler(_Handler):
            hub = self

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, part: str) -> int:
        """Return how many requests had a path with this part."""
        return sum(part in path for _, path in self.seen)

    def take_fault(self, path: str) -> Fault | None:
        for part, left in self.faults.items():
            if part in path and left:
                return left.pop(0)
        return None

    def actions(self, digest: str, size: int) -> dict[str, Any]:
        """Return where a blob is to go, as the LFS batch API says it; nothing if it is here."""
        if digest in self.blobs:
            return {}
        store = (self.other or self).url
        if not self.part_bytes:
            return {"actions": {"upload": {"href": f"{store}/put/{digest}?X-Signature=very-secret"}}}
        count = -(-size // self.part_bytes)
        parts = {str(number): f"{store}/part/{digest}/{number}" for number in range(1, count + 1)}
        header = {"chunk_size": str(self.part_bytes), **parts}
        return {"actions": {"upload": {"href": f"{store}/whole/{digest}", "header": header}}}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, _request: Any, _address: Any) -> None:
        """Say nothing of clients that break off."""


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: UploadHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle(b"")

    def do_PUT(self) -> None:
        self._handle(None)

    def do_POST(self) -> None:
        self._handle(None)

    def _handle(self, body: bytes | None) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.seen.append((self.command, path))
        self.hub.tokens.setdefault(path, set()).add(self.headers.get("Authorization", ""))
        fault = self.hub.take_fault(path)
        if fault is not None and fault.reset_after is not None:
            self.rfile.read(fault.reset_after)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        body = self._read() if body is None else body
        if fault is not None:
            self._answer(fault.body, fault.status, fault.headers)
            return
        for method, pattern, function in _ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command and match is not None:
                function(self, body, **match.groupdict())
                return
        self._answer({"error": f"no route {path}"}, 404)

    def _read(self) -> bytes:
        size = int(self.headers.get("Content-Length", 0))
        first = self.rfile.read(size // 2)
        if self.command == "PUT":
            self.hub.on_put()
        return first + self.rfile.read(size - len(first))

    def _answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_file(self, data: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self._answer(data)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        self._answer(data[first : last + 1], 206, {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def _is_me(self) -> bool:
        return TOKEN in self.headers.get("Authorization", "")

    def _missing(self) -> None:
        self._answer(
            {"error": "Repository not found", "Code": 10010205001, "Message": "record not found", "Success": False},
            404 if self._is_me() else 401,
            {"X-Error-Code": "RepoNotFound"},
        )

    def _repo(self, repo: str) -> Repo | None:
        found = self.hub.repos.get(repo)
        if found is None or (found.is_private and not self._is_me()):
            self._missing()
            return None
        return found

    # Blobs, as both protocols have them

    def put_blob(self, body: bytes, digest: str) -> None:
        assert self.headers.get("Transfer-Encoding") is None, "stores take no chunks"
        assert hashlib.sha256(body).hexdigest() == digest
        self.hub.blobs[digest] = body
        self.hub.sent[digest] += 1
        self._answer({})

    def put_part(self, body: bytes, digest: str, number: str) -> None:
        self.hub.parts[digest, int(number)] = body
        self._answer({}, headers={"ETag": f"part-{number}"})

    def put_together(self, body: bytes, digest: str) -> None:
        numbers = [part["partNumber"] for part in json.loads(body)["parts"]]
        self.put_blob(b"".join(self.hub.parts[digest, number] for number in numbers), digest)

    # Hugging Face

    def hf_tree(self, _body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is not None:
            files = [
                {"type": "file", "path": path, "size": len(data), "oid": _git_sha(data), **_lfs_of(path, data)}
                for path, data in found.files.items()
            ]
            self._answer(files)

    def hf_file(self, _body: bytes, repo: str, file: str) -> None:
        if (found := self._repo(repo)) is not None:
            self._send_file(found.files[file])

    def hf_info(self, _body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is not None:
            siblings = [
                {"rfilename": path, "size": len(data), "blobId": _git_sha(data), **_lfs_of(path, data)}
                for path, data in found.files.items()
            ]
            self._answer({"id": repo, "sha": found.head, "private": found.is_private, "siblings": siblings})

    def hf_create(self, body: bytes) -> None:
        given = json.loads(body)
        repo = f"{given['organization']}/{given['name']}"
        if given["organization"] != "me":
            self._answer({"error": "You don't have the rights to create a model under this namespace"}, 403)
        elif repo in self.hub.repos:
            self._answer({"error": "You already created this model repo", "url": f"{self.hub.url}/{repo}"}, 409)
        else:
            is_private = given.get("visibility", "private" if given.get("private") else "") == "private"
            self.hub.repos[repo] = Repo(is_private and not self.hub.creates_public)
            self._answer({"url": f"{self.hub.url}/{repo}"})

    def hf_validate(self, _body: bytes) -> None:
        self._answer({"errors": [], "warnings": []})

    def hf_preupload(self, body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        answers = []
        for file in json.loads(body)["files"]:
            here, is_large = found.files.get(file["path"]), file["path"].endswith(LARGE)
            oid = None if here is None else hashlib.sha256(here).hexdigest() if is_large else _git_sha(here)
            answers.append(
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if is_large else "regular",
                    "shouldIgnore": False,
                    "oid": oid,
                }
            )
        self._answer({"files": answers})

    def hf_batch(self, body: bytes, repo: str) -> None:
        if self._repo(repo) is not None:
            objects = [{**one, **self.hub.actions(one["oid"], one["size"])} for one in json.loads(body)["objects"]]
            self._answer({"transfer": "basic", "objects": objects})

    def hf_commit(self, body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        brought = {}
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                brought[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                brought[value["path"]] = self.hub.blobs[value["oid"]]
        found.files |= brought
        found.commits.append(sorted(brought))
        self._answer({"commitUrl": f"{self.hub.url}/{repo}/commit/{found.head}", "commitOid": found.head})

    # ModelScope

    def ms_file(self, _body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is not None:
            self._send_file(found.files[parse_qs(urlsplit(self.path).query)["FilePath"][0]])

    def ms_info(self, _body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is not None:
            self._answer({"Code": 200, "Data": {"Visibility": 1 if found.is_private else 5, "Name": repo}})

    def ms_files(self, _body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is not None:
            files = [
                {
                    "Path": path,
                    "Name": path,
                    "Type": "blob",
                    "Size": len(data),
                    "Sha256": hashlib.sha256(data).hexdigest(),
                }
                for path, data in found.files.items()
            ]
            self._answer({"Code": 200, "Data": {"Files": files, "LatestCommitter": {}}})

    def ms_create(self, body: bytes) -> None:
        given = json.loads(body)
        repo = f"{given['Path']}/{given['Name']}"
        if given["Path"] != "me":
            self._answer({"Code": 403, "Message": "no permission on this namespace", "Success": False}, 403)
        elif repo in self.hub.repos:
            self._answer({"Code": 10010101001, "Message": "该名称已被注册使用，请重新命名", "Success": False}, 400)
        else:
            files = {"README.md": b"---\nlicense: %s\n---\n" % given["License"].encode()}
            self.hub.repos[repo] = Repo(given["Visibility"] == 1 and not self.hub.creates_public, files)
            self._answer({"Code": 200, "Data": {"Name": given["Name"], "Path": given["Path"]}})

    def ms_batch(self, body: bytes, repo: str) -> None:
        if self._repo(repo) is not None:
            objects = [{**one, **self.hub.actions(one["oid"], one["size"])} for one in json.loads(body)["objects"]]
            self._answer({"Code": 200, "Data": {"objects": objects}})

    def ms_commit(self, body: bytes, repo: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        brought = {}
        for action in json.loads(body)["actions"]:
            is_large = action["type"] == "lfs"
            content = self.hub.blobs[action["sha256"]] if is_large else base64.b64decode(action["content"])
            assert len(content) == action["size"]
            brought[action["path"]] = content
        found.files |= brought
        found.commits.append(sorted(brought))
        self._answer({"Code": 200, "Data": {"commitId": found.head}, "Success": True})


def _git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _lfs_of(path: str, data: bytes) -> dict[str, Any]:
    if not path.endswith(LARGE):
        return {}
    digest = hashlib.sha256(data).hexdigest()
    return {"lfs": {"sha256": digest, "oid": digest, "size": len(data), "pointerSize": 134}}


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("PUT", r"/put/(?P<digest>[0-9a-f]{64})", _Handler.put_blob),
    ("PUT", r"/part/(?P<digest>[0-9a-f]{64})/(?P<number>\d+)", _Handler.put_part),
    ("POST", r"/whole/(?P<digest>[0-9a-f]{64})", _Handler.put_together),
    ("GET", f"/api/models/{_REPO}/tree/[0-9a-f]+", _Handler.hf_tree),
    ("GET", rf"/{_REPO}/resolve/[0-9a-f]+/(?P<file>.+)", _Handler.hf_file),
    ("GET", f"/api/v1/models/{_REPO}/repo", _Handler.ms_file),
    ("POST", "/api/repos/create", _Handler.hf_create),
    ("POST", "/api/validate-yaml", _Handler.hf_validate),
    ("GET", f"/api/models/{_REPO}", _Handler.hf_info),
    ("GET", f"/api/models/{_REPO}/revision/main", _Handler.hf_info),
    ("POST", f"/api/models/{_REPO}/preupload/main", _Handler.hf_preupload),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler.hf_batch),
    ("POST", f"/api/models/{_REPO}/commit/main", _Handler.hf_commit),
    ("POST", "/api/v1/models", _Handler.ms_create),
    ("GET", f"/api/v1/models/{_REPO}", _Handler.ms_info),
    ("GET", f"/api/v1/models/{_REPO}/repo/files", _Handler.ms_files),
    ("POST", f"/api/v1/repos/models/{_REPO}/info/lfs/objects/batch", _Handler.ms_batch),
    ("POST", f"/api/v1/repos/models/{_REPO}/commit/master", _Handler.ms_commit),
]
