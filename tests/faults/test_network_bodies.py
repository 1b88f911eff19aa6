"""Bodies that are not the file: too short, too long, changed, or something else altogether."""

from __future__ import annotations

import gzip
import itertools
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import SourceFailed, WrongBytes
from qwen3ft_jupyter.hubs.retry import DEFAULT_POLICY
from tests.faults.loopback import DATA, FILES, LARGE, SIZE, Stage, head_of, part
from tests.servers import ABORT, CLOSE, Reply, Seen, file_reply
from tests.transfer.origin import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.loopback import Fault

    Answer = Callable[[Seen], Reply]

SMALL = SIZE - len(DATA)
MIDDLE = len(DATA) // 2
FLIPPED = DATA[:MIDDLE] + bytes([DATA[MIDDLE] ^ 1]) + DATA[MIDDLE + 1 :]
COMPRESSED = gzip.compress(DATA[:1000])
OTHER = bytes_of(len(DATA), 2)


PAGE = b"<!DOCTYPE html><html>log in" + b" " * 5000


def whole(seen: Seen) -> Reply:
    return Reply(200, DATA)


def ranged(seen: Seen, body: bytes, *, start: int | None = None, size: int = len(DATA)) -> Reply:
    """Answer with `body` under a Content-Range that is right but for what is given."""
    first, end = part(seen)
    first = first if start is None else start
    return Reply(206, body, {"Content-Range": f"bytes {first}-{end - 1}/{size}"})


def cut_short(seen: Seen) -> Reply:
    """Promise all, send half, close in good order."""
    start, end = part(seen)
    return Reply(206, [DATA[start : (start + end + 1) // 2], CLOSE], head_of(start, end))


def cut_in_a_chunk(seen: Seen) -> Reply:
    start, end = part(seen)
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(DATA)}", "Transfer-Encoding": "chunked"}
    return Reply(206, [b"%x\r\n" % (end - start), DATA[start : (start + end + 1) // 2], CLOSE], headers)


def ended_after_a_chunk(seen: Seen) -> Reply:
    """The chunks end properly, but too early: only the range tells."""
    start, end = part(seen)
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(DATA)}"}
    return Reply(206, [DATA[start : (start + end + 1) // 2]], headers, is_chunked=True)


def broken_chunk(seen: Seen) -> Reply:
    start, end = part(seen)
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(DATA)}", "Transfer-Encoding": "chunked"}
    return Reply(206, [b"zz\r\n", DATA[start:end], CLOSE], headers)


def capped(seen: Seen) -> Reply:
    """Give less than was asked for, and say so."""
    start, end = part(seen)
    return file_reply_of(start, min(end, start + 100_000))


def file_reply_of(start: int, end: int) -> Reply:
    return Reply(206, DATA[start:end], head_of(start, end))


def too_long(seen: Seen) -> Reply:
    start, end = part(seen)
    return Reply(206, DATA[start:end] + b"more" * 1000, head_of(start, end, length=end - start + 4000))


def endless(seen: Seen) -> Reply:
    start, end = part(seen)
    body = itertools.chain([DATA[start:end]], itertools.repeat(b"x" * 65536))
    return Reply(206, body, {"Content-Range": f"bytes {start}-{end - 1}/{len(DATA)}"}, is_chunked=True)


SURVIVED: dict[str, Answer] = {
    "cut short": cut_short,
    "cut in a chunk": cut_in_a_chunk,
    "ended after a chunk": ended_after_a_chunk,
    "capped range": capped,
    "too long": too_long,
    "endless": endless,
    "200 to a range": whole,
}
"""What brings some right bytes each time, so that it may go on for ever."""


@pytest.mark.parametrize("name", SURVIVED)
def test_what_brings_right_bytes_is_survived_however_often(stage: Stage, name: str) -> None:
    stage.at_store = lambda seen, _count: SURVIVED[name](seen)

    assert stage.succeeds().bytes_fetched == SIZE


ONCE: dict[str, Answer] = {
    "broken chunk": broken_chunk,
    "200 and nothing": lambda _: Reply(200),
    "206 and nothing": lambda seen: ranged(seen, b""),
    "no content": lambda _: Reply(204),
    "416": lambda _: Reply(416, b"", {"Content-Range": f"bytes */{len(DATA)}"}),
    "another range": lambda seen: ranged(seen, DATA[: part(seen)[1] - part(seen)[0]], start=part(seen)[0] + 1),
    "a range that is none": lambda _: Reply(206, b"x" * 100, {"Content-Range": "bytes x-y/z"}),
    "a negative range": lambda _: Reply(206, b"x" * 100, {"Content-Range": "bytes -5-9/100"}),
    "a range without a header": lambda _: Reply(206, b"x" * 100),
    "several ranges": lambda _: Reply(206, b"--x\r\n", {"Content-Type": "multipart/byteranges; boundary=x"}),
    "another size": lambda seen: ranged(seen, OTHER[:100], size=100_000_000),
    "a compressed body": lambda _: Reply(200, COMPRESSED, {"Content-Encoding": "gzip"}),
    "a compressed range": lambda seen: Reply(206, COMPRESSED, {**head_of(*part(seen)), "Content-Encoding": "br"}),
    "a login page": lambda _: Reply(200, b"<html>log in</html>", {"Content-Type": "text/html"}),
    "a login page in chunks": lambda _: Reply(200, [PAGE], {"Content-Type": "text/html"}, is_chunked=True),
    "a login page to the close": lambda _: Reply(200, [PAGE], {"Content-Type": "text/html; charset=utf-8"}),
    "a longer body": lambda _: Reply(200, DATA + b"x"),
    "a shorter body": lambda _: Reply(200, DATA[:-1]),
}
"""What brings none. Each is survived once, and an error when it stays."""

STAYING: dict[str, tuple[type[Exception], str]] = {
    "broken chunk": (SourceFailed, "broke off"),
    "200 and nothing": (WrongBytes, "sent 0 bytes where its listing has 3,145,728"),
    "206 and nothing": (SourceFailed, "broke off"),
    "no content": (SourceFailed, "answered HTTP 204"),
    "416": (WrongBytes, "shorter file than its listing says"),
    "another range": (WrongBytes, "another range"),
    "a range that is none": (WrongBytes, "another range"),
    "a negative range": (WrongBytes, "another range"),
    "a range without a header": (WrongBytes, "another range"),
    "several ranges": (WrongBytes, "another range"),
    "another size": (WrongBytes, "now has 100,000,000 bytes"),
    "a compressed body": (WrongBytes, "compressed"),
    "a compressed range": (WrongBytes, "compressed"),
    "a login page": (WrongBytes, "login page"),
    "a login page in chunks": (WrongBytes, "a web page instead of the file"),
    "a login page to the close": (WrongBytes, "a web page instead of the file"),
    "a longer body": (WrongBytes, "3,145,729 bytes"),
    "a shorter body": (WrongBytes, "3,145,727 bytes"),
}


@pytest.mark.parametrize("name", ONCE)
def test_what_brings_no_bytes_is_survived_once(stage: Stage, name: str) -> None:
    stage.at_store = lambda seen, count: ONCE[name](seen) if count == 0 else None

    assert stage.succeeds().bytes_fetched == SIZE


@pytest.mark.parametrize("name", ONCE)
def test_what_brings_no_bytes_again_and_again_is_an_error_that_names_it(stage: Stage, name: str) -> None:
    stage.at_store = lambda seen, _count: ONCE[name](seen)

    kind, match = STAYING[name]
    error = stage.fails(kind, match, kept=SMALL)  # type: ignore[arg-type]  # all are ours
    assert LARGE in error.message or "127.0.0.1" in error.message


STAYS_WRONG = sorted(name for name, (kind, _) in STAYING.items() if kind is WrongBytes)


@pytest.mark.parametrize("name", STAYS_WRONG)
def test_what_cannot_get_better_is_not_asked_for_again_and_again(stage: Stage, name: str) -> None:
    stage.at_store = lambda seen, _count: ONCE[name](seen)

    stage.fails(WrongBytes, STAYING[name][1], policy=DEFAULT_POLICY)

    assert len(stage.store.seen) <= 4 * DEFAULT_POLICY.wrong_attempts


def flip(*, times: int | None) -> Fault:
    """Flip one byte of the file, so often."""
    left = itertools.count(0)

    def fault(seen: Seen, _count: int) -> Reply | None:
        start, end = part(seen)
        if start <= MIDDLE < end and (times is None or next(left) < times):
            return file_reply(seen, FLIPPED)
        return None

    return fault


def test_a_flipped_byte_is_found_and_repaired(stage: Stage) -> None:
    stage.at_store = flip(times=1)

    stage.succeeds()

    assert any(LARGE in notice and "digest" in notice for notice in stage.told.notices)


def test_a_byte_that_is_always_flipped_is_never_accepted(stage: Stage) -> None:
    stage.at_store = flip(times=None)

    stage.fails(WrongBytes, rf"{LARGE}.*digest", kept=SMALL)


@pytest.mark.parametrize("path", [name for name in FILES if name != LARGE])
def test_a_flipped_byte_in_a_small_file_is_found_too(stage: Stage, path: str) -> None:
    def wrong(seen: Seen, _count: int) -> Reply | None:
        asked = seen.query.get("FilePath", "")
        return Reply(200, bytes([FILES[path][0] ^ 1]) + FILES[path][1:]) if asked == path else None

    stage.at_hub = wrong

    stage.fails(WrongBytes, rf"{path}.*digest")


def test_a_range_that_lies_about_what_it_holds_is_found_and_repaired(stage: Stage) -> None:
    """The header is right, the bytes are from elsewhere in the file."""
    stage.at_store = lambda seen, count: ranged(seen, DATA[: part(seen)[1] - part(seen)[0]]) if count == 1 else None

    stage.succeeds()


def test_a_server_whose_ranges_always_lie_is_never_believed(stage: Stage) -> None:
    stage.at_store = lambda seen, _count: ranged(seen, OTHER[: part(seen)[1] - part(seen)[0]])

    stage.fails(WrongBytes, rf"{LARGE}.*digest", kept=SMALL)


@pytest.mark.parametrize("now", [OTHER, OTHER[:-1000], OTHER + b"x"], ids=["same size", "shorter", "longer"])
def test_an_object_that_changes_in_mid_flight_is_an_error_and_nothing_is_mixed(stage: Stage, now: bytes) -> None:
    stage.at_store = lambda seen, count: None if count < 2 else file_reply(seen, now)

    stage.fails(WrongBytes, LARGE, kept=SMALL)


def test_an_object_that_changes_and_comes_back_is_survived(stage: Stage) -> None:
    stage.at_store = lambda seen, count: file_reply(seen, OTHER) if 1 <= count <= 2 else None

    stage.succeeds()


def test_what_arrived_before_a_break_is_not_fetched_again(stage: Stage) -> None:
    half = len(DATA) // 2

    def fault(seen: Seen, _count: int) -> Reply | None:
        start, end = part(seen)
        if end <= half:
            return None
        if start >= half:
            stage.told.wait_for_bytes(SMALL + half - (64 << 10))
            return Reply(206, [ABORT], head_of(start, end))
        return Reply(206, [DATA[start:half], ABORT], head_of(start, end))

    stage.at_store = fault

    stage.fails(SourceFailed, "broke off", kept=SMALL + half - (64 << 10))
