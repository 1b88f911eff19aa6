"""Why a hub says no, in its own words: made safe to show, and told apart by what helps. Pure."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Cure = Literal["", "renew", "permission", "wait", "rejected", "ask", "licence", "nothing"]
"""What helps: a new token, another kind of token, patience, the authors' mercy, a request, a click, or nothing."""

MAX_REASON: Final = 240
"""Characters of a hub's own words that are shown."""
MAX_BODY_BYTES: Final = 16_384
"""A longer answer is no sentence."""

_WORDS: Final[tuple[tuple[Cure, tuple[str, ...]], ...]] = (
    (
        "permission",
        (
            "fine-grained",
            "token settings",
            "enable access to public gated",
            "token does not have",
            "insufficient scope",
            "insufficient permission",
            "required permission",
            "necessary permissions",
            "令牌权限",
        ),
    ),
    (
        "renew",
        (
            "expired",
            "invalid credential",
            "invalid username or password",
            "invalid token",
            "token is invalid",
            "invalid user token",
            "invalid access token",
            "invalid user access token",
            "token not found",
            "revoked",
            "过期",
            "失效",
            "无效",
            "token不正确",
            "token错误",
            "认证失败",
            "鉴权失败",
            "身份验证",
        ),
    ),
    (
        "rejected",
        ("rejected", "has been denied", "was denied", "拒绝", "未通过", "驳回"),
    ),
    (
        "wait",
        (
            "awaiting",
            "pending",
            "under review",
            "being reviewed",
            "审核",
            "审批",
            "等待",
        ),
    ),
    (
        "nothing",
        (
            "disabled",
            "taken down",
            "removed",
            "下架",
            "违规",
            "封禁",
            "已禁用",
            "下线",
        ),
    ),
    ("ask", ("authorized list", "ask for access", "request access", "apply for", "申请")),
    (
        "licence",
        (
            "gated",
            "licen",
            "agreement",
            "is restricted",
            "accept the",
            "agree to",
            "acknowledge",
            "terms",
            "协议",
            "许可",
            "同意",
        ),
    ),
)
"""The first words that are there decide: what is wrong with a token comes before what it was to open."""

_SECRET = re.compile(r"\b(?:hf_|ms-|Bearer\s+|m_session_id=)[^\s\"',;]+", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]+)[?#][^\s\"'<>]*", re.IGNORECASE)
_STORE_MESSAGE = re.compile(rb"<Message>([^<]{1,500})</Message>")
_KEYS = ("error", "Message", "message", "detail", "msg")


def cure_of(reason: str) -> Cure:
    """Return what helps against a refusal.

    >>> cure_of("Your request to access model a/b is awaiting a review from the repo authors.")
    'wait'
    """
    said = reason.lower()
    return next((cure for cure, words in _WORDS if any(word in said for word in words)), "")


def reason_of(headers: Mapping[str, str], body: bytes) -> str:
    """Return a refusal in the hub's own words, "" if it gives none.

    >>> reason_of({}, b'{"error": "Token  hf_abcdefgh is expired"}')
    'Token *** is expired'
    """
    said = headers.get("x-error-message", "").encode("latin-1", "replace").decode("utf-8", "replace")
    return clean(said or _in_body(body))


def _in_body(body: bytes) -> str:
    store = _STORE_MESSAGE.search(body[:MAX_BODY_BYTES])
    if store is not None:
        return store[1].decode("utf-8", "replace")
    data: object = None
    if len(body) <= MAX_BODY_BYTES:
        with contextlib.suppress(ValueError, RecursionError):
            data = json.loads(body)
    values = [data.get(key) for key in _KEYS] if isinstance(data, dict) else [data]
    return next((value for value in values if isinstance(value, str)), "")


def is_page(body: bytes) -> bool:
    """Return whether an answer is a web page: then a program on the way has answered, or one against robots."""
    return body.lstrip()[:64].lower().startswith((b"<!doctype html", b"<html", b"<head", b"<body"))


def clean(text: str) -> str:
    """Return a stranger's words so that they can be shown: on one line, short, without secrets or hidden letters."""
    spaced = "".join(" " if character.isspace() else character for character in text[: 10 * MAX_REASON])
    seen = "".join(one for one in spaced if unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    plain = " ".join(_QUERY.sub(r"\1", _SECRET.sub("***", seen)).replace('"', "'").split())
    return plain if len(plain) <= MAX_REASON else f"{plain[: MAX_REASON - 1]}…"
