"""Fine-tunes a Qwen3 on conversations, and talks to the result.

Nothing here imports torch, transformers or peft before a function that needs them is called.
"""

from __future__ import annotations

from qwen3ft_jupyter.finetune.chat import Stream, answer, stream
from qwen3ft_jupyter.finetune.config import FineTuneConfig, LoraConfig, parse_yaml, read_config
from qwen3ft_jupyter.finetune.data import Data, DataReport, check_data, read_data, split
from qwen3ft_jupyter.finetune.formats import Conversation, Message
from qwen3ft_jupyter.finetune.job import run
from qwen3ft_jupyter.finetune.output import check_output
from qwen3ft_jupyter.finetune.results import RunResult, is_run, read_run
from qwen3ft_jupyter.finetune.training import train

__all__ = [
    "Conversation",
    "Data",
    "DataReport",
    "FineTuneConfig",
    "LoraConfig",
    "Message",
    "RunResult",
    "Stream",
    "answer",
    "check_data",
    "check_output",
    "is_run",
    "parse_yaml",
    "read_config",
    "read_data",
    "read_run",
    "run",
    "split",
    "stream",
    "train",
]
