"""Killed at any time, a download loses no more than the pieces that were under way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.transfer.killed_child import CONNECTIONS
from tests.transfer.origin import COMMIT, REPO, Origin, bytes_of
from tests.transfer.playing import MB, NAME, SlowLink, noted_bytes, run, source_of

if TYPE_CHECKING:
    from qwen3ft_jupyter.hubs.http import HttpClient

ROOT = Path(__file__).parent.parent.parent


def start(origin: Origin, folder: Path) -> subprocess.Popen[bytes]:
    files = [[file.path, file.size, file.sha256] for file in origin.listing(REPO).files]
    written = {"url": origin.server.url, "commit": COMMIT, "files": files}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.transfer.killed_child", folder, json.dumps(written)], cwd=ROOT
    )


def test_killed_again_and_again_it_fetches_again_at_most_what_was_under_way(client: HttpClient, tmp_path: Path) -> None:
    chance = random.Random(11)  # noqa: S311 - so that it can be repeated
    data = bytes_of(64 * MB)
    link = SlowLink(data, bytes_per_s=40e6)
    noted = kills = 0
    with Origin({NAME: data}, fault=link) as origin:
        while noted < len(data):
            asked, sent = len(origin.ranges(NAME)), link.sent
            until = sent + chance.randint(MB, 16 * MB)
            child = start(origin, tmp_path)
            while link.sent < until and child.poll() is None:
                time.sleep(0.005)
            child.kill()
            kills += child.wait() != 0
            while link.is_sending:
                time.sleep(0.005)
            before, noted = noted, noted_bytes(tmp_path)

            assert noted >= before
            largest = max((end - begin for begin, end in origin.ranges(NAME)[asked:]), default=0)
            assert (link.sent - sent) - (noted - before) <= CONNECTIONS * largest

        (fetched,) = run([source_of(origin, client)], origin.listing(REPO).files, tmp_path)

    assert kills >= 4
    assert fetched.path.read_bytes() == data
    assert fetched.bytes_fetched == 0
