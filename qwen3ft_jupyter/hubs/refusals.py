"""The ways a hub says no, each with its cure. One wording for all hubs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import (
    AccessDenied,
    BadInput,
    BadListing,
    BadSetting,
    HubError,
    ModelGated,
    ModelNotFound,
    RevisionNotFound,
    UnsafeModel,
)
from qwen3ft_jupyter.hubs.git_refs import MAX_REVISION, check_revision
from qwen3ft_jupyter.messages import Message, Names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.hubs.names import LeftOut, RepoId
    from qwen3ft_jupyter.settings.declared import HubName

TOKEN_VARIABLES: dict[HubName, str] = {"modelscope": "MODELSCOPE_API_TOKEN", "huggingface": "HF_TOKEN"}
MIRROR_TOKENS = "QWEN3FT_MIRROR_TOKENS"
"""The variable that holds the tokens of mirrors."""
DEFAULT_BRANCHES: dict[HubName, str] = {"modelscope": "master", "huggingface": "main"}
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")  # what a cookie may hold: no space, quote, comma, semicolon, backslash


@dataclass(frozen=True, slots=True)
class Refusals:
    """Makes the errors of one hub."""

    label: str
    """What the hub is called in front of a person."""
    default_branch: str
    token_variable: str
    """The setting that holds its token."""
    has_token: bool

    def missing(self, repo_id: RepoId) -> ModelNotFound:
        """Return the error for a repo the hub does not show us."""
        return ModelNotFound(
            "{label} has no model called {repo_id}.",
            hint="Check the spelling."
            if self.has_token
            else "Check the spelling. If the model is private, set {variable}.",
            label=self.label,
            repo_id=repo_id,
            variable=self.token_variable,
        )

    def denied(self, repo_id: RepoId) -> AccessDenied:
        """Return the error for a repo that is not for us, or a token that is not accepted."""
        return AccessDenied(
            "{label} does not give access to {repo_id}.",
            hint="The token may be wrong, expired or another account's: renew it on the hub's page and set {variable}."
            if self.has_token
            else "If you have access, create a token on the hub's page and set {variable}.",
            label=self.label,
            repo_id=repo_id,
            variable=self.token_variable,
        )

    def gated(self, repo_id: RepoId, page: str) -> ModelGated:
        """Return the error for a repo whose licence has to be accepted first; `page` is where."""
        return ModelGated(
            "{label} gives out {repo_id} only to those who accepted its licence.",
            hint="Accept it on {page}." if self.has_token else "Accept it on {page}, then set {variable}.",
            label=self.label,
            repo_id=repo_id,
            page=page,
            variable=self.token_variable,
        )

    def no_revision(self, repo_id: RepoId, revision: str, known: Iterable[str] = ()) -> RevisionNotFound:
        """Return the error for a branch, tag or commit that an existing repo lacks."""
        names = sorted(known)[:8]
        return RevisionNotFound(
            '{label}: {repo_id} has no revision "{revision}".',
            hint="There are: {names}." if names else 'The default branch is "{branch}".',
            label=self.label,
            repo_id=repo_id,
            revision=revision,
            names=", ".join(names),
            branch=self.default_branch,
        )

    def unexpected(self, status: int) -> HubError:
        """Return the error for an answer no client expects."""
        return HubError(
            "{label} answered with HTTP {status}.",
            hint="Check the endpoint setting, or try again.",
            label=self.label,
            status=status,
        )

    def garbled(self, repo_id: RepoId, what: str) -> BadListing:
        """Return the error for a listing that cannot be used."""
        return BadListing(
            "{label}: the listing of {repo_id} {what}.",
            hint="Try again; if it stays so, use the other hub.",
            label=self.label,
            repo_id=repo_id,
            what=what,
        )

    def nothing_wanted(self, repo_id: RepoId, left_out: Iterable[LeftOut]) -> BadListing | UnsafeModel:
        """Return the error for a repo of which every file stays on the hub."""
        files = Names(left_out)
        if not files.names:
            return self.garbled(repo_id, Message("names no file that could be downloaded"))
        return UnsafeModel(
            "{repo_id} holds nothing that is downloaded: {files}.",
            hint="Such files can run code. Use a repo that publishes model.safetensors, as Qwen's own do.",
            repo_id=repo_id,
            files=files,
        )

    def revision(self, repo_id: RepoId, revision: str | None) -> str:
        """Return `revision`, or the hub's default branch for None or "".

        Raises:
            RevisionNotFound: No branch, tag or commit can have this name.
        """
        try:
            return check_revision(revision) if revision else self.default_branch
        except BadInput as error:
            raise self.no_revision(repo_id, ascii(revision)[1:-1][:MAX_REVISION]) from error


def check_token(variable: str, token: str | None) -> str | None:
    """Return `token` if it can be sent in a header.

    Raises:
        BadSetting: It holds characters that no token has; it is not shown.
    """
    if token and not _TOKEN.fullmatch(token):
        raise BadSetting("{variable} holds characters that no token has.", hint="Copy it again.", variable=variable)
    return token or None
