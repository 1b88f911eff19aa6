"""Who asks: the token in a request, and what both hubs' clients ask about the account it belongs to.

A mirror has one account, and one token or none. Without one, whatever a client shows is as good.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import json
import re
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.mirror import modelscope, refusals
from qwen3ft_jupyter.mirror.replies import json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.mirror.replies import Asked, Reply

NAME: Final = "qwen3ft-mirror"
SHOWN_NONE: Final = (
    "This mirror asks for the token that `qwen3ft mirror` printed. Set HF_TOKEN to it, or for ModelScope "
    "MODELSCOPE_API_TOKEN; before modelscope 1.38 run `modelscope login --token` instead."
)
SHOWN_WRONG: Final = (
    "The token is not this mirror's (unauthorized). It is made anew at each start: "
    "take the one that `qwen3ft mirror` printed last."
)
HF_WRONG: Final = "Invalid credentials in Authorization header"
"""At any other sentence Hugging Face's clients say of an https address, but not of http, that the repo is not found."""
_LOGIN: Final = "/api/v1/login"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
"""A token that may be repeated in a header."""


def is_allowed(asked: Asked, token: str | None) -> bool:
    """Return whether a request shows the token that is asked for, if one is."""
    expected = (token or "").encode()
    return not expected or any(hmac.compare_digest(one.encode("utf-8", "replace"), expected) for one in _shown(asked))


def refused(asked: Asked, *, is_modelscope: bool) -> Reply:
    """Return that the token is missing or wrong, in words that the client shows."""
    reason = SHOWN_WRONG if any(_shown(asked)) else SHOWN_NONE
    # RFC 9110, section 11.6.1: a challenge is due; git, curl and wget send their password after this one
    challenge = {"WWW-Authenticate": 'Basic realm="qwen3ft mirror", charset="UTF-8"'}
    is_https = asked.origin.startswith("https:")
    if is_modelscope:
        reply = modelscope.refused(401, 401, reason)
    else:
        said = HF_WRONG if is_https else reason  # the reason is in the body as well
        reply = json_reply({"error": reason}, status=401, headers={"X-Error-Message": said})
    return replace(reply, headers={**reply.headers, **challenge}, reason=reason)


def answer(asked: Asked) -> Reply | None:
    """Return the answer, or None if this is no question about an account; the token was found good."""
    if asked.path == "/api/whoami-v2" and asked.is_read:
        return json_reply(_WHOAMI)
    if asked.path == "/openapi/v1/users/me" and asked.is_read:
        return modelscope.good_open({"id": NAME, "username": NAME, "email": ""})
    if asked.path == _LOGIN and asked.method == "POST":
        return _log_in(asked)
    return None


_WHOAMI: Final[dict[str, object]] = {
    "type": "user",
    "id": NAME,
    "name": NAME,
    "fullname": "qwen3ft mirror",
    "email": None,
    "emailVerified": False,
    "canPay": False,
    "isPro": False,
    "periodEnd": None,
    "avatarUrl": "",
    "orgs": [],
    "auth": {"type": "access_token", "accessToken": {"displayName": NAME, "role": "read"}},
}


def _log_in(asked: Asked) -> Reply:
    token = next((one for one in _shown(asked) if _PLAIN.fullmatch(one)), "")
    if not token:
        return refusals.refused(400, "", "The body names no token.")
    reply = modelscope.good({"AccessToken": token, "Username": NAME, "Email": ""})
    return replace(reply, headers={**reply.headers, "Set-Cookie": f"m_session_id={token}; Path=/; HttpOnly"})


def _shown(asked: Asked) -> Iterator[str]:
    """Yield every token in a request: Bearer, the password or user of Basic, ModelScope's cookie, its login."""
    scheme, _, credentials = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield credentials.strip()
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            user, _, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
            yield password or user
    cookies = SimpleCookie()
    with contextlib.suppress(CookieError):
        cookies.load(asked.headers.get("cookie", ""))
    if "m_session_id" in cookies:
        yield cookies["m_session_id"].value
    if asked.path == _LOGIN and asked.method == "POST":
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            yield str(json.loads(asked.body)["AccessToken"])
