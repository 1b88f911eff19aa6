"""Which language JupyterLab is set to, for its kernels and terminals: they are on the same disk, and no browser is.

A server tells them where its users' setting lies (`server.app`). It is read anew, so that a language that is chosen in
the menu counts for kernels that run.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "QWEN3FT_LAB_SETTINGS"
"""The files that may hold the setting, the first that does decides; separated as folders in PATH."""
_PLUGIN: Final = "@jupyterlab/translation-extension"
_LOCALE: Final = re.compile(r'(?:^|[{,])\s*"locale"\s*:\s*"([^"]*)"', re.MULTILINE)
"""In a user's file, which may hold comments."""
_KEPT_S: Final = 2.0


def files_of_lab(user_settings: str, app_settings: str) -> str:
    """Return the value of `VARIABLE` for the folders in which a server keeps the settings of users and of all."""
    user_file = Path(user_settings, _PLUGIN, "plugin.jupyterlab-settings")
    return os.pathsep.join([str(user_file), str(Path(app_settings, "overrides.json"))])


def locale_of_lab(files: str) -> str:
    """Return the name of the locale, "" if none is chosen. Costs a look at the clock for two seconds after the first.

    Args:
        files: The value of `VARIABLE`.
    """
    return _read(files, int(time.monotonic() / _KEPT_S))


@functools.lru_cache(maxsize=2)
def _read(files: str, _now: int) -> str:
    found = next(filter(None, map(_locale_in, map(Path, files.split(os.pathsep)))), "")
    return "" if found == "default" else found


def _locale_in(file: Path) -> str:
    try:
        text = file.read_text("utf-8")
        if file.suffix != ".json":
            match = _LOCALE.search(text)
            return match[1] if match else ""
        return str(json.loads(text).get(f"{_PLUGIN}:plugin", {}).get("locale", ""))
    except (OSError, ValueError, AttributeError):
        return ""
