"""Re-reads a cached model and says what is wrong with it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.digests import digest_file
from qwen3ft_jupyter.cache.manifest import RECORD_FOLDER, Stamp, file_state
from qwen3ft_jupyter.transfer.meter import Meter

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.reporting import Reporter


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What reading a cached model again has shown."""

    repo_id: RepoId
    checked_files: int
    checked_bytes: int
    missing: tuple[str, ...]
    """Paths that are not there, or are no regular files."""
    wrong: tuple[str, ...]
    """Paths whose bytes are not those of the record."""
    extra: tuple[str, ...]
    """Paths that are not part of the model; they are left alone."""

    @property
    def is_ok(self) -> bool:
        """Return whether every file of the model is there and right."""
        return not self.missing and not self.wrong

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, with `ok` beside the fields."""
        return {**asdict(self), "ok": self.is_ok}


@dataclass(frozen=True, slots=True)
class Check:
    """What reading some files of a model has shown."""

    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    stamps: dict[str, Stamp | None]
    """The new stamp of every file that was checked; None for those that are not right."""
    checked_bytes: int


def check_files(
    folder: Path, files: Sequence[ManifestFile], *, phase: str, reporter: Reporter, stop: threading.Event
) -> Check:
    """Read `files` of the model in `folder` and compare them with their digests. Raises Stopped."""
    meter = Meter(reporter, phase, sum(file.size for file in files), clock=time.monotonic)
    missing: list[str] = []
    wrong: list[str] = []
    stamps: dict[str, Stamp | None] = {}
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        meter.update(done, detail=file.path)

    for file in files:
        stamps[file.path] = None
        if file_state(folder, file) == "missing":
            missing.append(file.path)
            continue
        try:
            digest = digest_file(folder / file.path, with_git=False, on_bytes=on_bytes, stop=stop)
        except OSError:  # unreadable sectors are wrong bytes, too
            digest = None
        if digest is not None and digest.is_of(file.as_remote()):
            stamps[file.path] = digest.stamp
        else:
            wrong.append(file.path)
    meter.update(done, now=True)
    return Check(tuple(missing), tuple(wrong), stamps, done)


def verify_model(
    folder: Path, manifest: Manifest, *, reporter: Reporter, stop: threading.Event
) -> tuple[VerifyReport, Manifest]:
    """Read every file of a model; return the report, and the manifest with the stamps that follow from it.

    Raises:
        Stopped: `stop` was set.
    """
    check = check_files(folder, manifest.files, phase="verifying", reporter=reporter, stop=stop)
    known = {file.path for file in manifest.files}
    report = VerifyReport(
        manifest.repo_id,
        len(manifest.files) - len(check.missing),
        check.checked_bytes,
        check.missing,
        check.wrong,
        tuple(path for path in walk_files(folder) if path not in known),
    )
    return report, manifest.with_stamps(check.stamps)


def walk_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files and symlinks in a model folder, sorted, our own record left out."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:  # deleted meanwhile
            continue
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                yield path
            elif path != RECORD_FOLDER:
                pending.append(f"{path}/")
