"""Whoever shows the work of a call is told that it is over."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.work import Reporter

if TYPE_CHECKING:
    from pathlib import Path

PRACTICE = "qwen3ft/Qwen3-Practice"


class Ends(Reporter):
    """Notes how each piece of work ended."""

    def __init__(self) -> None:
        self.seen: list[BaseException | None] = []

    def finished(self, error: BaseException | None) -> None:
        self.seen.append(error)


@pytest.fixture
def made() -> Ends:
    """What shows the work where no reporter is given."""
    return Ends()


@pytest.fixture
def manager(tmp_path: Path, made: Ends) -> ModelManager:
    return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", reporter=lambda: made)


WORK = {
    "ensure_model_cached": (PRACTICE,),
    "ensure": (PRACTICE,),
    "plan": (PRACTICE,),
    "verify": (PRACTICE,),
    "repair": (PRACTICE,),
    "evict_model": (PRACTICE,),
    "evict_all": (),
}


@pytest.mark.parametrize("name", WORK)
def test_work_that_succeeds_is_over(manager: ModelManager, made: Ends, name: str) -> None:
    manager.ensure_model_cached(PRACTICE)
    given = Ends()

    getattr(manager, name)(*WORK[name])
    manager.ensure_model_cached(PRACTICE)
    getattr(manager, name)(*WORK[name], reporter=given)

    assert given.seen == [None]
    assert set(made.seen) == {None}


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in WORK if name != "evict_all"),
        "load_model_and_tokenizer",
        "chat",
        "move_cache",
        "plan_fine_tune",
        "preview",
        "fine_tune",
        "evaluate",
    ],
)
def test_work_that_fails_is_over_with_its_error(manager: ModelManager, made: Ends, name: str) -> None:
    arguments: tuple[Any, ...] = ("Qwen/Qwen3-7B-Nobody", *(["hello"] if name == "chat" else []))
    if name == "move_cache":
        arguments = (manager.settings.cache_dir,)

    with pytest.raises(Qwen3ftError) as caught:
        getattr(manager, name)(*arguments)

    assert made.seen[-1] is caught.value


def test_everything_that_takes_a_reporter_tells_it_the_end() -> None:
    taking = {
        name
        for name, method in inspect.getmembers(ModelManager, inspect.isfunction)
        if "reporter" in inspect.signature(method).parameters and not name.startswith("_")
    }

    assert taking - {"ensure_model_cached"} == {
        *WORK,
        "load_model_and_tokenizer",
        "chat",
        "move_cache",
        "plan_fine_tune",
        "join_fine_tune",
        "preview",
        "fine_tune",
        "evaluate",
    } - {
        "ensure_model_cached"  # it is done by `ensure`
    }
