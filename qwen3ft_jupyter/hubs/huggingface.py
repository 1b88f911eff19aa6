"""The Hugging Face hub over its documented protocol: revision to commit, then the tree of that commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from qwen3ft_jupyter.errors import BadListing, HubBusy, HubUnreachable, RevisionNotFound
from qwen3ft_jupyter.hubs.failures import host_of, origin_of
from qwen3ft_jupyter.hubs.listing import (
    HUB_LABELS,
    Listing,
    RemoteFile,
    RepoKind,
    Request,
    at,
    is_commit,
    known_size,
)
from qwen3ft_jupyter.hubs.names import LeftOut, choose_paths, odd_names, parse_sha256
from qwen3ft_jupyter.hubs.reasons import cure_of, is_page, reason_of
from qwen3ft_jupyter.hubs.refusals import Refusals
from qwen3ft_jupyter.hubs.retry import QUESTIONS
from qwen3ft_jupyter.hubs.tokens import MIRROR_TOKENS, TOKEN_VARIABLES, Token
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    import threading

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.http import Answer, HttpClient
    from qwen3ft_jupyter.hubs.names import RepoId, SafePath
    from qwen3ft_jupyter.settings.declared import HubName

MAX_PAGES = 200
"""Pages of one tree; the hub puts a thousand files on each."""
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?', re.IGNORECASE)


A_PART = "a-part-will-do"
"""What a mirror of ours is asked: it may have files of a commit, and lists none under its name but a whole one."""
_NO_ROUTE = frozenset({400, 404, 405, 410, 501})
"""How a server says that it does not know a route."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a revision is now."""

    revision: str
    commit: str
    is_gated: bool
    """Whether a licence has to be accepted first."""


class HuggingFaceHub:
    """Lists models or data sets of Hugging Face, of a mirror of it, or of anything that speaks its protocol."""

    name: HubName = "huggingface"

    def __init__(
        self,
        client: HttpClient,
        endpoint: str,
        token: str | None = None,
        *,
        token_origin: str = "",
        is_mirror: bool = False,
        kind: RepoKind = "models",
    ) -> None:
        """Args: the client, the address, a token and where it came from, whether it is a mirror, what it lists."""
        self.endpoint = endpoint.rstrip("/")
        self.label = Message("mirror {host}", host=host_of(endpoint)) if is_mirror else HUB_LABELS[self.name]
        self._client = client
        self._asks = f"?{A_PART}=true" if is_mirror else ""
        self._token = Token(MIRROR_TOKENS if is_mirror else TOKEN_VARIABLES[self.name], token, token_origin)
        self._refusals = Refusals(self.name, self.label, self.endpoint, self._token, kind)
        self._api = f"/api/{kind}/"
        self._pages = "" if kind == "models" else f"/{kind}"

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:
        """Return the commit of `revision`; see `Hub.commit`."""
        name = self._refusals.revision(repo_id, revision)
        return name if is_commit(name) else self._state(repo_id, name, stop, tries=1).commit

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:
        """Return the wanted files of `repo_id`; see `Hub.listing`."""
        state = self._state(repo_id, self._refusals.revision(repo_id, revision), stop)
        files, rest = self._files(repo_id, state, stop)
        notes = (*self._refusals.notes(), *odd_names(rest))
        listing = Listing(repo_id, self.name, state.revision, state.commit, files, state.commit, rest, notes)
        if state.is_gated:
            self._check_gate(listing, stop)
        return listing

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:
        """Return the request for one file; large ones are redirected to the hub's store."""
        url = f"{self.endpoint}{self._pages}/{listing.repo_id}/resolve/{quote(listing.pin, safe='')}/{quote(file.path)}"
        return Request(url, self._token.headers())

    def _state(
        self, repo_id: RepoId, revision: str, stop: threading.Event | None, *, tries: int = QUESTIONS.attempts
    ) -> _State:
        """Return what `revision` is now; the other hub's name of its default branch stands for this hub's own."""
        try:
            return self._state_of(repo_id, revision, stop, tries)
        except RevisionNotFound:
            if not self._refusals.is_anothers_default(revision):
                raise
        return self._state_of(repo_id, self._refusals.default_branch, stop, tries)

    def _state_of(self, repo_id: RepoId, revision: str, stop: threading.Event | None, tries: int) -> _State:
        answer = self._ask(repo_id, self._about(repo_id, revision), stop, tries=tries)
        if answer.status != 200:
            raise self._explained(answer, repo_id, revision, stop)
        body = answer.json()
        commit = at(body, "sha")
        if not isinstance(commit, str) or not is_commit(commit):
            raise self._refusals.garbled(repo_id, Message("names no commit"))
        return _State(revision, commit, is_gated=bool(at(body, "gated")))

    def _about(self, repo_id: RepoId, revision: str) -> str:
        return f"{self.endpoint}{self._api}{repo_id}/revision/{quote(revision, safe='')}{self._asks}"

    def _ask(
        self, repo_id: RepoId, url: str, stop: threading.Event | None, *, tries: int = QUESTIONS.attempts
    ) -> Answer:
        """Ask; where the token is refused but strangers are not, without it from then on."""
        answer = self._client.get(url, headers=self._token.headers(), tries=tries, stop=stop)
        is_gate = answer.headers.get("x-error-code") == "GatedRepo"
        if answer.status not in {401, 403} or not self._token.is_sent or is_gate:
            return answer
        reason = reason_of(answer.headers, answer.body)
        bare = self._client.get(url, tries=1, stop=stop)
        if bare.status == 200:
            self._token.drop(reason)
            return bare
        if bare.headers.get("x-error-code") == "RepoNotFound" and cure_of(reason) == "renew":
            raise self._refusals.missing_without_token(repo_id, reason)
        return answer

    def _files(
        self, repo_id: RepoId, state: _State, stop: threading.Event | None
    ) -> tuple[tuple[RemoteFile, ...], tuple[LeftOut, ...]]:
        """Return what is downloaded, and what stays on the hub."""
        entries = self._tree(repo_id, state, stop)
        listed = [(path if isinstance(path := at(entry, "path"), str) else "", at(entry, "size")) for entry in entries]
        paths, rest = choose_paths(listed)
        files = tuple(self._file(repo_id, path, entries[number]) for number, path in paths.items())
        if not files:
            raise self._refusals.nothing_wanted(repo_id, rest)
        return files, rest

    def _file(self, repo_id: RepoId, path: SafePath, entry: object) -> RemoteFile:
        size, lfs = at(entry, "size"), at(entry, "lfs")
        if lfs is None:
            oid, sha256 = at(entry, "oid"), parse_sha256(str(at(entry, "sha256")))  # our own mirror names both
            return RemoteFile(path, known_size(size), sha256, oid if isinstance(oid, str) else "")
        if not isinstance(lfs, dict) or lfs.get("size", size) != size:
            raise self._refusals.garbled(repo_id, Message("contradicts itself about {path}", path=path))
        # the entry's own oid names the pointer file that git keeps, not the content
        return RemoteFile(path, known_size(size), parse_sha256(str(lfs.get("oid", "")).removeprefix("sha256:")))

    def _tree(self, repo_id: RepoId, state: _State, stop: threading.Event | None) -> list[object]:
        entries: list[object] = []
        url: str | None = f"{self.endpoint}{self._api}{repo_id}/tree/{state.commit}?recursive=true&expand=false"
        visited: set[str] = set()
        while url is not None:
            if url in visited or len(visited) >= MAX_PAGES:
                raise self._refusals.garbled(repo_id, Message("never ends"))
            visited.add(url)
            answer = self._ask(repo_id, url, stop)
            if answer.status in _NO_ROUTE and "x-error-code" not in answer.headers:
                raise self._refusals.no_listing(repo_id, answer.status)
            if answer.status != 200:
                raise self._explained(answer, repo_id, state.revision, None)
            page = answer.json()
            if not isinstance(page, list) or not all(isinstance(entry, dict) for entry in page):
                raise self._refusals.garbled(repo_id, Message("is no list of files"))
            if not all(isinstance(entry.get("type"), str) for entry in page):
                raise self._refusals.garbled(repo_id, Message("holds something that is not a file"))
            entries += [entry for entry in page if entry["type"] == "file"]
            url = self._next_page(repo_id, url, answer.headers.get("link", ""))
        return entries

    def _next_page(self, repo_id: RepoId, url: str, link: str) -> str | None:
        """Return the address of the next page, always at our endpoint.

        Behind a reverse proxy, or after a redirect, the hub names itself as it is called there. Nothing is asked at an
        address that an answer names: of that, only the part that says which page it is counts.
        """
        match = _NEXT.search(link)
        if match is None:
            return None
        try:
            target = urljoin(url, str(match[1]))
            if origin_of(target) == origin_of(self.endpoint):
                return target
            parts = urlsplit(target)
        except ValueError as error:
            raise self._refusals.garbled(repo_id, Message("goes on at a malformed address")) from error
        _, route, rest = parts.path.partition(self._api)
        if not route or "/tree/" not in rest:
            raise self._refusals.garbled(repo_id, Message("goes on at another host"))
        return f"{self.endpoint}{route}{rest}?{parts.query}"

    def _check_gate(self, listing: Listing, stop: threading.Event | None) -> None:
        """Ask for the smallest file: the listing of a gated repo is public, its files are not."""
        smallest = min(listing.files, key=lambda file: file.size)
        request = self.file_request(listing, smallest)
        with self._client.open(request.url, headers=request.headers, stop=stop) as response:
            if response.status in {401, 403}:
                reason = reason_of(response.headers, response.beginning())
                raise self._refusals.refused(listing.repo_id, reason, is_gated=True)

    def _explained(self, answer: Answer, repo_id: RepoId, revision: str, stop: threading.Event | None) -> Qwen3ftError:
        """Return what an answer other than 200 means."""
        code, reason = answer.headers.get("x-error-code", ""), reason_of(answer.headers, answer.body)
        if code == "RepoNotFound":
            return self._refusals.missing(repo_id)
        if code == "RevisionNotFound":
            return self._refusals.no_revision(repo_id, revision)
        if answer.status in {401, 403}:
            if not code and is_page(answer.body):
                return self._refusals.blocked(answer.status)
            return self._refusals.refused(repo_id, reason, is_gated=code == "GatedRepo")
        if answer.status == 404:
            return self._missing(repo_id, revision, stop)
        return self._refusals.unexpected(answer.status, reason)

    def _missing(self, repo_id: RepoId, revision: str, stop: threading.Event | None) -> Qwen3ftError:
        """Return the error for a 404 that does not say what is missing, as mirrors give it."""
        if revision == self._refusals.default_branch:
            return self._refusals.missing(repo_id)
        try:
            answer = self._ask(repo_id, self._about(repo_id, self._refusals.default_branch), stop, tries=1)
        except (HubUnreachable, HubBusy, BadListing):
            return self._refusals.missing(repo_id, revision)
        if answer.status == 200:
            return self._refusals.no_revision(repo_id, revision)
        return self._refusals.missing(repo_id)
