"""The kinds of settings: how the text of each is read, and which values it accepts. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar
from urllib.parse import urlsplit

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.messages import Message

T_co = TypeVar("T_co", covariant=True)

_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f"})
TRUTH_HINT = Message("Accepted: true, 1, yes, on, false, 0, no, off.")
_NOTHING = frozenset({"", "0", "none", "off", "no", "unlimited"})
_BYTES = re.compile(r"(\d{1,20}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)b?(?:/s)?", re.ASCII)
_LEAST_BYTES = 1000
"""Who writes a smaller number without a unit meant another unit; a program that gives a number means bytes."""
_UNITS = {(unit, i): base**power for power, unit in enumerate(("", *"kmgt")) for i, base in (("", 1000), ("i", 1024))}
_ADDRESS = re.compile(r"file:|[a-z][a-z0-9+.-]+://", re.ASCII | re.IGNORECASE)
_WINDOWS_PATH = re.compile(r"[a-z]:|\\|%\w+%", re.ASCII | re.IGNORECASE)
_HUB_HOSTS = frozenset({"huggingface.co", "hf.co", "hf-mirror.com", "modelscope.cn", "modelscope.ai"})
"""They lie at the root of their hosts."""
_NO_HOSTS = _TRUE | _FALSE | {"none", "null", "nil", "nan", "default", "unset", "undefined"}
"""Words for an address that is not given; as the name of a host they would be looked up."""
_ROUTE = re.compile(r"/(?:openapi|api)(?:/v1)?(?:/models.*)?$")
_ODD_HOST = re.compile(r"[.][.]|^[.-]")
_UNQUOTE = Message("Write it without them: docker's --env-file, for example, takes them as part of the value.")
_QUOTED = re.compile(r"""(["']).*\1""", re.DOTALL)
_PAIRS = {"”": "“", "’": "‘", "」": "「", "』": "『", "》": "《"}
_MARKS = "\"'" + "".join([*_PAIRS, *_PAIRS.values()])
"""Quotation marks of which one at the beginning is no part of a name."""
_FULL_WIDTH = ("～", "／", "．")
"""What an input method makes of the characters that a path may begin with."""
_SPOILT_HOST = re.compile(r"[,;!'\"<>|{}()、。，；：！？（）“”‘’]")


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


def read_bool(value: object) -> bool:
    """Return the truth that people write in many ways.

    >>> read_bool("Yes"), read_bool(0), read_bool(True)
    (True, False, True)

    Raises:
        ValueError: it is neither true nor false.
    """
    text = str(value).strip().lower() if isinstance(value, (str, bool, int)) else ""
    if text not in _TRUE | _FALSE:
        raise ValueError(value)
    return text in _TRUE


def is_true(text: str) -> bool:
    """Return whether the hubs' clients, and so transformers, take a text for true.

    >>> is_true("ON"), is_true("2")
    (True, False)
    """
    return text.strip().lower() in {"1", "on", "yes", "true"}


def parse_bool(variable: str, value: object) -> bool:
    """Return True or False. Raises BadSetting."""
    try:
        return read_bool(value)
    except ValueError:
        raise BadSetting(
            "{variable}={value!r} is neither true nor false.", hint=TRUTH_HINT, variable=variable, value=value
        ) from None


def check_folder(variable: str, value: object) -> str:
    """Return the text of a path, which may be relative.

    Raises:
        BadSetting: it is no path, or one that this system would take for a relative one although it is not.
    """
    text = str(value).strip()
    if fault := folder_fault(text):
        problem, hint = fault
        raise BadSetting("{variable}={value!r} {problem}.", hint=hint, variable=variable, value=value, problem=problem)
    return text


def _ends_in_mark(text: str) -> bool:
    """Return whether the last character is a quotation mark that ends no quotation within the name."""
    last = text[-1]
    return last in _PAIRS.values() or (last in _PAIRS and _PAIRS[last] not in text)


_FOLDER_FAULTS: tuple[tuple[Callable[[str], object], str, str], ...] = (
    (
        lambda text: not text or "\0" in text,
        Message("is no folder"),
        Message("Give the path of a folder, for example ~/models."),
    ),
    (
        lambda text: text[0] in _MARKS or _ends_in_mark(text),
        Message("is written in quotation marks"),
        _UNQUOTE,
    ),
    (
        lambda text: text.startswith(_FULL_WIDTH),
        Message("begins with a full-width character"),
        Message("Write it with the plain one: ~, / or a dot."),
    ),
    (
        _ADDRESS.match,
        Message("is an address, not a folder"),
        Message("Give the path of a folder, for example /data/models."),
    ),
    (
        lambda text: os.name != "nt" and _WINDOWS_PATH.match(text),
        Message("is a path of Windows"),
        Message("Give a path of this system, for example /data/models."),
    ),
    (
        lambda text: text.startswith("$"),
        Message("begins with a variable that has no value here"),
        Message("Give the whole path."),
    ),
    (
        lambda text: os.path.expanduser(text).startswith("~"),  # noqa: PTH111 - pathlib raises where this does nothing
        Message("begins with ~, but nobody here has that home folder"),
        Message("Give the whole path."),
    ),
)
"""What may be wrong with the text of a path, what to call that, and what to do."""


def folder_fault(text: str) -> tuple[str, str] | None:
    """Return what is wrong with the text of a path and what to do, None if nothing is.

    >>> folder_fault("s3://bucket/models"), folder_fault("models")
    (('is an address, not a folder', 'Give the path of a folder, for example /data/models.'), None)
    """
    return next(((message, hint) for is_so, message, hint in _FOLDER_FAULTS if is_so(text)), None)


def parse_folder(variable: str, value: object) -> Path:
    """Return an absolute path. Raises BadSetting."""
    text = check_folder(variable, value)
    try:
        return Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - resolve() would follow links
    except OSError as error:
        raise BadSetting(
            "{variable}={value!r} is below the working folder, which has been deleted.",
            hint="Give the whole path.",
            variable=variable,
            value=value,
        ) from error


def parse_folders(variable: str, value: object) -> tuple[Path, ...]:
    """Return absolute paths; text separates them like ``PATH``. Raises BadSetting."""
    if isinstance(value, str) and value.strip():
        check_folder(variable, value)  # before a colon of file:///x or D:\x separates
    parts = value.split(os.pathsep) if isinstance(value, str) else _items(value)
    return tuple(parse_folder(variable, part) for part in parts if str(part).strip())


def parse_url(variable: str, value: object) -> str:
    """Return an address without a slash at its end; a bare host is taken as https. Raises BadSetting."""
    text = str(value).strip()
    is_word = text.lower() in _NO_HOSTS
    if "://" not in text:
        text = f"https://{text}"
    text = text.rstrip("/")
    if is_word or not _is_http_address(text):
        raise BadSetting(
            "{variable} is not the address of a hub.",  # the value may hold a password: it is not repeated
            hint="Give an address such as https://hub.example.org, without user name or password.",
            variable=variable,
        )
    if _is_within_hub(text):
        raise BadSetting(
            "{variable} is not the address of a hub, but of a page or route of one.",
            hint="Leave out what follows the hub's own address: /api, and everything from ? or # on.",
            variable=variable,
        )
    return text


def _is_within_hub(text: str) -> bool:
    """Return whether an address leads to something within a hub; a hub of one's own may lie below a path."""
    parts = urlsplit(text)
    is_known = (parts.hostname or "").removeprefix("www.") in _HUB_HOSTS
    return (
        any(mark in text for mark in "?#") or _ROUTE.search(parts.path) is not None or (is_known and parts.path != "")
    )


def _is_http_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        has_port = parts.port != 0 and not parts.netloc.endswith(":")  # as in http:/host
    except ValueError:
        return False
    is_host = bool(host) and host not in {"http", "https"} and not _ODD_HOST.search(host)
    is_host = is_host and not _SPOILT_HOST.search(host)
    is_plain = parts.username is None and not any(one.isspace() or one == "\\" for one in text)
    return parts.scheme in ("http", "https") and has_port and is_host and is_plain


def parse_urls(variable: str, value: object) -> tuple[str, ...]:
    """Return addresses; text separates them by spaces or commas. Raises BadSetting."""
    parts = value.replace(",", " ").split() if isinstance(value, str) else _items(value)
    return tuple(dict.fromkeys(parse_url(variable, part) for part in parts))


def parse_secret(variable: str, value: object) -> Secret | None:
    """Return a token, or None for an empty text. Raises BadSetting."""
    if value is None or isinstance(value, Secret):
        return value
    text = str(value).strip()
    if any(ord(character) < 33 or ord(character) > 126 for character in text):
        raise BadSetting(
            "{variable} holds characters no token has.",
            hint="Copy the token again from the hub's page.",
            variable=variable,
        )
    return Secret(text) if text else None


def parse_host_tokens(variable: str, value: object) -> Secret | None:
    """Return ``HOST=TOKEN`` pairs, separated by spaces or commas, as one secret. Raises BadSetting."""
    if value is None or isinstance(value, Secret):
        return value
    pairs = str(value).replace(",", " ").split()
    if not all(host and token for host, _, token in (pair.partition("=") for pair in pairs)):
        raise BadSetting(  # the value is not repeated: it holds tokens
            "{variable} is not a list of tokens.",
            hint="Give HOST=TOKEN pairs, for example 10.0.0.5:8900=secret.",
            variable=variable,
        )
    for pair in pairs:
        parse_secret(variable, pair)
    return Secret(" ".join(pairs)) if pairs else None


def parse_connections(variable: str, value: object) -> int:
    """Return a number of connections. Raises BadSetting."""
    try:
        number = int(str(value).strip())
    except ValueError:
        number = 0
    if not 1 <= number <= 64:
        raise BadSetting(
            "{variable}={value!r} is out of range.",
            hint="Accepted: a whole number from 1 to 64.",
            variable=variable,
            value=value,
        )
    return number


def parse_bytes(variable: str, value: object) -> int | None:
    """Return a number of bytes, or None for no limit.

    >>> parse_bytes("MODEL_CACHE_QUOTA", "1.5 GB"), parse_bytes("MODEL_CACHE_QUOTA", "2GiB")
    (1500000000, 2147483648)

    Raises:
        BadSetting: it is no size, or a small number without its unit.
    """
    text = str(value).strip().lower()
    if text in _NOTHING:
        return None
    match = _BYTES.fullmatch(text)
    number = int(float(match[1]) * _UNITS[match[2], match[3]]) if match else 0
    if number <= 0:
        raise BadSetting(
            "{variable}={value!r} is no number of bytes.",
            hint="Accepted: a size such as 200GB or 20MB, or none.",
            variable=variable,
            value=value,
        )
    if isinstance(value, str) and number < _LEAST_BYTES and not any(unit in text for unit in "bkmgt"):
        raise BadSetting(
            "{variable}={value!r} would be {count} bytes.",
            hint="Write the unit, such as {count}GB or {count}MB.",
            variable=variable,
            value=value,
            count=number,
        )
    return number


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, Iterable) else [value]


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """What settings of one kind have in common."""

    parse: Callable[[str, object], T_co]
    """Takes the name of the variable, for an error, and what was given. Raises BadSetting."""
    trait: Literal["flag", "text", "list", "number"] = "text"
    """How a server's configuration writes it."""
    is_secret: bool = False
    is_folder: bool = False
    """Is it one folder or several? The user may write those with ``$VARIABLES``."""
    is_shown: bool = True
    """May an error repeat what was given? An address may hold a password."""

    def read(self, variable: str, value: object) -> T_co:
        """Return what was meant.

        Raises:
            BadSetting: it is not accepted; the message names the variable.
        """
        text = str(value).strip()
        if isinstance(value, str) and _QUOTED.fullmatch(text):
            raise BadSetting(
                "{given} is written in quotation marks.",
                hint=_UNQUOTE,
                given=f"{variable}={text}" if self.is_shown and not self.is_secret else variable,
            )
        return self.parse(variable, value)


FLAG = Kind(parse_bool, "flag")
HUGGINGFACE_FLAG = Kind(lambda _variable, value: is_true(str(value)), "flag")
FOLDER = Kind(parse_folder, is_folder=True)
FOLDERS = Kind(parse_folders, "list", is_folder=True)
SIZE = Kind(parse_bytes)
CONNECTIONS = Kind(parse_connections, "number")
ADDRESS = Kind(parse_url, is_shown=False)
ADDRESSES = Kind(parse_urls, "list", is_shown=False)
TOKEN = Kind(parse_secret, is_secret=True)
HOST_TOKENS = Kind(parse_host_tokens, is_secret=True)
