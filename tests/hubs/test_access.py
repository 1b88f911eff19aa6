"""A hub that says no: its own reason is shown, made safe, with what helps against that reason; on either hub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import AccessDenied, HubUnreachable, ModelGated, ModelNotFound
from qwen3ft_jupyter.hubs import modelscope
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.reasons import MAX_REASON, clean, cure_of, reason_of
from qwen3ft_jupyter.hubs.routes import make_hubs, resolve
from qwen3ft_jupyter.messages import render
from qwen3ft_jupyter.settings.places import load_settings
from qwen3ft_jupyter.work import Work
from tests.servers import Reply, ScriptedServer, Seen, json_reply
from tests.transfer.origin import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import Hub

REPO = parse_repo_id("acme/Tiny-1")
COMMIT = "c" * 40
TOKEN = "made-up-token"
ENTRY = {"type": "file", "path": "config.json", "size": 2, "oid": "a" * 40}
BLOB = {"Path": "config.json", "Type": "blob", "Size": 2, "Sha256": "f" * 64}
TOKENS = {"huggingface": "https://huggingface.co/settings/tokens", "modelscope": "https://modelscope.cn/my/"}

REASONS = [
    (
        "Please enable access to public gated repositories in your fine-grained token settings to view this.",
        AccessDenied,
        "TOKENS",
    ),
    ("Your token does not have the required permissions to read this repository.", AccessDenied, "TOKENS"),
    ("Your request to access model acme/Tiny-1 is awaiting a review from the repo authors.", ModelGated, "Wait"),
    ("Your access request is pending.", ModelGated, "Wait"),
    ("您的申请正在审核中", ModelGated, "Wait"),
    ("Your request to access model acme/Tiny-1 has been rejected by the repo's authors.", ModelGated, "authors can"),
    ("您的申请已被拒绝", ModelGated, "authors can"),
    (
        "Access to model acme/Tiny-1 is restricted and you are not in the authorized list. Visit the page to ask.",
        ModelGated,
        "Ask for access",
    ),
    ("请先申请该模型的访问权限", ModelGated, "Ask for access"),
    ("Access to model acme/Tiny-1 is restricted. You must have access to it.", ModelGated, "Accept it"),
    ("请先同意模型协议", ModelGated, "Accept it"),
    ("You must accept the terms of the licence first.", ModelGated, "Accept it"),
    ('User Access Token "my laptop" is expired', AccessDenied, "Make a new token"),
    ("Invalid credentials in Authorization header", AccessDenied, "Make a new token"),
    ("Invalid username or password.", AccessDenied, "Make a new token"),
    ("访问令牌已过期", AccessDenied, "Make a new token"),
    ("token 无效", AccessDenied, "Make a new token"),
    ("Access to this resource is disabled.", AccessDenied, "another model"),
    ("该模型因违规已下架", AccessDenied, "another model"),
    ("申请已提交，请等待作者处理", ModelGated, "Wait"),
    ("审核未通过", ModelGated, "authors can"),
    ("You need to agree to share your contact information to access this model.", ModelGated, "Accept it"),
    ("Your token has insufficient permissions.", AccessDenied, "TOKENS"),
    ("鉴权失败", AccessDenied, "Make a new token"),
    ("该模型已下线", AccessDenied, "another model"),
    ("您没有权限访问该模型", AccessDenied, "renew it"),
    ("The moon is in the wrong place.", AccessDenied, "renew it"),
]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelscope, "DENIAL_PAUSES_S", (0.0, 0.0, 0.0))


class Play:
    """Both hubs, which say no to those they do not like."""

    def __init__(self, refuse: Callable[[Seen], Reply | None]) -> None:
        self.refuse = refuse

    def __call__(self, seen: Seen) -> Reply:
        refusal = self.refuse(seen)
        if refusal is not None:
            return refusal
        if "/revision/" in seen.path:
            return json_reply({"sha": COMMIT, "gated": False})
        if "/tree/" in seen.path:
            return json_reply([ENTRY])
        if seen.path.endswith("/repo/files"):
            return json_reply({"Code": 200, "Success": True, "Data": {"Files": [BLOB]}})
        return Reply(404)


def refusal(protocol: str, reason: str, status: int, code: str = "") -> Reply:
    """Return a refusal as the hub gives it; the words of Hugging Face's are in a header, too."""
    if protocol == "modelscope":
        return json_reply({"Code": 10990101002, "Success": False, "Message": reason}, status)
    headers = {"X-Error-Code": code} if code else {}
    if reason.isascii():
        headers["X-Error-Message"] = reason
    return json_reply({"error": reason}, status, headers)


def make_hub(protocol: str, url: str, token: str | None = TOKEN, origin: str = "the pocket") -> Hub:
    kind: Any = ModelScopeHub if protocol == "modelscope" else HuggingFaceHub
    hub: Hub = kind(HttpClient(chance=lambda: 0.0), url, token, token_origin=origin)
    return hub


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("protocol", ["modelscope", "huggingface"])
@pytest.mark.parametrize(("reason", "kind", "cure"), REASONS)
def test_the_hubs_own_reason_is_told_with_what_helps_against_it(
    protocol: str, reason: str, kind: type[Exception], cure: str, status: int
) -> None:
    with ScriptedServer(Play(lambda _: refusal(protocol, reason, status))) as server:
        with pytest.raises((AccessDenied, ModelGated)) as caught:
            make_hub(protocol, server.url).listing(REPO)
        page = f"{server.url}/models/{REPO}" if protocol == "modelscope" else f"{server.url}/{REPO}"

    assert type(caught.value) is kind
    assert reason.rstrip(".").replace('"', "'") in caught.value.message
    assert cure.replace("TOKENS", TOKENS[protocol]) in caught.value.hint
    if cure in {"Wait", "authors can", "Ask for access", "Accept it"}:
        assert page in caught.value.hint
    if cure in {"TOKENS", "Make a new token", "renew it"}:
        assert "the pocket" in caught.value.hint
    assert TOKEN not in str(caught.value)
    assert render(caught.value.hint, "zh") != caught.value.hint


@pytest.mark.parametrize(
    "reason",
    [
        "该模型为私有模型",
        "请先登录",
        "user not logged in",
        "no permission",
    ],
)
def test_modelscope_says_no_with_a_200_too(reason: str) -> None:
    play = Play(lambda _: refusal("modelscope", reason, 200))
    with ScriptedServer(play) as server, pytest.raises(AccessDenied, match=reason) as caught:
        make_hub("modelscope", server.url, None).listing(REPO)

    assert "MODELSCOPE_API_TOKEN" in caught.value.hint


@pytest.mark.parametrize("protocol", ["modelscope", "huggingface"])
@pytest.mark.parametrize(("reason", "kind", "cure"), REASONS)
def test_without_a_token_the_cure_names_the_setting_that_takes_one(
    protocol: str, reason: str, kind: type[Exception], cure: str
) -> None:
    with ScriptedServer(Play(lambda _: refusal(protocol, reason, 401))) as server, pytest.raises(kind) as caught:
        make_hub(protocol, server.url, None).listing(REPO)

    variable = "MODELSCOPE_API_TOKEN" if protocol == "modelscope" else "HF_TOKEN"
    assert variable in caught.value.hint or cure in {"Wait", "authors can", "another model"}  # type: ignore[attr-defined]


def test_the_gate_of_a_single_file_tells_its_reason_too() -> None:
    def refuse(seen: Seen) -> Reply | None:
        if "/revision/" in seen.path:
            return json_reply({"sha": COMMIT, "gated": "manual"})
        is_file = "/resolve/" in seen.path
        return refusal("huggingface", REASONS[2][0], 403, "GatedRepo") if is_file else None

    with ScriptedServer(Play(refuse)) as server, pytest.raises(ModelGated, match="awaiting a review") as caught:
        make_hub("huggingface", server.url).listing(REPO)

    assert "Wait" in caught.value.hint


@pytest.mark.parametrize("protocol", ["modelscope", "huggingface"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_web_page_that_forbids_is_not_the_hubs_word(protocol: str, status: int) -> None:
    page = Reply(status, b"<!DOCTYPE html><html><h1>Blocked by policy</h1></html>", {"Content-Type": "text/html"})
    with ScriptedServer(Play(lambda _: page)) as server, pytest.raises(HubUnreachable) as caught:
        make_hub(protocol, server.url, None).listing(REPO)

    assert "token" not in str(caught.value).lower()
    assert "proxy" in caught.value.hint


# A token that is not accepted


def only_strangers(protocol: str, reason: str, status: int) -> Play:
    def refuse(seen: Seen) -> Reply | None:
        return refusal(protocol, reason, status) if "authorization" in seen.headers else None

    return Play(refuse)


@pytest.mark.parametrize("protocol", ["modelscope", "huggingface"])
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    "reason", ["User Access Token x is expired", "Invalid credentials in Authorization header", ""]
)
def test_a_public_model_is_had_without_a_wrong_token_and_that_is_said_once(
    protocol: str, status: int, reason: str
) -> None:
    with ScriptedServer(only_strangers(protocol, reason, status)) as server:
        hub = make_hub(protocol, server.url)
        listing, again = hub.listing(REPO), hub.listing(REPO)
        request = hub.file_request(listing, listing.files[0])

    assert [file.path for file in listing.files] == ["config.json"]
    (note,) = listing.notes
    assert "does not accept the token (the pocket)" in note
    assert reason in note
    assert again.notes == ()
    assert request.headers == {}
    assert TOKEN not in note


@pytest.mark.parametrize("protocol", ["modelscope", "huggingface"])
def test_where_the_token_came_from_is_said_as_settings_show_it(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "MODELSCOPE_API_TOKEN" if protocol == "modelscope" else "HUGGING_FACE_HUB_TOKEN"
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    heard = Recorder()
    with ScriptedServer(only_strangers(protocol, "expired", 401)) as server:
        settings = load_settings(
            environ={
                variable: TOKEN,
                "HF_ENDPOINT": server.url,
                "MODELSCOPE_ENDPOINT": server.url,
                "HOME": str(tmp_path),
            },
            working_folder=tmp_path,
        )
        order: Any = (protocol,)
        resolve(make_hubs(settings), order, REPO, work=Work(reporter=heard))

    assert any(f"environment ({variable})" in notice for notice in heard.notices)


@pytest.mark.parametrize("protocol", ["modelscope", "huggingface"])
def test_a_token_that_opens_the_model_is_sent_to_the_end(protocol: str) -> None:
    def refuse(seen: Seen) -> Reply | None:
        return None if "authorization" in seen.headers else refusal(protocol, "private", 401, "RepoNotFound")

    with ScriptedServer(Play(refuse)) as server:
        hub = make_hub(protocol, server.url)
        listing = hub.listing(REPO)

    assert listing.notes == ()
    assert hub.file_request(listing, listing.files[0]).headers["authorization"] == f"Bearer {TOKEN}"


def test_a_wrong_token_for_a_model_that_strangers_do_not_see_lets_the_next_hub_be_asked() -> None:
    def refuse(seen: Seen) -> Reply | None:
        if "authorization" in seen.headers:
            return refusal("huggingface", "Invalid credentials in Authorization header", 401)
        return refusal("huggingface", "Repository not found", 401, "RepoNotFound")

    with ScriptedServer(Play(refuse)) as server, pytest.raises(ModelNotFound) as caught:
        make_hub("huggingface", server.url).listing(REPO)

    assert "does not accept the token (the pocket)" in caught.value.message
    assert "Make a new token" in caught.value.hint


def test_a_gate_is_no_reason_to_forget_the_token() -> None:
    seen_bare = []

    def refuse(seen: Seen) -> Reply | None:
        seen_bare.append("authorization" not in seen.headers)
        return refusal("huggingface", REASONS[2][0], 403, "GatedRepo")

    with ScriptedServer(Play(refuse)) as server, pytest.raises(ModelGated):
        make_hub("huggingface", server.url).listing(REPO)

    assert seen_bare == [False]


# Words of strangers


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("  a   b ", "a b"),
        ("right\u202eleft\u200b", "rightleft"),
        ("bell\x07\x1b[31m", "bell[31m"),
        ('say "hi"', "say 'hi'"),
        ("token hf_abcdefghijkl, sorry", "token ***, sorry"),
        ("Bearer abc.def is bad", "*** is bad"),
        ("ms-0123-4567 is bad", "*** is bad"),
        ("see https://a.example/b?signature=c&d=e now", "see https://a.example/b now"),
        ("x" * 1000, "x" * (MAX_REASON - 1) + "…"),
        ("\ud800", ""),
    ],
)
def test_words_of_a_stranger_are_made_safe_to_show(said: str, shown: str) -> None:
    assert clean(said) == shown


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": "no"}', "no"),
        (b'{"Code": 1, "Message": "no", "Success": false}', "no"),
        (b'{"message": "no"}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'"no"', "no"),
        (b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "Request has expired"),
        (b'{"error": {"deep": 1}}', ""),
        (b"[1, 2]", ""),
        (b"<html>no</html>", ""),
        (b"not json", ""),
        (b"", ""),
        (b"[" * 100_000, ""),
        (b'{"error": "' + b"x" * 100_000 + b'"}', ""),
    ],
)
def test_a_reason_is_found_in_each_form_of_an_answer_and_nothing_else_is_taken_for_one(
    body: bytes, reason: str
) -> None:
    assert reason_of({}, body) == reason


def test_a_reason_in_the_head_comes_first() -> None:
    assert reason_of({"x-error-message": "the head's"}, b'{"error": "the body\'s"}') == "the head's"


def test_each_cure_has_words_that_lead_to_it() -> None:
    assert {cure_of(reason) for reason, _, _ in REASONS} == {
        "permission",
        "wait",
        "rejected",
        "ask",
        "licence",
        "renew",
        "nothing",
        "",
    }
    assert not re.search("[A-Z]", cure_of("The token has EXPIRED"))
