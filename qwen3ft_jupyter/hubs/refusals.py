"""The ways a hub says no, each with its cure. One wording for all hubs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import (
    AccessDenied,
    BadInput,
    BadListing,
    HubError,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    RevisionNotFound,
    UnsafeModel,
)
from qwen3ft_jupyter.hubs.failures import host_of
from qwen3ft_jupyter.hubs.git_refs import DEFAULT_BRANCHES, MAX_REVISION, check_revision
from qwen3ft_jupyter.hubs.reasons import cure_of
from qwen3ft_jupyter.hubs.tokens import MIRROR_TOKENS, TOKEN_PAGES, Token
from qwen3ft_jupyter.messages import Message, Names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qwen3ft_jupyter.hubs.listing import RepoKind
    from qwen3ft_jupyter.hubs.names import LeftOut, RepoId
    from qwen3ft_jupyter.settings.declared import HubName

LOGIN_STATUS: Final = 511
"""Network Authentication Required (RFC 6585)."""
FINAL_STATUSES: Final = frozenset({402, 451})
"""Payment required, and unavailable for legal reasons (RFC 7725): neither another try nor a setting helps."""
STAYS: Final = Message("It stays so: use the other hub, or another model.")
NO_LISTING: Final = "no-listing"
"""The cause, in an error's details, that lets the next hub be asked."""


ENDPOINTS: Final[dict[HubName, str]] = {"modelscope": "MODELSCOPE_ENDPOINT", "huggingface": "HF_ENDPOINT"}
"""The variables that hold the addresses of the hubs."""

_GATES: Final = frozenset({"wait", "rejected", "ask", "licence"})
"""What helps where it is the authors who let people in."""
_CURES: Final[Mapping[str, str]] = {
    "renew": Message("Make a new token on {tokens_page} and put it where the old one is: {place}."),
    "permission": Message(
        "On {tokens_page}, allow the token ({place}) to read public gated repositories, or make one that may read all."
    ),
    "wait": Message("Wait for the authors' answer, which {page} shows. Then try again."),
    "rejected": Message("Only the authors can change that: write to them on {page}, or use another model."),
    "nothing": Message("Nobody is given it there: use the other hub, or another model."),
    "ask": Message("Ask for access on {page}, with the account of the token ({place})."),
    "licence": Message("Accept it on {page}, with the account of the token ({place})."),
    "": Message(
        "The token ({place}) may be wrong, expired or another account's: renew it on {tokens_page} and set {variable}."
    ),
}
_CURES_WITHOUT_TOKEN: Final[Mapping[str, str]] = {
    **_CURES,
    "renew": Message("If you have access, create a token on the hub's page and set {variable}."),
    "permission": Message("If you have access, create a token on the hub's page and set {variable}."),
    "ask": Message("Ask for access on {page}, then set {variable}."),
    "licence": Message("Accept it on {page}, then set {variable}."),
    "": Message("If you have access, create a token on the hub's page and set {variable}."),
}


@dataclass(frozen=True, slots=True)
class Refusals:
    """Makes the errors of one hub."""

    hub: HubName
    """Whose protocol it speaks."""
    label: str
    """What the hub is called in front of a person."""
    endpoint: str
    token: Token
    kind: RepoKind = "models"

    @property
    def default_branch(self) -> str:
        """Return what the hub calls the branch that is meant where none is named."""
        return DEFAULT_BRANCHES[self.hub]

    def is_anothers_default(self, revision: str) -> bool:
        """Return whether a revision is the default branch of the other hub, which this one need not have."""
        return revision != self.default_branch and revision in DEFAULT_BRANCHES.values()

    def page(self, repo_id: RepoId) -> str:
        """Return the address of a model's page."""
        if self.kind == "datasets":
            return f"{self.endpoint}/datasets/{repo_id}"
        return f"{self.endpoint}/models/{repo_id}" if self.hub == "modelscope" else f"{self.endpoint}/{repo_id}"

    def missing(self, repo_id: RepoId, revision: str = "") -> ModelNotFound:
        """Return the error for a repo the hub does not show us; `revision` if that may be what it lacks."""
        if self.kind == "datasets":
            return ModelNotFound(
                '{label} has no data set called {repo_id}, or no revision "{revision}" of it.'
                if revision
                else "{label} has no data set called {repo_id}.",
                hint="Check the spelling. If it is a file or a folder of yours, check its path.",
                label=self.label,
                repo_id=repo_id,
                revision=revision,
            )
        from qwen3ft_jupyter.catalog import nearest_known

        near = nearest_known(repo_id)
        return ModelNotFound(
            '{label} has no model called {repo_id}, or no revision "{revision}" of it.'
            if revision
            else "{label} has no model called {repo_id}.",
            hint='Did you mean "{near}"?'
            if near is not None and near != repo_id
            else "Check the spelling."
            if self.token.is_sent
            else "Check the spelling. If the model is private, set {variable}.",
            label=self.label,
            repo_id=repo_id,
            revision=revision,
            near=near,
            variable=self.token.variable,
        )

    def missing_without_token(self, repo_id: RepoId, reason: str) -> ModelNotFound:
        """Return the error for a repo that the hub does not show to strangers, which we are: our token is wrong."""
        message = Message(
            '{label} does not accept the token ({place}): "{reason}". Without it, there is no model called {repo_id}.'
        )
        said = self._said(message, repo_id=repo_id, reason=reason.rstrip("."))
        return ModelNotFound(said, hint=self._said(_CURES["renew"]))

    def refused(self, repo_id: RepoId, reason: str = "", *, is_gated: bool = False) -> AccessDenied | ModelGated:
        """Return the error for a repo that is not for us, with the cure for the reason that the hub gives.

        Args:
            repo_id: The model.
            reason: The hub's own words.
            is_gated: Whether the hub says that its authors decide who may have it.
        """
        cure = cure_of(reason) or ("licence" if is_gated else "")
        kind = ModelGated if cure in _GATES else AccessDenied
        if self.token.is_dropped and cure in {"", "ask", "licence"}:
            cure = "renew"
        cures = _CURES if self.token.value else _CURES_WITHOUT_TOKEN
        if reason:
            message = Message('{label} does not give access to {repo_id}: "{reason}".')
        elif kind is ModelGated:
            message = Message("{label} gives out {repo_id} only to those who accepted its licence.")
        else:
            message = Message("{label} does not give access to {repo_id}.")
        said = self._said(message, repo_id=repo_id, reason=reason.rstrip("."))
        return kind(said, hint=self._said(cures[cure], page=self.page(repo_id)))

    def notes(self) -> tuple[str, ...]:
        """Return what is said, once, when a public model is asked for without the token."""
        if not self.token.is_dropped or self.token.is_told:
            return ()
        self.token.is_told = True
        return (self._token_dropped(),)

    def _token_dropped(self) -> Message:
        if self.token.reason:
            told = Message('{label} does not accept the token ({place}): "{reason}". Going on without it.')
        else:
            told = Message("{label} does not accept the token ({place}). Going on without it.")
        return self._said(told, reason=self.token.reason.rstrip("."))

    def _said(self, template: str, **values: str) -> Message:
        """Return a message in which the hub and its token have their places."""
        return Message(
            template,
            label=self.label,
            variable=self.token.variable,
            place=self.token.place,
            tokens_page=Message("the mirror's page") if self.is_mirror else TOKEN_PAGES[self.hub],
            **values,
        )

    @property
    def is_mirror(self) -> bool:
        """Return whether it is asked for bytes only."""
        return self.token.variable == MIRROR_TOKENS

    def blocked(self, status: int) -> HubUnreachable:
        """Return the error for a web page that says no: it is not the hub that has answered."""
        return HubUnreachable(
            "{label}: a web page forbids the connection to {host} (HTTP {status}).",
            hint="A proxy, a firewall or a protection against robots sent it: try another network, or the other hub.",
            details={"cause": "forbidden"},
            label=self.label,
            host=host_of(self.endpoint),
            status=status,
        )

    def no_listing(self, repo_id: RepoId, status: int) -> HubError:
        """Return the error for a repo whose commit is known, but whose files are not listed."""
        return HubError(
            "{label}: {host} knows {repo_id}, but does not list its files (HTTP {status}).",
            hint="It is not a full mirror: set {variable} to one that lists files, or use the other hub.",
            details={"cause": NO_LISTING},
            label=self.label,
            host=host_of(self.endpoint),
            repo_id=repo_id,
            status=status,
            variable="QWEN3FT_MIRRORS" if self.is_mirror else ENDPOINTS[self.hub],
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

    def unexpected(self, status: int, reason: str = "") -> HubError:
        """Return the error for an answer no client expects, with the hub's own words."""
        return HubError(
            '{label} answered with HTTP {status}: "{reason}".' if reason else "{label} answered with HTTP {status}.",
            hint="This network has a login page: open it in a browser first."
            if status == LOGIN_STATUS
            else STAYS
            if status in FINAL_STATUSES
            else "Check the endpoint setting, or try again.",
            label=self.label,
            status=status,
            reason=reason.rstrip("."),
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


_FILE_CURES: Final[Mapping[str, str]] = {
    "renew": Message("Make a new token on the hub's page and put it where the old one is."),
    "permission": Message("Allow the token to read public gated repositories, on the hub's page of tokens."),
    "wait": Message("Wait for the authors' answer, which the model's page shows. Then try again."),
    "rejected": Message("Only the authors can change that: write to them on the model's page, or use another model."),
    "nothing": Message("Nobody is given it there: use the other hub, or another model."),
    "ask": Message("Ask for access on the model's page, with the account of the token."),
}


def file_refused(
    path: str, source: str, status: int, reason: str, *, is_store: bool = False
) -> AccessDenied | ModelGated:
    """Return the error for a file that a source lists but does not give to us, with the source's own reason.

    A store is where the source sends us for large files, with an address that is signed: it knows of no token. What
    speaks of the model's gate is no store but the hub itself under another address.
    """
    cure = cure_of(reason)
    if is_store and cure not in _GATES:
        return AccessDenied(
            '{path}: the store of {source} refuses it (HTTP {status}): "{reason}".'
            if reason
            else "{path}: the store of {source} refuses it (HTTP {status}).",
            hint="Its address holds for a short time only: check the clock of this machine, and whether a proxy changes"
            " addresses. Then start again, or use the other hub.",
            path=path,
            source=source,
            status=status,
            reason=reason.rstrip("."),
        )
    kind = ModelGated if cure in _GATES else AccessDenied
    if reason:
        message = Message('{path}: {source} refuses it (HTTP {status}): "{reason}".')
    else:
        message = Message("{path}: {source} refuses it (HTTP {status}).")
    usual = Message("Check your token, and that you accepted the model's licence on its page.")
    return kind(
        message,
        hint=_FILE_CURES.get(cure, usual),
        path=path,
        source=source,
        status=status,
        reason=reason.rstrip("."),
    )
