"""What a command writes, and the signals that stop it at once."""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.faces.say import error as error_words
from qwen3ft_jupyter.faces.verbs import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from qwen3ft_jupyter.errors import Qwen3ftError

_PATIENCE_S = 0.9
"""Work promises to stop within a second; a name lookup or a module's start may not let it."""


def show(text: str) -> None:
    """Print a result to stdout."""
    print(text, flush=True)  # noqa: T201 - a command line prints


def show_json(value: object) -> None:
    """Print a result for programs to stdout."""
    show(json.dumps(value, ensure_ascii=False, indent=1))


def say(text: str) -> None:
    """Print what is for people alone to stderr."""
    with contextlib.suppress(OSError):  # a terminal that has gone
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command line prints


def in_words(error: Qwen3ftError) -> str:
    """Return what failed, what to do, and what else only this face shows, a line each."""
    said = error_words(error, "cli")
    lines = [f"{PROGRAM}: {error.code}: {said['message']}", said["hint"]]
    lines += [f"{name}: {value}" for name, value in error.details.items()]
    return "\n  ".join(line for line in lines if line)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM and SIGHUP set; work that does not heed it is left behind.

    That is safe: whatever this package writes survives being broken off at any point. The exit code is 128 and the
    signal's number.
    """
    stop, is_over, received = threading.Event(), threading.Event(), [signal.SIGINT]

    def leave() -> None:
        stop.set()
        if not is_over.wait(_PATIENCE_S):
            with contextlib.suppress(OSError):
                os.write(2, b"\nstopped\n")
            os._exit(128 + received[-1])

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        # Event.set takes a lock that the interrupted code may be holding, so it must not be called from here.
        _thread.start_new_thread(leave, ())

    before = {number: signal.signal(number, on_signal) for number in _signals()}
    try:
        yield stop
    except Stopped as error:
        if received[-1] == signal.SIGINT:
            raise
        say(f"qwen3ft: {error}")
        raise SystemExit(128 + received[-1]) from error
    finally:
        is_over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> list[signal.Signals]:
    """Return the signals that end this process; under nohup SIGHUP does not, and that is to stay so."""
    known = [signal.SIGINT, signal.SIGTERM]
    hang_up: signal.Signals | None = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN:
        known.append(hang_up)
    return known
