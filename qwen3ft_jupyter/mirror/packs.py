"""What git sends over the wire: lines with their length, and objects in a pack (gitprotocol-common, gitformat-pack)."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.mirror.models import git_sha1

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Self

    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedFile, ServedModel

ATTRIBUTES: Final = ".gitattributes"
"""A file that is made here: it tells git-lfs what it has to fetch."""
SIDE_BAND_BYTES: Final = 65_515
"""Of a pack in one line, the longest that git takes."""
MAX_LINES: Final = 20_000
_COMMIT, _TREE, _BLOB = 1, 2, 3
_KINDS: Final = {_COMMIT: "commit", _TREE: "tree", _BLOB: "blob"}
_TREE_MODE, _FILE_MODE = b"40000", b"100644"
_FAST: Final = 1
"""Weights are pointers; what is left is small, and sent over a local network."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A model as git keeps it."""

    commit: str
    """Git's name of its only commit."""
    objects: Mapping[str, tuple[int, bytes]]
    """Kind and content of what is not a file of the model, by git's name."""
    files: Mapping[str, ServedFile]
    """Those of the model that git keeps whole, by git's name."""
    model: ServedModel

    @classmethod
    def of(cls, library: Library, model: ServedModel) -> Self | None:
        """Return a model as git keeps it, or None if a file is not the listed one any more.

        Raises:
            OSError: The machine is exhausted just now.
            Stopped: The mirror is closing.
        """
        objects: dict[str, tuple[int, bytes]] = {}
        lfs = sorted(path for path, file in model.files.items() if file.is_lfs)
        names = {path: _put(objects, _BLOB, model.files[path].pointer) for path in lfs}
        attributes = "".join(f"{_pattern(path)} filter=lfs diff=lfs merge=lfs -text\n" for path in lfs)
        names[ATTRIBUTES] = _put(objects, _BLOB, attributes.encode())
        files: dict[str, ServedFile] = {}
        for file in model.files.values():
            if not file.is_lfs:
                name = library.git_sha1(model, file)
                if name is None:
                    return None
                names[file.path], files[name] = name, file
        tree = _put_tree(objects, names)
        who = f"qwen3ft-mirror <> {int(model.created)} +0000"
        text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nWhat this mirror has of {model.repo_id}\n"
        return cls(_put(objects, _COMMIT, text.encode()), objects, files, model)

    @property
    def size(self) -> int:
        """Return the bytes of the files that git keeps whole."""
        return sum(file.size for file in self.files.values())


def join(library: Library, packs: Iterable[Pack]) -> bytes | None:
    """Return the objects of several models as git sends them, each once; None if a file has changed.

    Raises:
        OSError: The machine is exhausted just now.
        Stopped: The mirror is closing.
    """
    objects: dict[str, bytes] = {}
    for pack in packs:
        objects |= {name: _packed(kind, data) for name, (kind, data) in pack.objects.items()}
        for name, file in pack.files.items():
            data = _read(library, pack.model, file) if name not in objects else None
            if data is not None:
                objects[name] = _packed(_BLOB, data)
            elif name not in objects:
                return None
    body = b"".join([b"PACK", (2).to_bytes(4, "big"), len(objects).to_bytes(4, "big"), *objects.values()])
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def packet(line: str | bytes) -> bytes:
    """Return a line with its length.

    >>> packet("done")
    b'0008done'
    """
    data = line.encode() if isinstance(line, str) else line
    return b"%04x%s" % (len(data) + 4, data)


def packets_of(data: bytes) -> list[str] | None:
    """Return the lines of a question, without those that only part them; None if it is none.

    >>> packets_of(b"0008done0000")
    ['done']
    """
    lines: list[str] = []
    position = 0
    while position < len(data):
        try:
            length = int(data[position : position + 4], 16)
        except ValueError:
            return None
        if length >= 4:
            lines.append(data[position + 4 : position + length].decode("utf-8", "replace").rstrip("\n"))
        if len(lines) > MAX_LINES:
            return None
        position += max(length, 4)
    return lines


def side_band(data: bytes) -> Iterator[bytes]:
    """Yield a pack in lines, marked as data."""
    for start in range(0, len(data), SIDE_BAND_BYTES):
        yield packet(b"\x01" + data[start : start + SIDE_BAND_BYTES])


def _read(library: Library, model: ServedModel, file: ServedFile) -> bytes | None:
    opened = library.open(model, file)
    if opened is None:
        return None
    with opened[0] as stream:
        data = stream.read(file.size)
    return data if hashlib.sha256(data).hexdigest() == file.sha256 else None


def _packed(kind: int, data: bytes) -> bytes:
    return _head(kind, len(data)) + zlib.compress(data, _FAST)


def _pattern(path: str) -> str:
    """Return a path as a pattern that means nothing else (gitattributes): quoted, as it may hold spaces."""
    escaped = "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in f"/{path}")
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _put_tree(objects: dict[str, tuple[int, bytes]], names: Mapping[str, str]) -> str:
    """Add a folder with the folders in it, from git's name of each file, and return git's name of it."""
    folders: dict[str, dict[str, str]] = {}
    entries: list[tuple[bytes, bytes, bytes]] = []  # what git sorts by, mode and name, the object
    for path, git_name in names.items():
        folder, _, rest = path.partition("/")
        if rest:
            folders.setdefault(folder, {})[rest] = git_name
        else:
            entries.append(_tree_entry(path, _FILE_MODE, git_name))
    entries += [_tree_entry(name, _TREE_MODE, _put_tree(objects, inner)) for name, inner in folders.items()]
    return _put(objects, _TREE, b"".join(head + name for _, head, name in sorted(entries)))


def _tree_entry(name: str, mode: bytes, git_name: str) -> tuple[bytes, bytes, bytes]:
    sorted_by = name.encode() + (b"/" if mode == _TREE_MODE else b"")
    return sorted_by, mode + b" " + name.encode() + b"\0", bytes.fromhex(git_name)


def _put(objects: dict[str, tuple[int, bytes]], kind: int, data: bytes) -> str:
    name = git_sha1(data, _KINDS[kind])
    objects[name] = (kind, data)
    return name


def _head(kind: int, size: int) -> bytes:
    """Return kind and size of an object in a pack: four bits of the size, then seven at a time."""
    byte, size = (kind << 4) | (size & 15), size >> 4
    head = bytearray()
    while size:
        head.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    head.append(byte)
    return bytes(head)
