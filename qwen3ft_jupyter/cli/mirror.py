"""``qwen3ft mirror``: serves the cache until it is interrupted."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cli.commands import open_manager
from qwen3ft_jupyter.cli.output import say, show, stop_on_signals
from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.messages import tr

if TYPE_CHECKING:
    from argparse import Namespace

_HOST = "127.0.0.1"


def mirror_(given: Namespace) -> None:
    """Serve the cache as a hub."""
    import secrets

    from qwen3ft_jupyter.mirror.addresses import is_loopback, reachable
    from qwen3ft_jupyter.mirror.mirror import Mirror

    host = given.host or _HOST
    token = None if is_loopback(host) or given.no_token else secrets.token_urlsafe(24)
    cache, port = open_manager(given).cache, given.port or 0
    mirror = Mirror(
        cache_dir=cache.root,
        shared_dirs=cache.shared_dirs,
        trust_manifests=cache.trust_manifests,
        host=host,
        port=port,
        token=token,
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(mirror)
        except OSError as error:
            raise BadInput(
                "Cannot listen on {host}:{port}: {reason}.", host=host, port=port, reason=error.strerror
            ) from error
        stop = stack.enter_context(stop_on_signals())
        url = reachable(mirror.url)
        show(url)
        for line in _how_to_use(url, token, is_local=is_loopback(host)):
            say(line)
        stop.wait()


def _how_to_use(url: str, token: str | None, *, is_local: bool) -> list[str]:
    from qwen3ft_jupyter.mirror.mirror import client_settings

    settings = client_settings(url, token)

    def line(*names: str) -> str:
        return "  " + " ".join(f"{name}={settings[name]}" for name in names if name in settings)

    lines = [tr("To download from here, set one of these where the models are wanted. Ctrl-C ends it.")]
    if token is not None:
        lines.append(tr("The token in them is made anew at each start and shown only here."))
    lines += [
        line("QWEN3FT_MIRRORS", "QWEN3FT_MIRROR_TOKENS"),
        line("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN"),
        line("HF_ENDPOINT", "HF_TOKEN"),
    ]
    if token is None and not is_local:
        lines.append(tr("No token is asked for: whoever reaches this address can download every model of this cache."))
    return lines
