"""Which hub is asked: the first in the order, and the next one only when the first cannot help. Said aloud.

Mirrors are never asked what a model is, only for bytes: `transfer.sources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwen3ft_jupyter.errors import HubBusy, HubError, HubUnreachable, ModelNotFound, RevisionNotFound
from qwen3ft_jupyter.hubs.git_refs import DEFAULT_BRANCHES
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.listing import is_commit
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.refusals import NO_LISTING
from qwen3ft_jupyter.hubs.region import Region
from qwen3ft_jupyter.hubs.retry import BUSY_HINT, telling
from qwen3ft_jupyter.messages import Message, Texts
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.hubs.listing import Hub, Listing, RepoKind
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.settings.declared import HubName, Settings
    from qwen3ft_jupyter.settings.kinds import Secret
    from qwen3ft_jupyter.work import Work

_PASSES_ON = (ModelNotFound, HubUnreachable, HubBusy)
"""Refusals another hub may not share. A private or gated model, or a wrong branch or tag, is for the user to settle."""


def make_hubs(
    settings: Settings, *, endpoint: str = "", client: HttpClient | None = None, kind: RepoKind = "models"
) -> dict[HubName, Hub]:
    """Return both hubs as `settings` describe them, sharing one client.

    Args:
        settings: Endpoints and tokens.
        endpoint: Ask this address instead, in both protocols and without tokens: they belong to the real hubs.
        client: The client to use; one of its own if left out.
        kind: Of what they are asked.
    """
    client = client or HttpClient(max_connections=settings.max_connections)
    if endpoint:
        return {"modelscope": ModelScopeHub(client, endpoint), "huggingface": HuggingFaceHub(client, endpoint)}
    return {
        "modelscope": ModelScopeHub(
            client,
            settings.modelscope_endpoint,
            _revealed(settings.modelscope_token),
            token_origin=settings.origins.get("modelscope_token", ""),
            region=Region(),
            kind=kind,
        ),
        "huggingface": HuggingFaceHub(
            client,
            settings.hf_endpoint,
            _revealed(settings.hf_token),
            token_origin=settings.origins.get("hf_token", ""),
            kind=kind,
        ),
    }


def make_mirrors(settings: Settings, *, client: HttpClient | None = None) -> tuple[Hub, ...]:
    """Return the mirrors that `settings` name; each gets the token of its own host and port, if there is one.

    Args:
        settings: Addresses and tokens.
        client: The client to use; one of its own if left out.
    """
    client = client or HttpClient(max_connections=settings.max_connections)
    return tuple(
        HuggingFaceHub(
            client,
            url,
            settings.mirror_token(urlsplit(url).netloc),
            token_origin=settings.origins.get("mirror_tokens", ""),
            is_mirror=True,
        )
        for url in settings.mirrors
    )


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def resolve(
    hubs: Mapping[HubName, Hub],
    order: Sequence[HubName],
    repo_id: RepoId,
    revision: str | None = None,
    *,
    work: Work,
) -> Listing:
    """Return the listing of `repo_id` from the first hub of `order` that has it.

    The next hub is asked only if one lacks the model, cannot be reached or is busy, and `work` is told. With one
    hub in `order` there is no other. A default branch is called `master` here and `main` there: either name stands
    for the hub's own when the next hub is asked.

    Raises:
        HubError: What the first hub answered, with the causes of the others named too; or the refusal of a hub that
            has the model but does not give it.
    """
    failures: dict[HubName, HubError] = {}
    for name in order:
        asked = _translated(revision) if failures else revision
        try:
            with telling(lambda why: work.progress(Progress("resolving", detail=why))):
                listing = hubs[name].listing(repo_id, asked, stop=work.stop)
        except HubError as failure:
            passes_on = _passes_on(failure, revision)
            if not failures and not passes_on:
                raise
            failures[name] = failure
            if not passes_on:
                break
            continue
        if failures:
            work.notice("{told} Using {label} instead.", told=_told(failures), label=hubs[name].label)
        for note in listing.notes:
            work.notice(note)
        return listing
    raise _joined(failures)


def _passes_on(failure: HubError, revision: str | None) -> bool:
    """Return whether the next hub may do what this one cannot. A commit is one hub's alone."""
    is_others_commit = isinstance(failure, RevisionNotFound) and is_commit(revision or "")
    return is_others_commit or isinstance(failure, _PASSES_ON) or failure.details.get("cause") == NO_LISTING


def _translated(revision: str | None) -> str | None:
    return None if revision in DEFAULT_BRANCHES.values() else revision


def _told(failures: Mapping[HubName, HubError]) -> Texts:
    return Texts(dict.fromkeys(failure.message for failure in failures.values()), " ")  # one proxy refuses for all


def _joined(failures: Mapping[HubName, HubError]) -> HubError:
    """Return the first failure, its message followed by the others': the user chose that hub."""
    first = next(iter(failures.values()))
    if len(failures) == 1:
        return first
    hint = Message("Try again in a few minutes.") if first.hint == BUSY_HINT else first.hint
    joined = type(first)("{failures}", hint=hint, details=first.details, failures=_told(failures))
    joined.__cause__ = first
    return joined
