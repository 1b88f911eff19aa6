"""To ask for news is no condition of using what is here: whatever the network does, a whole model is used."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.download import present
from qwen3ft_jupyter.errors import ModelNotFound, Qwen3ftError, Stopped
from qwen3ft_jupyter.work import Patience
from tests.download.asking import ensure_model, plan_model
from tests.faults.loopback import FILES, RawServer, Stage
from tests.servers import ABORT, Reply, Seen, Stall, json_reply
from tests.transfer.origin import REPO, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.settings.declared import HubName

    Break = Callable[[Stage, pytest.MonkeyPatch], None]

HOST = "http://hub.invalid"
"""Loopback is never asked of a proxy."""


def answers(reply: Reply) -> Break:
    def set_up(stage: Stage, _monkeypatch: pytest.MonkeyPatch) -> None:
        stage.at_listing = lambda _seen, _count: reply

    return set_up


def address(url: str, **environ: str) -> Break:
    def set_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        stage.hub_url = url.replace("PORT", stage.hub.url.rpartition(":")[2])
        for name, value in environ.items():
            monkeypatch.setenv(name, value)

    return set_up


def nobody_there(stage: Stage, _monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        stage.hub_url = f"http://127.0.0.1:{gone.getsockname()[1]}"


BREAKS: dict[str, Break] = {
    "nobody there": nobody_there,
    "no such name": address(HOST),
    "no TLS": address("https://127.0.0.1:PORT"),
    "certificates that cannot be read": address("https://127.0.0.1:PORT", REQUESTS_CA_BUNDLE="/nowhere/ca.pem"),
    "a malformed proxy": address(HOST, HTTP_PROXY="http://me:se#cret@proxy:80"),
    "a SOCKS proxy": address(HOST, HTTP_PROXY="socks5://proxy:1080"),
    "500": answers(Reply(500)),
    "503": answers(Reply(503)),
    "429 for an hour": answers(Reply(429, headers={"Retry-After": "3600"})),
    "401": answers(json_reply({"Code": 401, "Message": "no"}, 401)),
    "403": answers(json_reply({"error": "not in the authorized list"}, 403)),
    "404": answers(json_reply({"error": "Repository not found"}, 404)),
    "407": answers(Reply(407)),
    "418": answers(Reply(418)),
    "a login page": answers(Reply(200, b"<html>login</html>", {"Content-Type": "text/html"})),
    "half JSON": answers(Reply(200, b'{"Code": 200, "Data": {"Fi')),
    "nothing": answers(Reply(200)),
    "a circle": answers(Reply(302, headers={"Location": "/"})),
    "breaks off": answers(Reply(200, [b"{", ABORT], {"Content-Length": "100"})),
    "silence in the body": answers(Reply(200, [b"{", Stall()], {"Content-Length": "100"})),
}


@pytest.fixture(params=["modelscope", "huggingface"])
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Stage(tmp_path, request.param) as stage:
        yield stage


def ensure(stage: Stage, **options: Any) -> Ensured:
    return ensure_model(stage.cache, {stage.protocol: stage.make_hub()}, REPO, order=[stage.protocol], **options)


@pytest.mark.parametrize("how", BREAKS)
def test_what_is_here_is_used_and_that_there_was_no_news_is_said_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    first = ensure(stage, revision="master")
    BREAKS[how](stage, monkeypatch)
    monkeypatch.setattr(present, "NEWS_S", 0.7)
    recorder = Recorder()

    ensured = ensure(stage, revision="master", reporter=recorder)

    assert ensured.was_cached
    assert ensured.model.folder == first.model.folder
    (notice,) = recorder.notices
    assert notice.endswith(f" {REPO} is used as it is here, without news of master.")
    assert "se#cret" not in notice
    with pytest.raises(Qwen3ftError):  # it was asked for in so many words
        ensure(stage, update=True, stop=Patience(threading.Event(), 0.7))
    assert {path: (first.model.folder / path).read_bytes() for path in FILES} == FILES
    assert ensure(stage).was_cached


def never(connection: socket.socket, is_closed: threading.Event) -> None:
    connection.recv(4096)
    is_closed.wait(120)


def test_a_hub_that_never_answers_costs_seconds(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(stage, revision="master")
    monkeypatch.setattr(present, "NEWS_S", 0.5)
    recorder = Recorder()

    with RawServer(never) as silent:
        stage.hub_url = silent.url
        assert ensure(stage, revision="master", reporter=recorder, stop=Patience(threading.Event(), 20.0)).was_cached

    (notice,) = recorder.notices
    assert notice.startswith("No hub has given an answer of use within ")


def test_to_stop_is_to_stop_all_the_same(stage: Stage) -> None:
    ensure(stage, revision="master")

    with RawServer(never) as silent:
        stage.hub_url = silent.url
        with pytest.raises(Stopped):
            ensure(stage, revision="master", stop=Patience(threading.Event(), 0.3))


def test_a_plan_needs_no_news_either(stage: Stage) -> None:
    ensure(stage, revision="master")
    stage.at_listing = lambda _seen, _count: Reply(418)

    plan = plan_model(stage.cache, {stage.protocol: stage.make_hub()}, REPO, order=[stage.protocol], revision="master")

    assert plan.bytes_to_fetch == 0


def test_a_hub_that_cannot_know_the_commit_is_no_condition_either(stage: Stage) -> None:
    """The model came from one hub, and only the other one may be asked now."""
    other: HubName = "huggingface" if stage.protocol == "modelscope" else "modelscope"
    ensure(stage, revision="master")
    stage.at_listing = lambda _seen, _count: Reply(418)
    recorder = Recorder()

    ensured = ensure_model(
        stage.cache, {other: stage.make_hub()}, REPO, order=[other], revision="master", reporter=recorder
    )

    assert ensured.was_cached
    assert "without news of master" in recorder.notices[-1]


def test_a_listing_that_fails_after_the_news_keeps_what_is_here(stage: Stage) -> None:
    ensure(stage, revision="master")
    moved = f"{'d' * 40} refs/heads/master\n"

    def listing(seen: Seen, _count: int) -> Reply:
        if seen.path.endswith(".git/info/refs"):
            return Reply(200, f"{len(moved) + 4:04x}{moved}0000".encode())
        return json_reply({"sha": "d" * 40, "gated": False}) if "/revision/" in seen.path else Reply(418)

    stage.at_listing = listing

    assert ensure(stage, revision="master").was_cached


def test_what_is_damaged_is_not_used_for_want_of_news(stage: Stage) -> None:
    folder = ensure(stage, revision="master").model.folder
    (folder / "config.json").chmod(0o644)
    (folder / "config.json").write_bytes(b"{}")
    stage.at_listing = lambda _seen, _count: Reply(404)

    with pytest.raises(ModelNotFound):
        ensure(stage, revision="master")


def test_another_revision_than_is_here_is_still_an_error(stage: Stage) -> None:
    ensure(stage, revision="master")
    stage.at_listing = lambda _seen, _count: Reply(404)

    with pytest.raises(ModelNotFound):
        ensure(stage, revision="v2")
