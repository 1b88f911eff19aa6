"""Which published name someone meant. Pure."""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_SIZED = re.compile(r"qwen3-([0-9]+(?:\.[0-9]+)?)b(?:-a([0-9.]+)b)?(?:-(.+))?", re.IGNORECASE)
_ASKS_TO_CONVERSE = frozenset({"instruct", "chat", "it", "sft", "instruct-sft"})
_KINDS = frozenset({"base", "thinking", "instruct-2507", "thinking-2507"})
_SMALL_TYPO = 0.88
"""Similarity (difflib, 1.0 is equal) from which a name with the same digits is taken for a slip of the finger."""


def nearest_published(name: str, published: Collection[str]) -> str | None:
    """Return the published name that `name` stands for, or None if `name` may well exist.

    >>> names = {"Qwen3-4B", "Qwen3-8B", "Qwen3-8B-Base"}
    >>> nearest_published("Qwen3-7B-Instruct", names), nearest_published("Qwen3-4B-AWQ", names)
    ('Qwen3-8B', None)
    """
    if name in published:
        return name
    return same_letters(name, published) or _other_size_or_kind(name, published) or _slip(name, published)


def same_letters(name: str, published: Collection[str]) -> str | None:
    """Return the name that differs in case and punctuation only, or in what people leave out: Qwen3, and the B."""
    plain = _plain(name)
    spellings = {plain, f"{plain}b", f"qwen3{plain}", f"qwen3{plain}b"} if plain else set()
    return next((known for known in sorted(published) if _plain(known) in spellings), None)


def is_near(name: str, known: Collection[str]) -> bool:
    """Return whether a name is one of `known` but for case, punctuation and a slip of the finger."""
    plain = [_plain(one) for one in known]
    return bool(difflib.get_close_matches(_plain(name), plain, n=1, cutoff=_SMALL_TYPO))


def _other_size_or_kind(name: str, published: Collection[str]) -> str | None:
    match = _SIZED.fullmatch(name)
    if match is None:
        return None
    tail = (match[3] or "").lower()
    sizes = {known.partition("-")[2]: float(found[1]) for known in published if (found := _bare(known))}
    size = _size_of(match, sizes)
    if size is None:
        billions = max(float(match[1]), 0.01)
        nearest = min(sizes, key=lambda known: (abs(math.log(sizes[known] / billions)), known))
        return _with_tail(nearest, tail, published) or f"Qwen3-{nearest}"
    if tail in _ASKS_TO_CONVERSE:
        return f"Qwen3-{size}"
    if tail in _KINDS:
        return _with_tail(size, tail, published) or _nearest_with_tail(sizes[size], tail, published)
    return None


def _size_of(match: re.Match[str], sizes: Collection[str]) -> str | None:
    """Return the published size that a name has, as it is written there."""
    wanted = f"{match[1]}b" + (f"-a{match[2]}b" if match[2] else "")
    return next((known for known in sizes if known.lower() == wanted.lower()), None)


def _bare(name: str) -> re.Match[str] | None:
    match = _SIZED.fullmatch(name)
    return match if match is not None and not match[3] else None


def _with_tail(size: str, tail: str, published: Collection[str]) -> str | None:
    wanted = f"qwen3-{size}-{tail}".lower()
    return next((known for known in published if known.lower() in {wanted, f"{wanted}-2507"}), None)


def _nearest_with_tail(billions: float, tail: str, published: Collection[str]) -> str | None:
    alike = [(known, found) for known in sorted(published) if (found := _SIZED.fullmatch(known)) and found[3]]
    alike = [(known, found) for known, found in alike if found[3].lower().startswith(tail)]
    if not alike:
        return None
    return min(alike, key=lambda pair: abs(math.log(float(pair[1][1]) / billions)))[0]


def _slip(name: str, published: Collection[str]) -> str | None:
    """Return the name that differs by a letter or two. Other digits or another word make another model."""
    alike = [
        known
        for known in sorted(published)
        if known.count("-") == name.count("-") and re.findall(r"\d", known) == re.findall(r"\d", name)
    ]
    return next(iter(difflib.get_close_matches(name, alike, n=1, cutoff=_SMALL_TYPO)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
