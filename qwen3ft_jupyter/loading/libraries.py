"""What torch, transformers and peft give us, by name: they are not installed everywhere, so types must not need them.

To mypy, which skips these packages, each is Any; whoever reads knows what is meant.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    import transformers

    Model: TypeAlias = transformers.PreTrainedModel  # or peft's around one
    Tokenizer: TypeAlias = transformers.PreTrainedTokenizerBase
    DeviceMap: TypeAlias = str | Mapping[str, int | str] | None


_WAIT_S: Final = 0.2
"""How often a wait can be interrupted on Windows."""


def import_whole(*names: str) -> None:
    """Import modules to their end, whether or not somebody interrupts the wait for it.

    torch registers with its C++ side while it is imported. Interrupted halfway it cannot be imported again, and every
    load would fail until the kernel is restarted. Interrupts come to the main thread alone.

    Raises:
        ImportError: as importing them does.
        KeyboardInterrupt: the wait was interrupted; the import goes on.
    """
    if threading.current_thread() is not threading.main_thread():
        _import(names)
        return
    raised: list[BaseException] = []

    def run() -> None:
        try:
            _import(names)
        except BaseException as error:  # noqa: BLE001 - border of a thread: who waits raises it
            raised.append(error)

    thread = threading.Thread(target=run, name="qwen3ft import", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_WAIT_S)
    if raised:
        raise raised[0]


def _import(names: Iterable[str]) -> None:
    for name in names:
        importlib.import_module(name)


class LoadedPair(NamedTuple):
    """A model ready to generate, and its tokenizer."""

    model: Model
    tokenizer: Tokenizer
