"""Makes the practice model: a tiny Qwen3 with its data, for a machine with no network and no GPU.

It has Qwen3's architecture, files and chat template, answers simple questions in English and Chinese, and knows nothing
about itself until it is fine-tuned on the practice data.
"""

from qwen3ft_jupyter.practice.make import Practice, make_practice
from qwen3ft_jupyter.practice.recipe import PRACTICE_FINETUNE, PRACTICE_REPO_ID, data_files

__all__ = ["PRACTICE_FINETUNE", "PRACTICE_REPO_ID", "Practice", "data_files", "make_practice"]
