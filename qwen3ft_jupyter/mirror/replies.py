"""Requests and replies as the two protocols see them, and the reply that hands out a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, unquote

from qwen3ft_jupyter.mirror import ranges
from qwen3ft_jupyter.mirror.models import MAX_PLAIN_BYTES, pick, pick_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from io import FileIO

    from qwen3ft_jupyter.cache.own.manifest import Stamp
    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedFile, ServedModel


TRIES: Final = 3
"""A model may be replaced between being looked up and being opened, and again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    target: str
    """As it came: the path with its escapes, and the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    origin: str
    """``http://host:port`` as the client sees us, for links."""
    body: bytes = b""

    @property
    def path(self) -> str:
        """Return the path, still escaped."""
        return self.target.partition("?")[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts of the path, unescaped one by one: an escaped slash does not part."""
        return tuple(unquote(part) for part in self.path.strip("/").split("/"))

    @property
    def query(self) -> dict[str, str]:
        """Return the query's fields; the first of several with one name."""
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        return dict(reversed(pairs))

    @property
    def is_read(self) -> bool:
        """Return whether it is a GET or HEAD."""
        return self.method in {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of an open file."""

    file: FileIO
    start: int
    length: int
    stamp: Stamp
    """Under which the bytes are known to be the listed ones."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `Content-Length` is the body's unless the headers have one."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    slice: Slice | None = None
    reason: str = ""
    """Instead of the status's own words; of an error, ModelScope's older clients show nothing else."""


def json_reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return `value` as JSON."""
    body = json.dumps(value, ensure_ascii=True).encode()
    return Reply(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, body)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a file is not handed out."""

    what: Literal["repo", "revision", "file", "bytes"]
    """What is not here; "bytes" where the file is, but is damaged."""
    commit: str = ""
    """Of which it is known that it lacks the file; "" where only this mirror lacks it."""


@dataclass(frozen=True, slots=True)
class FileQuestion:
    """Which file is asked for."""

    repo_id: str
    revision: str
    path: str
    is_by_git: bool = False
    """Whether its validator is the digest that Hugging Face lists it by: git's where the file is not in LFS."""


def file_reply(asked: Asked, library: Library, question: FileQuestion) -> Reply | Missing:
    """Return a file of a model, or the part asked for.

    It may be asked for by the commit of the hub that it came from, too: it is one of that commit.

    Raises:
        OSError: The machine is exhausted just now.
        Stopped: The mirror is closing.
    """
    missing = Missing("repo")
    for _ in range(TRIES):
        found = library.versions(question.repo_id, question.revision)
        model, commit = find_version(found, question.revision)
        if model is None:
            return Missing("revision" if any(one.has_weights for one in found) else "repo")
        file = model.files.get(question.path)
        if file is None:
            return Missing("file", model.commit if commit == model.commit else "")
        etag = _etag(library, model, file, is_by_git=question.is_by_git)
        reply = _reply(asked, library, Found(model, file, commit, etag)) if etag else None
        if reply is not None:
            return reply
        missing = Missing("bytes")
        if model in library.versions(question.repo_id, question.revision):
            break
    return missing


def find_version(found: Sequence[ServedModel], revision: str) -> tuple[ServedModel | None, str]:
    """Return the version that has the files of a revision, and of which commit they are: ours or its hub's.

    One that lacks weights is no version of ours: clients would note its few files as all that there is.
    """
    model = pick([one for one in found if one.has_weights], revision)
    if model is not None:
        return model, model.commit
    model = pick_of(found, revision)
    return (model, model.origin) if model is not None else (None, "")


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is here."""

    model: ServedModel
    file: ServedFile
    commit: str
    """As whose it is handed out."""
    etag: str
    """Its validator, without quotes."""


def _is_as_listed(library: Library, found: Found) -> bool:
    """Return whether GET would hand a file out, without reading a large one: that would outlast a client's patience."""
    if found.file.size > MAX_PLAIN_BYTES:
        return library.has(found.model, found.file)
    opened = library.open(found.model, found.file)
    if opened is not None:
        opened[0].close()
    return opened is not None


def _etag(library: Library, model: ServedModel, file: ServedFile, *, is_by_git: bool) -> str | None:
    return library.git_sha1(model, file) if is_by_git and not file.is_lfs else file.sha256


def _reply(asked: Asked, library: Library, found: Found) -> Reply | None:
    """Return the answer, or None if the bytes here are not the listed ones any more."""
    model, file, etag = found.model, found.file, f'"{found.etag}"'
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "X-Repo-Commit": found.commit,
    }
    if file.is_lfs:
        headers |= {"X-Linked-ETag": etag, "X-Linked-Size": str(file.size)}
    refusal = ranges.precondition(asked.headers, etag)
    if refusal:
        return Reply(refusal, headers)
    if asked.method == "HEAD":
        return Reply(200, {**headers, "Content-Length": str(file.size)}) if _is_as_listed(library, found) else None
    part = ranges.wanted_part(asked.headers, size=file.size, etag=etag)
    if part.status == 416:
        return Reply(416, {**headers, "Content-Range": f"bytes */{file.size}"})
    opened = library.open(model, file)
    if opened is None:
        return None
    file_io, stamp = opened
    headers["Content-Length"] = str(part.length)
    if part.status == 206:
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{file.size}"
    return Reply(part.status, headers, slice=Slice(file_io, part.start, part.length, stamp))
