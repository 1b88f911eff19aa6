"""Turns a folder of files into a model, and refuses folders that would run a stranger's code.

Nothing here imports torch, transformers or peft before a function that needs them is called.
"""

from __future__ import annotations

from qwen3ft_jupyter.loading.load import load_model_and_tokenizer, load_tokenizer
from qwen3ft_jupyter.loading.machine import Choice, Machine, choose, fitting_threads, this_machine
from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries
from qwen3ft_jupyter.loading.safety import check_adapter_folder, check_model_folder
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer

__all__ = [
    "Choice",
    "Machine",
    "Rendering",
    "TemplateRenderer",
    "check_adapter_folder",
    "check_model_folder",
    "choose",
    "fitting_threads",
    "load_model_and_tokenizer",
    "load_tokenizer",
    "no_network",
    "quiet_libraries",
    "this_machine",
]
