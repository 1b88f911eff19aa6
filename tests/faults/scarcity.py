"""A plugin of pytest: the tests run where much is scarce, as one user of a crowded machine has it.

128 open files, 12 threads of ours, no renaming of folders, and a folder that cannot be looked into in every setting
that names one. `test_disk_scarce.py` starts a process with it.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.store import ModelCache

OPEN_FILES = 128
THREADS = 12
VARIABLES = (
    *("MODEL_CACHE_SHARED_DIRS", "MODEL_CACHE_OTHER_DIRS", "QWEN3FT_STATE_DIR", "HF_HOME", "HF_HUB_CACHE"),
    *("HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "MODELSCOPE_CACHE", "MS_CACHE_HOME", "XDG_CONFIG_HOME"),
    *("XDG_STATE_HOME", "XDG_CACHE_HOME", "HF_TOKEN_PATH", "MODELSCOPE_CREDENTIALS_PATH"),
)


def pytest_configure() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    locked = Path(tempfile.mkdtemp(prefix="locked-"))
    (locked / "in").mkdir()
    locked.chmod(0)
    os.environ.update(dict.fromkeys(VARIABLES, str(locked / "in")))
    patch = pytest.MonkeyPatch()
    limit_threads(patch, THREADS)
    rename_no_folders(patch)
    look_into(patch, locked)


def limit_threads(patch: pytest.MonkeyPatch, most: int) -> None:
    """Refuse the package more than `most` threads; those of the servers that tests play are no part of it."""
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if is_ours(sys._getframe(1).f_globals):
            if sum(getattr(thread, "is_ours", False) for thread in threading.enumerate()) >= most:
                raise RuntimeError("can't start new thread")
            self.is_ours = True  # type: ignore[attr-defined]
        real(self)

    patch.setattr(threading.Thread, "start", start)


def is_ours(names: dict[str, Any]) -> bool:
    return str(names.get("__name__", "")).startswith("qwen3ft_jupyter.")


def rename_no_folders(patch: pytest.MonkeyPatch) -> None:
    for name in ("replace", "rename"):
        real = getattr(os, name)

        def refuse(source: Any, target: Any, _real: Any = real, **options: Any) -> None:
            if os.path.isdir(source) and not os.path.islink(source):  # noqa: PTH112, PTH114 - any kind of path
                raise OSError(errno.ENOTSUP, "no folder is renamed here", str(source))
            _real(source, target, **options)

        patch.setattr(os, name, refuse)


def look_into(patch: pytest.MonkeyPatch, locked: Path) -> None:
    """Give every cache a shared cache, and places of other tools, that cannot be looked into."""
    real = ModelCache.__init__
    places = [Place("huggingface", locked), Place("modelscope", locked), Place("folder", locked / "in")]

    def make(self: ModelCache, cache_dir: Path, shared_dirs: Any = (), *, places: Any = (), **options: Any) -> None:
        real(self, cache_dir, (*shared_dirs, locked), places=lambda: [*ask(places), *more], **options)

    def ask(given: Any) -> Any:
        return given() if callable(given) else given

    more = places
    patch.setattr(ModelCache, "__init__", make)
