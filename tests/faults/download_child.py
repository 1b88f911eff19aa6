"""A process that downloads a model under some constraint: `python download_child.py CACHE LISTING OPTIONS`.

Prints one JSON object a line. Options: `disk`, the name of a played disk, and its `arguments`; `open_files`, how many
more it may open; `file_bytes`, the largest file it may write; `shared`, a shared cache; `uid`, whose rights it has.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer import workers
from qwen3ft_jupyter.work import SILENT, Reporter
from tests import played_disks
from tests.download.asking import ensure_model
from tests.download.ensure_child import Printer, WrittenHub, say

if TYPE_CHECKING:
    from qwen3ft_jupyter.download.apply import Ensured


def main() -> None:
    workers.READ_BYTES = 512 << 10  # type: ignore[misc] # so that there are many writes, however fast the bytes come
    cache, written, options = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
    shared = [Path(options["shared"])] if "shared" in options else []
    disk = getattr(played_disks, options.get("disk", "PlayedDisk"))(*options.get("arguments", ()))
    if "open_files" in options or "uid" in options:
        with tempfile.TemporaryDirectory() as folder:  # so that everything is imported
            download(ModelCache(Path(folder)), written, SILENT)
    if "open_files" in options:
        limit_open_files(options["open_files"])
    if "file_bytes" in options:
        limit_file_size(options["file_bytes"])
    if "uid" in options:
        os.setgroups([])
        os.setgid(options["uid"])
        os.setuid(options["uid"])
    try:
        ensured = download(ModelCache(cache, shared, disk=disk), written, Printer(), options.get("connections", 2))
    except Qwen3ftError as error:
        say({"error": type(error).__name__, "message": str(error)})
        return
    result: dict[str, Any] = {"bytes": ensured.bytes_fetched, "was_cached": ensured.was_cached}
    say({"result": result})


def download(cache: ModelCache, written: dict[str, Any], reporter: Reporter, connections: int = 2) -> Ensured:
    return ensure_model(
        cache,
        {"modelscope": WrittenHub(written)},
        written["repo_id"],
        order=["modelscope"],
        max_connections=connections,
        policy=RetryPolicy(attempts=3, first_delay_s=0.01, max_delay_s=0.02),
        reporter=reporter,
    )


def limit_file_size(most: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def limit_open_files(more: int) -> None:
    import resource

    now = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder lists its own descriptor, too
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + more, now + more))


if __name__ == "__main__":
    main()
