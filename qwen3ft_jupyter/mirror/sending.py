"""Sends the bytes of an open file to a client, and gives up on one that does not take them."""

from __future__ import annotations

import os
import selectors
import ssl
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from io import FileIO

    from qwen3ft_jupyter.mirror.replies import Slice

WINDOW_S: Final = 60.0
MIN_BYTES: Final = 60_000
"""A client takes so many bytes within each window, 1 kB/s, or it has gone; it may also be holding our threads."""
SEND_BYTES: Final = 8 << 20
"""Handed to the kernel at once; before each the file is looked at again."""
COPY_BYTES: Final = 256 << 10
"""Read at once where the kernel cannot send from a file."""
_Selector: Final[type[selectors.BaseSelector]] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""Waits without a descriptor of its own: where none is left, an answer whose head is out would be cut off."""
_HAS_SENDFILE: Final = hasattr(os, "sendfile")


class Changed(ConnectionError):
    """The file was written to while it was sent, or its end is gone: the rest would be wrong."""


def send_slice(connection: socket.socket, part: Slice) -> None:
    """Send the bytes; break off if the file was written to since it was checked.

    Unlike the whole stamp, size and time of change stay when the file gets another name, mode or is evicted.

    Raises:
        Changed: See there.
        TimeoutError: The client takes fewer than `MIN_BYTES` in `WINDOW_S`.
        OSError: The client has gone.
    """
    position, end = part.start, part.start + part.length
    mark, deadline = position, time.monotonic() + WINDOW_S
    with _Selector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        connection.setblocking(False)
        while position < end:
            now = os.fstat(part.file.fileno())
            if (now.st_size, now.st_mtime_ns) != (part.stamp.size, part.stamp.mtime_ns):
                raise Changed("the file changed while it was sent")
            try:
                position += _send(connection, part.file, position, min(SEND_BYTES, end - position))
                continue
            except (BlockingIOError, ssl.SSLWantWriteError):
                selector.modify(connection, selectors.EVENT_WRITE)
                selector.select(max(0.0, deadline - time.monotonic()))
            except ssl.SSLWantReadError:  # the client wants other keys
                selector.modify(connection, selectors.EVENT_READ)
                selector.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                if position - mark < min(MIN_BYTES, end - mark):
                    raise TimeoutError("the client takes too few bytes")
                mark, deadline = position, time.monotonic() + WINDOW_S


def _send(connection: socket.socket, file: FileIO, position: int, count: int) -> int:
    """Send up to `count` bytes, at least one. Raises BlockingIOError, or TLS's like, if it takes none just now."""
    sent = 0
    try:
        if _HAS_SENDFILE and not isinstance(connection, ssl.SSLSocket):  # past which it would go
            sent = os.sendfile(connection.fileno(), file.fileno(), position, count)
    except (BlockingIOError, ConnectionError):
        raise
    except OSError:  # not from this file system
        sent = 0
    sent = sent or _copy(connection, file, position, count)
    if not sent:
        raise Changed("the file ended while it was sent")
    return sent


def _copy(connection: socket.socket, file: FileIO, position: int, count: int) -> int:
    file.seek(position)
    data = file.read(min(COPY_BYTES, count))
    return connection.send(data) if data else 0
