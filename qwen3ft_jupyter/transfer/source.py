"""Where bytes come from: anything that hands out a range of an object whose digest is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from qwen3ft_jupyter.errors import HubBusy

if TYPE_CHECKING:
    import threading
    from contextlib import AbstractContextManager

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.listing import RemoteFile


class ByteStream(Protocol):
    """The bytes of a range, in order."""

    @property
    def is_ranged(self) -> bool:
        """Whether the source started at the range; False if it sent the whole file and the front was skipped."""

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into `view`, those that come at about the same time; return how many, 0 at the end.

        Raises:
            SourceFailed: The source broke off, stalled, or sent more or less than the range.
            Stopped: The stop signal was set.
        """


class Source(Protocol):
    """A place that has some objects. Used from several threads at once."""

    @property
    def name(self) -> str:
        """What to call it in front of a person, for example "ModelScope"."""

    def has(self, file: RemoteFile) -> bool:
        """Return whether bytes of this digest can be asked for here; asks nobody. May become true later."""

    def open(
        self, file: RemoteFile, start: int, end: int, *, stop: threading.Event
    ) -> AbstractContextManager[ByteStream]:
        """Ask for the bytes of `file` from `start` up to `end`.

        Raises:
            SourceFailed, HubBusy, HubUnreachable: Another try may do.
            WrongBytes: The source has another object under this name.
            AccessDenied, ModelNotFound: The source refuses.
            Stopped: `stop` was set; then a `read` that waits returns within half a second, too.
        """


@runtime_checkable
class Resolving(Protocol):
    """What a source that is still finding out what it has offers besides."""

    def wait(self, limit_s: float) -> bool:
        """Wait at most `limit_s` seconds; return whether it is known by now what the source has."""


def is_resolved(source: Source) -> bool:
    """Return whether what `source` has now is all that it will ever have. Look at this before `Source.has`."""
    return not isinstance(source, Resolving) or source.wait(0.0)


def asked_wait_s(error: Qwen3ftError) -> float:
    """Return the seconds for which a source has asked to be left alone."""
    return float(error.details.get("retry_after_s", 0) or 0)


def is_refusal(error: Qwen3ftError) -> bool:
    """Return whether `error` means that the source bears no more connections, rather than that one was unlucky."""
    if isinstance(error, HubBusy):
        return error.details.get("status") in {"429", "503"}
    return error.details.get("cause") in {"refused", "silent"}
