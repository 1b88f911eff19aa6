"""Where settings may come from, and what a server tells its kernels of them.

Order, first one wins: argument · process environment · ``.env`` in the user's config folder · ``.env`` in the working
folder, then in the Jupyter server's root (`USE_MODELSCOPE` and `MODEL_CACHE_DIR` only) · traits in
``jupyter_server_config`` · default.
A working folder may be a stranger's cloned repository, so its ``.env`` may not name an endpoint or a token: one that
did could have the user's token sent to its author. Nor are variables in it expanded.

Kernels and terminals learn their server's root and traits from the environment it starts them in (`to_publish`):
`QWEN3FT_SERVER_ROOT`, and ``QWEN3FT_DEFAULT_<VARIABLE>`` for each trait, for example `QWEN3FT_DEFAULT_MODEL_CACHE_DIR`.
So the panel and a cell of one server use the same hub and the same cache. No token is among them.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs

from qwen3ft_jupyter.disk import read_regular
from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import current_folder, fault_of, is_file, reason_of, why_unseen
from qwen3ft_jupyter.settings.declared import FOLDER_ORIGIN, ROOT_ORIGIN, SETTINGS, STRANGERS_ORIGINS, Origin, Settings
from qwen3ft_jupyter.settings.kinds import check_folder
from qwen3ft_jupyter.settings.setting import Before, user_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.settings.setting import Setting

SERVER_ROOT_VARIABLE = "QWEN3FT_SERVER_ROOT"
DEFAULT_PREFIX = "QWEN3FT_DEFAULT_"
MAX_ENV_BYTES: Final = 1 << 20
"""Nobody writes a larger ``.env``, and reading one takes minutes."""
_USER_ORIGIN: Final[str] = Message(".env in your config folder")
_FILES: Mapping[str, str] = {
    _USER_ORIGIN: Message(".env file in your config folder"),
    FOLDER_ORIGIN: Message(".env file in the working folder"),
    ROOT_ORIGIN: Message(".env file in the server's root"),
}
"""What a notice calls the files that values come from."""
_ARGUMENT = Message("argument")
_TRAIT_ORIGIN = "jupyter_server_config"
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load_settings(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    working_folder: Path | None = None,
    server_root: Path | None = None,
    traits: Mapping[str, object] | None = None,
) -> Settings:
    """Read every setting from the places named at the top of this module.

    Args:
        overrides: values given as arguments, by field name of `Settings`; None means not given.
        environ: the process environment; `os.environ` if left out.
        working_folder: the folder whose ``.env`` may set two settings; the current one if left out.
        server_root: the root of the Jupyter server, whose ``.env`` may set the same two; what the server told its
            kernels if left out.
        traits: values from ``jupyter_server_config``, by field name; they win over those the server told its kernels.

    Raises:
        BadSetting: a value is not accepted; the message names the variable.
    """
    environ = os.environ if environ is None else environ
    notices: list[str] = []
    places = [
        _given_place(overrides or {}),
        *_own_places(environ, notices),
        *_strangers_places(working_folder or current_folder(), server_root or _told_root(environ), notices),
        *_server_places(environ, traits or {}),
    ]
    values: dict[str, Any] = {}  # each of the type that its setting declares
    origins: dict[str, Origin] = {}
    for setting in SETTINGS:
        value, origin = _find(setting, places) or setting.default(Before(environ, values))
        values[setting.name], origins[setting.name] = value, Origin(origin)
        if origin in STRANGERS_ORIGINS:
            notices.append(Message("{variable} comes from the {file}.", variable=setting.variable, file=_FILES[origin]))
    return Settings(**values, origins=origins, notices=tuple(notices))


def to_publish(traits: Mapping[str, object], server_root: Path) -> dict[str, str]:
    """Return the environment variables that tell the kernels of a server what it was given; no token is among them.

    Args:
        traits: values from ``jupyter_server_config``, by field name of `Settings`.
        server_root: the folder that the server shows.

    Raises:
        BadSetting: a value is not accepted.
    """
    variables = {SERVER_ROOT_VARIABLE: str(server_root)}
    for name, value in traits.items():
        setting = _BY_NAME[name]
        parsed = setting.read(setting.variable, _expanded(setting, value))  # folders become absolute
        if not setting.kind.is_secret:
            variables[DEFAULT_PREFIX + setting.variable] = _as_text(parsed)
    return variables


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere a setting may come from."""

    origin: str
    values: Mapping[str, object]
    """By variable."""
    folder: Path | None = None
    """Where it lies, if it is a ``.env`` that a stranger may have written."""

    def may_set(self, setting: Setting) -> bool:
        if self.folder is not None:
            return setting.from_working_folder
        return not (self.origin == _TRAIT_ORIGIN and setting.kind.is_secret)

    def prepared(self, setting: Setting, variable: str, value: object) -> object:
        """Return a value with variables filled in if the user wrote it, and a stranger's folder relative to its file.

        An argument is taken as it is: a job gets what its starter has read already.
        """
        if self.folder is None:
            return value if self.origin == "argument" else _expanded(setting, value)
        if setting.kind.is_folder and not str(value).strip().startswith("~"):
            return str(self.folder / check_folder(variable, value))
        return value


def _given_place(overrides: Mapping[str, object]) -> _Place:
    unknown = sorted(set(overrides) - set(_BY_NAME))
    if unknown:
        raise BadSetting(
            "{name!r} is no setting.", hint="Settings: {names}.", name=unknown[0], names=", ".join(_BY_NAME)
        )
    return _Place(_ARGUMENT, {_BY_NAME[name].variable: value for name, value in overrides.items()})


def _own_places(environ: Mapping[str, str], notices: list[str]) -> list[_Place]:
    folder = user_folder(platformdirs.user_config_dir)
    written = _read_env_file(folder, _USER_ORIGIN, notices) if folder is not None else {}
    return [_Place("environment", environ), _Place(_USER_ORIGIN, written)]


def _strangers_places(working_folder: Path | None, server_root: Path | None, notices: list[str]) -> list[_Place]:
    places = []
    folders = {working_folder: FOLDER_ORIGIN, server_root: ROOT_ORIGIN}  # the latter if they are the same
    for folder, origin in folders.items():
        if folder is not None:
            found = _read_env_file(folder, origin, notices)
            notices += [
                Message(
                    "{variable} in the {file} is ignored: only your own .env file may set it.",
                    variable=setting.variable,
                    file=_FILES[origin],
                )
                for setting in SETTINGS
                if setting.variable in found and not setting.from_working_folder
            ]
            places.append(_Place(origin, found, folder))
    return places


def _server_places(environ: Mapping[str, str], traits: Mapping[str, object]) -> list[_Place]:
    given = {setting.variable: traits.get(setting.name) for setting in SETTINGS}
    published = {setting.variable: environ.get(DEFAULT_PREFIX + setting.variable) for setting in SETTINGS}
    return [_Place(_TRAIT_ORIGIN, given), _Place(_TRAIT_ORIGIN, published)]


def _find(setting: Setting, places: list[_Place]) -> tuple[object, str] | None:
    """Return the value from the first place that has one, and the words for that place. Raises BadSetting."""
    for place in places:
        for variable in (setting.variable, *setting.aliases) if place.may_set(setting) else ():
            value = place.values.get(variable)
            if _is_nothing(value, place.origin):
                continue
            origin = place.origin
            if origin == "environment":
                origin = Message("environment ({variable})", variable=variable)
            return setting.read(variable, place.prepared(setting, variable, value)), origin
    return None


def _is_nothing(value: object, origin: str) -> bool:
    """Return whether a place says nothing; an argument that is empty is one all the same."""
    return value is None or (origin != "argument" and (value in ([], ()) or not str(value).strip()))


def _expanded(setting: Setting, value: object) -> object:
    """Fill variables into folders that the user or the administrator wrote."""
    if not setting.kind.is_folder:
        return value
    return (
        [os.path.expandvars(str(item)) for item in value]
        if isinstance(value, (list, tuple))
        else os.path.expandvars(str(value))
    )


def _as_text(value: object) -> str:
    """Return a value as an environment variable holds it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        separator = os.pathsep if value and isinstance(value[0], Path) else " "
        return separator.join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _told_root(environ: Mapping[str, str]) -> Path | None:
    """Return the root that a server told this process, its kernel."""
    told = environ.get(SERVER_ROOT_VARIABLE, "")
    return Path(told) if told.strip() else None


def _read_env_file(folder: Path, origin: str, notices: list[str]) -> dict[str, str]:
    """Return the variables in a folder's ``.env``; one that cannot be read says so and holds nothing."""
    path = folder / ".env"
    try:
        if fault := fault_of(folder) or why_unseen(path):
            raise fault
        if not is_file(path):  # many call a virtual environment so
            return {}
        text = read_regular(os.path.realpath(path), MAX_ENV_BYTES).decode("utf-8-sig")
        from dotenv import dotenv_values

        # No interpolation: ${HF_TOKEN} in a stranger's file must not read our environment.
        values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    except UnicodeDecodeError:
        notices.append(Message("The {file} is not UTF-8 and is ignored: save it as UTF-8.", file=_FILES[origin]))
        return {}
    except OSError as error:
        notices.append(
            Message("The {file} cannot be read and is ignored: {reason}.", file=_FILES[origin], reason=reason_of(error))
        )
        return {}
    return {name: value for name, value in values.items() if value is not None}
