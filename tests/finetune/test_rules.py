"""What a field accepts follows from its type and bounds, in what is read and in what is said."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from qwen3ft_jupyter.finetune.rules import Accepts, accepted, read

Count = Annotated[int, Field(ge=1, le=9)]


@pytest.mark.parametrize(
    ("annotation", "value", "becomes"),
    [
        (int, "3", 3.0),
        (int | None, None, None),
        (float, "1e-4", 1e-4),
        (bool, "Yes", True),
        (bool | None, "off", False),
        (Literal["lora", "full"], " LoRA ", "lora"),
        (bool | Literal["auto"], "AUTO", "auto"),
        (Count | Literal["auto"], "Auto", "auto"),
        (Count | Literal["auto"], "4", 4.0),
        (str, "As It Is ", "As It Is "),
    ],
)
def test_a_value_is_read_as_its_type_says(annotation: Any, value: object, becomes: object) -> None:
    found = read(value, annotation)

    assert (found, type(found)) == (becomes, type(becomes))


@pytest.mark.parametrize(
    ("annotation", "value"), [(int, True), (float, "nan"), (float, [1]), (bool, 2), (Count | Literal["auto"], "all")]
)
def test_what_stands_for_no_value_of_the_type_is_refused(annotation: Any, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        read(value, annotation)


@pytest.mark.parametrize(
    ("annotation", "field", "words"),
    [
        (int, Field(ge=1, le=9), "a whole number from 1 to 9"),
        (float, Field(ge=0, le=0.5), "a number from 0 to 0.5"),
        (float, Field(gt=0, le=1), "a number above 0 and at most 1"),
        (int | None, Field(ge=1, le=9), "a whole number from 1 to 9, or null"),
        (Count | Literal["auto"], Field(), "auto, a whole number from 1 to 9"),
        (Count | Literal["auto"] | None, Field(), "auto, a whole number from 1 to 9, or null"),
        (bool, Field(), "true or false"),
        (bool | Literal["auto"], Field(), "auto, true or false"),
        (Literal["nf4"] | None, Field(), "one of nf4, or null"),
    ],
)
def test_what_is_accepted_is_said_with_its_bounds(annotation: Any, field: Any, words: str) -> None:
    assert accepted(annotation, field.metadata) == words


def test_a_field_can_say_itself_what_it_accepts() -> None:
    assert accepted(str | None, [Accepts("a folder")]) == "a folder"
