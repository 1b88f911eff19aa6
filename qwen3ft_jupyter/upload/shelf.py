"""What an upload needs of a hub's client; one class a hub."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Protocol, TypeVar

from qwen3ft_jupyter.errors import MissingPackage, Qwen3ftError, Stopped
from qwen3ft_jupyter.hubs.retry import QUESTIONS, pause_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qwen3ft_jupyter.upload.plan import Item, Standing
    from qwen3ft_jupyter.upload.refusals import Place
    from qwen3ft_jupyter.work import Work

    Result = TypeVar("Result")

MESSAGE = "Upload with qwen3ft-jupyter"
"""What the commit says; it is in the repo's history, whoever reads that."""


class Shelf(Protocol):
    """One repo of a hub. Every method raises HubError, TransferError or BadName in our words, and Stopped."""

    place: Place

    def create(self, *, is_private: bool) -> None:
        """Make the repo. One that has come to be meanwhile is no error: look at it again."""

    def put(self, files: Sequence[Item], standing: Standing, work: Work) -> tuple[str, int]:
        """Bring the files there, in one commit; return that, "" if nothing differs, and the bytes that travelled.

        What the hub has is not sent again, be it in the repo or left by an upload that broke off.
        """


@contextlib.contextmanager
def explaining(place: Place) -> Iterator[None]:
    """Let whatever a client raises in the block be an error of ours.

    The cause is not kept with it: its text goes to logs, and may hold signed addresses.
    """
    try:
        yield
    except (Qwen3ftError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001 - the border to a library of a stranger, of several versions
        raise place.explain(error) from None


def trying(place: Place, work: Work, do: Callable[[], Result]) -> Result:
    """Return what `do` does, which is tried again after a pause where that may help."""
    attempt = 0
    while True:
        attempt += 1
        work.check()
        try:
            with explaining(place):
                return do()
        except Stopped:
            raise
        except Qwen3ftError as error:
            pause = pause_s(attempt, error, chance=random.random, policy=QUESTIONS)
            if pause is None:
                raise
            work.notice("{problem} Trying again.", problem=error.message)
        work.stop.wait(pause)


def missing(package: str) -> MissingPackage:
    """Return the error for a client that is not installed."""
    return MissingPackage(
        "The package {package}, which uploads to its hub, is not installed.",
        hint="pip install -U {package}",
        package=package,
    )
