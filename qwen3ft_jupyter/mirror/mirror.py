"""Starts and stops a mirror."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.network import CA_VARIABLES
from qwen3ft_jupyter.mirror.handler import Handler
from qwen3ft_jupyter.mirror.library import Library
from qwen3ft_jupyter.mirror.server import MAX_CONNECTIONS, MirrorServer, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.mirror.tls import Certificate


class Mirror:
    """Serves models while the block runs.

    >>> with Mirror({"me/model": folder}) as mirror:  # doctest: +SKIP
    ...     subprocess.run(["hf", "download", "me/model"], env={**os.environ, "HF_ENDPOINT": mirror.url})
    """

    def __init__(
        self,
        models: Mapping[str, Path] | None = None,
        *,
        cache_dir: Path | None = None,
        shared_dirs: Sequence[Path] = (),
        trust_manifests: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        max_connections: int = MAX_CONNECTIONS,
        certificate: Certificate | None = None,
        expected: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """Describe the mirror; nothing is read or opened before the block begins.

        Args:
            models: Folders by the repo id under which they are served. A folder with our manifest is served by it; of
                any other, every safe file that is no dotfile, symlink, pickle or program, digested at the start.
            cache_dir: A model cache, served as a whole; models that come later are found.
            shared_dirs: Read-only layers below it, served with it.
            trust_manifests: As in `ModelCache`: what is not trusted there is no model here.
            host: Address to listen on; any but loopback lets other machines in.
            port: Port to listen on, or 0 for a free one.
            token: Asked of every client, as a Bearer token, a password, or ModelScope's session cookie.
            max_connections: Open at once; fewer if this process may not have the file descriptors they need.
            certificate: With which https is spoken, and http no more.
            expected: Names the models that people may expect to be served, so that those that are not can be named.

        Raises:
            BadName: A repo id is malformed.
            BadInput: The certificate cannot be used.
        """
        self._models = {parse_repo_id(repo_id): folder for repo_id, folder in (models or {}).items()}
        self._cache_dir = cache_dir
        self._shared_dirs = tuple(shared_dirs)
        self._trust_manifests = trust_manifests
        self._address = (host, port)
        tls = certificate.context() if certificate is not None else None
        self._terms = Terms(token, max_connections, tls, expected)
        self._closing = threading.Event()
        self._server: MirrorServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address for `HF_ENDPOINT` and `MODELSCOPE_ENDPOINT`. Raises RuntimeError outside the block."""
        if self._server is None:
            raise RuntimeError("the mirror is not running")
        return self._server.url

    @property
    def token(self) -> str | None:
        """What is asked of every client, or None."""
        return self._terms.token

    def unserved(self) -> list[str]:
        """Return which models that people may expect are not served now. Raises RuntimeError outside the block."""
        if self._server is None:
            raise RuntimeError("the mirror is not running")
        return self._server.unserved()

    def __enter__(self) -> Self:
        """Start.

        Raises:
            NotCached: A folder has no file that could be served.
            BadListing: Names in a folder clash on some platform.
            OSError: A folder cannot be read, or the address cannot be listened on.
        """
        self._closing.clear()
        library = Library(
            self._models,
            self._cache_dir,
            self._shared_dirs,
            trust_manifests=self._trust_manifests,
            stop=self._closing,
        )
        self._server = MirrorServer(self._address, Handler, library, self._terms)
        self._thread = threading.Thread(target=self._server.accept_until_stopped, name="qwen3ft-mirror", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()  # whoever is digesting a file stops
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
            self._server.finish()
        self._server = self._thread = None


def expected_models(cache: ModelCache) -> dict[str, bool]:
    """Return the models that people may expect a mirror of `cache` to serve, each with whether it has a record here.

    Without one they lie in the cache unverified, for example copied there by hand, or are used where another tool
    keeps them: no mirror serves those.
    """
    expected: dict[str, bool] = {}
    for one in cache.list():
        if one.is_verified or not one.is_others:
            expected[one.repo_id] = expected.get(one.repo_id, False) or (one.is_verified and not one.is_others)
    return expected


def client_settings(url: str, token: str | None, certificate: Path | None = None) -> dict[str, str]:
    """Return what other programs put into their environment to fetch from a mirror.

    Args:
        url: Its address.
        token: What it asks of them, or None.
        certificate: Where they have a copy of its own certificate, or None if it has none, or one that they trust.

    >>> client_settings("http://10.0.0.5:8900", "abc")["QWEN3FT_MIRROR_TOKENS"]
    '10.0.0.5:8900=abc'
    """
    parts = urlsplit(url)
    settings = {"QWEN3FT_MIRRORS": url, "HF_ENDPOINT": url, "MODELSCOPE_ENDPOINT": url}
    if parts.scheme == "https":
        settings |= {"MODELSCOPE_DOMAIN": parts.netloc}
    if token is not None:
        settings |= {"QWEN3FT_MIRROR_TOKENS": f"{parts.netloc}={token}"}
        settings |= {"HF_TOKEN": token, "MODELSCOPE_API_TOKEN": token}
    if certificate is not None:
        settings |= dict.fromkeys(CA_VARIABLES, str(certificate))
    return settings
