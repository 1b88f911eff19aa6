"""What a request may say: the one validator of query strings and JSON bodies. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from qwen3ft_jupyter.errors import BadInput, JobNotFound
from qwen3ft_jupyter.faces.verbs import rest_options
from qwen3ft_jupyter.messages import Command
from qwen3ft_jupyter.settings.kinds import TRUTH_HINT, read_bool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_TEXT = 512
"""Characters of a text field: several times the longest name or revision a hub accepts."""
MAX_OFFSET = 2**53
"""The largest whole number that JavaScript keeps exact."""

Value: TypeAlias = "str | bool | int | list[str] | dict[str, object]"

_JUPYTERS_OWN = frozenset({"token", "_xsrf", "no_track_activity"})
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Field:
    """One thing a request may say."""

    name: str
    kind: Literal["text", "flag", "count", "list", "config"]
    """A list is written as texts with commas between them; in a body it may be a list as well. A config is a text in
    YAML; in a body it may be an object."""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What a request says, by name. What it does not say, or says as null, reads as empty."""

    values: Mapping[str, Value]

    def text(self, name: str) -> str:
        """Return a text; "" if it is not given."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """Return a list of texts; an empty one if it is not given."""
        value = self.values.get(name)
        return value if isinstance(value, list) else []

    def count(self, name: str) -> int:
        """Return a whole number; 0 if it is not given."""
        value = self.values.get(name)
        return value if isinstance(value, int) else 0

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a flag; `default` if it is not given."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else default


def fields_of(verb: str) -> tuple[Field, ...]:
    """Return the fields that a verb's options are in a request; a speed is a number of bytes, 0 for no limit."""
    return tuple(Field(name, "count" if kind == "speed" else kind) for name, kind in rest_options(verb))


def parse_query(arguments: Mapping[str, Sequence[bytes]]) -> dict[str, object]:
    """Return the query string as a flat dict, without what Jupyter itself puts there.

    Raises:
        BadInput: a key is given twice, or a value is not UTF-8.
    """
    values: dict[str, object] = {}
    for name, given in arguments.items():
        # JupyterLab defeats HTTP caches with a bare time stamp: ?1731931321000
        if name in _JUPYTERS_OWN or (name.isdecimal() and not any(given)):
            continue
        if len(given) != 1:
            raise BadInput("{name} is given more than once.", name=_shown(name))
        try:
            values[name] = given[0].decode()
        except UnicodeDecodeError as error:
            raise BadInput("{name} is not UTF-8.", name=_shown(name)) from error
    return values


def parse_body(body: bytes) -> dict[str, object]:
    """Return the JSON object in `body`; an empty body is an empty object.

    Raises:
        BadInput: it is not JSON, not an object, nested too deeply, gives a key twice, or a text that is none.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(body, object_pairs_hook=_once)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            "The body of the request holds half of a character.", hint="Send whole ones, in UTF-8."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput("The body of the request is not JSON.") from error
    if not isinstance(value, dict):
        raise BadInput("The body of the request is not a JSON object.", hint='Send an object: {"key": value}.')
    return value


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return an object of JSON; one of two values would be dropped without a word."""
    values: dict[str, object] = {}
    for name, value in pairs:
        if name in values:
            raise BadInput("{name} is given more than once.", name=_shown(name))
        values[name] = value
    return values


def read_fields(query: Mapping[str, object], body: Mapping[str, object], fields: Sequence[Field]) -> Given:
    """Return the values of `fields`; what was not given, or is null, is left out.

    Raises:
        BadInput: a key is unknown, given in both places, missing, or of the wrong kind; the message names it.
    """
    known = {field.name: field for field in fields}
    unknown = sorted({*query, *body} - set(known))
    if unknown:
        raise BadInput(
            "Unknown key: {names}.",
            hint="Accepted: {accepted}." if known else "This request takes none.",
            names=", ".join(_shown(name) for name in unknown[:5]),
            accepted=", ".join(known),
        )
    twice = sorted(set(query) & set(body))
    if twice:
        raise BadInput("{name} is given both in the query and in the body.", name=twice[0])
    given = {name: value for name, value in {**query, **body}.items() if value is not None}
    missing = [field.name for field in fields if field.is_required and field.name not in given]
    if missing:
        raise BadInput("{name} is missing.", name=missing[0])
    return Given({name: _read(known[name], value) for name, value in given.items()})


def check_job_id(text: str) -> str:
    """Return `text` if it can be a job's id.

    Raises:
        JobNotFound: it cannot, for example because it would lead out of the jobs' folder.
    """
    if _JOB_ID.fullmatch(text) is None or ".." in text:
        raise JobNotFound("There is no such job.", hint="See `{command}` for those there are.", command=Command("jobs"))
    return text


def _read(field: Field, value: object) -> Value:
    if field.kind == "flag":
        return _read_flag(field.name, value)
    if field.kind == "count":
        return _read_count(field.name, value)
    if field.kind == "list":
        return _read_list(field.name, value)
    if field.kind == "config":
        return _read_config(field.name, value)
    return _read_text(field.name, value)


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadInput("{name} must be a text that is not empty.", name=name)
    if len(value) > MAX_TEXT or not value.isprintable():
        raise BadInput("{name} is too long or holds characters that cannot be shown.", name=name)
    return value.strip()


def _read_list(name: str, value: object) -> list[str]:
    parts = value if isinstance(value, list) else _read_text(name, value).split(",")
    if not parts:
        raise BadInput("{name} is empty.", name=name)
    return [_read_text(name, part) for part in parts]


def _read_config(name: str, value: object) -> str | dict[str, object]:
    if isinstance(value, dict) or (isinstance(value, str) and value.strip()):
        return value
    raise BadInput("{name} must be an object, or a text in YAML.", name=name)


def _read_flag(name: str, value: object) -> bool:
    try:
        return read_bool(value)
    except ValueError:
        raise BadInput("{name} is neither true nor false.", hint=TRUTH_HINT, name=name) from None


def _read_count(name: str, value: object) -> int:
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not text.isascii() or not text.isdecimal() or len(text) > 16 or int(text) > MAX_OFFSET:
        raise BadInput("{name} is not a whole number of 0 or more.", name=name)
    return int(text)


def _shown(name: str) -> str:
    """Return a stranger's key so that it can stand in a message: short, on one line."""
    return ascii(name[:40])
