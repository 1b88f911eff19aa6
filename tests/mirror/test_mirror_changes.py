"""Models are evicted and downloaded again while others fetch them."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.mirror import folders
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.download.asking import ensure_model
from tests.mirror.conftest import REPO, ask, fill, sha256

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CLIENTS: Final = 20
ROUNDS: Final = 12
WEIGHTS: Final = "model.safetensors"
VERSIONS: Final = [
    {"config.json": b"{}" + b" " * number, WEIGHTS: random.Random(number).randbytes(3_000_000)}  # noqa: S311
    for number in range(2)
]
BYTES: Final = {sha256(data): data for files in VERSIONS for data in files.values()}


@dataclass(slots=True)
class Outcomes:
    """What the clients saw."""

    right: int = 0
    absent: int = 0
    broken_off: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str) -> None:
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)


def fetch(url: str, rng: random.Random, seen: Outcomes) -> None:
    """Look up the commit, list it, and fetch a range of its weights; note what came."""
    info = ask(url, f"/api/models/{REPO}/revision/main")
    if info.status != 200:
        seen.count("absent")
        return
    commit = json.loads(info.body)["sha"]
    tree = ask(url, f"/api/models/{REPO}/tree/{commit}?recursive=true")
    if tree.status != 200:
        seen.count("absent")
        return
    oids = {entry["path"]: entry["lfs"]["oid"] for entry in json.loads(tree.body) if "lfs" in entry}
    listed = BYTES[oids[WEIGHTS]]
    start = rng.randrange(len(listed) // 2)
    answer = ask(url, f"/{REPO}/resolve/{commit}/{WEIGHTS}", Range=f"bytes={start}-")
    if answer.status == 206 and answer.body == listed[start:]:
        seen.count("right")
    elif answer.status in {404, 410}:
        seen.count("absent")
    else:
        with seen.lock:
            seen.wrong.append(f"{answer.status}, {len(answer.body)} bytes of {len(listed) - start}")


def try_to_fetch(url: str, rng: random.Random, seen: Outcomes) -> None:
    try:
        fetch(url, rng, seen)
    except (OSError, http.client.HTTPException):
        seen.count("broken_off")
    except Exception as error:  # noqa: BLE001 - told to the thread that looks
        with seen.lock:
            seen.wrong.append(repr(error))


def keep_fetching(url: str, number: int, over: threading.Event, seen: Outcomes) -> None:
    rng = random.Random(number)  # noqa: S311
    while not over.is_set():
        try_to_fetch(url, rng, seen)


def test_twenty_clients_get_right_bytes_or_none_while_the_model_is_evicted_and_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "RESCAN_S", 0.01)
    cache, repo, over, seen = ModelCache(tmp_path / "cache"), parse_repo_id(REPO), threading.Event(), Outcomes()
    for number, files in enumerate(VERSIONS):
        fill(tmp_path / f"v{number}", files)
    with contextlib.ExitStack() as stack:
        hubs = [
            ModelScopeHub(HttpClient(), stack.enter_context(Mirror({REPO: tmp_path / f"v{number}"})).url)
            for number in range(len(VERSIONS))
        ]
        mirror = stack.enter_context(Mirror(cache_dir=cache.root))
        clients = [
            threading.Thread(target=keep_fetching, args=(mirror.url, number, over, seen)) for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for round_ in range(ROUNDS):
            with contextlib.suppress(NotCached):
                cache.evict(repo)
            had = seen.right
            ensure_model(cache, {"modelscope": hubs[round_ % 2]}, repo, order=("modelscope",), max_connections=2)
            while seen.right == had and not seen.wrong:
                over.wait(0.01)  # until someone has been served this version
        over.set()
        for client in clients:
            client.join(120)
        commit = json.loads(ask(mirror.url, f"/api/models/{REPO}").body)["sha"]
        last = ask(mirror.url, f"/{REPO}/resolve/{commit}/{WEIGHTS}")

    assert seen.wrong == []
    assert seen.right >= ROUNDS
    assert sha256(last.body) == sha256(VERSIONS[(ROUNDS - 1) % 2][WEIGHTS])


def test_a_download_under_way_ends_well_although_the_model_is_evicted(tmp_path: Path) -> None:
    """The open file outlives its name."""
    data = random.Random(3).randbytes(30_000_000)  # noqa: S311
    origin = fill(tmp_path / "origin", {"config.json": b"{}", WEIGHTS: data})
    cache, repo = ModelCache(tmp_path / "cache"), parse_repo_id(REPO)
    with Mirror({REPO: origin}) as hub, Mirror(cache_dir=cache.root) as mirror:
        ensure_model(cache, {"modelscope": ModelScopeHub(HttpClient(), hub.url)}, repo, order=("modelscope",))
        connection = http.client.HTTPConnection(mirror.url.removeprefix("http://"), timeout=120)
        with contextlib.closing(connection):
            connection.request("GET", f"/{REPO}/resolve/main/{WEIGHTS}")
            response = connection.getresponse()
            received = response.read(1_000_000)
            shutil.rmtree(cache.root / "qwen3ft_Qwen3-Practice")
            received += response.read()

    assert sha256(received) == sha256(data)
