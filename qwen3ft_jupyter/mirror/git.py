"""Git's protocol over HTTP, as far as ``git clone`` needs it: a repo of one commit for each version of a model.

Git names a commit by what is in it, so this one is another than the mirror's own, for which no file has to be read.
What asks in git's first protocol are the clients of both hubs, which look for a commit to ask for: they get the
mirror's own. Git itself speaks the second (gitprotocol-v2). Of large files there are pointers, as on both hubs; git-lfs
is told where the files are.
"""

from __future__ import annotations

import json
import threading
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from qwen3ft_jupyter.mirror.packs import Pack, join, packet, packets_of, side_band
from qwen3ft_jupyter.mirror.refusals import NO_REPO, READ_ONLY, no_repo, refused
from qwen3ft_jupyter.mirror.replies import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedModel
    from qwen3ft_jupyter.mirror.replies import Asked

MAX_PACK_BYTES: Final = 128 << 20
"""Small files of the models in one answer, which is made in memory; a model has some 10 MB of them."""
MAX_QUESTION_BYTES: Final = 1 << 20
"""A question of git, unpacked."""
MAX_LFS_OBJECTS: Final = 10_000
FLUSH: Final = b"0000"
DELIMITER: Final = b"0001"
_SERVICE: Final = packet("# service=git-upload-pack\n") + FLUSH
_ABILITIES: Final = ("version 2", "agent=qwen3ft-mirror", "ls-refs", "fetch=shallow", "object-format=sha1")


class LastPack:
    """The last pack that was sent: those who clone the same model at the same time share its bytes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # one is made at a time: each is some 10 MB, and costs a second of a processor
        self._last: tuple[object, bytes] = (None, b"")

    def of(self, library: Library, packs: Mapping[str, Pack], head: bytes) -> bytes | None:
        """Return the answer that begins with `head` and ends with a pack of some models; None if a file has changed.

        Raises:
            OSError: The machine is exhausted just now.
            Stopped: The mirror is closing.
        """
        names = (head, *sorted(packs))
        with self._lock:
            if self._last[0] != names:
                data = join(library, packs.values())
                if data is None:
                    return None
                self._last = (names, b"".join([head, packet("packfile\n"), *side_band(data), FLUSH]))
            return self._last[1]


def answer(asked: Asked, library: Library, last_pack: LastPack) -> Reply | None:
    """Return the answer, or None if this is no question of this protocol.

    Raises:
        OSError: The machine is exhausted just now.
        Stopped: The mirror is closing.
    """
    parts = asked.parts[1:] if asked.parts[:1] == ("models",) else asked.parts
    match parts:
        case (owner, name, "info", "refs") if asked.is_read:
            return _advertise(asked, library, _repo_id(owner, name))
        case (owner, name, "git-upload-pack") if asked.method == "POST":
            return _serve(asked, library, last_pack, _repo_id(owner, name))
        case (_, _, "git-receive-pack"):
            return refused(403, "", READ_ONLY)
        case (owner, name, "info", "lfs", "objects", "batch") if asked.method == "POST":
            return _name_objects(asked, library, _repo_id(owner, name))
    return None


def is_by_git(asked: Asked) -> bool:
    """Return whether git itself asks, not git-lfs."""
    return asked.headers.get("user-agent", "").startswith("git/")


def in_plain_text(refusal: Reply) -> Reply:
    """Return a refusal in the form in which git shows its words."""
    words = refusal.reason or refusal.headers.get("X-Error-Message", "")
    return replace(refusal, headers={**refusal.headers, "Content-Type": "text/plain"}, body=f"{words}\n".encode())


def _repo_id(owner: str, name: str) -> str:
    return f"{owner}/{name.removesuffix('.git')}"


def _advertise(asked: Asked, library: Library, repo_id: str) -> Reply:
    """Answer the first question: what can be asked, or in the first protocol which commit each branch points to."""
    if asked.query.get("service") == "git-receive-pack":
        return refused(403, "", READ_ONLY)
    found = library.whole_versions(repo_id)
    if not found:
        return no_repo()
    if "version=2" in asked.headers.get("git-protocol", "").split(":"):
        lines = [packet(f"{line}\n") for line in _ABILITIES]
    else:
        refs = sorted((name, model.commit) for model in found for name in model.branches)
        head = [f"{found[0].commit} HEAD\0symref=HEAD:refs/heads/master\n"] if found[0].is_default else []
        lines = [packet(line) for line in (*head, *(f"{commit} refs/heads/{name}\n" for name, commit in refs))]
    return _reply("upload-pack-advertisement", b"".join([_SERVICE, *lines, FLUSH]))


def _serve(asked: Asked, library: Library, last_pack: LastPack, repo_id: str) -> Reply:
    lines = packets_of(_unpacked(asked))
    if lines is None:
        return refused(400, "", "This is no question of git's.")
    found = library.whole_versions(repo_id)
    if not found:
        return no_repo()
    match lines[:1]:
        case ["command=ls-refs"]:
            body = _list_refs(_packs(library, found))
        case ["command=fetch"]:
            body = _fetch(lines, library, _packs(library, found), last_pack)
        case _:
            body = packet("ERR this mirror speaks git's protocol version 2: take git 2.26, or -c protocol.version=2\n")
    return _reply("upload-pack-result", body)


def _packs(library: Library, found: Sequence[ServedModel]) -> list[Pack]:
    packs = [Pack.of(library, model) for model in found]
    return [pack for pack in packs if pack is not None]


def _list_refs(packs: Sequence[Pack]) -> bytes:
    lines = [f"{pack.commit} HEAD symref-target:refs/heads/main\n" for pack in packs if pack.model.is_default]
    named = sorted((name, pack.commit) for pack in packs for name in pack.model.branches)
    lines += [f"{commit} refs/heads/{name}\n" for name, commit in named]
    return b"".join([*map(packet, lines), FLUSH])


def _fetch(lines: Sequence[str], library: Library, packs: Sequence[Pack], last_pack: LastPack) -> bytes:
    """Send everything that is wanted, whatever the other side has already: there is little of it."""
    wants = {line.removeprefix("want ") for line in lines if line.startswith("want ")}
    wanted = {pack.commit: pack for pack in packs if pack.commit in wants}
    if not wants or wants != wanted.keys():
        return packet("ERR this mirror does not have that commit any more\n")
    if sum(pack.size for pack in wanted.values()) > MAX_PACK_BYTES:
        return packet("ERR too much for git: take it with `hf download` or `modelscope download`\n")
    head = b""
    if "done" not in lines:
        head += packet("acknowledgments\n") + packet("NAK\n") + packet("ready\n") + DELIMITER
    if any(line.startswith("deepen ") for line in lines):
        head += packet("shallow-info\n") + DELIMITER  # no commit here has a parent to be cut off
    return last_pack.of(library, wanted, head) or packet("ERR the model is being changed on this mirror: try again\n")


def _name_objects(asked: Asked, library: Library, repo_id: str) -> Reply:
    """Tell git-lfs where the files are (git-lfs, batch API)."""
    kind = {"Content-Type": "application/vnd.git-lfs+json"}
    try:
        body = json.loads(asked.body)
        wanted = [(str(one["oid"]), int(one["size"])) for one in body["objects"][:MAX_LFS_OBJECTS]]
        is_download = body["operation"] == "download"
    except (ValueError, KeyError, TypeError, RecursionError):
        return json_reply({"message": "The body names no objects."}, status=422, headers=kind)
    if not is_download:
        return json_reply({"message": READ_ONLY}, status=403, headers=kind)
    found = library.whole_versions(repo_id)
    places = {str(file.sha256): (model, str(file.path)) for model in found for file in model.files.values()}
    shown = {name.title(): asked.headers[name] for name in ("authorization",) if name in asked.headers}
    objects = []
    for oid, size in wanted:
        said: dict[str, object] = {"error": {"code": 404, "message": NO_REPO}}
        if oid in places:
            said = {"actions": {"download": {"href": _address(asked, *places[oid]), "header": shown}}}
        objects.append({"oid": oid, "size": size, **said})
    return json_reply({"transfer": "basic", "objects": objects}, headers=kind)


def _address(asked: Asked, model: ServedModel, path: str) -> str:
    return f"{asked.origin}/{model.repo_id}/resolve/{model.commit}/{quote(path)}"


def _unpacked(asked: Asked) -> bytes:
    """Return the body, which git may compress; nothing if it is no body of git's."""
    if asked.headers.get("content-encoding", "identity") == "identity":
        return asked.body
    try:
        return zlib.decompressobj(wbits=31).decompress(asked.body, MAX_QUESTION_BYTES)
    except zlib.error:
        return b""


def _reply(kind: str, body: bytes) -> Reply:
    return Reply(200, {"Content-Type": f"application/x-git-{kind}", "Cache-Control": "no-cache"}, body)
