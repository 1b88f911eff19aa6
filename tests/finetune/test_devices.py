"""Neither `device` nor `devices` is of no account beside the other."""

from __future__ import annotations

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.devices import Devices, gpus_of_host, pick_gpus


@pytest.mark.parametrize(
    ("device", "devices"),
    [("cpu", (0, 1)), ("mps", 2), ("mps", (0,)), ("cuda:1", 2), ("cuda:1", "all"), ("cuda:1", (0, 1))],
)
def test_two_that_say_different_things_are_refused_with_both_names(device: str, devices: Devices) -> None:
    with pytest.raises(BadConfig, match=rf"device: {device} and devices: .* do not go together"):
        pick_gpus(device, devices, 4)


@pytest.mark.parametrize(("device", "devices"), [("cpu", 2), ("cpu", "all"), ("mps", "all"), ("cuda:1", (1,))])
def test_two_that_say_the_same_are_right(device: str, devices: Devices) -> None:
    assert pick_gpus(device, devices, 4) == (("cuda:1",) if device == "cuda:1" else ())


def test_gpus_by_number_are_refused_where_there_is_none() -> None:
    with pytest.raises(BadConfig, match=r"devices: \[0, 2\] names GPUs, and this machine has none\..*devices: 2"):
        pick_gpus("auto", (0, 2), 0)
    assert pick_gpus("auto", 2, 0) == ()


def test_a_launcher_is_not_asked_for_gpus_that_one_device_cannot_be() -> None:
    with pytest.raises(BadConfig, match="do not go together"):
        gpus_of_host("cuda:0", 8, "Slurm")
