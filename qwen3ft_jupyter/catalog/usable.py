"""Whether files are a model that can be loaded. Whoever calls a model complete asks this: a list, a plan, a load."""

from __future__ import annotations

import json
import os
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from qwen3ft_jupyter.catalog.weights import (
    INDEX_NAME,
    MAX_HEADER_BYTES,
    MAX_INDEX_BYTES,
    indexed_tensors,
    is_plain_name,
)
from qwen3ft_jupyter.disk import READ_FLAGS
from qwen3ft_jupyter.messages import Message, Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

Kind = Literal["missing", "damaged", "format", "unsafe"]
"""A file is not there; is not what it was; is nothing that is read here; or may run code."""

WEIGHTS_NAME: Final = "model.safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
PICKLE_SUFFIXES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".ot")
"""Weight files that can run code when they are loaded."""
OTHER_SUFFIXES: Final = (*PICKLE_SUFFIXES, ".gguf", ".ggml", ".onnx", ".npz", ".tflite", ".mlmodel", ".pdparams")
"""Weight files that are not loaded here."""
_READ_JSON: Final = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "vocab.json",
                     "special_tokens_map.json", "added_tokens.json", ADAPTER_CONFIG)  # fmt: skip
"""What the libraries read as a JSON object wherever it is there."""
_TOKENIZERS: Final = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.model",), ("spiece.model",),
                      ("sentencepiece.bpe.model",), ("vocab.txt",), ("qwen.tiktoken",))  # fmt: skip
"""Any of these is a tokenizer."""
_PARSED_BYTES: Final = 1 << 20
"""A longer JSON file is only looked at where it begins and ends: a tokenizer has 11 MB."""
_SHARD = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})\.safetensors")
_UNFINISHED = re.compile(
    r"(.+?)(?:\.(?:incomplete|aria2|part|partial|crdownload|opdownload|download|downloading|parallel_tmp|filepart|tmp"
    r"|temp|td|xltd|!qb|!ut|bc!)|\.baiduyun\..*|_[0-9]+_[0-9]+)",
    re.IGNORECASE,
)
"""What programs call a file that has not arrived in whole, or their notes on it."""
_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_POINTER_BYTES: Final = 1024
"""A pointer is shorter (git-lfs, specification); weights are longer."""
_HOLE_BYTES: Final = 16 << 20
"""So much that was never written makes weights no weights; a row of zeros that some copy made a hole is shorter."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a model from being loaded."""

    kind: Kind
    name: str
    """The file."""
    words: Message

    def __str__(self) -> str:
        return str(self.words)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model, here or on a hub."""

    sizes: Mapping[str, int]
    """Bytes by path, with ``/`` between its parts."""
    open: Callable[[str], int] | None = None
    """Returns a descriptor to read a file, or raises OSError; None where nothing is here to be read."""
    is_vouched: bool = False
    """Whether every file has the bytes that a hub lists: then only what the repo itself lacks of its weights counts."""
    left_out: tuple[str, ...] = ()
    """What stayed on the hub, each with its size for a person."""

    @classmethod
    def at(cls, folder: str, left_out: tuple[str, ...] = ()) -> ModelFiles:
        """Return the files directly in a folder and one folder deeper; nothing if it cannot be read."""
        sizes: dict[str, int] = {}
        for prefix in ("", *(f"{name}/" for name in _names(folder) if not name.startswith("."))):
            for name in _names(f"{folder}{os.sep}{prefix}"):
                with suppress(OSError):
                    status = os.stat(f"{folder}{os.sep}{prefix}{name}")  # noqa: PTH116 - for each file of a listing
                    if (status.st_mode & 0o170000) == 0o100000:
                        sizes[prefix + name] = status.st_size
        return cls(sizes, opener(folder), left_out=left_out)

    def head(self, name: str, length: int, offset: int = 0) -> bytes | None:
        """Return bytes of a file; None if nothing can be read here, b"" if this file cannot."""
        if self.open is None:
            return None
        try:
            descriptor = self.open(name)
        except OSError:
            return b""
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)
        except OSError:
            return b""
        finally:
            os.close(descriptor)


def opener(folder: str) -> Callable[[str], int]:
    """Return what opens the files of a folder to be read."""
    return lambda name: os.open(f"{folder}{os.sep}{name}", READ_FLAGS & ~getattr(os, "O_NOFOLLOW", 0))


def problems_of(files: ModelFiles) -> tuple[Problem, ...]:
    """Return what keeps these files from being a model, or an adapter, that can be loaded; nothing if it is usable."""
    if ADAPTER_CONFIG in files.sizes:
        if files.is_vouched:
            return tuple(_adapter(files))
        return (*_settings(files, ADAPTER_CONFIG), *_adapter(files), *_unfinished(files))
    if files.is_vouched:
        return tuple(_weights(files))
    return (*_settings(files, "config.json"), *_weights(files), *_tokenizer(files), *_unfinished(files))


def words_of(problems: Iterable[Problem]) -> tuple[Message, ...]:
    """Return what a person is told of problems."""
    return tuple(problem.words for problem in problems)


# Small files


def _settings(files: ModelFiles, needed: str) -> Iterator[Problem]:
    if needed not in files.sizes:
        yield _missing(needed)
    for name in _READ_JSON:
        if name in files.sizes:
            yield from _json(files, name)


def _json(files: ModelFiles, name: str) -> Iterator[Problem]:
    """Yield what is wrong with a JSON object, as far as a look tells."""
    size = files.sizes[name]
    yield from (found := list(_content(files, name)))
    if found or files.open is None:
        return
    data = files.head(name, min(size, _PARSED_BYTES)) or b""
    if size <= _PARSED_BYTES:
        try:
            is_object = isinstance(json.loads(str(data, "utf-8")), dict)  # the libraries read no other
        except (ValueError, RecursionError):
            is_object = False
    else:
        end = files.head(name, 64, size - 64) or b""
        is_object = data.lstrip().startswith(b"{") and end.rstrip().endswith(b"}")
    if not is_object:
        yield Problem("damaged", name, Message("{name} is broken: it is no JSON object", name=name))


def _tokenizer(files: ModelFiles) -> Iterator[Problem]:
    for names in _TOKENIZERS:
        if all(name in files.sizes for name in names):
            yield from (problem for name in names if name not in _READ_JSON for problem in _content(files, name))
            return
    begun = next((names for names in _TOKENIZERS if names[0] in files.sizes), _TOKENIZERS[0])
    yield from (_missing(name) for name in begun if name not in files.sizes)


def _content(files: ModelFiles, name: str) -> Iterator[Problem]:
    """Yield what is wrong with any file that is needed: empty, never written, or a pointer of git-lfs."""
    if not files.sizes[name]:
        yield Problem("damaged", name, Message("{name} is empty", name=name))
        return
    is_looked_at = not files.is_vouched or files.sizes[name] < _POINTER_BYTES
    head = files.head(name, 64) if is_looked_at else None
    if head is None:
        return
    if head.startswith(_POINTER):
        yield Problem("damaged", name, Message("{name} is a git-lfs pointer, not the file itself", name=name))
    elif files.is_vouched:
        return
    elif not head:
        yield Problem("damaged", name, Message("{name} cannot be read", name=name))
    elif not head.strip(b"\0"):
        yield Problem("damaged", name, Message("{name} has nothing but zeros where it begins", name=name))


def _unfinished(files: ModelFiles) -> Iterator[Problem]:
    """Yield the files beside which another program says that they have not arrived in whole."""
    for path in sorted(files.sizes):
        match = _UNFINISHED.fullmatch(path)
        if match is None:
            continue
        name = match[1]
        if name in files.sizes or name.endswith(".safetensors"):
            words = Message("{name} has not arrived in whole: {other} lies beside it", name=name, other=path)
            yield Problem("damaged", name, words)


# Weights


def _adapter(files: ModelFiles) -> Iterator[Problem]:
    if ADAPTER_WEIGHTS in files.sizes:
        yield from _tensors(files, ADAPTER_WEIGHTS)
    else:
        yield from _none_here(files, ADAPTER_WEIGHTS)


def _weights(files: ModelFiles) -> Iterator[Problem]:
    names = [name for name in files.sizes if name.endswith(".safetensors") and "/" not in name]
    names = sorted(name for name in names if name != ADAPTER_WEIGHTS)
    if INDEX_NAME in files.sizes:
        yield from _indexed(files)
    elif not names:
        yield from _none_here(files, WEIGHTS_NAME)
    elif WEIGHTS_NAME not in names:  # the libraries look for these two names only
        yield _missing(INDEX_NAME if any(map(_SHARD.fullmatch, names)) else WEIGHTS_NAME)
    named, brothers = _named(files), _brothers(names)
    yield from (_missing(name) for name in sorted(brothers - files.sizes.keys() - named.keys()))
    for name in sorted(({WEIGHTS_NAME} | brothers | named.keys()) & files.sizes.keys()):
        yield from _tensors(files, name, named.get(name, frozenset()))


def _none_here(files: ModelFiles, needed: str) -> Iterator[Problem]:
    """Yield why there are no weights: they are of a kind that is not loaded here, or simply missing."""
    here = sorted(
        (path for path in files.sizes if path.lower().endswith(OTHER_SUFFIXES)), key=lambda p: -files.sizes[p]
    )
    there = [entry for entry in files.left_out if entry.rpartition(" (")[0].lower().endswith(OTHER_SUFFIXES)]
    if there:
        words = Message("its weights are {names}, which stay on the hub: such files can run code", names=Names(there))
    elif here:
        words = Message("its weights are {names}: only safetensors are loaded here", names=Names(here))
    else:
        yield _missing(needed)
        return
    yield Problem("unsafe", needed, words)


def _indexed(files: ModelFiles) -> Iterator[Problem]:
    """Yield what is wrong with the index of the weights, and what it names that is not there."""
    yield from (found := list(_content(files, INDEX_NAME)))
    if found or files.open is None:
        return
    try:
        names = _names_in_index(files)
    except ValueError:
        yield Problem("format", INDEX_NAME, Message("{name} is broken: it is no index of weights", name=INDEX_NAME))
        return
    for name in sorted(names):
        if not is_plain_name(name) or not name.endswith(".safetensors"):
            words = Message("{index} names {name!r}, which is no safetensors file of its folder", index=INDEX_NAME,
                            name=name[:80])  # fmt: skip
            yield Problem("unsafe", INDEX_NAME, words)
        elif name not in files.sizes:
            yield Problem(
                "missing", name, Message("{name} is missing, which {index} names", name=name, index=INDEX_NAME)
            )


def _named(files: ModelFiles) -> Mapping[str, AbstractSet[str]]:
    """Return the files that the index names, and the tensors it has in each, as far as that can be known."""
    with suppress(ValueError):
        return _names_in_index(files) if INDEX_NAME in files.sizes and files.open is not None else {}
    return {}


def _names_in_index(files: ModelFiles) -> Mapping[str, AbstractSet[str]]:
    if files.sizes[INDEX_NAME] > MAX_INDEX_BYTES:
        raise ValueError(INDEX_NAME)
    return indexed_tensors(files.head(INDEX_NAME, MAX_INDEX_BYTES) or b"")


def _brothers(names: Iterable[str]) -> set[str]:
    """Return all the shards of which at least one is among these names."""
    shards = [match for match in map(_SHARD.fullmatch, names) if match is not None]
    counts = {(match[1], int(match[3])) for match in shards}
    return {f"{stem}-{number:05}-of-{count:05}.safetensors" for stem, count in counts for number in range(1, count + 1)}


def _tensors(files: ModelFiles, name: str, wanted: AbstractSet[str] = frozenset()) -> Iterator[Problem]:
    """Yield what is wrong with a safetensors file: its header tells how long it is, and which tensors it has.

    A shard copied over another is a whole file, and a model loads with random numbers for what it lacks.
    """
    yield from (found := list(_content(files, name)))
    if found or files.open is None or files.is_vouched:
        return
    size, prefix = files.sizes[name], files.head(name, 8) or b""
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    ends = _ends(files.head(name, length, 8) or b"") if 0 < length <= min(size - 8, MAX_HEADER_BYTES) else None
    if ends is None:
        yield Problem("format", name, Message("{name} is not a safetensors file", name=name))
    elif size != 8 + length + max(ends.values(), default=0):
        yield Problem("damaged", name, Message("{name} is cut short or has bytes too many", name=name))
    elif lacking := wanted - ends.keys():
        words = Message("{name} lacks {tensor}, which {index} has there", name=name, tensor=min(lacking)[:80],
                        index=INDEX_NAME)  # fmt: skip
        yield Problem("damaged", name, words)
    elif _has_holes(files, name):
        yield Problem("damaged", name, Message("{name} has holes: parts of it were never written", name=name))


def _ends(header: bytes) -> dict[str, int] | None:
    """Return where each tensor of a header ends, or None if it is none."""
    try:
        entries = json.loads(header)
        return {name: int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None


def _has_holes(files: ModelFiles, name: str) -> bool:
    """Return whether much of a file was never written, where the volume can tell."""
    if files.open is None or not hasattr(os, "SEEK_HOLE"):
        return False
    size, written, position = files.sizes[name], 0, 0
    try:
        descriptor = files.open(name)
    except OSError:
        return False
    try:
        while position < size:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
            written += position - start
    except OSError:  # ENXIO: nothing follows; else a volume that cannot tell
        if not position:
            return False
    finally:
        os.close(descriptor)
    return size - written > min(_HOLE_BYTES, size // 2)


def _missing(name: str) -> Problem:
    return Problem("missing", name, Message("{name} is missing", name=name))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return []
