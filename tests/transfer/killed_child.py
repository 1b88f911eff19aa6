"""A process that fetches files until it is killed: `python -m tests.transfer.killed_child FOLDER LISTING`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.work import Work
from tests.download.ensure_child import WrittenHub
from tests.transfer.origin import REPO

CONNECTIONS = 2


def main() -> None:
    folder, hub = Path(sys.argv[1]), WrittenHub(json.loads(sys.argv[2]))
    listing = hub.listing(REPO)
    sources = [HubSource(hub, listing, HttpClient())]
    for fetched in fetch(listing.files, sources=sources, folder=folder, max_connections=CONNECTIONS, work=Work()):
        fetched.release()


if __name__ == "__main__":
    main()
