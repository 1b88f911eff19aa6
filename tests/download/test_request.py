from __future__ import annotations

import pytest

from qwen3ft_jupyter.download.request import check_sources
from qwen3ft_jupyter.errors import BadInput


@pytest.mark.parametrize("names", [["modelscop"], ["disk", ""], []])
def test_a_name_that_is_no_source_is_refused_with_those_that_are(names: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        check_sources(names)

    assert "modelscope, huggingface, mirrors, disk" in caught.value.hint


def test_names_of_sources_are_taken_in_any_case_and_once() -> None:
    assert check_sources([" ModelScope", "modelscope", "disk"]) == ("modelscope", "disk")
