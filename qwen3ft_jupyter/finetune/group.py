"""Groups of the fields of a fine-tune's config: every wrong one is named at once, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune import rules
from qwen3ft_jupyter.finetune.strict_yaml import THE_CONFIG
from qwen3ft_jupyter.messages import Texts

if TYPE_CHECKING:
    from pydantic.config import JsonDict
    from typing_extensions import Self

BASIC: JsonDict = {"x-group": "basic"}
"""Of the fields that a form shows at once; all others are advanced."""


class Group(BaseModel):
    """Fields as people write them. What stands below a field is its help, in every face.

    Raises:
        BadConfig: Fields are wrong; the message names every one.
    """

    _prefix: ClassVar[str] = ""
    """What leads to the group, with a dot."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )

    @classmethod
    def _complete(cls, values: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:  # noqa: ARG003
        """Return the fields in our words, with those that follow from others; Any: they are not checked yet."""
        return dict(values)

    @model_validator(mode="wrap")
    @classmethod
    def _say_problems(cls, values: object, check: ModelWrapValidatorHandler[Self]) -> Self:
        """Say what is wrong in our words. Raises BadConfig."""
        if isinstance(values, cls):
            return check(values)
        if not isinstance(values, Mapping):
            raise BadConfig("{name} is not a list of fields.", name=THE_CONFIG)
        problems: list[str] = []
        given = cls._complete({str(name): value for name, value in values.items()}, problems)
        try:
            group = check(given)
        except ValidationError as error:
            from qwen3ft_jupyter.finetune.problems import find_problems  # only who is wrong waits for it

            problems += find_problems(error.errors(include_url=False), cls, given, cls._prefix)
        if not problems:
            return group
        raise BadConfig(
            "The fine-tune config has 1 wrong field: {problems}."
            if len(problems) == 1
            else "The fine-tune config has {count} wrong fields: {problems}.",
            hint="Correct them all. The fields are: {names}."
            if any("unknown field" in problem and "." not in problem.partition(":")[0] for problem in problems)
            else "Correct them all.",
            names=", ".join(cls.model_fields),
            count=len(problems),
            problems=Texts(problems),
        )

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> object:
        try:
            return rules.read(value, cls.model_fields[str(info.field_name)].annotation)
        except (TypeError, OverflowError) as error:
            raise ValueError(value) from error  # the one error that pydantic gathers
