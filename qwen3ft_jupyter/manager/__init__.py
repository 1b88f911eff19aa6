"""`ModelManager`, which every face (cell, magic, form, panel, REST, command line) calls, and the kinds of jobs.

A job's process needs the table of `kinds` and nothing else, so the two names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qwen3ft_jupyter.manager.manager import ModelManager, get_model_manager

__all__ = ["ModelManager", "get_model_manager"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from qwen3ft_jupyter.manager import manager

    return getattr(manager, name)
