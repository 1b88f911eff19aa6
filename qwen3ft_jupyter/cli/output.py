"""What a command writes, and the signals that stop it at once."""

from __future__ import annotations

import _thread
import codecs
import contextlib
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.faces.say import error as error_words
from qwen3ft_jupyter.faces.verbs import PROGRAM
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.processes import stop_signals

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import TextIO

    from qwen3ft_jupyter.errors import Qwen3ftError

_PATIENCE_S = 0.9
"""Work promises to stop within a second; a name lookup or a module's start may not let it."""


_unwritten: list[OSError] = []
"""What was met when stdout could not be written."""


AS_IT_IS: Final = "qwen3ft.as-it-is"
"""The error handler of our streams: a path that is not UTF-8 goes out as the bytes that it is, so that a shell can use
it; for what the terminal lacks its number is written, and it still gets the rest of the line."""


def _as_it_is(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        with contextlib.suppress(UnicodeEncodeError):
            return error.object[error.start : error.end].encode("ascii", "surrogateescape"), error.end
    return codecs.backslashreplace_errors(error)


codecs.register_error(AS_IT_IS, _as_it_is)


def open_missing_streams() -> None:
    """Open what a caller has closed (``2>&-``): the next file to be opened would be what programs take for stderr."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 - to the end


def show(text: str) -> None:
    """Print a result to stdout."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Write to stdout. Where nobody reads that or it is full, the work goes on; `unwritten` tells."""
    try:
        if text:  # unbuffered, even nothing would be written
            sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _unwritten.append(error)
        _let_go_of(sys.stdout)


def end_stderr() -> None:
    """Give up what stderr does not take: at its end, the interpreter would make an exit code of its own of that."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _let_go_of(sys.stderr)


def _let_go_of(stream: TextIO) -> None:
    """Send what is still to be flushed, and all that follows, nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def unwritten() -> OSError | None:
    """Return why not all that was for stdout is there, and forget it."""
    error = _unwritten[0] if _unwritten else None
    _unwritten.clear()
    return error


def show_json(value: object) -> None:
    """Print a result for programs to stdout."""
    show(json.dumps(value, ensure_ascii=False, indent=1).encode(errors="backslashreplace").decode())


def say(text: str) -> None:
    """Print what is for people alone to stderr."""
    with contextlib.suppress(OSError, ValueError):  # a terminal that has gone
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command line prints


def in_words(error: Qwen3ftError) -> str:
    """Return what failed, what to do, and what else only this face shows, a line each."""
    said = error_words(error, "cli")
    lines = [f"{PROGRAM}: {error.code}: {said['message']}", said["hint"]]
    lines += [f"{name}: {value}" for name, value in error.details.items()]
    return "\n  ".join(line for line in lines if line)


def stopped_words(error: Stopped) -> str:
    """Return that something was stopped, and how to go on; where nothing can be gone on with, what was stopped."""
    said = error_words(error, "cli")
    return f"{tr('stopped; what arrived is kept')}\n{said['hint']}" if said["hint"] else said["message"]


def is_given(given: Namespace, name: str) -> bool:
    """Return whether a line has an option; 0 is given, too."""
    value = getattr(given, name)
    return value is not None and value is not False


@contextlib.contextmanager
def stop_on_signals(
    leave_word: Callable[[], str] = str, *, patience_s: float | None = _PATIENCE_S
) -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM and SIGHUP set; work that does not heed it is left behind.

    That is safe: whatever this package writes survives being broken off at any point. `leave_word` is called before,
    and returns what else to say. The exit code is 128 and the signal's number. Without `patience_s` the work has all
    the time it needs, unless a second signal comes.
    """
    stop, is_over, received = threading.Event(), threading.Event(), [signal.SIGINT]

    def leave() -> None:
        is_second = stop.is_set()
        stop.set()
        if not is_over.wait(_PATIENCE_S if is_second else patience_s):
            say("\n" + "\n".join(filter(None, (tr("stopped; what arrived is kept"), leave_word()))))
            os._exit(128 + received[-1])

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        # Event.set takes a lock that the interrupted code may be holding, so it must not be called from here.
        try:
            _thread.start_new_thread(leave, ())
        except RuntimeError:  # the system has no thread left
            raise KeyboardInterrupt from None

    before = {number: signal.signal(number, on_signal) for number in stop_signals()}
    try:
        yield stop
    except Stopped as error:
        if received[-1] == signal.SIGINT:
            raise
        say(stopped_words(error))
        raise SystemExit(128 + received[-1]) from error
    finally:
        is_over.set()
        for number, handler in before.items():
            signal.signal(number, handler)
