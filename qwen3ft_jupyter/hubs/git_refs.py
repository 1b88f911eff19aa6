"""The few lines of git's protocol that tell which commit a branch points to. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GIT_USER_AGENT = "git/2.43.0"
MAX_REFS_BYTES = 4 * 2**20
"""Largest answer read: about 60,000 branches and tags."""
_REF = re.compile(rb"([0-9a-f]{40}) (\S+)")
_NO_COMMIT = "0" * 40


def parse_refs(data: bytes) -> dict[str, str]:
    r"""Return ref names and commits from the answer to ``info/refs?service=git-upload-pack``.

    Lines are length-prefixed (gitprotocol-common, pkt-line). What is not understood ends the reading: the caller can
    do without.

    >>> parse_refs(b"003d" + b"a" * 40 + b" refs/heads/main\n0000")["refs/heads/main"][:4]
    'aaaa'
    """
    refs: dict[str, str] = {}
    position = 0
    while position + 4 <= len(data):
        try:
            length = int(data[position : position + 4], 16)
        except ValueError:
            break
        if length < 4:  # 0000 is a flush; 1 and 2 belong to protocol version 2
            position += 4
            continue
        line = data[position + 4 : position + length]
        position += length
        match = _REF.match(line.split(b"\0", 1)[0])
        if match is not None and match.group(1).decode() != _NO_COMMIT:
            refs[match.group(2).decode("utf-8", "replace")] = match.group(1).decode()
    return refs


def commit_of(refs: Mapping[str, str], revision: str) -> str:
    """Return the commit of a branch, else of a tag (peeled to the commit it stands for), else ""."""
    for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}"):
        if ref in refs:
            return refs[ref]
    return ""
