"""Which hub, which cache, which tokens: every setting, where it may come from, and where it did come from.

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

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NewType

import platformdirs

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.logins import stored_huggingface_token, stored_modelscope_token
from qwen3ft_jupyter.setting_list import SETTINGS, Secret, Setting, as_text, plain

__all__ = [
    "FOLDER_ORIGIN",
    "ROOT_ORIGIN",
    "SETTINGS",
    "SOURCE_NAMES",
    "STRANGERS_ORIGINS",
    "HubName",
    "Origin",
    "Secret",
    "Setting",
    "Settings",
    "load_settings",
    "to_publish",
]

HubName = Literal["modelscope", "huggingface"]
SOURCE_NAMES = ("modelscope", "huggingface", "mirrors", "disk")
"""What a user may call sources of bytes; "disk" stands for what other programs keep on this machine."""
Origin = NewType("Origin", str)
"""Where a value came from, in words: "argument", "environment", "~/.config/qwen3ft/.env", "default", …"""

MODELSCOPE_URL = "https://www.modelscope.cn"
HUGGINGFACE_URL = "https://huggingface.co"
SERVER_ROOT_VARIABLE = "QWEN3FT_SERVER_ROOT"
DEFAULT_PREFIX = "QWEN3FT_DEFAULT_"
FOLDER_ORIGIN = ".env in the working folder"
ROOT_ORIGIN = ".env in the server's root"
STRANGERS_ORIGINS = frozenset({FOLDER_ORIGIN, ROOT_ORIGIN})
"""Where a value may have come with a cloned repository: it must not be trusted further than a choice between hubs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its final value; `origins` says where each came from."""

    use_modelscope: bool
    cache_dir: Path
    shared_dirs: tuple[Path, ...]
    other_dirs: tuple[Path, ...]
    quota: int | None
    """Bytes; None for no limit."""
    state_dir: Path
    modelscope_endpoint: str
    modelscope_token: Secret | None
    hf_endpoint: str
    hf_token: Secret | None
    offline: bool
    fallback: bool
    mirrors: tuple[str, ...]
    mirror_tokens: Secret | None
    max_connections: int
    max_speed: int | None
    """Bytes a second; None for no limit."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    """Things to say aloud, for example that a working folder's ``.env`` was used."""

    @property
    def hub(self) -> HubName:
        """The hub that is asked first."""
        return "modelscope" if self.use_modelscope else "huggingface"

    @property
    def hubs(self) -> tuple[HubName, ...]:
        """The hubs that may be asked, in order."""
        other: HubName = "huggingface" if self.use_modelscope else "modelscope"
        return (self.hub, other) if self.fallback else (self.hub,)

    def mirror_token(self, host: str) -> str | None:
        """Return the token for a mirror, by its host (with the port, if the address has one)."""
        pairs = self.mirror_tokens.reveal().split() if self.mirror_tokens else []
        return next((token for known, _, token in (pair.partition("=") for pair in pairs) if known == host), None)

    def secrets_given(self) -> dict[str, str]:
        """Return the tokens that were given as arguments, by variable: for the environment of a job, never for a file.

        All others a job finds where this process found them.
        """
        return {
            setting.variable: getattr(self, setting.name).reveal()
            for setting in SETTINGS
            if setting.is_secret and self.origins.get(setting.name) == "argument" and getattr(self, setting.name)
        }

    def shareable(self) -> dict[str, Any]:
        """Return the settings another process of the same user needs, without secrets, as JSON-ready overrides.

        Endpoints are among them: a job must ask the hub its starter was told to ask.
        """
        return {
            name: "none" if getattr(self, name) is None else plain(getattr(self, name))
            for name in (
                "use_modelscope",
                "cache_dir",
                "shared_dirs",
                "other_dirs",
                "quota",
                "state_dir",
                "modelscope_endpoint",
                "hf_endpoint",
                "offline",
                "fallback",
                "mirrors",
                "max_connections",
                "max_speed",
            )
        }


_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    working_folder: Path | None = None,
    server_root: Path | None = None,
    traits: Mapping[str, Any] | None = None,
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
    given = dict(overrides or {})
    unknown = sorted(set(given) - set(_BY_NAME))
    if unknown:
        raise BadSetting(f"{unknown[0]!r} is no setting.", hint=f"Settings: {', '.join(_BY_NAME)}.")
    if server_root is None and environ.get(SERVER_ROOT_VARIABLE, "").strip():
        server_root = Path(environ[SERVER_ROOT_VARIABLE])
    notices: list[str] = []
    places = _places(environ, working_folder or _current_folder(), server_root, traits or {}, notices)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for setting in SETTINGS:
        raw, origin, folder = _look_up(setting, given, places)
        if origin == "default":
            values[setting.name], origin = _default(setting.name, environ, values)
        else:
            values[setting.name] = setting.parse(setting.variable, raw)
        origins[setting.name] = Origin(origin)
        if folder is not None:
            notices.append(f"{setting.variable} comes from the {_file_words(origin)}.")
    return Settings(**values, origins=origins, notices=tuple(notices))


def to_publish(traits: Mapping[str, Any], server_root: Path) -> dict[str, str]:
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
        parsed = setting.parse(setting.variable, _expanded(setting, value))  # folders become absolute
        if not setting.is_secret:
            variables[DEFAULT_PREFIX + setting.variable] = as_text(parsed)
    return variables


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere a setting may come from."""

    origin: str
    values: Mapping[str, Any]
    """By variable."""
    folder: Path | None = None
    """Where it lies, if it is a ``.env`` that a stranger may have written."""


def _places(
    environ: Mapping[str, str],
    working_folder: Path | None,
    server_root: Path | None,
    traits: Mapping[str, Any],
    notices: list[str],
) -> list[_Place]:
    """Return what is looked at after the arguments, in order; a file that cannot be read is noted in `notices`."""
    user_folder = Path(platformdirs.user_config_dir("qwen3ft"))
    places = [
        _Place("environment", environ),
        _Place(_USER_ORIGIN, _read_env_file(user_folder, _USER_ORIGIN, notices)),
    ]
    folders = {working_folder: FOLDER_ORIGIN, server_root: ROOT_ORIGIN}  # as the latter if they are the same
    for folder, origin in folders.items():
        if folder is not None:
            found = _read_env_file(folder, origin, notices)
            notices += [
                f"{setting.variable} in the {_file_words(origin)} is ignored: only your own .env file may set it."
                for setting in SETTINGS
                if setting.variable in found and not setting.from_working_folder
            ]
            places.append(_Place(origin, found, folder))
    published = {setting.variable: environ.get(DEFAULT_PREFIX + setting.variable) for setting in SETTINGS}
    by_variable = {setting.variable: traits.get(setting.name) for setting in SETTINGS}
    return [*places, _Place(_TRAIT_ORIGIN, by_variable), _Place(_TRAIT_ORIGIN, published)]


_USER_ORIGIN = ".env in your config folder"
_TRAIT_ORIGIN = "jupyter_server_config"


def _look_up(setting: Setting, given: Mapping[str, Any], places: list[_Place]) -> tuple[Any, str, Path | None]:
    """Return the value as it was written, where that was, and the folder if a stranger may have written it."""
    if given.get(setting.name) is not None:
        return given[setting.name], "argument", None
    for place in places:
        if place.folder is not None and not setting.from_working_folder:
            continue
        if place.origin == _TRAIT_ORIGIN and setting.is_secret:
            continue
        for variable in (setting.variable, *setting.aliases):
            value = place.values.get(variable)
            if value in (None, [], ()) or not str(value).strip():
                continue
            if place.folder is not None:
                is_relative = setting.is_folder and not str(value).strip().startswith("~")
                return (place.folder / str(value).strip() if is_relative else value), place.origin, place.folder
            origin = f"environment ({variable})" if place.origin == "environment" else place.origin
            return _expanded(setting, value), origin, None
    return None, "default", None


def _expanded(setting: Setting, value: Any) -> Any:
    """Fill variables into folders that the user or the administrator wrote."""
    if not setting.is_folder:
        return value
    return (
        [os.path.expandvars(str(item)) for item in value]
        if isinstance(value, (list, tuple))
        else os.path.expandvars(str(value))
    )


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it has been deleted while we are in it
        return None


def _default(name: str, environ: Mapping[str, str], values: Mapping[str, Any]) -> tuple[Any, str]:
    if name == "cache_dir":
        return _default_folder(
            environ, Path(platformdirs.user_cache_dir("qwen3ft")) / "models", ".cache/qwen3ft/models"
        )
    if name == "state_dir":
        return _default_folder(environ, Path(platformdirs.user_state_dir("qwen3ft")), ".qwen3ft")
    if name == "modelscope_token":
        token = stored_modelscope_token(values["modelscope_endpoint"], environ)
        return (Secret(token), "login of the modelscope client") if token else (None, "default")
    if name == "hf_token":
        # The stored login belongs to huggingface.co; a mirror is another host and does not get it.
        token = stored_huggingface_token(environ) if values["hf_endpoint"] == HUGGINGFACE_URL else None
        return (Secret(token), "login of the hf client") if token else (None, "default")
    defaults = {
        "use_modelscope": True,
        "shared_dirs": (),
        "other_dirs": (),
        "quota": None,
        "modelscope_endpoint": MODELSCOPE_URL,
        "hf_endpoint": HUGGINGFACE_URL,
        "offline": False,
        "fallback": True,
        "mirrors": (),
        "mirror_tokens": None,
        "max_connections": 16,
        "max_speed": None,
    }
    return defaults[name], "default"


def _default_folder(environ: Mapping[str, str], usual: Path, on_workspace: str) -> tuple[Path, str]:
    """Keep things where the host does: on PAI-DSW and the ModelScope images only /mnt/workspace outlives a stop."""
    workspace = Path("/mnt/workspace")
    hosted = (
        "DSW_INSTANCE_ID" in environ
        or environ.get("JUPYTER_NAME", "").startswith("dsw-")
        or environ.get("MODELSCOPE_CACHE", "").startswith(str(workspace))
    )
    if hosted and os.access(workspace, os.W_OK):
        return workspace / on_workspace, "default on this host"
    return usual, "default"


def _read_env_file(folder: Path, origin: str, notices: list[str]) -> dict[str, str]:
    """Return the variables in a folder's ``.env``; one that cannot be read says so and holds nothing."""
    from dotenv import dotenv_values

    path = folder / ".env"
    try:
        if not path.is_file():
            return {}
        # No interpolation: ${HF_TOKEN} in a stranger's file must not read our environment.
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except UnicodeDecodeError:
        notices.append(f"The {_file_words(origin)} is not UTF-8 and is ignored: save it as UTF-8.")
        return {}
    except OSError as error:
        notices.append(f"The {_file_words(origin)} cannot be read and is ignored: {error.strerror}.")
        return {}
    return {name: value for name, value in values.items() if value is not None}


def _file_words(origin: str) -> str:
    return origin.replace(".env", ".env file", 1)
