"""The practice model: a tiny Qwen3 with its data, shipped with this package, for a machine with no network and no GPU.

It has Qwen3's architecture, files and chat template, answers simple questions in English and Chinese, and knows nothing
about itself until it is fine-tuned on the practice data. `scripts/practice` is the recipe it was made by.
"""

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.practice.model import PRACTICE_FINETUNE, Practice, data_files, make_practice

__all__ = ["PRACTICE_FINETUNE", "PRACTICE_REPO_ID", "Practice", "data_files", "make_practice"]
