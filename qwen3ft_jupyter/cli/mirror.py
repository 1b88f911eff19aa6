"""``qwen3ft mirror``: serves the cache until it is interrupted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cli.commands import open_manager
from qwen3ft_jupyter.cli.output import say, show, stop_on_signals
from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.messages import Command, Message, Names, tr
from qwen3ft_jupyter.paths import at_home

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.mirror.tls import Certificate

_HOST = "127.0.0.1"
_OWN_FOLDER = "mirror"
"""In the state folder: the mirror's own certificate."""


def mirror_(given: Namespace) -> None:
    """Serve the cache as a hub."""
    import secrets

    from qwen3ft_jupyter.mirror.addresses import is_loopback, reachable
    from qwen3ft_jupyter.mirror.mirror import Mirror, expected_models

    manager = open_manager(given)
    host, port, cache = (given.host or _HOST).strip("[]"), given.port or 0, manager.cache
    certificate, is_own = _certificate(given, manager.settings.state_dir / _OWN_FOLDER, host)
    mirror = Mirror(
        cache_dir=cache.root,
        shared_dirs=cache.shared_dirs,
        trust_manifests=cache.trust_manifests,
        host=host,
        port=port,
        token=None if is_loopback(host) or given.no_token else secrets.token_urlsafe(24),
        certificate=certificate,
        expected=lambda: expected_models(cache),
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(mirror)
        except (OSError, OverflowError, UnicodeError) as error:  # a port that is none; a name that is none
            reason = error.strerror if isinstance(error, OSError) else Message("there is no such address")
            raise BadInput("Cannot listen on {host}:{port}: {reason}.", host=host, port=port, reason=reason) from error
        stop = stack.enter_context(stop_on_signals())
        url = reachable(mirror.url)
        show(url)
        own = certificate.path if certificate is not None and is_own else None
        for line in _how_to_use(url, mirror.token, own, is_local=is_loopback(host)):
            say(line)
        recorded = expected_models(cache)
        for words in _left_out(mirror.unserved(), recorded):
            say(speaker_of("cli").say(words))
        stop.wait()


def _certificate(given: Namespace, folder: Path, host: str) -> tuple[Certificate | None, bool]:
    """Return the certificate that was asked for, and whether it is the mirror's own. Raises BadInput."""
    from qwen3ft_jupyter.mirror.tls import Certificate, own_certificate

    if given.tls_cert:
        path = at_home(given.tls_cert)
        return Certificate(path, at_home(given.tls_key) if given.tls_key else path), False
    if given.tls_key:
        raise BadInput("A key without its certificate is of no use.", hint="Give the certificate with --tls-cert.")
    return (own_certificate(folder, host), True) if given.tls else (None, False)


def _how_to_use(url: str, token: str | None, own: Path | None, *, is_local: bool) -> Iterator[str]:
    from qwen3ft_jupyter.mirror.mirror import client_settings

    settings = client_settings(url, token)

    def line(*names: str) -> str:
        return "  " + " ".join(f"{name}={settings[name]}" for name in names if name in settings)

    yield tr("To download from here, set one of these where the models are wanted. Ctrl-C ends it.")
    if token is not None:
        yield tr("The token in them is made anew at each start and shown only here.")
    yield line("QWEN3FT_MIRRORS", "QWEN3FT_MIRROR_TOKENS")
    yield line("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN")
    yield line("HF_ENDPOINT", "HF_TOKEN")
    if own is not None:
        yield tr(
            "The certificate is this mirror's own. Copy {path} to the other machines, append it to a copy of the "
            "certificates there, often /etc/ssl/certs/ca-certificates.crt, and name that in REQUESTS_CA_BUNDLE and "
            "SSL_CERT_FILE, for git in GIT_SSL_CAINFO.",
            path=own,
        )
    if url.startswith("https:"):
        yield tr("modelscope up to 1.37 takes the address from this, and a token from `modelscope login --token`:")
        yield line("MODELSCOPE_DOMAIN")
    elif not is_local:
        yield tr("modelscope up to 1.37 speaks https only: for that, start this with --tls.")
    if token is None and not is_local:
        yield tr("No token is asked for: whoever reaches this address can download every model of this cache.")


def _left_out(names: list[str], recorded: Mapping[str, bool]) -> Iterator[Message]:
    unchecked = [name for name in names if not recorded.get(name)]
    incomplete = [name for name in names if recorded.get(name)]
    if unchecked:
        yield Message(
            "Not served, as no download has checked them in this cache: {names}. {command} takes one in, and fetches "
            "only what is missing.",
            names=Names(unchecked),
            command=Command("download", unchecked[0] if len(unchecked) == 1 else "NAME"),
        )
    if incomplete:
        yield Message(
            "Not served, as they are not whole in this cache: {names}. {command} says what is missing.",
            names=Names(incomplete),
            command=Command("list"),
        )
