"""A copy of the practice model, and what a fine-tune makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.practice.model import PRACTICE_FINETUNE, Practice, data_files, make_practice
from tests.practice.asking import Tuned


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Practice:
    """The practice model; tests must not change it."""
    return make_practice(tmp_path_factory.mktemp("practice") / "model")


@pytest.fixture(scope="session")
def tuned(practice: Practice, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """The practice model after a fine-tune with the recommended settings."""
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.training import train
    from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer

    output_dir = tmp_path_factory.mktemp("run") / "out"
    fields = {**PRACTICE_FINETUNE, "model": PRACTICE_REPO_ID, "data": str(practice.train), "device": "cpu"}
    config = FineTuneConfig.from_dict({**fields, "output_dir": str(output_dir)})
    result = train(config, model_folder=practice.folder)
    model, tokenizer = load_model_and_tokenizer(
        practice.folder, LoadOptions(device="cpu", adapter=output_dir / "adapter")
    )
    return Tuned(model, tokenizer, result)


@pytest.fixture(scope="session")
def held_out() -> list[dict[str, Any]]:
    return [json.loads(line) for line in data_files()[1].read_text("utf-8").splitlines()]
