"""The ways a hub says no, each with its cure. One wording for both hubs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import (
    AccessDenied,
    BadListing,
    BadSetting,
    HubError,
    ModelGated,
    ModelNotFound,
    RevisionNotFound,
)
from qwen3ft_jupyter.hubs.listing import HUB_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.hubs.listing import HubName
    from qwen3ft_jupyter.hubs.names import RepoId

TOKEN_VARIABLES: dict[HubName, str] = {"modelscope": "MODELSCOPE_API_TOKEN", "huggingface": "HF_TOKEN"}
DEFAULT_BRANCHES: dict[HubName, str] = {"modelscope": "master", "huggingface": "main"}
MAX_REVISION = 128
"""Characters in the name of a branch, tag or commit; git itself allows more, people do not."""
_REVISION = re.compile(r"[A-Za-z0-9_][\w./+-]*", re.ASCII)
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")  # what a cookie may hold: no space, quote, comma, semicolon, backslash


def missing(hub: HubName, repo_id: RepoId, *, has_token: bool) -> ModelNotFound:
    """Return the error for a repo the hub does not show us."""
    hint = "Check the spelling."
    if not has_token:
        hint += f" If the model is private, set {TOKEN_VARIABLES[hub]}."
    return ModelNotFound(f"{HUB_LABELS[hub]} has no model called {repo_id}.", hint=hint)


def denied(hub: HubName, repo_id: RepoId, *, has_token: bool) -> AccessDenied:
    """Return the error for a repo that is not for us, or a token that is not accepted."""
    variable = TOKEN_VARIABLES[hub]
    hint = (
        f"The token may be wrong, expired or another account's: renew it on the hub's page and set {variable}."
        if has_token
        else f"If you have access, create a token on the hub's page and set {variable}."
    )
    return AccessDenied(f"{HUB_LABELS[hub]} does not give access to {repo_id}.", hint=hint)


def gated(hub: HubName, repo_id: RepoId, page: str, *, has_token: bool) -> ModelGated:
    """Return the error for a repo whose licence has to be accepted first; `page` is where."""
    then = "" if has_token else f", then set {TOKEN_VARIABLES[hub]}"
    return ModelGated(
        f"{HUB_LABELS[hub]} gives out {repo_id} only to those who accepted its licence.",
        hint=f"Accept it on {page}{then}.",
    )


def no_revision(hub: HubName, repo_id: RepoId, revision: str, known: Iterable[str] = ()) -> RevisionNotFound:
    """Return the error for a branch, tag or commit that an existing repo lacks."""
    names = sorted(known)[:8]
    hint = f"There are: {', '.join(names)}." if names else f'The default branch is "{DEFAULT_BRANCHES[hub]}".'
    return RevisionNotFound(f'{HUB_LABELS[hub]}: {repo_id} has no revision "{revision}".', hint=hint)


def unexpected(hub: HubName, status: int) -> HubError:
    """Return the error for an answer no client expects."""
    return HubError(f"{HUB_LABELS[hub]} answered with HTTP {status}.", hint="Check the endpoint setting, or try again.")


def garbled(hub: HubName, repo_id: RepoId, what: str) -> BadListing:
    """Return the error for a listing that cannot be used."""
    hint = "Try again; if it stays so, use the other hub."
    return BadListing(f"{HUB_LABELS[hub]}: the listing of {repo_id} {what}.", hint=hint)


def check_revision(hub: HubName, repo_id: RepoId, revision: str | None) -> str:
    """Return `revision`, or the hub's default branch for None or "".

    Raises:
        RevisionNotFound: No branch, tag or commit can have this name.
    """
    if not revision:
        return DEFAULT_BRANCHES[hub]
    if len(revision) > MAX_REVISION or ".." in revision or not _REVISION.fullmatch(revision):
        raise no_revision(hub, repo_id, ascii(revision[:MAX_REVISION])[1:-1])
    return revision


def check_token(hub: HubName, token: str | None) -> str | None:
    """Return `token` if it can be sent in a header.

    Raises:
        BadSetting: It holds characters that no token has; it is not shown.
    """
    if token and not _TOKEN.fullmatch(token):
        raise BadSetting(f"{TOKEN_VARIABLES[hub]} holds characters that no token has.", hint="Copy it again.")
    return token or None
