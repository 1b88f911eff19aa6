"""The barest program that does what every download must: nothing in Python can cost less, and a download is held to it.

``python floor.py CONNECTIONS FOLDER URL [URL]…`` with one URL per file, or several for one file joined by a blank:
threads that receive with ``recv_into`` and write with ``pwrite``, and one that computes the sha256 of what is there
from the front on. No resuming, no retry, no progress, no stop, no journal, no sync.
"""

import hashlib
import os
import queue
import socket
import sys
import threading
from urllib.parse import urlsplit

PIECE_BYTES = 4 << 20
READ_BYTES = 256 << 10
HASH_BYTES = 1 << 20


class Connection:
    """One socket that is asked for one range after the other."""

    def __init__(self, url):
        self._netloc = urlsplit(url).netloc
        self._socket = socket.create_connection(self._netloc.split(":"))

    def ask(self, url, first, last, method="GET"):
        """Return the head of the answer and what has come of its body."""
        lines = [f"{method} {urlsplit(url).path} HTTP/1.1", f"Host: {self._netloc}", f"Range: bytes={first}-{last}"]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(4096)
        head, _, body = data.partition(b"\r\n\r\n")
        return head.decode(), body

    def receive(self, view):
        return self._socket.recv_into(view)


class File:
    """A file that arrives in pieces."""

    def __init__(self, urls, folder):
        self.urls = urls
        path = f"{folder}/{urls[0].rpartition('/')[2]}"
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        head, _ = Connection(urls[0]).ask(urls[0], 0, 0)
        self.size = int(head.lower().partition("content-range: bytes 0-0/")[2].split()[0])
        os.ftruncate(self.descriptor, self.size)
        self.starts = range(0, self.size, PIECE_BYTES)
        self.is_there = [threading.Event() for _ in self.starts]


def carry(pieces, number):
    """Receive piece after piece over one connection."""
    connection, view = None, memoryview(bytearray(READ_BYTES))
    while True:
        try:
            file, index = pieces.get_nowait()
        except queue.Empty:
            return
        url = file.urls[number % len(file.urls)]
        connection = connection or Connection(url)
        position = file.starts[index]
        end = min(file.size, position + PIECE_BYTES)
        _, body = connection.ask(url, position, end - 1)
        position += os.pwrite(file.descriptor, body, position) if body else 0
        while position < end:
            count = connection.receive(view[: min(READ_BYTES, end - position)])
            os.pwrite(file.descriptor, view[:count], position)
            position += count
        file.is_there[index].set()


def follow(file):
    """Compute the digest of a file while it arrives."""
    digest, view = hashlib.sha256(), memoryview(bytearray(HASH_BYTES))
    for start, is_there in zip(file.starts, file.is_there, strict=True):
        is_there.wait()
        end = min(file.size, start + PIECE_BYTES)
        for position in range(start, end, HASH_BYTES):
            count = os.preadv(file.descriptor, [view[: min(HASH_BYTES, end - position)]], position)
            digest.update(view[:count])
    return digest.hexdigest()


def main():
    count, folder, addresses = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    os.mkdir(folder)  # noqa: PTH102 - pathlib takes longer to import than all the rest
    files = [File(words.split(), folder) for words in addresses]
    pieces = queue.SimpleQueue()
    for file in files:
        for index in range(len(file.starts)):
            pieces.put((file, index))
    threads = [threading.Thread(target=carry, args=(pieces, number)) for number in range(count)]
    for thread in threads:
        thread.start()
    for file in files:
        print(file.urls[0], follow(file))
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
