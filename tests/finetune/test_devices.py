"""Neither `device` nor `devices` is of no account beside the other."""

from __future__ import annotations

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.devices import pick_gpus

LEAST = {"model": "a/b", "data": "x.jsonl"}


@pytest.mark.parametrize(
    ("device", "devices"),
    [("cpu", [0, 1]), ("mps", 2), ("mps", [0]), ("cuda:1", 2), ("cuda:1", "all"), ("cuda:1", [0, 1]), ("cuda:0", 8)],
)
def test_two_that_say_different_things_are_refused_with_both_names(device: str, devices: object) -> None:
    with pytest.raises(BadConfig, match=rf"devices: .* does not go with device: {device}\."):
        FineTuneConfig.from_dict({**LEAST, "device": device, "devices": devices})


@pytest.mark.parametrize(
    ("device", "devices"), [("cpu", 2), ("cpu", "all"), ("mps", "all"), ("cuda:1", [1]), ("cuda:1", 1), ("cuda", 2)]
)
def test_two_that_say_the_same_are_right(device: str, devices: object) -> None:
    config = FineTuneConfig.from_dict({**LEAST, "device": device, "devices": devices})

    assert FineTuneConfig.from_dict(config.to_dict()) == config


def test_gpus_by_number_are_refused_where_there_is_none() -> None:
    with pytest.raises(BadConfig, match=r"devices: \[0, 2\] names GPUs, and this machine has none\..*devices: 2"):
        pick_gpus("auto", (0, 2), 0)
    assert pick_gpus("auto", 2, 0) == ()
