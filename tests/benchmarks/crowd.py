"""Many clients at once: ``python -m tests.benchmarks.crowd URL COUNT`` lets each fetch one file.

All are being served before any goes on. Prints when the first, the median and the last of them had the file, and how
many did not get it.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import threading
import time
from urllib.parse import urlsplit


def fetch(url: str, gate: threading.Barrier, times: list[float]) -> None:
    """Ask for a file, wait until all others have been answered, fetch it and note how long that took."""
    parts = urlsplit(url)
    view = memoryview(bytearray(1 << 16))
    connection = http.client.HTTPConnection(parts.netloc, timeout=120)
    connection.request("GET", parts.path)
    response = connection.getresponse()
    length, got = int(response.headers["Content-Length"]), 0
    gate.wait()
    began = time.perf_counter()
    while count := response.readinto(view):
        got += count
    connection.close()
    if response.status == 200 and got == length:
        times.append(time.perf_counter() - began)


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    times: list[float] = []
    gate = threading.Barrier(count)
    threads = [threading.Thread(target=fetch, args=(url, gate, times)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {"first": min(times), "median": statistics.median(times), "last": max(times), "failed": count - len(times)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
