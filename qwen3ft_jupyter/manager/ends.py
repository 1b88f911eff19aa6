"""Work that a caller waits for has an end, and whoever shows it is told: a bar must not go on moving."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

Method = TypeVar("Method", bound="Callable[..., Any]")  # Any: whatever a method of the manager takes and gives


def tells_end(method: Method) -> Method:
    """Give a method of the manager the reporter that is made where none is given, and tell it how the work ended."""

    @functools.wraps(method)
    def call(manager: Any, /, *args: Any, **given: Any) -> Any:  # as the method takes and gives it
        given["reporter"] = reporter = given.get("reporter") or manager.make_reporter()
        try:
            result = method(manager, *args, **given)
        except BaseException as error:
            reporter.finished(error)
            raise
        reporter.finished(None)
        return result

    return cast("Method", call)
