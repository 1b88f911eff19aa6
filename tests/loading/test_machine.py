from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.loading.fit import Weights, free_bytes
from qwen3ft_jupyter.loading.machine import Gpu, Machine, cgroup_memory, choose
from qwen3ft_jupyter.loading.weights import Tensor

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9
A100 = Gpu("A100", (8, 0), 40 * GB, 40 * GB)
T4 = Gpu("T4", (7, 5), 15 * GB, 16 * GB)
BIG = 600_000_000


def machine(*gpus: Gpu, **has: bool) -> Machine:
    return Machine(16 * GB, 16 * GB, gpus=gpus, **has)


@pytest.mark.parametrize(
    ("here", "parameters", "device", "dtype"),
    [
        (machine(A100), BIG, "cuda", "bfloat16"),
        (machine(T4), BIG, "cuda", "float16"),
        (machine(has_mps=True), BIG, "mps", "float16"),
        (machine(has_mps=True, has_mps_bf16=True), BIG, "mps", "bfloat16"),
        (machine(), BIG, "cpu", "float32"),
        (machine(has_cpu_bf16=True), BIG, "cpu", "bfloat16"),
        (machine(has_cpu_bf16=True), 4_000_000, "cpu", "float32"),
    ],
)
def test_the_number_type_is_one_the_hardware_multiplies(
    here: Machine, parameters: int, device: str, dtype: str
) -> None:
    choice = choose(here, parameters=parameters)

    assert (choice.device, choice.dtype) == (device, dtype)
    assert choice.reason


def test_the_second_gpu_is_judged_by_its_own_age() -> None:
    assert choose(machine(A100, T4), device="cuda:1").dtype == "float16"


def test_what_is_asked_for_wins() -> None:
    choice = choose(machine(A100), device="cpu", dtype="bf16")

    assert (choice.device, choice.dtype) == ("cpu", "bfloat16")


def test_a_device_the_machine_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(BadInput, match=r"cpu, cuda, cuda:0; or say auto"):
        choose(machine(T4), device="cuda:1")


def test_quantization_shrinks_the_linear_layers_only() -> None:
    """The published NF4 size of Qwen3-0.6B: 440,401,920 linear weights of 596,049,920 (facts, section 8.2)."""
    tensors = [
        Tensor("model.layers.0.mlp.up_proj.weight", "BF16", (440_401_920 // 1024, 1024)),
        Tensor("model.embed_tokens.weight", "BF16", (151_936, 1024)),
        Tensor("model.norm.weight", "BF16", (65_536,)),
    ]

    assert Weights(tensors, "bfloat16").size_bytes == 596_049_920 * 2
    assert Weights(tensors, "float32").size_bytes == 596_049_920 * 4
    assert Weights(tensors, "bfloat16", "4bit").size_bytes == pytest.approx(538_485_760, rel=0.01)


def test_several_gpus_add_up_only_when_the_model_is_spread() -> None:
    here = machine(A100, T4)

    assert free_bytes(here, "cuda", spread=False) < 40 * GB < free_bytes(here, "cuda", spread=True)


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_is_read(tmp_path: Path, version: int) -> None:
    folder = tmp_path / ("memory" if version == 1 else "")
    folder.mkdir(exist_ok=True)
    limit, used, cache = [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ][version == 1]
    (folder / limit).write_text("1000\n")
    (folder / used).write_text("700\n")
    (folder / "memory.stat").write_text(f"anon 5\n{cache} 200\n")

    assert cgroup_memory(tmp_path) == (1000, 500)


def test_no_limit_is_none(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("700\n")

    assert cgroup_memory(tmp_path) == (None, 0)
