"""What git calls a branch, tag or commit, and the few lines of its protocol that tell which commit that is. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.settings.declared import HubName

DEFAULT_BRANCHES: Final[dict[HubName, str]] = {"modelscope": "master", "huggingface": "main"}
"""What each hub calls the branch that is meant where none is named."""
GIT_USER_AGENT = "git/2.43.0"
MAX_REFS_BYTES = 4 * 2**20
"""Largest answer read: about 60,000 branches and tags."""
MAX_REVISION = 128
"""Characters in the name of a branch, tag or commit; git itself allows more, people do not."""
_NO_REF = re.compile(
    r"""
    (?:^|/)[.]  |  [.]lock(?:/|$)  |  [.]$  |  [.][.]  |  @[{]  |  ^@$  |  ^-  |  ^/|//|/$  |  [\x00-\x20\x7f~^:?*\[\\]
""",
    re.VERBOSE,
)
"""What no name of a ref holds: the rules of ``git check-ref-format``."""
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


def check_revision(text: str) -> str:
    """Return `text` as the name of a branch or tag, or as a commit.

    Raises:
        BadInput: git would not take it.

    >>> check_revision(" refs/pr/1 ")
    'refs/pr/1'
    """
    name = text.strip()
    if not 0 < len(name) <= MAX_REVISION or any(map(_is_hidden, name)) or _NO_REF.search(name):
        raise BadInput(
            "{given} cannot be the name of a revision.",
            hint="Give a branch, a tag or a commit as the model's page shows it, for example main; or leave it out.",
            given=ascii(name if len(name) <= 60 else f"{name[:57]}..."),
        )
    return name


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
