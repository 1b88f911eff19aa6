from __future__ import annotations

import hashlib
import http.client
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from qwen3ft_jupyter.cache.own.manifest import Manifest, ManifestFile, Stamp, write_manifest
from qwen3ft_jupyter.hubs.names import LeftOut, SafePath, Sha256, parse_repo_id
from qwen3ft_jupyter.mirror.mirror import Mirror
from qwen3ft_jupyter.mirror.models import ServedFile, derived_commit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

REPO = "qwen3ft/Qwen3-Practice"
WEIGHTS = random.Random(7).randbytes(8_400_001)  # noqa: S311 - any bytes will do
FILES = {
    "config.json": b'{"model_type": "qwen3"}\n',
    "empty.txt": b"",
    "model.safetensors": WEIGHTS,
    "sub/deep/\u8bfb\u6211 + 100%.txt": "\u4f60\u597d\n".encode(),
    "sub/notes.md": b"# notes\n",
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def ask(url: str, target: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """Send one request exactly as written; `_` in header names stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.request(method, target, body=body, headers=named)
        response = connection.getresponse()
        answer = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, answer, response.read())
    finally:
        connection.close()


def fill(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def put_in_cache(
    folder: Path,
    files: Mapping[str, bytes],
    commit: str,
    revision: str,
    *,
    repo_id: str = REPO,
    created: float = 1.0,
    left_out: Sequence[str] = (),
) -> Path:
    """Make a cached model as a download leaves it."""
    fill(folder, files)
    entries = tuple(
        ManifestFile(SafePath(path), len(data), Sha256(sha256(data)), Stamp.of((folder / path).stat()))
        for path, data in files.items()
    )
    stayed = tuple(LeftOut(path, 1) for path in left_out)
    manifest = Manifest(
        parse_repo_id(repo_id), "modelscope", revision, commit, created, created, entries, left_out=stayed
    )
    write_manifest(folder, manifest)
    return folder


def git_sha1(data: bytes) -> str:
    """Return git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def own_commit(files: Mapping[str, bytes]) -> str:
    """Return the commit under which a mirror shows exactly these files."""
    return derived_commit(
        ServedFile(SafePath(path), len(data), Sha256(sha256(data)), None) for path, data in files.items()
    )


def digests(folder: Path) -> dict[str, str]:
    """Return path and sha256 of every file a client put into `folder`, its own dotfolders aside."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith("."):
            found[name] = sha256(path.read_bytes())
    return found


EXPECTED = {path: sha256(data) for path, data in FILES.items()}


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = fill(tmp_path / "model", FILES)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / ".env").write_text("secret")
    (folder / "outside.txt").symlink_to(fill(tmp_path / "elsewhere", {"secret.txt": b"secret"}) / "secret.txt")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    return folder


@pytest.fixture
def mirror(model_folder: Path) -> Iterator[Mirror]:
    with Mirror({REPO: model_folder}) as running:
        yield running
