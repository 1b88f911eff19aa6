from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.store import ModelCache
from tests.cache.making import FILES, make_cached, make_plain
from tests.cache.other_caches import LAYOUTS, REPO, make_modelscope, place_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("make", [make_cached, lambda root, _: make_plain(root / "Qwen--Qwen3-0.6B")])
@pytest.mark.parametrize(("name", "owner"), [("cache", "qwen3ft"), ("team", "shared")])
def test_a_model_of_ours_or_of_a_layer_says_whose_it_is(tmp_path: Path, make: object, name: str, owner: str) -> None:
    assert callable(make)
    make(tmp_path / name, REPO)

    (model,) = ModelCache(tmp_path / "cache", [tmp_path / "team"]).list()

    assert (model.owner, model.is_shared, model.is_others) == (owner, owner == "shared", False)
    assert model.to_dict()["owner"] == owner


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_of_another_tool_says_whose_it_is(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout][1](tmp_path / "theirs", FILES)
    place = place_of(layout, tmp_path / "theirs")

    (model,) = ModelCache(tmp_path / "cache", places=[place]).list()

    assert (model.owner, model.is_shared, model.is_others) == (place.owner, False, True)
    shown = model.to_dict()
    assert (shown["owner"], shown["verified"], shown["shared"]) == (place.owner, False, False)
    json.dumps(shown)


def test_other_tools_models_come_last(tmp_path: Path) -> None:
    make_modelscope(tmp_path / "ms")
    make_cached(tmp_path / "team", "someone/Theirs")
    make_cached(tmp_path / "cache", "zoo/Last")

    cache = ModelCache(tmp_path / "cache", [tmp_path / "team"], places=[Place("modelscope", tmp_path / "ms")])

    assert [model.owner for model in cache.list()] == ["qwen3ft", "shared", "modelscope"]
