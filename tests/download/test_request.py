from __future__ import annotations

import inspect
from typing import Any

import pytest

from qwen3ft_jupyter.download.request import DownloadRequest, check_sources
from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.manager.manager import ModelManager


@pytest.mark.parametrize("names", [["modelscop"], ["disk", ""], []])
def test_a_name_that_is_no_source_is_refused_with_those_that_are(names: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        check_sources(names)

    assert "modelscope, huggingface, mirrors, disk" in caught.value.hint


def test_names_of_sources_are_taken_in_any_case_and_once() -> None:
    assert check_sources([" ModelScope", "modelscope", "disk"]) == ("modelscope", "disk")


@pytest.mark.parametrize(
    ("name", "hub", "asked"),
    [
        ("a/b", None, None),
        ("a/b", " HuggingFace ", "huggingface"),
        ("a/b@v1", "modelscope", "modelscope"),
    ],
)
def test_a_hub_is_asked_for_by_its_name(name: str, hub: Any, asked: str | None) -> None:
    request = DownloadRequest.of(name, hub=hub)

    assert (request.model_name, request.hub) == ("a/b", asked)
    assert DownloadRequest.from_dict(request.to_dict()) == request


def test_what_is_no_hub_is_refused_and_that_of_a_data_set_stands_in_its_name() -> None:
    wrong: Any = "github"
    with pytest.raises(BadInput, match="github is no hub"):
        DownloadRequest.of("a/b", hub=wrong)
    with pytest.raises(BadInput, match="are about models"):
        DownloadRequest.of("ms:a/b", hub="modelscope")
    with pytest.raises(BadInput, match="github is no hub"):
        DownloadRequest.of("ms:a/b", hub=wrong)


def test_a_hub_that_is_left_empty_is_none_also_for_a_data_set() -> None:
    empty: Any = ""
    for name in ("a/b", "ms:a/b"):
        assert DownloadRequest.of(name, hub=empty) == DownloadRequest.of(name)
        assert "hub" not in DownloadRequest.of(name, hub=empty).to_dict()


def test_a_notebook_shows_the_fields_of_a_request_where_a_method_takes_them() -> None:
    """Shift-Tab on ``ensure_model_cached(`` must name what can be asked for, with its default."""
    for method in (ModelManager.ensure_model_cached, ModelManager.ensure, ModelManager.plan, ModelManager.download):
        shown = inspect.signature(method).parameters
        assert {"revision", "update", "sources", "in_place"} <= shown.keys()
        assert shown["revision"].default is None
