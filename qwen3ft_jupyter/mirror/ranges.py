"""What the Range, If-Range, If-Match and If-None-Match headers ask for (RFC 9110, sections 13 and 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes are sent, and with which status: 200, 206, or 416 when nothing asked for is there."""

    status: int
    start: int
    length: int


def wanted_part(headers: Mapping[str, str], *, size: int, etag: str) -> Part:
    """Return the part of a file of `size` bytes that a GET asks for.

    What is malformed, several ranges at once, or a range of another version of the file means the whole file, which
    the standard allows and every client takes.

    >>> wanted_part({"range": "bytes=-10"}, size=100, etag='"x"')
    Part(status=206, start=90, length=10)
    """
    whole = Part(200, 0, size)
    match = _ONE_RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or headers.get("if-range", etag).strip() != etag:
        return whole
    first, last = match[1], match[2]
    if not first:
        return _last_bytes(int(last), size) if last else whole
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return whole
    if start >= size:
        return Part(416, 0, 0)
    return Part(206, start, min(end, size - 1) - start + 1)


def precondition(headers: Mapping[str, str], etag: str) -> int:
    """Return the status that ends a GET or HEAD before its method is looked at: 412, 304, or 0 to go on.

    `etag` is a strong validator. If-Match takes it only as such, If-None-Match weakened, too. A date is not compared:
    no answer here has one.

    >>> precondition({"if-none-match": 'W/"x", "y"'}, '"x"'), precondition({"if-match": '"y"'}, '"x"')
    (304, 412)
    """
    if "if-match" in headers and not {etag, "*"} & set(_tags(headers["if-match"])):
        return 412
    known = {tag.removeprefix("W/") for tag in _tags(headers.get("if-none-match", ""))}
    return 304 if {etag, "*"} & known else 0


def _tags(field: str) -> list[str]:
    return [tag.strip() for tag in field.split(",")]


def _last_bytes(count: int, size: int) -> Part:
    length = min(count, size)
    return Part(206, size - length, length) if length else Part(416, 0, 0)
