"""Hubs and stores that refuse, fail, break off, fall silent or send us elsewhere."""

from __future__ import annotations

import email.utils
import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import (
    AccessDenied,
    HubBusy,
    HubError,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    Qwen3ftError,
    SourceFailed,
    Stopped,
)
from qwen3ft_jupyter.hubs import http
from qwen3ft_jupyter.hubs.retry import DEFAULT_POLICY, RetryPolicy
from tests.faults.loopback import DATA, LARGE, SIZE, RawServer, Stage, head_of, is_listing, part, shorten_silence
from tests.lived import Lived
from tests.servers import ABORT, CLOSE, Reply, ScriptedServer, Seen, Stall, file_reply, redirect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.loopback import Fault

SMALL = SIZE - len(DATA)
LONG_AGO = email.utils.formatdate(0, usegmt=True)
FAR_AHEAD = email.utils.formatdate(4e9, usegmt=True)
WAITS_NOT = [
    "-5",
    "0",
    "soon",
    "",
    "1e9",
    "\u0663".encode().decode("latin-1"),
    "0x10",
    "1, 2",
    LONG_AGO,
    "nan",
    "9" * 99 + "x",
]
"""Values of Retry-After that ask for no wait, or that nobody can understand."""
WAITS_TOO_LONG = ["61", "3600", "9" * 30, FAR_AHEAD]


def busy(wait: str, status: int = 429) -> Reply:
    return Reply(status, b"", {"Retry-After": wait})


def at(stage: Stage, place: str, fault: Fault) -> None:
    """Play a fault at the listing, at the hub's files or at the store."""
    if place == "listing":
        stage.at_listing = lambda seen, count: fault(seen, count) if is_listing(seen) else None
    elif place == "hub":
        stage.at_hub = fault
    else:
        stage.at_store = fault


HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nContent-Le"
PLACES = ("listing", "hub", "store")


class TestBusy:
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 599])
    def test_a_burst_is_waited_out(self, stage: Stage, status: int, place: str) -> None:
        at(stage, place, lambda _seen, count: Reply(status) if count < 2 else None)

        stage.succeeds()

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("status", [429, 503])
    def test_one_that_does_not_end_is_named(self, stage: Stage, status: int, place: str) -> None:
        at(stage, place, lambda _seen, _count: Reply(status))

        what = "too many requests" if status == 429 else "HTTP 503"
        stage.fails(HubBusy, what, kept=SMALL if place == "store" else 0)

    @pytest.mark.parametrize(("place", "phase"), [("listing", "resolving"), ("store", "transferring")])
    def test_what_is_waited_for_is_said_meanwhile(self, stage: Stage, place: str, phase: str) -> None:
        def is_said() -> bool:
            said = [event.detail for event in stage.told.events if event.phase == phase]
            return any("trying again" in detail and "HTTP 503" in detail for detail in said)

        at(stage, place, lambda _seen, _count: None if is_said() else Reply(503))

        stage.succeeds(policy=RetryPolicy(first_delay_s=0.5))

        assert is_said()

    @pytest.mark.parametrize("wait", WAITS_NOT)
    @pytest.mark.parametrize("place", ["listing", "store"])
    def test_a_wait_that_makes_no_sense_is_no_wait(self, stage: Stage, place: str, wait: str) -> None:
        at(stage, place, lambda _seen, count: busy(wait) if count == 0 else None)

        stage.succeeds()

    @pytest.mark.parametrize("place", PLACES)
    def test_a_wait_of_a_second_is_kept(self, stage: Stage, place: str) -> None:
        asked_at: list[float] = []

        def fault(_seen: Seen, count: int) -> Reply | None:
            asked_at.append(time.monotonic())
            return busy("1") if count == 0 else None

        at(stage, place, fault)
        stage.succeeds()

        assert max(asked_at) - asked_at[0] >= 1.0

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("wait", WAITS_TOO_LONG)
    def test_a_wait_beyond_a_minute_is_left_to_the_user_at_once(self, stage: Stage, place: str, wait: str) -> None:
        at(stage, place, lambda _seen, _count: busy(wait))

        with Lived() as lived:
            error = stage.fails(HubBusy, "asks to come back in", kept=0)

        assert lived.seconds < 20
        assert float(error.details["retry_after_s"]) > 60


class TestRefused:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, SourceFailed),
            (401, AccessDenied),
            (403, AccessDenied),
            (404, ModelNotFound),
            (410, ModelNotFound),
            (418, SourceFailed),
            (451, SourceFailed),
        ],
    )
    def test_a_store_that_refuses_is_named_with_its_status(
        self, stage: Stage, status: int, kind: type[HubError]
    ) -> None:
        stage.at_store = lambda _seen, _count: Reply(status)

        stage.fails(kind, f"HTTP {status}", kept=SMALL)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 418, 451, 501, 505, 511])
    def test_a_store_that_refuses_is_not_asked_for_a_minute(self, stage: Stage, status: int) -> None:
        stage.at_store = lambda _seen, _count: Reply(status)

        stage.fails(Qwen3ftError, f"HTTP {status}", policy=DEFAULT_POLICY)

        assert len(stage.store.seen) <= 8

    @pytest.mark.parametrize("said", ["Request has expired", "RequestTimeTooSkewed", ""])
    def test_a_store_that_knows_no_token_is_not_mended_by_one(self, stage: Stage, said: str) -> None:
        stage.at_store = lambda _seen, _count: Reply(403, f"<Error><Message>{said}</Message></Error>".encode())

        error = stage.fails(AccessDenied, rf"the store of .* refuses it \(HTTP 403\).*{said}")

        assert "clock" in error.hint
        assert "token" not in error.hint

    def test_a_gate_is_told_of_also_where_the_hub_sends_on_to_its_own_other_address(self, stage: Stage) -> None:
        said = b'{"error": "Access to model a/b is restricted. You must be authorized; ask for access on its page."}'
        stage.at_store = lambda _seen, _count: Reply(403, said, {"Content-Type": "application/json"})

        error = stage.fails(ModelGated, "is restricted")

        assert "Ask for access" in error.hint

    @pytest.mark.parametrize("status", [402, 451])
    @pytest.mark.parametrize("place", ["listing", "store"])
    def test_what_no_setting_changes_is_told_in_the_hubs_words(self, stage: Stage, place: str, status: int) -> None:
        reply = Reply(status, b'{"error": "Not in your country"}', {"Content-Type": "application/json"})
        at(stage, place, lambda _seen, _count: reply)

        error = stage.fails(Qwen3ftError, f'HTTP {status}: "Not in your country"')

        assert "the other hub" in error.hint
        assert "setting" not in error.hint

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
    def test_addresses_that_expire_all_the_time_are_asked_for_again(self, stage: Stage, status: int) -> None:
        used: set[str] = set()
        lock = threading.Lock()

        def fault(seen: Seen, _count: int) -> Reply | None:
            signature = seen.query["signature"]
            with lock:
                is_expired = signature in used
                used.add(signature)
            return Reply(status) if is_expired else None

        stage.at_store = fault

        assert stage.succeeds().bytes_fetched == SIZE
        assert len(used) > 1, "several pieces came"

    def test_a_refusal_that_passes_is_survived(self, stage: Stage) -> None:
        stage.at_hub = lambda _seen, count: Reply(403) if count == 0 else None

        stage.succeeds()


class TestBreaks:
    @pytest.mark.parametrize("end", [ABORT, CLOSE])
    @pytest.mark.parametrize("place", PLACES)
    def test_one_at_the_start_of_the_body_is_survived(self, stage: Stage, place: str, end: object) -> None:
        def fault(seen: Seen, count: int) -> Reply | None:
            headers = head_of(*part(seen)) if place == "store" else {}
            return Reply(206 if headers else 200, [end], headers) if count == 0 else None  # type: ignore[list-item]

        at(stage, place, fault)

        stage.succeeds()

    def test_resets_every_hundred_kilobytes_are_survived(self, stage: Stage) -> None:
        def fault(seen: Seen, _count: int) -> Reply | None:
            start, end = part(seen)
            if end - start <= 100_000:
                return None
            return Reply(206, [DATA[start : start + 100_000], ABORT], head_of(start, end))

        stage.at_store = fault

        assert stage.succeeds().bytes_fetched == SIZE

    @pytest.mark.parametrize("place", PLACES)
    def test_one_that_always_comes_is_named(self, stage: Stage, place: str) -> None:
        def fault(seen: Seen, _count: int) -> Reply:
            headers = head_of(*part(seen)) if place == "store" else {}
            return Reply(206 if headers else 200, [ABORT], headers)

        at(stage, place, fault)

        kind = HubUnreachable if place == "listing" else SourceFailed
        stage.fails(kind, "broke off", kept=SMALL if place == "store" else 0)

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            HALF_A_HEAD,
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"HTTP/1.1 two hundred\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
            b"\0" * 1000,
        ],
        ids=["nothing", "half a head", "ssh", "tls", "no status", "a long line", "many lines", "zeros"],
    )
    def test_what_is_no_answer_is_named(self, stage: Stage, said: bytes) -> None:
        def speak(connection: socket.socket, _is_closed: threading.Event) -> None:
            connection.recv(65536)
            connection.sendall(said)

        match = "broke off" if said in {b"", HALF_A_HEAD} else "not HTTP"
        with RawServer(speak) as server:
            stage.hub_url = server.url
            stage.fails(HubUnreachable, match)
            stage.hub_url, stage.store_url = "", server.url
            stage.fails(HubUnreachable, match)

    def test_a_head_that_cannot_be_parsed_does_not_bring_the_address_into_a_log(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        def speak(connection: socket.socket, _is_closed: threading.Event) -> None:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n")

        with RawServer(speak) as server:
            stage.store_url = server.url
            stage.fails(SourceFailed, "broke off")
        assert caplog.text == ""

    def test_a_hub_that_is_not_there_is_named(self, stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stage.hub_url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        stage.fails(HubUnreachable, "refuses connections")

    def test_a_store_that_is_not_there_is_named(self, stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stage.store_url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        stage.fails(HubUnreachable, "refuses connections")
        stage.store_url = ""
        assert stage.succeeds().bytes_fetched <= SIZE - SMALL


class TestStalls:
    @pytest.mark.parametrize("place", PLACES)
    def test_one_is_survived(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        shorten_silence(monkeypatch, 0.3)

        def fault(seen: Seen, count: int) -> Reply | None:
            if count:
                return None
            if place != "store":
                return Reply(200, [b"{", Stall()], {"Content-Length": "100"} if place == "listing" else {})
            start, end = part(seen)
            return Reply(206, [DATA[start : start + 1000], Stall()], head_of(start, end))

        at(stage, place, fault)

        stage.succeeds()

    @pytest.mark.parametrize("place", PLACES)
    def test_one_that_does_not_end_is_named(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        shorten_silence(monkeypatch, 0.2)
        at(stage, place, lambda _seen, _count: Reply(200, [Stall()]))

        if place == "listing":
            stage.fails(HubUnreachable, "silent|does not answer")
        else:
            stage.fails(SourceFailed, "went silent")

    @pytest.mark.parametrize(
        ("first", "drop"), [(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")]
    )
    def test_a_head_that_never_ends_is_given_up(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, first: bytes, drop: bytes
    ) -> None:
        """Each byte ends the silence, so that only a limit on the whole head helps."""
        monkeypatch.setattr(http, "HEAD_LIMIT_S", 0.5)

        def drip(connection: socket.socket, is_closed: threading.Event) -> None:
            connection.sendall(first)
            while not is_closed.wait(0.02):
                connection.sendall(drop)

        with RawServer(drip) as server:
            stage.hub_url = server.url
            stage.fails(HubUnreachable, "does not answer")
            stage.hub_url, stage.store_url = "", server.url
            stage.fails(HubUnreachable, "does not answer")

    def test_a_listing_of_one_byte_a_second_is_given_up(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "SLOW_WINDOW_S", 0.3)
        wait = threading.Event()

        def dribble() -> Iterator[bytes]:
            while not wait.wait(0.02):
                yield b" "

        stage.at_listing = lambda seen, _count: Reply(200, dribble()) if is_listing(seen) else None
        try:
            stage.fails(HubUnreachable, "too slowly")
        finally:
            wait.set()

    def test_a_body_of_one_byte_a_second_is_given_up_and_its_bytes_are_not(self, stage: Stage) -> None:
        """Played fifty times as fast, with limits to match."""

        def fault(seen: Seen, count: int) -> Reply | None:
            start, end = part(seen)
            return None if count else Reply(206, dribble(DATA[start:end]), head_of(start, end))

        stage.at_store = fault

        assert stage.succeeds(policy=FAST).bytes_fetched == SIZE

    def test_one_that_is_always_that_slow_and_never_goes_on_is_an_error(self, stage: Stage) -> None:
        """The hub ignores ranges here, so that each attempt ends where the one before did."""
        text = stage.files["LICENSE"] = bytes(1000)
        stage.at_hub = lambda seen, _count: Reply(200, dribble(text)) if "LICENSE" in seen.target else None

        stage.fails(SourceFailed, r"LICENSE: ModelScope sends less than 5,000 bytes a second", policy=FAST)
        stage.calm()
        stage.succeeds()

    @pytest.mark.parametrize("place", PLACES)
    def test_stopping_ends_one_within_a_second(self, stage: Stage, place: str) -> None:
        at(stage, place, lambda _seen, _count: Reply(200, [Stall()]))
        stop, has_ended = threading.Event(), threading.Event()

        def run() -> None:
            with pytest.raises(Stopped):
                stage.ensure(stop=stop)
            has_ended.set()

        thread = threading.Thread(target=run)
        thread.start()
        (stage.store if place == "store" else stage.hub).wait_for(2 if place == "listing" else 1)
        with Lived() as lived:
            stop.set()
            thread.join(120)

        assert has_ended.is_set()
        assert lived.seconds < 1.5, "a second, and half of one for a busy machine"
        assert stage.cache.list() == []


FAST = RetryPolicy(attempts=2, first_delay_s=0.01, least_bytes_per_s=5000, least_rate_s=0.5)


def dribble(data: bytes) -> Iterator[bytes]:
    """Send fifty bytes a second, and no more once nobody listens."""
    for number in range(len(data)):
        time.sleep(0.02)
        yield data[number : number + 1]


class TestRedirects:
    def test_a_circle_is_an_error(self, stage: Stage) -> None:
        stage.at_store = lambda seen, _count: redirect(seen.target)

        stage.fails(HubError, "circle", kept=SMALL)

    def test_a_chain_without_end_is_an_error(self, stage: Stage) -> None:
        numbers = itertools.count()
        stage.at_store = lambda seen, _count: redirect(f"{seen.path}?signature={next(numbers)}x")

        stage.fails(HubError, "too often", kept=SMALL)

    @pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://[", "data:,x"])
    def test_one_to_something_else_is_an_error(self, stage: Stage, location: str) -> None:
        stage.at_store = lambda _seen, _count: redirect(location)

        stage.fails(HubError, "redirects to", kept=SMALL)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_one_to_a_third_host_is_followed_without_credentials(self, stage: Stage, status: int) -> None:
        with ScriptedServer(lambda seen: file_reply(seen, DATA)) as third:
            stage.at_store = lambda seen, _count: redirect(f"{third.url}{seen.target}", status)
            stage.succeeds()

            assert third.seen
            assert not any({"authorization", "cookie"} & seen.headers.keys() for seen in third.seen)

    def test_a_listing_that_is_redirected_to_another_host_takes_no_credentials_there(self, stage: Stage) -> None:
        with ScriptedServer(lambda seen: redirect(f"{stage.hub.url}{seen.target}")) as front:
            stage.hub_url = front.url
            stage.succeeds()

            assert all("authorization" in seen.headers for seen in front.seen)
            assert not any({"authorization", "cookie"} & seen.headers.keys() for seen in stage.hub.seen)

    def test_one_without_an_address_is_an_error(self, stage: Stage) -> None:
        stage.at_hub = lambda seen, _count: Reply(302) if seen.query.get("FilePath") == LARGE else None

        stage.fails(SourceFailed, "HTTP 302")
