"""Every setting there is: its variable, how its text is read, and what it is for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qwen3ft_jupyter.errors import BadSetting

_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f"})
_NOTHING = frozenset({"", "0", "none", "off", "no", "unlimited"})
_BYTES = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)b?(?:/s)?", re.ASCII | re.IGNORECASE)


class Secret:
    """A token. Prints as ``***`` wherever it may turn up; `reveal` is for the request that needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the token itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


def parse_bool(variable: str, value: Any) -> bool:
    """Return True or False. Raises BadSetting."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadSetting(
        f"{variable}={value!r} is neither true nor false.", hint="Accepted: true, 1, yes, on, false, 0, no, off."
    )


def parse_folder(variable: str, value: Any) -> Path:
    """Return an absolute path. Raises BadSetting."""
    text = str(value).strip()
    if not text or "\0" in text:
        raise BadSetting(f"{variable}={value!r} is no folder.", hint="Give the path of a folder, for example ~/models.")
    try:
        return Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - resolve() would follow links
    except OSError as error:
        raise BadSetting(
            f"{variable}={value!r} is below the working folder, which has been deleted.", hint="Give the whole path."
        ) from error


def parse_folders(variable: str, value: Any) -> tuple[Path, ...]:
    """Return absolute paths; text separates them like ``PATH``. Raises BadSetting."""
    parts = value.split(os.pathsep) if isinstance(value, str) else list(value)
    return tuple(parse_folder(variable, part) for part in parts if str(part).strip())


def parse_url(variable: str, value: Any) -> str:
    """Return an address without a slash at its end; a bare host is taken as https. Raises BadSetting."""
    text = str(value).strip()
    if "://" not in text:
        text = f"https://{text}"
    text = text.rstrip("/")
    try:
        parts = urlsplit(text)
        valid = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and parts.port != 0
        )
    except ValueError:
        valid = False
    if not valid or any(character.isspace() for character in text):
        raise BadSetting(
            f"{variable} is not the address of a hub.",  # the value may hold a password: it is not repeated
            hint="Give an address such as https://hub.example.org, without user name or password.",
        )
    return text


def parse_secret(variable: str, value: Any) -> Secret | None:
    """Return a token, or None for an empty text. Raises BadSetting."""
    if value is None or isinstance(value, Secret):
        return value
    text = str(value).strip()
    if any(ord(character) < 33 or ord(character) > 126 for character in text):
        raise BadSetting(f"{variable} holds characters no token has.", hint="Copy the token again from the hub's page.")
    return Secret(text) if text else None


def parse_connections(variable: str, value: Any) -> int:
    """Return a number of connections. Raises BadSetting."""
    try:
        number = int(str(value).strip())
    except ValueError:
        number = 0
    if not 1 <= number <= 64:
        raise BadSetting(f"{variable}={value!r} is out of range.", hint="Accepted: a whole number from 1 to 64.")
    return number


def parse_bytes(variable: str, value: Any) -> int | None:
    """Return a number of bytes, or None for no limit.

    >>> parse_bytes("MODEL_CACHE_QUOTA", "1.5 GB"), parse_bytes("MODEL_CACHE_QUOTA", "2GiB")
    (1500000000, 2147483648)

    Raises:
        BadSetting: it is no size.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    text = str(value).strip().lower()
    if text in _NOTHING:
        return None
    match = _BYTES.fullmatch(text)
    power = " kmgt".index(match[2] or " ") if match else 0
    number = int(float(match[1]) * (1024 if match[3] else 1000) ** power) if match else 0
    if number <= 0:
        raise BadSetting(
            f"{variable}={value!r} is no number of bytes.", hint="Accepted: a size such as 200GB or 20MB, or none."
        )
    return number


def parse_urls(variable: str, value: Any) -> tuple[str, ...]:
    """Return addresses; text separates them by spaces or commas. Raises BadSetting."""
    parts = value.replace(",", " ").split() if isinstance(value, str) else list(value)
    return tuple(dict.fromkeys(parse_url(variable, part) for part in parts))


def parse_host_tokens(variable: str, value: Any) -> Secret | None:
    """Return ``HOST=TOKEN`` pairs, separated by spaces or commas, as one secret. Raises BadSetting."""
    if value is None or isinstance(value, Secret):
        return value
    pairs = str(value).replace(",", " ").split()
    if not all(host and token for host, _, token in (pair.partition("=") for pair in pairs)):
        raise BadSetting(  # the value is not repeated: it holds tokens
            f"{variable} is not a list of tokens.", hint="Give HOST=TOKEN pairs, for example 10.0.0.5:8900=secret."
        )
    for pair in pairs:
        parse_secret(variable, pair)
    return Secret(" ".join(pairs)) if pairs else None


def as_text(value: Any) -> str:
    """Return a value as an environment variable holds it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        separator = os.pathsep if value and isinstance(value[0], Path) else " "
        return separator.join(str(item) for item in value)
    return str(value)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its environment variable, how its text is read, and what it is for."""

    variable: str
    name: str
    parse: Callable[[str, Any], Any]
    accepted: str
    help: str
    aliases: tuple[str, ...] = ()
    is_secret: bool = False
    is_folder: bool = False
    """Is it one folder or several? The user may write those with ``$VARIABLES``."""
    from_working_folder: bool = False
    """May a ``.env`` in the working folder or the server's root set it?"""


_BOOL = "true, 1, yes, on, false, 0, no, off"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "USE_MODELSCOPE",
        "use_modelscope",
        parse_bool,
        _BOOL,
        "Ask ModelScope first (true) or Hugging Face first (false).",
        from_working_folder=True,
    ),
    Setting(
        "MODEL_CACHE_DIR",
        "cache_dir",
        parse_folder,
        "a folder",
        "Where models are kept.",
        is_folder=True,
        from_working_folder=True,
    ),
    Setting(
        "MODEL_CACHE_SHARED_DIRS",
        "shared_dirs",
        parse_folders,
        f"folders separated by '{os.pathsep}'",
        "Read-only caches to look in as well, for example a team's network drive.",
        is_folder=True,
    ),
    Setting(
        "MODEL_CACHE_OTHER_DIRS",
        "other_dirs",
        parse_folders,
        f"folders separated by '{os.pathsep}'",
        "More folders to look in for files that are already on this disk, besides the caches of the hubs' own clients.",
        is_folder=True,
    ),
    Setting(
        "MODEL_CACHE_QUOTA",
        "quota",
        parse_bytes,
        "a size such as 200GB, or none",
        "The most the models here may take; the least recently used make room, pinned ones never.",
    ),
    Setting(
        "QWEN3FT_STATE_DIR",
        "state_dir",
        parse_folder,
        "a folder",
        "Where jobs keep their state and logs; best on a local disk that persists.",
        is_folder=True,
    ),
    Setting(
        "MODELSCOPE_ENDPOINT",
        "modelscope_endpoint",
        parse_url,
        "an http(s) address",
        "Address of ModelScope or of a mirror that speaks its protocol.",
        aliases=("MODELSCOPE_DOMAIN",),
    ),
    Setting(
        "MODELSCOPE_API_TOKEN",
        "modelscope_token",
        parse_secret,
        "a token",
        "Token for private ModelScope repos; a login of the modelscope client is used otherwise.",
        is_secret=True,
    ),
    Setting(
        "HF_ENDPOINT",
        "hf_endpoint",
        parse_url,
        "an http(s) address",
        "Address of Hugging Face or of a mirror.",
    ),
    Setting(
        "HF_TOKEN",
        "hf_token",
        parse_secret,
        "a token",
        "Token for private or gated Hugging Face repos; a login of the hf client is used otherwise.",
        aliases=("HUGGING_FACE_HUB_TOKEN",),
        is_secret=True,
    ),
    Setting(
        "QWEN3FT_OFFLINE",
        "offline",
        parse_bool,
        _BOOL,
        "Use only what is in the cache, open no connection.",
        aliases=("HF_HUB_OFFLINE",),
    ),
    Setting(
        "QWEN3FT_FALLBACK",
        "fallback",
        parse_bool,
        _BOOL,
        "Go to the other hub, and say so, when the first has no such model or cannot be reached.",
    ),
    Setting(
        "QWEN3FT_MIRRORS",
        "mirrors",
        parse_urls,
        "http(s) addresses separated by spaces",
        "Mirrors that speak Hugging Face's protocol, such as a colleague's `qwen3ft mirror`: more sources.",
    ),
    Setting(
        "QWEN3FT_MIRROR_TOKENS",
        "mirror_tokens",
        parse_host_tokens,
        "HOST=TOKEN pairs separated by spaces",
        "Tokens for mirrors, each sent to its own host alone.",
        is_secret=True,
    ),
    Setting(
        "QWEN3FT_MAX_CONNECTIONS",
        "max_connections",
        parse_connections,
        "1 to 64",
        "The most connections one download may open.",
    ),
    Setting(
        "QWEN3FT_MAX_SPEED",
        "max_speed",
        parse_bytes,
        "bytes a second such as 20MB, or none",
        "The most bytes a second one download may take; can be changed while it runs.",
    ),
)
