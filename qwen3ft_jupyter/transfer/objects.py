"""What is fetched: the objects behind files, and their order. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import SafePath

SMALL_BYTES = 32 << 20
"""Config and tokenizer files are smaller than this, weights are larger; the small ones come first."""

RESERVE_BYTES = 32 << 20
"""Room left for journals, the manifest and what the file system itself needs."""


def object_key(file: RemoteFile) -> str:
    """Return the name of the object: its digest, in letters, digits and dashes."""
    return file.sha256 or f"git-{file.git_sha1}"


def in_order(files: Sequence[RemoteFile]) -> dict[str, RemoteFile]:
    """Return the files by the key of their object, in the order in which they are fetched.

    Small files come first: they are what a person looks at, and what fails early if the repo is not what it seems.
    """
    small = sorted((file for file in files if file.size <= SMALL_BYTES), key=lambda file: (file.size, file.path))
    large = sorted((file for file in files if file.size > SMALL_BYTES), key=lambda file: file.path)
    seen: Counter[str] = Counter()
    keyed = {}
    for file in small + large:
        key = object_key(file)
        seen[key] += 1
        keyed[key if seen[key] == 1 else f"{key}-{seen[key]}"] = file
    return keyed


def split_copies(
    files: Sequence[RemoteFile], present: Collection[SafePath]
) -> tuple[list[RemoteFile], dict[SafePath, SafePath]]:
    """Return which files have to travel so that all are here, and by path which other one each of the rest equals."""
    here = {object_key(file): file.path for file in files if file.path in present}
    travelling, copies = [], {}
    for file in files:
        if file.path in present:
            continue
        source = here.setdefault(object_key(file), file.path)
        if source == file.path:
            travelling.append(file)
        else:
            copies[file.path] = source
    return travelling, copies
