"""Which library should move the bytes? ``python -m tests.benchmarks.http_layer`` measures them side by side.

Each reads 512 MiB from the hub of the benchmarks in a process of its own, over one connection and over eight, and
throws the bytes away: what is left is what the library itself costs.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tests.benchmarks.measuring import launch, new_place
from tests.benchmarks.models import REPO
from tests.benchmarks.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.measuring import Run

SIZE: Final = 512 << 20
READ_BYTES: Final = 256 << 10
"""Asked for at once: near what a socket holds, so a larger number gains nothing."""
ROUNDS: Final = 5
NAME: Final = "model.safetensors"


def _socket(url: str, first: int, last: int) -> int:
    """Read with the bare socket: nothing in Python can cost less."""
    import socket

    parts = urlsplit(url)
    head = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nRange: bytes={first}-{last}\r\n\r\n"
    view, count, left = memoryview(bytearray(READ_BYTES)), 0, last - first + 1
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        connection.sendall(head.encode())
        start = b""
        while b"\r\n\r\n" not in start:
            start += connection.recv(1)
        while count < left:
            count += connection.recv_into(view[: min(READ_BYTES, left - count)])
    return count


def _http_client(url: str, first: int, last: int) -> int:
    import http.client

    parts = urlsplit(url)
    view, count = memoryview(bytearray(READ_BYTES)), 0
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", parts.path, headers={"Range": f"bytes={first}-{last}"})
    response = connection.getresponse()
    while got := response.readinto(view):
        count += got
    connection.close()
    return count


def _urllib3(read: Callable[[Any, Any], int]) -> Callable[[str, int, int], int]:
    def fetch(url: str, first: int, last: int) -> int:
        import urllib3

        view, count = memoryview(bytearray(READ_BYTES)), 0
        with urllib3.PoolManager() as pool:
            ask = {"Range": f"bytes={first}-{last}"}
            response = pool.request("GET", url, headers=ask, preload_content=False, decode_content=False)
            while got := read(response, view):
                count += got
        return count

    return fetch


def _requests(url: str, first: int, last: int) -> int:
    import requests

    with requests.get(url, headers={"Range": f"bytes={first}-{last}"}, stream=True, timeout=60) as response:
        return sum(len(chunk) for chunk in response.iter_content(READ_BYTES))


def _httpx2(url: str, first: int, last: int) -> int:
    import httpx2

    with httpx2.stream("GET", url, headers={"Range": f"bytes={first}-{last}"}) as response:
        return sum(len(chunk) for chunk in response.iter_raw())


def _aiohttp(url: str, first: int, last: int) -> int:
    import asyncio

    import aiohttp

    async def fetch() -> int:
        ask = {"Range": f"bytes={first}-{last}"}
        async with aiohttp.ClientSession() as session, session.get(url, headers=ask) as response:
            return sum([len(chunk) async for chunk in response.content.iter_chunked(READ_BYTES)])

    return asyncio.run(fetch())


def _pycurl(url: str, first: int, last: int) -> int:
    import pycurl

    counts: list[int] = []
    handle = pycurl.Curl()
    for option, value in ((pycurl.URL, url), (pycurl.RANGE, f"{first}-{last}"), (pycurl.BUFFERSIZE, READ_BYTES)):
        handle.setopt(option, value)
    handle.setopt(pycurl.WRITEFUNCTION, lambda data: counts.append(len(data)))
    handle.perform()
    handle.close()
    return sum(counts)


WAYS: Final[dict[str, tuple[str, Callable[[str, int, int], int]]]] = {
    "bare socket, recv_into": ("socket", _socket),
    "http.client, readinto": ("http", _http_client),
    "urllib3, read1": ("urllib3", _urllib3(lambda response, _view: len(response.read1(READ_BYTES)))),
    "urllib3, readinto": ("urllib3", _urllib3(lambda response, view: response.readinto(view))),
    "urllib3, its file's readinto": ("urllib3", _urllib3(lambda response, view: response._fp.readinto(view))),
    "requests, iter_content": ("requests", _requests),
    "httpx2, iter_raw": ("httpx2", _httpx2),
    "aiohttp, iter_chunked": ("aiohttp", _aiohttp),
    "pycurl": ("pycurl", _pycurl),
}


def read(name: str, url: str, connections: int) -> None:
    """Read the file once with one library; exit with an error if bytes are missing."""
    step = SIZE // connections
    starts = range(0, SIZE, step)
    with ThreadPoolExecutor(connections) as pool:
        counts = list(pool.map(lambda start: WAYS[name][1](url, start, start + step - 1), starts))
    if sum(counts) != SIZE:
        sys.exit("bytes are missing")


def compare() -> None:
    """Let all of them read in turns; print the medians."""
    with tempfile.TemporaryDirectory(prefix="qwen3ft-bench-") as scratch:
        with (Path(scratch) / NAME).open("wb") as file:
            file.truncate(SIZE)
        with serving(Path(scratch)) as origin:
            for connections in (1, 8):
                _compare_over(f"{origin.url}/{REPO}/resolve/main/{NAME}", connections)


def _compare_over(url: str, connections: int) -> None:
    runs: dict[str, list[Run]] = {name: [] for name, (package, _) in WAYS.items() if importlib.util.find_spec(package)}
    for _ in range(ROUNDS):
        for name, done in runs.items():
            with new_place([url]) as place:
                words = [sys.executable, "-m", "tests.benchmarks.http_layer", name, url, str(connections)]
                done.append(launch(words, place, {}))
    print(f"\n512 MiB over {connections} connection{'s' if connections > 1 else ''}, thrown away")
    print(f"  {'':32}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
    for name in WAYS:
        good = [run for run in runs.get(name, []) if not run.problem]
        if not good:
            print(f"  {name:32}  {'failed' if name in runs else 'not installed'}")
            continue
        wall, cpu, peak = (
            statistics.median(values) for values in zip(*((r.wall, r.cpu, r.peak) for r in good), strict=True)
        )
        print(f"  {name:32}{wall:8.2f}{cpu:8.2f}{peak / 1e6:9.0f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        read(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        compare()
