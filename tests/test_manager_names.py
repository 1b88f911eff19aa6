"""The front door takes a model by its name, with its revision, and by the address of its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadInput, BadName, NotCached, UnknownModel
from qwen3ft_jupyter.faces.actions import name_to_load
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from tests.cache.making import make_cached

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REPO = "acme/Tiny-1"
ADDRESSES = [
    REPO,
    f"{REPO}/",
    f"https://huggingface.co/{REPO}",
    f"hf.co/{REPO}",
    f"https://www.modelscope.cn/models/{REPO}/summary",
    "ａｃｍｅ／Tiny-1",
]
BAD_REVISIONS = ["../../etc/passwd", "C:\\x", ".git/hooks/x", "x" * 5000, "a b", "-x"]
CALLS: dict[str, Callable[..., Any]] = {
    "ensure": lambda manager, name, **options: manager.ensure(name, **options),
    "ensure_model_cached": lambda manager, name, **options: manager.ensure_model_cached(name, **options),
    "download": lambda manager, name, **options: manager.download(name, **options),
    "verify": lambda manager, name, **options: manager.verify(name, **options),
    "repair": lambda manager, name, **options: manager.repair(name, **options),
    "start_verify": lambda manager, name, **options: manager.start_verify(name, **options),
    "start_repair": lambda manager, name, **options: manager.start_repair(name, **options),
    "pin": lambda manager, name, **options: manager.pin(name, **options),
    "evict_model": lambda manager, name, **options: manager.evict_model(name, **options),
}
WITHOUT_JOBS = sorted(set(CALLS) - {"download", "start_verify", "start_repair"})


@pytest.fixture
def manager(tmp_path: Path) -> ModelManager:
    make_cached(tmp_path / "cache", REPO)
    return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", offline=True)


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("call", WITHOUT_JOBS)
def test_every_call_takes_what_means_the_model(manager: ModelManager, call: str, name: str) -> None:
    CALLS[call](manager, name)


@pytest.mark.parametrize("call", ["pin", "evict_model", "verify", "repair", "start_verify"])
def test_an_address_that_says_a_revision_means_no_other(manager: ModelManager, call: str) -> None:
    with pytest.raises(NotCached):
        CALLS[call](manager, f"https://huggingface.co/{REPO}/tree/v9")

    assert [model.repo_id for model in manager.cached_models()] == [REPO]


@pytest.mark.parametrize("call", sorted(set(CALLS) - {"download"}))
def test_a_model_with_a_slip_of_the_finger_is_answered_by_the_one_that_is_here(
    manager: ModelManager, call: str
) -> None:
    with pytest.raises(NotCached) as caught:
        CALLS[call](manager, "acme/Tinny-1")

    assert caught.value.hint == f'Did you mean "{REPO}"?'


def test_no_other_model_is_offered_for_one_that_exists(manager: ModelManager, tmp_path: Path) -> None:
    make_cached(tmp_path / "cache", "Qwen/Qwen3-8B")

    for call in ("verify", "pin", "evict_model", "start_verify", "ensure"):
        with pytest.raises(NotCached) as caught:
            CALLS[call](manager, "Qwen/Qwen3-4B")
        assert "8B" not in caught.value.hint


@pytest.mark.parametrize("name", ["Qwen/Qwen3-7B", "qwen3ft/Qwen3-Practise"])
def test_a_check_of_what_nobody_published_names_what_is(manager: ModelManager, name: str) -> None:
    for call in ("start_verify", "start_repair"):
        with pytest.raises(UnknownModel):
            CALLS[call](manager, name)


@pytest.mark.parametrize("revision", BAD_REVISIONS)
@pytest.mark.parametrize("call", CALLS)
def test_no_call_takes_what_no_revision_can_be_called(manager: ModelManager, call: str, revision: str) -> None:
    with pytest.raises(BadInput):
        CALLS[call](manager, REPO, revision=revision)

    assert manager.jobs() == []
    assert [model.repo_id for model in manager.cached_models()] == [REPO]


@pytest.mark.parametrize(("name", "near"), [("Practice", "qwen3ft/Qwen3-Practice"), ("qwen3-0.6b", "Qwen/Qwen3-0.6B")])
def test_what_is_to_be_loaded_without_its_owner_is_answered_by_its_name(
    manager: ModelManager, name: str, near: str
) -> None:
    with pytest.raises(BadName, match=near):
        manager.load_model_and_tokenizer(name_to_load(manager, name))

    assert name_to_load(manager, near) == near


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (f"https://huggingface.co/{REPO}", REPO),
        (f"{REPO}/", REPO),
        (f"hf.co/{REPO}/tree/v1", f"{REPO}@v1"),
        ("runs/first", "runs/first"),
        ("./runs/first", "./runs/first"),
        ("/data/a b/c", "/data/a b/c"),
    ],
)
def test_an_address_is_loaded_by_the_name_in_it_and_a_path_stays_one(
    manager: ModelManager, given: str, meant: str
) -> None:
    assert name_to_load(manager, given) == meant
