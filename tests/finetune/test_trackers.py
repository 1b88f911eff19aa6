"""Metrics go to other programs' pages too, through transformers' own integrations."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, MissingPackage
from qwen3ft_jupyter.finetune.check import check_trackers
from qwen3ft_jupyter.finetune.config import FineTuneConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMED = {"model": "Qwen/Qwen3-0.6B", "data": "a.json"}


@pytest.mark.parametrize("given", ["TensorBoard, wandb", ["tensorboard", "wandb"]])
def test_they_are_named_as_transformers_names_them(given: object) -> None:
    assert FineTuneConfig.from_dict({**NAMED, "report_to": given}).report_to == ("tensorboard", "wandb")
    assert FineTuneConfig.from_dict({**NAMED, "report_to": "none"}).report_to == ()


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"report_to.*tensorboard, swanlab, wandb, mlflow"):
        FineTuneConfig.from_dict({**NAMED, "report_to": ["aim"]})


def test_one_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(MissingPackage, match="report_to: swanlab is not installed") as caught:
        check_trackers(FineTuneConfig.from_dict({**NAMED, "report_to": ["swanlab"]}))

    assert caught.value.hint == "pip install swanlab"


@pytest.mark.train
def test_each_step_is_written_for_tensorboard_into_the_output_folder(
    tiny: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real callback of transformers, with a writer that takes what TensorBoard's takes."""
    from transformers.integrations import integration_utils

    from qwen3ft_jupyter.finetune.training import train

    written: list[tuple[str, str, object]] = []

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            self.log_dir = log_dir

        def add_scalar(self, tag: str, value: object, _step: int) -> None:
            written.append((self.log_dir, tag, value))

        def add_text(self, *_: object) -> None:
            pass

        def add_hparams(self, *_: object, **__: Mapping[str, object]) -> None:
            pass

        def flush(self) -> None:
            pass

        def close(self) -> None:
            pass

    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(integration_utils, "is_tensorboard_available", lambda: True)

    result = train(
        FineTuneConfig.from_dict({**fields, "report_to": ["tensorboard"], "max_steps": 2}), model_folder=tiny
    )

    assert {log_dir for log_dir, _, _ in written} == {str(Path(fields["output_dir"]) / "tensorboard")}
    losses = [value for _, tag, value in written if tag == "train/loss"]
    assert losses == [result.first_loss, result.last_loss]
