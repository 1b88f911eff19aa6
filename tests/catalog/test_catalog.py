from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.catalog import CatalogModel, catalog, check_published, find
from qwen3ft_jupyter.errors import UnknownModel
from qwen3ft_jupyter.hubs.names import parse_repo_id

if TYPE_CHECKING:
    from qwen3ft_jupyter.catalog.memory import Architecture

HEAD_DIM = 128
"""The same in every Qwen3."""


def parameters_of(numbers: Architecture) -> int:
    embeddings = numbers.vocab * numbers.hidden * (1 if numbers.tied else 2)
    attention = 2 * numbers.hidden * (numbers.query + numbers.key_value)
    expert = 3 * numbers.hidden * numbers.intermediate
    feed_forward = numbers.experts * (expert + numbers.hidden) if numbers.experts else expert
    norms = 2 * numbers.hidden + 2 * HEAD_DIM
    return embeddings + numbers.layers * (attention + feed_forward + norms) + numbers.hidden


@pytest.mark.parametrize("model", catalog(), ids=lambda model: model.repo_id)
def test_the_numbers_of_each_size_add_up_to_its_parameters(model: CatalogModel) -> None:
    assert parameters_of(model.architecture) == model.parameters


@pytest.mark.parametrize("model", catalog(), ids=lambda model: model.repo_id)
def test_each_download_holds_the_weights_and_a_tokenizer(model: CatalogModel) -> None:
    copies = 2 * model.architecture.vocab * model.architecture.hidden if model.tied else 0
    beside_the_weights = model.download_bytes - 2 * model.parameters
    assert 10_000_000 < beside_the_weights < copies + 20_000_000


@pytest.mark.parametrize("model", catalog(), ids=lambda model: model.repo_id)
def test_each_row_is_a_valid_name_of_a_known_kind(model: CatalogModel) -> None:
    assert parse_repo_id(model.repo_id) == model.repo_id
    assert model.kind in {"hybrid", "instruct", "thinking", "base", "moe"}
    assert model.extended_context >= model.context >= 32_768
    assert model.license == "Apache-2.0"
    assert bool(model.role) == bool(model.badge)


def test_each_role_is_played_by_the_model_that_is_known_for_it() -> None:
    roles: dict[str, list[str]] = {}
    for model in catalog():
        roles.setdefault(model.role, []).append(model.repo_id)

    assert roles["quick experiments"] == ["Qwen/Qwen3-0.6B"]
    assert roles["recommended for production"] == ["Qwen/Qwen3-4B"]
    assert roles["higher quality"] == ["Qwen/Qwen3-8B", "Qwen/Qwen3-14B"]


def test_no_model_is_listed_twice() -> None:
    names = [model.repo_id for model in catalog()]

    assert len(names) == len(set(names))


def test_the_mixture_of_experts_says_its_limits() -> None:
    model = find("Qwen/Qwen3-30B-A3B")

    assert model is not None
    assert "61 GB" in model.note
    assert "attention" in model.note


def test_an_uncatalogued_name_is_not_found() -> None:
    assert find("someone/else") is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Qwen/Qwen3-7B-Instruct", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-7B", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-14B-Instruct", "Qwen/Qwen3-14B"),
        ("Qwen/Qwen3-8B-Instruct", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-8B-Chat", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-0.5B", "Qwen/Qwen3-0.6B"),
        ("Qwen/Qwen3-1.8B", "Qwen/Qwen3-1.7B"),
        ("Qwen/Qwen3-3B", "Qwen/Qwen3-4B"),
        ("Qwen/Qwen3-7B-Base", "Qwen/Qwen3-8B-Base"),
        ("Qwen/Qwen3-30B", "Qwen/Qwen3-30B-A3B"),
        ("Qwen/Qwen3-8B-Instruct-2507", "Qwen/Qwen3-4B-Instruct-2507"),
        ("Qwen/Qwen3-4B-Thinking", "Qwen/Qwen3-4B-Thinking-2507"),
        ("Qwen/Qwen3-4B-Instrcut-2507", "Qwen/Qwen3-4B-Instruct-2507"),
        ("Qwen/Qwen3_8B", "Qwen/Qwen3-8B"),
        ("qwen/qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("Qwen/Qwen3-06B", "Qwen/Qwen3-0.6B"),
        ("qwen3ft/Qwen3-Practise", "qwen3ft/Qwen3-Practice"),
        ("QWEN3FT/qwen3-practice", "qwen3ft/Qwen3-Practice"),
    ],
)
def test_a_name_nobody_published_is_refused_with_the_one_that_was_meant(typed: str, meant: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        check_published(typed)

    assert typed in caught.value.message
    assert f'"{meant}"' in caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        *(model.repo_id for model in catalog()),
        "Qwen/Qwen3-235B-A22B-Instruct-2507",
        "Qwen/Qwen3-Embedding-0.6B",
        "Qwen/Qwen3-4B-AWQ",
        "Qwen/Qwen3-8B-FP8",
        "Qwen/Qwen3-0.6B-GPTQ-Int8",
        "Qwen/Qwen3-4B-Instruct-2507-FP8",
        "Qwen/Qwen3-VL-8B-Instruct",
        "Qwen/Qwen3-VL-Embedding-8B",
        "Qwen/Qwen3.5-9B",
        "Qwen/Qwen2.5-7B-Instruct",
        "someone/Qwen3-7B-Instruct",
        "qwen3ft/Qwen3-Practice",
    ],
)
def test_a_published_or_plausible_name_passes(name: str) -> None:
    check_published(name)
