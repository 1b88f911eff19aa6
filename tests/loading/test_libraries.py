from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.loading.libraries import import_whole

if TYPE_CHECKING:
    from pathlib import Path

THREAD = "import threading\nthread = threading.current_thread()\n"


def write_module(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a module; its attribute `thread` is to say which thread imported it."""
    (folder / f"{name}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)


def test_an_interrupt_ends_the_wait_and_not_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch, this module cannot be imported again once its import was broken off."""
    may_end = threading.Event()
    monkeypatch.setitem(sys.modules, "qwen3ft_test_gate", SimpleNamespace(may_end=may_end))
    code = f"import _thread, qwen3ft_test_gate as gate\n_thread.interrupt_main()\ngate.may_end.wait(120)\n{THREAD}"
    write_module(tmp_path, "qwen3ft_test_slow", code, monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        import_whole("qwen3ft_test_slow")
    may_end.set()
    import_whole("qwen3ft_test_slow")

    assert sys.modules["qwen3ft_test_slow"].thread is not threading.main_thread()


def test_what_an_import_raises_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, "qwen3ft_test_broken", "raise ImportError('libfirst.so is missing')", monkeypatch)

    with pytest.raises(ImportError, match=r"libfirst\.so is missing"):
        import_whole("qwen3ft_test_broken")


def test_another_thread_imports_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(
        tmp_path, "qwen3ft_test_thread", "import threading\nthread = threading.current_thread()\n", monkeypatch
    )
    thread = threading.Thread(target=import_whole, args=("qwen3ft_test_thread",))

    thread.start()
    thread.join(120)

    assert sys.modules["qwen3ft_test_thread"].thread is thread
