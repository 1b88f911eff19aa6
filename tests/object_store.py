"""An object store behind FUSE, real: a mount whose files are there for others once they are closed.

``python -m tests.object_store BUCKET MOUNT OPTIONS`` serves it in a process of its own. What is closed lies in the
folder BUCKET, which is what another host sees. As such mounts do, it takes a file from front to back, renames by
copying or not at all, adds to a file by writing all of it anew or not at all, and has no links and permissions.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.jobs.following import wait_until
from tests.mounting import unmount

if TYPE_CHECKING:
    from collections.abc import Iterator

BARE = {"subtype": "store"}
"""Adds to no file and renames none, as mountpoint-s3."""
OSSFS = {"subtype": "ossfs", "appends": True, "renames": True}
"""Does both, by writing all of the file anew."""


@contextlib.contextmanager
def object_store(folder: Path, **options: Any) -> Iterator[tuple[Path, Path]]:
    """Return a mount, and the folder in which others see what it holds."""
    mount, bucket = folder / "mount", folder / "bucket"
    for path in (mount, bucket):
        path.mkdir(parents=True)
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
        import mfusepy  # type: ignore[import-untyped]  # noqa: F401
    except (OSError, ImportError):
        pytest.skip("needs /dev/fuse and libfuse")
    words = [sys.executable, "-m", "tests.object_store", str(bucket), str(mount), json.dumps(options)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, cwd=Path(__file__).parent.parent) as process:
        wait_until(lambda: os.path.ismount(mount) or process.poll() is not None)
        if process.poll() is not None:
            pytest.skip(f"cannot be mounted: {process.stderr.read() if process.stderr else ''!r}")
        try:
            yield mount, bucket
        finally:
            unmount(mount)
            process.wait(60)


class Store:
    """What the mount does; methods are called as mfusepy's `Operations` are."""

    use_ns = True

    def __init__(self, bucket: Path, *, appends: bool = False, renames: bool = False, deletes: bool = True) -> None:
        self.bucket, self.appends, self.renames, self.deletes = bucket, appends, renames, deletes
        self.written: dict[int, tuple[str, bytearray]] = {}
        self.unsent: set[int] = set()
        self.last = 0

    def __call__(self, operation: str, *arguments: Any) -> Any:
        method = getattr(self, operation, None)
        if method is None:
            raise OSError(errno.EOPNOTSUPP, "")
        return method(*arguments)

    def _object(self, path: str) -> Path:
        return Path(f"{self.bucket}{path}")

    def _being_written(self, path: str) -> bytearray | None:
        return next((data for name, data in reversed(self.written.values()) if name == path), None)

    def init(self, _path: str) -> None: ...

    def destroy(self, _path: str) -> None: ...

    def access(self, _path: str, _mode: int) -> int:
        return 0

    def statfs(self, _path: str) -> dict[str, int]:
        return {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": 1 << 30, "f_bavail": 1 << 30, "f_bfree": 1 << 30}

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        data = self._being_written(path)
        if data is not None:
            return {"st_mode": 0o100777, "st_nlink": 1, "st_size": len(data), "st_mtime": time.time_ns()}
        found = self._object(path).lstat()
        mode = 0o40777 if self._object(path).is_dir() else 0o100777
        times = {"st_mtime": found.st_mtime_ns, "st_ctime": found.st_mtime_ns}
        return {"st_mode": mode, "st_nlink": 1, "st_size": found.st_size, **times}

    def readdir(self, path: str, _handle: int) -> list[str]:
        begun = [name.rpartition("/") for name, _ in self.written.values()]
        own = {name for folder, _, name in begun if (folder or "/") == path}
        return [".", "..", *sorted({*(entry.name for entry in self._object(path).iterdir()), *own})]

    def mkdir(self, path: str, _mode: int) -> int:
        self._object(path).mkdir()
        return 0

    def rmdir(self, path: str) -> int:
        self._object(path).rmdir()
        return 0

    def unlink(self, path: str) -> int:
        if not self.deletes:
            raise OSError(errno.EPERM, "")
        self._object(path).unlink()
        return 0

    def rename(self, path: str, target: str) -> int:
        if not self.renames:
            raise OSError(errno.ENOSYS, "")
        if self._object(path).is_dir():
            raise OSError(errno.EOPNOTSUPP, "")
        self._send(target, self._object(path).read_bytes())
        self._object(path).unlink()
        return 0

    def create(self, path: str, _mode: int) -> int:
        return self._begin(path, b"")

    def open(self, path: str, flags: int) -> int:
        if flags & os.O_ACCMODE == os.O_RDONLY:
            self.last += 1
            return self.last
        if flags & os.O_TRUNC and not flags & os.O_RDWR:
            return self._begin(path, b"")
        if not self.appends:
            raise OSError(errno.EOPNOTSUPP, "")
        return self._begin(path, self._object(path).read_bytes())

    def truncate(self, _path: str, length: int, handle: int | None = None) -> int:
        data = self.written[handle][1] if handle in self.written else None
        if data is None or length != len(data):
            raise OSError(errno.EOPNOTSUPP, "")
        return 0

    def read(self, path: str, size: int, offset: int, _handle: int) -> bytes:
        data = self._being_written(path)
        if data is not None:
            return bytes(data[offset : offset + size])
        with self._object(path).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def write(self, _path: str, data: bytes, offset: int, handle: int) -> int:
        held = self.written[handle][1]
        if offset != len(held):
            raise OSError(errno.EOPNOTSUPP, "")
        held += data
        self.unsent.add(handle)
        return len(data)

    def fsync(self, _path: str, _is_data: int, _handle: int) -> int:
        return 0

    def flush(self, path: str, handle: int) -> int:
        if handle in self.unsent:
            self.unsent.discard(handle)
            self._send(path, bytes(self.written[handle][1]))
        return 0

    def release(self, _path: str, handle: int) -> int:
        self.written.pop(handle, None)
        return 0

    def _begin(self, path: str, data: bytes) -> int:
        self.last += 1
        self.written[self.last] = path, bytearray(data)
        self.unsent.add(self.last)
        return self.last

    def _send(self, path: str, data: bytes) -> None:
        half = self.bucket.with_name("half")
        half.write_bytes(data)
        half.replace(self._object(path))


if __name__ == "__main__":
    from mfusepy import FUSE

    options = json.loads(sys.argv[3])
    subtype = options.pop("subtype")
    FUSE(Store(Path(sys.argv[1]), **options), sys.argv[2], foreground=True, nothreads=True, subtype=subtype)
