"""Which hub, which cache, which tokens: every setting, where it may come from, and where it did come from.

To add a setting, add one field to `declared.Settings`.
"""

from qwen3ft_jupyter.settings.declared import (
    FOLDER_ORIGIN,
    HUGGINGFACE_URL,
    MODELSCOPE_URL,
    ROOT_ORIGIN,
    SETTINGS,
    SOURCE_NAMES,
    STRANGERS_ORIGINS,
    HubName,
    Origin,
    Settings,
)
from qwen3ft_jupyter.settings.kinds import TRUTH_HINT, Secret, is_true, parse_bytes, read_bool
from qwen3ft_jupyter.settings.places import load_settings, to_publish

__all__ = [
    "FOLDER_ORIGIN",
    "HUGGINGFACE_URL",
    "MODELSCOPE_URL",
    "ROOT_ORIGIN",
    "SETTINGS",
    "SOURCE_NAMES",
    "STRANGERS_ORIGINS",
    "TRUTH_HINT",
    "HubName",
    "Origin",
    "Secret",
    "Settings",
    "is_true",
    "load_settings",
    "parse_bytes",
    "read_bool",
    "to_publish",
]
