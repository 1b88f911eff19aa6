from __future__ import annotations

from typing import Any

import pytest

from qwen3ft_jupyter.catalog import CatalogModel, catalog, find
from qwen3ft_jupyter.catalog.memory import GIB, Architecture, Method, estimate_bytes


def numbers_of(size: str) -> Architecture:
    model = find(f"Qwen/Qwen3-{size}")
    assert model is not None
    return model.architecture


@pytest.mark.parametrize(
    ("size", "linear", "lora_16"),
    [
        ("0.6B", 440_401_920, 10_092_544),
        ("1.7B", 1_409_286_144, 17_432_576),
        ("4B", 3_633_315_840, 33_030_144),
        ("8B", 6_945_767_424, 43_646_976),
        ("14B", 13_212_057_600, 64_225_280),
        ("32B", 31_205_621_760, 134_217_728),
    ],
)
def test_linear_and_lora_weights_are_what_the_frameworks_count(size: str, linear: int, lora_16: int) -> None:
    assert numbers_of(size).linear_weights == linear
    assert numbers_of(size).lora_weights(16) == lora_16


def test_in_a_mixture_of_experts_only_attention_is_linear_layers() -> None:
    assert numbers_of("30B-A3B").linear_weights == 905_969_664


@pytest.mark.parametrize(
    ("size", "method", "options", "published_gib"),
    [
        ("8B", "lora", {"lora_rank": 8, "is_loss_chunked": False}, 19.5),
        ("4B", "lora", {"lora_rank": 8, "is_loss_chunked": False}, 11.5),
        ("8B", "lora", {"lora_rank": 8}, 17.3),
        ("8B", "qlora", {}, 7.7),
        ("8B", "qlora", {"batch": 2}, 9.0),
        ("4B", "qlora", {}, 4.0),
        ("14B", "qlora", {}, 11.9),
        ("0.6B", "full", {}, 7.0),
        ("0.6B", "full", {"is_loss_chunked": False}, 9.2),
    ],
)
def test_estimates_are_within_eight_percent_of_measured_training(
    size: str, method: Method, options: dict[str, Any], published_gib: float
) -> None:
    estimate = estimate_bytes(numbers_of(size), method, context=2048, overhead_bytes=0, **options)

    assert estimate / GIB == pytest.approx(published_gib, rel=0.08)


@pytest.mark.parametrize(("size", "nf4_bytes"), [("0.6B", 538_485_760), ("4B", 2_652_620_032), ("14B", 9_928_192_000)])
def test_four_bit_weights_weigh_what_the_frameworks_measure(size: str, nf4_bytes: int) -> None:
    numbers = numbers_of(size)
    estimate = estimate_bytes(numbers, "qlora", context=0, lora_rank=0, is_loss_chunked=True, overhead_bytes=0)
    widest_layer = 2 * numbers.hidden * numbers.intermediate
    chunk = 256 * numbers.vocab * 8

    assert estimate - widest_layer - chunk == pytest.approx(nf4_bytes, rel=0.001)


@pytest.mark.parametrize("model", catalog(), ids=lambda model: model.repo_id)
def test_each_method_costs_more_than_the_one_before(model: CatalogModel) -> None:
    methods: tuple[Method, ...] = ("load", "lora", "full")
    load, lora, full = (estimate_bytes(model, method) for method in methods)

    assert 2 * model.parameters < load < lora < full


def test_longer_rows_and_more_of_them_cost_alike() -> None:
    assert estimate_bytes(numbers_of("4B"), "lora", context=4096, batch=1) == estimate_bytes(
        numbers_of("4B"), "lora", context=1024, batch=4
    )


def test_loading_in_float32_takes_twice_the_weights() -> None:
    numbers = numbers_of("0.6B")
    half = estimate_bytes(numbers, "load", context=0, overhead_bytes=0)

    assert estimate_bytes(numbers, "load", dtype_bytes=4, context=0, overhead_bytes=0) == 2 * half
