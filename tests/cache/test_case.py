"""A name in another case is answered with the spelling that is here, and never makes a second row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import NotCached, UnknownModel
from qwen3ft_jupyter.manager import get_model_manager
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.cache.making import make_cached, make_plain
from tests.cache.other_caches import FILES, make_hugging_face

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.manager import ModelManager

HERE, TYPED = "Org/Tiny", "org/tiny"


@pytest.fixture
def manager(tmp_path: Path) -> ModelManager:
    make_cached(tmp_path / "cache", HERE)
    return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", offline=True)


@pytest.mark.parametrize(
    "ask",
    [
        lambda manager: manager.ensure_model_cached(TYPED),
        lambda manager: manager.ensure_model_cached(TYPED, force_download=True),
        lambda manager: manager.ensure_model_cached(TYPED, revision="v1"),
        lambda manager: manager.download(TYPED),
        lambda manager: manager.start_verify(TYPED),
        lambda manager: manager.start_repair(TYPED),
        lambda manager: manager.check_name(TYPED),
        lambda manager: manager.load_model_and_tokenizer(TYPED),
    ],
)
def test_before_a_hub_is_asked_the_spelling_that_is_cached_is_said(
    manager: ModelManager, ask: Callable[[ModelManager], object]
) -> None:
    with pytest.raises(UnknownModel, match=f"{TYPED} is spelled {HERE} in the cache") as caught:
        ask(manager)

    assert caught.value.hint == f'Write it as "{HERE}".'
    assert manager.ensure_model_cached(HERE), "the hint helps"


@pytest.mark.parametrize(
    "ask",
    [
        lambda manager: manager.evict_model(TYPED),
        lambda manager: manager.clear_cache(TYPED),
        lambda manager: manager.pin(TYPED),
        lambda manager: manager.verify(TYPED),
        lambda manager: manager.repair(TYPED),
    ],
)
def test_what_is_about_the_cache_names_it_too(manager: ModelManager, ask: Callable[[ModelManager], object]) -> None:
    with pytest.raises((NotCached, UnknownModel)) as caught:
        ask(manager)

    assert HERE in caught.value.hint
    assert [row["model_name"] for row in manager.list_cached_models()] == [HERE]


def test_a_download_makes_no_second_row(tmp_path: Path) -> None:
    make_plain(tmp_path / "served")
    with Mirror({HERE: tmp_path / "served"}) as mirror:
        given: dict[str, Any] = {
            "hf_endpoint": mirror.url,
            "modelscope_endpoint": mirror.url,
            "state_dir": tmp_path / "state",
        }
        manager = get_model_manager(cache_dir=tmp_path / "cache", **given)
        manager.ensure_model_cached(HERE)
        with pytest.raises(UnknownModel, match=HERE):
            manager.ensure_model_cached(TYPED)

    assert [row["model_name"] for row in manager.list_cached_models()] == [HERE]


def test_another_model_and_a_folder_that_somebody_made_are_in_nobodys_way(tmp_path: Path) -> None:
    """Only what a download has recorded tells how a model is spelled; who types it right is never refused."""
    make_plain(tmp_path / "cache" / "org_tiny")
    make_plain(tmp_path / "served")
    with Mirror({HERE: tmp_path / "served"}) as mirror:
        given: dict[str, Any] = {
            "hf_endpoint": mirror.url,
            "modelscope_endpoint": mirror.url,
            "state_dir": tmp_path / "state",
        }
        assert get_model_manager(cache_dir=tmp_path / "cache", **given).ensure_model_cached(HERE)
    with pytest.raises(NotCached, match="org/tiny2 is not in the cache"):
        ModelCache(tmp_path / "cache").evict("org/tiny2")


def test_what_another_tool_keeps_in_another_case_is_said_offline(tmp_path: Path) -> None:
    make_hugging_face(tmp_path / "hub", FILES, repo=HERE)
    cache = ModelCache(tmp_path / "cache", places=[Place("huggingface", tmp_path / "hub")])

    with pytest.raises(UnknownModel, match=f"{TYPED} is spelled {HERE}"):
        cache.evict(TYPED, owner="huggingface")
    with pytest.raises(NotCached) as caught:
        cache.verify(TYPED)
    assert HERE in caught.value.hint
