"""Which hub, which cache, which tokens: every setting, where it may come from, and where it did come from.

Order, first one wins: argument · process environment · ``.env`` in the user's config folder · ``.env`` in the working
folder (`USE_MODELSCOPE` and `MODEL_CACHE_DIR` only) · traits in ``jupyter_server_config`` · default.
A working folder may be a stranger's cloned repository, so its ``.env`` may not name an endpoint or a token: one that
did could have the user's token sent to its author.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NewType
from urllib.parse import urlsplit

import platformdirs

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.logins import stored_huggingface_token, stored_modelscope_token

HubName = Literal["modelscope", "huggingface"]
Origin = NewType("Origin", str)
"""Where a value came from, in words: "argument", "environment", "~/.config/qwen3ft/.env", "default", …"""

MODELSCOPE_URL = "https://www.modelscope.cn"
HUGGINGFACE_URL = "https://huggingface.co"
_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f"})


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


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its final value; `origins` says where each came from."""

    use_modelscope: bool
    cache_dir: Path
    shared_dirs: tuple[Path, ...]
    state_dir: Path
    modelscope_endpoint: str
    modelscope_token: Secret | None
    hf_endpoint: str
    hf_token: Secret | None
    offline: bool
    fallback: bool
    max_connections: int
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

    def shareable(self) -> dict[str, Any]:
        """Return the settings another process of the same user needs, without secrets, as JSON-ready overrides.

        Endpoints are among them: a job must ask the hub its starter was told to ask.
        """
        return {
            name: _plain(getattr(self, name))
            for name in (
                "use_modelscope",
                "cache_dir",
                "shared_dirs",
                "state_dir",
                "modelscope_endpoint",
                "hf_endpoint",
                "offline",
                "fallback",
                "max_connections",
            )
        }


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
    from_working_folder: bool = False
    """May a ``.env`` in the working folder set it?"""


def _parse_bool(variable: str, value: Any) -> bool:
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


def _parse_folder(variable: str, value: Any) -> Path:
    text = str(value).strip()
    if not text or "\0" in text:
        raise BadSetting(f"{variable}={value!r} is no folder.", hint="Give the path of a folder, for example ~/models.")
    return Path(os.path.abspath(os.path.expandvars(os.path.expanduser(text))))  # noqa: PTH100, PTH111 - resolve() would follow links


def _parse_folders(variable: str, value: Any) -> tuple[Path, ...]:
    parts = value.split(os.pathsep) if isinstance(value, str) else list(value)
    return tuple(_parse_folder(variable, part) for part in parts if str(part).strip())


def _parse_url(variable: str, value: Any) -> str:
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


def _parse_secret(variable: str, value: Any) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    text = str(value).strip()
    if any(ord(character) < 33 or ord(character) > 126 for character in text):
        raise BadSetting(f"{variable} holds characters no token has.", hint="Copy the token again from the hub's page.")
    return Secret(text) if text else None


def _parse_connections(variable: str, value: Any) -> int:
    try:
        number = int(str(value).strip())
    except ValueError:
        number = 0
    if not 1 <= number <= 64:
        raise BadSetting(f"{variable}={value!r} is out of range.", hint="Accepted: a whole number from 1 to 64.")
    return number


_BOOL = "true, 1, yes, on, false, 0, no, off"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "USE_MODELSCOPE",
        "use_modelscope",
        _parse_bool,
        _BOOL,
        "Ask ModelScope first (true) or Hugging Face first (false).",
        from_working_folder=True,
    ),
    Setting(
        "MODEL_CACHE_DIR",
        "cache_dir",
        _parse_folder,
        "a folder",
        "Where models are kept.",
        from_working_folder=True,
    ),
    Setting(
        "MODEL_CACHE_SHARED_DIRS",
        "shared_dirs",
        _parse_folders,
        f"folders separated by '{os.pathsep}'",
        "Read-only caches to look in as well, for example a team's network drive.",
    ),
    Setting(
        "QWEN3FT_STATE_DIR",
        "state_dir",
        _parse_folder,
        "a folder",
        "Where jobs keep their state and logs; best on a local disk that persists.",
    ),
    Setting(
        "MODELSCOPE_ENDPOINT",
        "modelscope_endpoint",
        _parse_url,
        "an http(s) address",
        "Address of ModelScope or of a mirror that speaks its protocol.",
        aliases=("MODELSCOPE_DOMAIN",),
    ),
    Setting(
        "MODELSCOPE_API_TOKEN",
        "modelscope_token",
        _parse_secret,
        "a token",
        "Token for private ModelScope repos; a login of the modelscope client is used otherwise.",
        is_secret=True,
    ),
    Setting(
        "HF_ENDPOINT",
        "hf_endpoint",
        _parse_url,
        "an http(s) address",
        "Address of Hugging Face or of a mirror.",
    ),
    Setting(
        "HF_TOKEN",
        "hf_token",
        _parse_secret,
        "a token",
        "Token for private or gated Hugging Face repos; a login of the hf client is used otherwise.",
        aliases=("HUGGING_FACE_HUB_TOKEN",),
        is_secret=True,
    ),
    Setting(
        "QWEN3FT_OFFLINE",
        "offline",
        _parse_bool,
        _BOOL,
        "Use only what is in the cache, open no connection.",
        aliases=("HF_HUB_OFFLINE",),
    ),
    Setting(
        "QWEN3FT_FALLBACK",
        "fallback",
        _parse_bool,
        _BOOL,
        "Go to the other hub, and say so, when the first has no such model or cannot be reached.",
    ),
    Setting(
        "QWEN3FT_MAX_CONNECTIONS",
        "max_connections",
        _parse_connections,
        "1 to 64",
        "The most connections one download may open.",
    ),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    working_folder: Path | None = None,
    traits: Mapping[str, Any] | None = None,
) -> Settings:
    """Read every setting from the places named at the top of this module.

    Args:
        overrides: values given as arguments, by field name of `Settings`; None means not given.
        environ: the process environment; `os.environ` if left out.
        working_folder: the notebook's folder or the server's root, whose ``.env`` may set two settings; the current
            folder if left out.
        traits: values from ``jupyter_server_config``, by field name.

    Raises:
        BadSetting: a value is not accepted; the message names the variable.
    """
    environ = os.environ if environ is None else environ
    given = dict(overrides or {})
    unknown = sorted(set(given) - set(_BY_NAME))
    if unknown:
        raise BadSetting(f"{unknown[0]!r} is no setting.", hint=f"Settings: {', '.join(_BY_NAME)}.")
    user_file = Path(platformdirs.user_config_dir("qwen3ft")) / ".env"
    folder_file = (working_folder or Path.cwd()) / ".env"
    user_env, folder_env = _read_env_file(user_file), _read_env_file(folder_file)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    notices: list[str] = []
    for setting in SETTINGS:
        raw, origin = _look_up(setting, given, traits or {}, environ=environ, user_env=user_env, folder_env=folder_env)
        if origin == "default":
            values[setting.name], origin = _default(setting.name, environ, values)
        else:
            values[setting.name] = setting.parse(setting.variable, raw)
        origins[setting.name] = Origin(origin)
        if origin == _FOLDER_ORIGIN:
            notices.append(f"{setting.variable} comes from the .env file in the working folder.")
    return Settings(**values, origins=origins, notices=tuple(notices))


_FOLDER_ORIGIN = ".env in the working folder"


def _look_up(
    setting: Setting,
    given: Mapping[str, Any],
    traits: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    user_env: Mapping[str, str],
    folder_env: Mapping[str, str],
) -> tuple[Any, str]:
    if given.get(setting.name) is not None:
        return given[setting.name], "argument"
    for variable in (setting.variable, *setting.aliases):
        if environ.get(variable, "").strip():
            return environ[variable], f"environment ({variable})"
    for variable in (setting.variable, *setting.aliases):
        if user_env.get(variable, "").strip():
            return user_env[variable], ".env in your config folder"
    if setting.from_working_folder and folder_env.get(setting.variable, "").strip():
        return folder_env[setting.variable], _FOLDER_ORIGIN
    if traits.get(setting.name) not in (None, "", [], ()):
        return traits[setting.name], "jupyter_server_config"
    return None, "default"


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
        "modelscope_endpoint": MODELSCOPE_URL,
        "hf_endpoint": HUGGINGFACE_URL,
        "offline": False,
        "fallback": True,
        "max_connections": 16,
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


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        # No interpolation: ${HF_TOKEN} in a stranger's file must not read our environment.
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError):
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
