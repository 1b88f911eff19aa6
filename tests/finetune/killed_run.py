"""Trains in a process of its own and kills it, as power cuts and the out-of-memory killer do, after a given step."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Mapping


class Killer(Reporter):
    def __init__(self, step: int) -> None:
        self.step = step

    def metrics(self, values: Mapping[str, float]) -> None:
        if values["step"] == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    fields, folder, step = sys.argv[1:]
    train(FineTuneConfig.from_dict(json.loads(fields)), model_folder=Path(folder), work=Work(Killer(int(step))))
