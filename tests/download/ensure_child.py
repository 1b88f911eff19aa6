"""A process that downloads a model: `python ensure_child.py CACHE LISTING`; prints one JSON object a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.download.downloader import Downloader
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile, Request
from qwen3ft_jupyter.hubs.names import RepoId, SafePath, Sha256
from qwen3ft_jupyter.work import Progress, Reporter, Work

if TYPE_CHECKING:
    import threading

    from qwen3ft_jupyter.settings.declared import HubName


class WrittenHub:
    """A hub whose listing was written down by the test."""

    def __init__(self, written: dict[str, Any]) -> None:
        self.name: HubName = "modelscope"
        self.label = "ModelScope"
        self.endpoint = written["url"]
        self.written = written

    def listing(
        self,
        repo_id: RepoId,
        revision: str | None = None,
        *,
        stop: threading.Event | None = None,  # noqa: ARG002
    ) -> Listing:
        files = tuple(RemoteFile(SafePath(path), size, Sha256(sha256)) for path, size, sha256 in self.written["files"])
        return Listing(repo_id, self.name, revision or "master", self.written["commit"], files)

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:  # noqa: ARG002
        return str(self.written["commit"])

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:  # noqa: ARG002
        return Request(f"{self.endpoint}/{file.path}")


class Printer(Reporter):
    def progress(self, progress: Progress) -> None:
        say({"phase": progress.phase, "done": progress.done, "detail": progress.detail})

    def notice(self, message: str) -> None:
        say({"notice": message})


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201


def main() -> None:
    written = json.loads(Path(sys.argv[2]).read_text("utf-8"))
    cache, hub = ModelCache(Path(sys.argv[1])), WrittenHub(written)
    downloader = Downloader(cache, {"modelscope": hub}, ["modelscope"], max_connections=2)
    ensured = downloader.ensure(DownloadRequest(written["repo_id"]), Work(Printer()))
    say({"result": {"bytes": ensured.bytes_fetched, "folder": str(ensured.model.folder)}})


if __name__ == "__main__":
    main()
