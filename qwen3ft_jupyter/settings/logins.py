"""Tokens that the hubs' own clients stored when the user logged in with them. Read only, never written."""

from __future__ import annotations

import io
import os
import pickle
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwen3ft_jupyter.disk import read_regular
from qwen3ft_jupyter.paths import at_home

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile("[!-~]+")
_MAX_BYTES = 1_000_000  # a login is a few hundred bytes; anything larger is something else


def stored_huggingface_token(environ: Mapping[str, str]) -> str | None:
    """Return the token that ``hf auth login`` stored, or None; what no token can be is none.

    The places are those of huggingface_hub's ``constants.HF_TOKEN_PATH``. Raises OSError if it cannot be read.
    """
    caches = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or os.path.join(caches, "huggingface")  # noqa: PTH118 - the variable may hold ~
    path = environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")  # noqa: PTH118
    token = _read(at_home(os.path.expandvars(path))).decode("utf-8", "replace").strip()
    return token if _TOKEN.fullmatch(token) else None


def stored_modelscope_token(endpoint: str, environ: Mapping[str, str]) -> str | None:
    """Return the session token that ``modelscope login`` stored for the host of `endpoint`, or None.

    The client keeps a pickled cookie jar. Unpickling runs code, so only the names of a cookie jar's classes are let
    through, and each is replaced by an empty class of ours: nothing of the file is ever executed. Raises OSError if the
    jar cannot be read.
    """
    home = environ.get("MODELSCOPE_HOME") or "~/.modelscope"
    folder = environ.get("MODELSCOPE_CREDENTIALS_PATH") or str(Path(home) / "credentials")
    data = _read(at_home(folder) / "cookies")
    if not data:
        return None
    try:
        jar = _CookieUnpickler(io.BytesIO(data)).load()
    except Exception:  # noqa: BLE001 - pickle raises anything at all on damaged input, and a damaged login is no login
        return None
    host = urlsplit(endpoint).hostname or ""
    cookies = _cookies(getattr(jar, "_cookies", None))
    value = next((cookie.value for cookie in cookies if _is_login(cookie, host)), None)
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _is_login(cookie: _Empty, host: str) -> bool:
    is_current = cookie.expires is None or cookie.expires > time.time()
    return cookie.name == "m_session_id" and is_current and _covers(str(cookie.domain), host)


def _covers(domain: str, host: str) -> bool:
    """Say whether a cookie of `domain` belongs to `host`: the same registered site, as the client itself takes it."""
    domain, host = domain.lstrip(".").removeprefix("www."), host.removeprefix("www.")
    return bool(domain) and domain == host


def _cookies(tree: object) -> list[_Empty]:
    """Flatten a jar's domain → path → name → cookie."""
    if isinstance(tree, dict):
        return [cookie for branch in tree.values() for cookie in _cookies(branch)]
    return [tree] if isinstance(tree, _Empty) else []


class _Empty:
    """Stands in for every class of a pickled cookie jar; of a cookie, what we read if it is there."""

    name: object = None
    value: object = None
    domain: object = ""
    expires: float | None = None


class _CookieUnpickler(pickle.Unpickler):
    _ALLOWED = frozenset(
        {
            ("requests.cookies", "RequestsCookieJar"),
            ("http.cookiejar", "CookieJar"),
            ("http.cookiejar", "Cookie"),
            ("http.cookiejar", "DefaultCookiePolicy"),
        }
    )

    def find_class(self, module: str, name: str) -> type:
        if (module, name) in self._ALLOWED:
            return _Empty
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a cookie jar")


def _read(path: Path) -> bytes:
    """Return the bytes of a file, none if there is no such one. Raises OSError, also for a pipe: it would not end."""
    try:
        return read_regular(os.path.realpath(path), _MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
