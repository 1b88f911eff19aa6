"""The volume of a fine-tune's output folder: whether it takes what a run writes, and what it answers meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import BadConfig, JobFailed, NoSpace, Qwen3ftError
from qwen3ft_jupyter.finetune.own import SCRATCH, is_scratch
from qwen3ft_jupyter.mounts import FULL, can_append
from qwen3ft_jupyter.paths import fault_of, is_there, nearest_folder, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUST: Final = re.compile(r"\(os error (\d{1,5})\)")
"""How safetensors, whose errors are no OSErrors, quotes the system."""
TENSORBOARD_VARIABLE: Final = "TENSORBOARD_LOGGING_DIR"
"""Says where transformers has TensorBoard write."""
_PROBE: Final = bytes(1 << 16)


def check_writable(folder: Path) -> None:
    """Make sure that a run may write to `folder`, which need not be there; nothing of the trial stays.

    Raises:
        BadConfig: It is no folder, cannot be looked into, or takes no folders or files, or none of such a name.
    """
    fault = fault_of(folder)
    if isinstance(fault, (NotADirectoryError, FileNotFoundError)):
        in_the_way = next(path for path in (folder, *folder.parents) if is_there(path))
        raise BadConfig("output_dir: {name} is not a folder.", hint="Name another folder.", name=in_the_way.name)
    with looking_into(folder):
        if fault is not None:
            raise fault
    try:
        _try_out(folder)
    except OSError as error:
        raise BadConfig(
            "output_dir: {folder} cannot be written: {reason}.",
            hint="Make room there, or name a folder on another volume."
            if error.errno in FULL
            else "Name a folder that you may write to.",
            details={"path": str(folder)},
            folder=_short(folder),
            reason=reason_of(error),
        ) from error


def check_tensorboard(folder: Path) -> None:
    """Make sure that TensorBoard can write to `folder`, unless it writes elsewhere. Raises BadConfig."""
    if TENSORBOARD_VARIABLE in os.environ or can_append(nearest_folder(folder)):
        return
    raise BadConfig(
        "report_to: tensorboard adds to its files all the time, which the mount of {folder} cannot.",
        hint="Set {variable} to a folder on a disk, or leave tensorboard out: the run's view has the curves, too.",
        details={"path": str(folder)},
        folder=_short(folder),
        variable=TENSORBOARD_VARIABLE,
    )


@contextlib.contextmanager
def looking_into(folder: Path) -> Iterator[None]:
    """Let an OSError of the block be a BadConfig that names folder and cause: what is there has to be known."""
    try:
        yield
    except OSError as error:
        raise BadConfig(
            "output_dir: {folder} cannot be looked into: {reason}.",
            hint="Make it readable, or name another folder.",
            details={"path": str(folder)},
            folder=_short(folder),
            reason=reason_of(error),
        ) from error


@contextlib.contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Let what the volume of `folder` refuses while the block runs be an error that names folder and cause.

    Raises:
        NoSpace: It is full, or a quota is used up.
        JobFailed: It answers anything else: read-only, gone, …
    """
    try:
        yield
    except Qwen3ftError:
        raise
    except Exception as error:
        number = _number_of(error, folder)
        if number is None:
            raise
        if number in FULL and is_there(folder / SCRATCH):
            raise NoSpace(
                "output_dir: there is no room left on the volume of {folder}, or in the folder for temporary files "
                "(TMPDIR), where what is saved is written first.",
                hint="What was saved before is kept. Make room in both, or set TMPDIR to a folder that has it, and "
                "resume: it goes on from the last checkpoint.",
                details={"path": str(folder)},
                folder=_short(folder),
            ) from error
        if number in FULL:
            raise NoSpace(
                "output_dir: there is no room left on the volume of {folder}.",
                hint="What was saved before is kept. Make room there and resume: it goes on from the last checkpoint.",
                details={"path": str(folder)},
                folder=_short(folder),
            ) from error
        raise JobFailed(
            "output_dir: {folder} cannot be used any more: {reason}.",
            hint="What was saved before is kept. Once the folder can be written, resume: it goes on from the last "
            "checkpoint.",
            details={"path": str(folder)},
            folder=_short(folder),
            reason=os.strerror(number),
        ) from error


def _number_of(error: Exception, folder: Path) -> int | None:
    """Return what the volume has answered; None if it is not at fault.

    torch does not tell what it was that it could not write, so the volume is asked once more.
    """
    if isinstance(error, OSError):
        named = error.filename
        path = Path(os.fsdecode(named)) if named is not None else folder
        is_elsewhere = folder not in (path, *path.parents) and not is_scratch(path)
        return None if is_elsewhere or isinstance(error, ConnectionError) else error.errno
    if found := _RUST.search(str(error)):
        return int(found[1])
    if isinstance(error, RuntimeError):
        try:
            _try_out(folder)
        except OSError as fault:
            return fault.errno
    return None


def _try_out(folder: Path) -> None:
    """Make such a folder beside where it would be, and write into it: permissions alone do not tell.

    Raises OSError; BadConfig if what was written can neither be replaced nor deleted.
    """
    with _trial_of(folder) as trial:
        first, second = trial / "first", trial / "second"
        for path in (first, second):
            path.write_bytes(_PROBE)
        try:
            LOCAL.replace(second, first)
            LOCAL.unlink(first)
        except OSError as error:
            raise BadConfig(
                "output_dir: {folder} lies on a mount that replaces or deletes no files: {reason}.",
                hint="Mount it so that both can be done (mountpoint-s3: --allow-overwrite --allow-delete), or name a "
                "folder on another mount.",
                details={"path": str(folder)},
                folder=_short(folder),
                reason=reason_of(error),
            ) from error


@contextlib.contextmanager
def _trial_of(folder: Path) -> Iterator[Path]:
    there = nearest_folder(folder)
    trial = Path(tempfile.mkdtemp(prefix=".qwen3ft-", dir=there))
    try:
        inner = trial / folder.relative_to(there)
        inner.mkdir(parents=True, exist_ok=True)
        yield inner
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def _short(folder: Path) -> str:
    name = folder.name or str(folder)
    return name if len(name) <= 60 else f"{name[:60]}…"
