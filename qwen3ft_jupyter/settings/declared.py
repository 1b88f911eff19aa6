"""Every setting there is, each declared once: its variable, its kind, what it is for, and what it is by default.

All else is derived from that: the order of places (`places`), what a job and a kernel are told, the traits of the
Jupyter server, and the list that people are shown.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NewType

import platformdirs

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import reason_of
from qwen3ft_jupyter.settings.kinds import (
    ADDRESS,
    ADDRESSES,
    CONNECTIONS,
    FLAG,
    FOLDER,
    FOLDERS,
    HOST_TOKENS,
    HUGGINGFACE_FLAG,
    SIZE,
    TOKEN,
    Secret,
)
from qwen3ft_jupyter.settings.logins import stored_huggingface_token, stored_modelscope_token
from qwen3ft_jupyter.settings.setting import DEFAULT_ORIGIN, Before, Setting, setting, user_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HubName = Literal["modelscope", "huggingface"]
HUB_NAMES: tuple[HubName, ...] = ("modelscope", "huggingface")
SOURCE_NAMES = ("modelscope", "huggingface", "mirrors", "disk")
"""What a user may call sources of bytes; "disk" stands for what other programs keep on this machine."""
Origin = NewType("Origin", str)
"""Where a value came from, in words: "argument", "environment", "~/.config/qwen3ft/.env", "default", …"""

MODELSCOPE_URL = "https://www.modelscope.cn"
HUGGINGFACE_URL = "https://huggingface.co"
FOLDER_ORIGIN: Final[str] = Message(".env in the working folder")
ROOT_ORIGIN: Final[str] = Message(".env in the server's root")
STRANGERS_ORIGINS: Final = frozenset({FOLDER_ORIGIN, ROOT_ORIGIN})
"""Where a value may have come with a cloned repository: it must not be trusted further than a choice between hubs."""


def _in_cache(before: Before) -> tuple[Path, str]:
    usual = user_folder(platformdirs.user_cache_dir)
    usual = usual and usual / "models"
    return _host_folder("MODEL_CACHE_DIR", before.environ, usual, ".cache/qwen3ft/models")


def _in_state(before: Before) -> tuple[Path, str]:
    return _host_folder("QWEN3FT_STATE_DIR", before.environ, user_folder(platformdirs.user_state_dir), ".qwen3ft")


def _host_folder(variable: str, environ: Mapping[str, str], usual: Path | None, on_workspace: str) -> tuple[Path, str]:
    """Keep things where the host does: on PAI-DSW and the ModelScope images only /mnt/workspace outlives a stop."""
    workspace = Path("/mnt/workspace")
    hosted = (
        "DSW_INSTANCE_ID" in environ
        or environ.get("JUPYTER_NAME", "").startswith("dsw-")
        or environ.get("MODELSCOPE_CACHE", "").startswith(str(workspace))
    )
    if hosted and os.access(workspace, os.W_OK):
        return workspace / on_workspace, Message("default on this host")
    if usual is None:
        raise BadSetting(
            "{variable} is not set, and you have no home folder.",
            hint="Set it to a folder, or set HOME.",
            variable=variable,
        )
    return usual, DEFAULT_ORIGIN


def _modelscope_login(before: Before) -> tuple[Secret | None, str]:
    endpoint = str(before.values["modelscope_endpoint"])
    return _login(lambda: stored_modelscope_token(endpoint, before.environ), Message("login of the modelscope client"))


def _huggingface_login(before: Before) -> tuple[Secret | None, str]:
    """Return the stored login. It belongs to huggingface.co; a mirror is another host and does not get it."""
    if before.values["hf_endpoint"] != HUGGINGFACE_URL:
        return None, DEFAULT_ORIGIN
    return _login(lambda: stored_huggingface_token(before.environ), Message("login of the hf client"))


def _login(find: Callable[[], str | None], origin: str) -> tuple[Secret | None, str]:
    try:
        token = find()
    except OSError as error:
        return None, Message("{login}: cannot be read ({reason})", login=origin, reason=reason_of(error))
    return (Secret(token), origin) if token else (None, DEFAULT_ORIGIN)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its final value; `origins` says where each came from."""

    use_modelscope: bool = setting(
        "USE_MODELSCOPE",
        FLAG,
        "Ask ModelScope first (true) or Hugging Face first (false).",
        default=True,
        from_working_folder=True,
    )
    cache_dir: Path = setting(
        "MODEL_CACHE_DIR",
        FOLDER,
        "Where models are kept.",
        default=_in_cache,
        trait_name="model_cache_dir",
        from_working_folder=True,
    )
    shared_dirs: tuple[Path, ...] = setting(
        "MODEL_CACHE_SHARED_DIRS",
        FOLDERS,
        "Read-only caches to look in as well, for example a team's network drive.",
        default=(),
    )
    other_dirs: tuple[Path, ...] = setting(
        "MODEL_CACHE_OTHER_DIRS",
        FOLDERS,
        "More folders to look in for files that are already on this disk, besides the caches of the hubs' own clients.",
        default=(),
    )
    trust_copies: bool = setting(
        "MODEL_CACHE_TRUST_COPIES",
        FLAG,
        "Do not read models again that were copied with their times of change, such as those that an image ships.",
        default=False,
    )
    quota: int | None = setting(
        "MODEL_CACHE_QUOTA",
        SIZE,
        "The most the models here may take, such as 200GB; the least recently used make room, pinned ones never.",
        default=None,
    )
    """Bytes; None for no limit."""
    state_dir: Path = setting(
        "QWEN3FT_STATE_DIR",
        FOLDER,
        "Where jobs keep their state and logs; best on a local disk that persists.",
        default=_in_state,
    )
    modelscope_endpoint: str = setting(
        "MODELSCOPE_ENDPOINT",
        ADDRESS,
        "Address of ModelScope or of a mirror that speaks its protocol.",
        default=MODELSCOPE_URL,
        aliases=("MODELSCOPE_DOMAIN",),
    )
    modelscope_token: Secret | None = setting(
        "MODELSCOPE_API_TOKEN",
        TOKEN,
        "Token for private ModelScope repos; a login of the modelscope client is used otherwise.",
        default=_modelscope_login,
    )
    hf_endpoint: str = setting(
        "HF_ENDPOINT", ADDRESS, "Address of Hugging Face or of a mirror.", default=HUGGINGFACE_URL
    )
    hf_token: Secret | None = setting(
        "HF_TOKEN",
        TOKEN,
        "Token for private or gated Hugging Face repos; a login of the hf client is used otherwise.",
        default=_huggingface_login,
        aliases=("HUGGING_FACE_HUB_TOKEN",),
    )
    offline: bool = setting(
        "QWEN3FT_OFFLINE",
        FLAG,
        "Use only what is in the cache, open no connection.",
        default=False,
        aliases=("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
        alias_kind=HUGGINGFACE_FLAG,  # what they take for false is no error of ours
    )
    fallback: bool = setting(
        "QWEN3FT_FALLBACK",
        FLAG,
        "Go to the other hub, and say so, when the first has no such model or cannot be reached.",
        default=True,
    )
    mirrors: tuple[str, ...] = setting(
        "QWEN3FT_MIRRORS",
        ADDRESSES,
        "Mirrors that speak Hugging Face's protocol, such as a colleague's `qwen3ft mirror`: more sources.",
        default=(),
    )
    mirror_tokens: Secret | None = setting(
        "QWEN3FT_MIRROR_TOKENS", HOST_TOKENS, "Tokens for mirrors, each sent to its own host alone.", default=None
    )
    max_connections: int = setting(
        "QWEN3FT_MAX_CONNECTIONS", CONNECTIONS, "The most connections one download may open, 1 to 64.", default=16
    )
    max_speed: int | None = setting(
        "QWEN3FT_MAX_SPEED",
        SIZE,
        "The most bytes a second one download may take, such as 20MB; can be changed while it runs.",
        default=None,
    )
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
        given = [one for one in SETTINGS if one.kind.is_secret and self.origins.get(one.name) == "argument"]
        return {one.variable: secret.reveal() for one in given if (secret := getattr(self, one.name))}

    def shareable(self) -> dict[str, object]:
        """Return the settings another process of the same user needs, without secrets, as JSON-ready overrides.

        Endpoints are among them: a job must ask the hub its starter was told to ask.
        """
        return {one.name: _plain(getattr(self, one.name)) for one in SETTINGS if not one.kind.is_secret}


def _plain(value: object) -> object:
    """Return a value as JSON holds it and `load_settings` takes it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return "none" if value is None else str(value) if isinstance(value, Path) else value


def declared_settings(cls: type[Settings]) -> tuple[Setting, ...]:
    """Return what the fields of `cls` declare, in order."""
    found = [(entry.name, entry.metadata["setting"]) for entry in fields(cls) if "setting" in entry.metadata]
    return tuple(replace(one, name=name, trait_name=one.trait_name or name) for name, one in found)


SETTINGS = declared_settings(Settings)
