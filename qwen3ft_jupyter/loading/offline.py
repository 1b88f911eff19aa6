"""Keeps the model libraries off the network, and quiet, while they load, train and save.

huggingface_hub reads its switches once, when it is imported, so both the environment (for what is imported later)
and the constants of an imported copy are set.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from typing import TYPE_CHECKING

from qwen3ft_jupyter.settings.kinds import is_true

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFLINE_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # rows are rendered one batch at a time; its threads only warn about forks
}
"""What a process that must not reach out is started with; `no_network` sets it for a while."""


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Keep huggingface_hub, transformers and peft from looking anything up; everything is put back afterwards.

    Other threads of this process are offline too for that time: fine in a job, and in a kernel for a load's seconds.
    """
    before = {name: os.environ.get(name) for name in OFFLINE_ENVIRONMENT}
    os.environ.update(OFFLINE_ENVIRONMENT)
    constants = sys.modules.get("huggingface_hub.constants")
    was_offline = getattr(constants, "HF_HUB_OFFLINE", None)
    if constants is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _restore(was_offline)


def _restore(was_offline: object) -> None:
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is None:
        return
    if was_offline is None:  # first imported in between, while the environment said offline
        was_offline = is_true(os.environ.get("HF_HUB_OFFLINE", ""))
    constants.HF_HUB_OFFLINE = was_offline  # type: ignore[attr-defined]


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep bars, advice and deprecation notices of transformers, peft and bitsandbytes from the user; errors stay."""
    from transformers.utils import logging as transformers_logging

    verbosity, has_bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    kernels = logging.getLogger("bitsandbytes.backends.cpu.ops")  # advises to install what would fetch code from a hub
    kernels_level = kernels.level
    kernels.setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers|peft|accelerate|torch")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"transformers|peft|accelerate|torch")
            yield
    finally:
        kernels.setLevel(kernels_level)
        transformers_logging.set_verbosity(verbosity)
        if has_bars:
            transformers_logging.enable_progress_bar()
