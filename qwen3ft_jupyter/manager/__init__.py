"""`ModelManager`, which every face (cell, magic, form, panel, REST, command line) calls, and the kinds of jobs."""

from qwen3ft_jupyter.manager.manager import ModelManager, get_model_manager

__all__ = ["ModelManager", "get_model_manager"]
