"""How the hosts of one fine-tune talk: a door on the first host, and a key in the folder that all of them see.

Only JSON goes over it. Whoever comes in has to prove that it knows the key, and the first host proves it, too; the key
itself is never sent, and stands on no command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import socket
import struct
import sys
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from typing import TYPE_CHECKING, Any

import psutil

from qwen3ft_jupyter.disk import make_folders, write_atomic
from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.addresses import split_address
from qwen3ft_jupyter.mirror.addresses import is_loopback, outward_addresses
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    Address: TypeAlias = tuple[str, int]

HOSTS_FOLDER = ".qwen3ft/hosts"
"""In the output folder: what hosts need to find each other. The first host deletes it at the end."""
CONFIG_NAME, KEY_NAME = "config.json", "key"
LONGEST_BYTES = 1 << 20
"""Of one message."""
HANDSHAKE_S = 20.0
"""Who has not proved by then that it knows the key is let go."""
MOST_WAITING = 64
"""Strangers that may be at the door at once."""

_PLACES = frozenset(
    {
        *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK"),
        *("ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "NNODES", "NPROC_PER_NODE"),
        *("PMI_RANK", "PMI_SIZE"),
    }
)
_PLACE_PREFIXES = ("TORCHELASTIC_", "PET_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_")


def is_place(name: str) -> bool:
    """Say whether a variable tells a process its place among others, as launchers do: torchrun, MPI, PAI-DLC, Kubeflow.

    >>> is_place("WORLD_SIZE"), is_place("PET_NNODES"), is_place("CUDA_VISIBLE_DEVICES")
    (True, True, False)
    """
    return name in _PLACES or name.startswith(_PLACE_PREFIXES)


def leave_places() -> None:
    """Take out of our environment what another launcher says of our place: libraries would believe it."""
    for name in filter(is_place, list(os.environ)):
        del os.environ[name]


def parse_address(text: str, field: str) -> Address:
    """Return host and port, both of which have to be there. Raises BadConfig, naming the field."""
    try:
        host, port = split_address(text)
    except ValueError:
        host, port = "", 0
    if not host or not port:
        raise BadConfig(
            "{field}: {text} is no address.",
            hint="Write HOST:PORT; an address of IPv6 stands in brackets, such as [fd00::1]:29400.",
            field=field,
            text=text,
        )
    return host, port


def write_address(address: Address) -> str:
    """Return HOST:PORT."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_address() -> str:
    """Return the address under which other hosts probably reach this one."""
    return next(iter(outward_addresses()), "") or socket.gethostname()


def make_key(folder: Path) -> bytes:
    """Write a new key that only this user may read, and return it. Raises OSError."""
    make_folders(folder)
    key = secrets.token_bytes(32)
    write_atomic(folder / KEY_NAME, key.hex().encode(), mode=0o600)
    return key


def read_key(folder: Path) -> bytes | None:
    """Return the key; None if there is none. Raises OSError if it cannot be read."""
    try:
        return bytes.fromhex((folder / KEY_NAME).read_text("ascii"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def interface_of(host: str) -> str | None:
    """Return the name of the network interface that has an address of this host; None if none has."""
    try:
        plain = str(socket.getaddrinfo(host, None)[0][4][0]).removeprefix("::ffff:")
    except OSError:
        return None
    names = (name for name, found in psutil.net_if_addrs().items() if any(one.address == plain for one in found))
    return next(names, None)


def connect(address: str | Address, key: bytes) -> Connection:
    """Return a connection to a door, or on this host to a listener of `multiprocessing`.

    Raises:
        AuthenticationError: the other side has another key.
        OSError, EOFError: nobody answers.
    """
    if isinstance(address, str):
        return Client(address, authkey=key)
    plug = socket.create_connection(address, timeout=HANDSHAKE_S)
    plug.settimeout(None)
    connection = _wrap(plug)
    try:
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
    except BaseException:
        connection.close()
        raise
    _set_wait(connection, 0)
    return connection


class Door:
    """Lets those in who know the key. It looks like a listener of `multiprocessing`, but a stranger does not block it.

    `on_stranger` is told the address of one who does not know it.
    """

    def __init__(self, address: Address, key: bytes, on_stranger: Callable[[str], None]) -> None:
        self._key, self._on_stranger = key, on_stranger
        self._socket = _listen(address)
        self._let_in: queue.Queue[Connection | None] = queue.Queue()
        self._waiting = threading.Semaphore(MOST_WAITING)
        start_thread(threading.Thread(target=self._open, name="qwen3ft-door", daemon=True))

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self._socket.getsockname()[1])

    def accept(self) -> Connection:
        """Return the next one who knows the key. Raises OSError once the door is closed."""
        connection = self._let_in.get()
        if connection is None:
            raise OSError("the door is closed")
        return connection

    def close(self) -> None:
        """Let nobody in any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._socket.close()
        self._let_in.put(None)

    def _open(self) -> None:
        while True:
            try:
                plug, peer = self._socket.accept()
            except OSError:
                if self._socket.fileno() < 0:
                    return
                continue
            if not self._waiting.acquire(blocking=False):
                plug.close()
                continue
            start_thread(threading.Thread(target=self._ask, args=(plug, str(peer[0])), daemon=True))

    def _ask(self, plug: socket.socket, peer: str) -> None:
        try:
            connection = _wrap(plug)
            try:
                deliver_challenge(connection, self._key)
                answer_challenge(connection, self._key)
                _set_wait(connection, 0)
            except AuthenticationError:
                connection.close()
                self._on_stranger(peer.removeprefix("::ffff:"))
            except (OSError, EOFError):  # it went away, or said nothing
                connection.close()
            else:
                self._let_in.put(connection)
        finally:
            self._waiting.release()


def _listen(address: Address) -> socket.socket:
    """Listen on loopback alone if that was asked for; else on all addresses: a name may be that of a service."""
    host, port = address
    if is_loopback(host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server(("127.0.0.1" if host == "localhost" else host, port), family=family, backlog=64)
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # no IPv6 here
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    return socket.create_server(("", port), backlog=64)


def _wrap(plug: socket.socket) -> Connection:
    """Return a connection that notices within minutes that the other host is gone."""
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6), ("TCP_USER_TIMEOUT", 120_000)):
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection = Connection(plug.detach())
    _set_wait(connection, HANDSHAKE_S)
    return connection


def _set_wait(connection: Connection, seconds: float) -> None:
    """Let a read fail after so long; 0: never."""
    if sys.platform == "win32":
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(seconds), 0))


class Line:
    """One end of a connection between two hosts. What is told is a JSON object; several threads may tell."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def tell(self, **message: object) -> None:
        """Send one message. Raises OSError if nobody is there any more."""
        with self._lock:
            self._connection.send_bytes(json.dumps(message).encode())

    def hear(self) -> dict[str, Any]:
        """Return the next message but signs of life. Raises OSError, EOFError."""
        while True:
            message = json.loads(self._connection.recv_bytes(LONGEST_BYTES))
            if isinstance(message, dict) and message:
                return message

    @property
    def own_host(self) -> str:
        """Return the address of this end."""
        with socket.socket(fileno=os.dup(self._connection.fileno())) as plug:
            return str(plug.getsockname()[0]).removeprefix("::ffff:")

    def close(self) -> None:
        """Hang up, also under whoever hears."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as plug:
            plug.shutdown(socket.SHUT_RDWR)
