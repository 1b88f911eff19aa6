"""Volumes that a test mounts for itself; it is skipped where that needs more rights than it has."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.jobs.following import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CLONE_NEWNS = 0x00020000
"""Of Linux's `sched.h`; Python has it since 3.12."""


def keep_mounts_to_this_process() -> None:
    """Let only this process and those it starts see what it mounts, so that nothing of a test that is killed is left.

    Without the right to mount, or on another system than Linux, nothing happens.
    """
    mount = shutil.which("mount")
    with contextlib.suppress(AttributeError, OSError):
        if mount and ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
            subprocess.run([mount, "--make-rprivate", "/"], check=True)


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    mount = shutil.which("mount")
    if mount is None or shutil.which("umount") is None:
        pytest.skip("there is no mount on this platform")
    if subprocess.run([mount, *options, str(folder)], check=False, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        yield
    finally:
        unmount(folder)


def remount(folder: Path, options: str) -> None:
    subprocess.run([str(shutil.which("mount")), "-o", f"remount,{options}", str(folder)], check=True)


def unmount(folder: Path) -> None:
    """Unmount what is still there, once a thread that a stopped download left behind has closed its files."""
    command = [str(shutil.which("umount")), str(folder)]

    def is_gone() -> bool:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
        return not done.returncode or "not mounted" in done.stderr

    wait_until(is_gone)
