"""ModelScope over its documented protocol.

What has to be survived: a missing repo answers 200 with ``"Success": false``; a missing file answers 500, so existence
is decided by the listing alone; 403 comes and goes on repos that are readable; a listing is cut at 3,000 entries
without a word; the API names no commit for a branch, the git protocol beside it does.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from qwen3ft_jupyter.errors import (
    BadListing,
    HubBusy,
    HubError,
    HubUnreachable,
    Qwen3ftError,
    RevisionNotFound,
    Stopped,
)
from qwen3ft_jupyter.hubs.git_refs import GIT_USER_AGENT, MAX_REFS_BYTES, commit_of, parse_refs
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
from qwen3ft_jupyter.hubs.names import MAX_DEPTH, choose_paths, odd_names, parse_sha256
from qwen3ft_jupyter.hubs.reasons import cure_of, is_page, reason_of
from qwen3ft_jupyter.hubs.refusals import Refusals
from qwen3ft_jupyter.hubs.region import REGION_HEADER
from qwen3ft_jupyter.hubs.tokens import TOKEN_VARIABLES, Token
from qwen3ft_jupyter.hubs.wire import stopped
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.hubs.http import Answer, HttpClient
    from qwen3ft_jupyter.hubs.names import LeftOut, RepoId
    from qwen3ft_jupyter.hubs.region import Region
    from qwen3ft_jupyter.settings.declared import HubName

TRUNCATED_AT = 3000
"""Entries after which the hub cuts a listing, with nothing in the answer that says so."""
PAGE_ENTRIES = 200
"""Entries of a page of the listing of a data set, which is what the hub's own client asks for."""
MAX_WALK_REQUESTS = 1000
"""Questions for one repo that is listed folder by folder."""
DENIAL_PAUSES_S = (0.3, 0.8, 2.0)
"""A readable repo is now and then denied; after these pauses a denial is believed."""

_DENIED_WORDS = (
    "permission",
    "private",
    "unauthorized",
    "not logged in",
    "token",
    "forbidden",
    "权限",
    "登录",
    "私有",
    "授权",
)
_REVISION_WORDS = ("revision", "branch", "版本", "分支")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or folder as the hub lists it, not yet judged."""

    path: str
    size: int
    sha256: str
    is_folder: bool

    @classmethod
    def of(cls, data: object) -> _Entry:
        path, sha256 = at(data, "Path"), at(data, "Sha256")
        return cls(
            path if isinstance(path, str) else "",
            known_size(at(data, "Size")),
            str(sha256 or ""),
            is_folder=at(data, "Type") == "tree",
        )


@dataclass(frozen=True, slots=True)
class _Page:
    """One answer of the listing: its entries and the commit it names, if any."""

    entries: list[_Entry]
    commit: str


class _Refused(Exception):
    """The hub said no to a listing; what that means depends on what else is known."""

    def __init__(self, answer: Answer, *, is_json: bool) -> None:
        super().__init__(answer.status)
        self.status = answer.status
        self.reason = reason_of(answer.headers, answer.body)
        self.is_page = is_page(answer.body)
        self.is_json = is_json

    def says(self, words: tuple[str, ...]) -> bool:
        return any(word in self.reason.lower() for word in words)

    @property
    def is_denial(self) -> bool:
        """Return whether it is about who asks."""
        return self.status in {401, 403} or self.says(_DENIED_WORDS) or bool(cure_of(self.reason))


class ModelScopeHub:
    """Lists models or data sets of ModelScope, or of anything that speaks its protocol."""

    name: HubName = "modelscope"

    def __init__(
        self,
        client: HttpClient,
        endpoint: str,
        token: str | None = None,
        *,
        token_origin: str = "",
        region: Region | None = None,
        kind: RepoKind = "models",
    ) -> None:
        """Args: the client, the address, a token sent there only and where it came from, the region, what is listed."""
        self.endpoint = endpoint.rstrip("/")
        self.label = HUB_LABELS[self.name]
        self._client = client
        self._region = region
        self._token = Token(TOKEN_VARIABLES[self.name], token, token_origin)
        self._refusals = Refusals(self.name, self.label, self.endpoint, self._token, kind)
        self._kind = kind
        self._api = f"{self.endpoint}/api/v1/{kind}"

    @property
    def _secrets(self) -> Mapping[str, str]:
        return self._token.headers(with_cookie=True)

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:
        """Return the commit of `revision`; see `Hub.commit`."""
        name = self._refusals.revision(repo_id, revision)
        if is_commit(name):
            return name
        refs = self._refs(repo_id, stop)
        default = self._refusals.default_branch if self._refusals.is_anothers_default(name) else name
        return commit_of(refs, name) or commit_of(refs, default)

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:
        """Return the wanted files of `repo_id`; see `Hub.listing`.

        The other hub's name of its default branch stands for this hub's own, where there is no such branch here.
        """
        name = self._refusals.revision(repo_id, revision)
        if self._region is not None:
            self._region.ask()
        try:
            return self._listing(repo_id, name, stop)
        except RevisionNotFound:
            if not self._refusals.is_anothers_default(name):
                raise
        return self._listing(repo_id, self._refusals.default_branch, stop)

    def _listing(self, repo_id: RepoId, name: str, stop: threading.Event | None) -> Listing:
        refs = {} if is_commit(name) else self._refs(repo_id, stop)
        commit = name if is_commit(name) else commit_of(refs, name)
        if refs and not commit and self._refusals.is_anothers_default(name):
            raise self._refusals.no_revision(repo_id, name, _short_names(refs))
        try:
            page, pin = self._pinned(repo_id, name, commit, stop)
        except _Refused as refused:
            raise self._explained(refused, repo_id, name, refs, stop) from refused
        except HubBusy as busy:  # what it does not have, it sometimes answers with a 500
            if busy.details.get("status") == "500" and refs and not commit:
                raise self._refusals.no_revision(repo_id, name, _short_names(refs)) from busy
            raise
        files, rest = _files(self._refusals, repo_id, page.entries)
        notes = (*self._refusals.notes(), *odd_names(rest))
        return Listing(repo_id, self.name, name, commit or page.commit, files, pin, rest, notes)

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:
        """Return the request for one file; large ones are redirected to the hub's store."""
        query = _query(Revision=listing.pin, FilePath=file.path)
        url = f"{self._api}/{listing.repo_id}/repo?{query}"
        region = self._region.name if self._region is not None else ""
        return Request(url, self._secrets, {REGION_HEADER: region} if region else {})

    def _refs(self, repo_id: RepoId, stop: threading.Event | None) -> Mapping[str, str]:
        """Return branches and tags with their commits, or nothing: this is a help, not a condition."""
        path = repo_id if self._kind == "models" else f"{self._kind}/{repo_id}"
        url = f"{self.endpoint}/{path}.git/info/refs?service=git-upload-pack"
        agent = {"user-agent": GIT_USER_AGENT}  # any other is answered 421
        ask = partial(self._client.get, url, max_bytes=MAX_REFS_BYTES, tries=1, stop=stop)
        try:
            answer = ask(headers={**self._secrets, **agent})
            if answer.status in {401, 403} and self._token.is_sent:
                answer = ask(headers=agent)
        except (HubBusy, BadListing):
            return {}
        except HubUnreachable as error:
            if error.details.get("cause") in {"reset", "silent"}:  # the git service alone may be ill
                return {}
            raise
        return parse_refs(answer.body) if answer.status == 200 else {}

    def _pinned(self, repo_id: RepoId, name: str, commit: str, stop: threading.Event | None) -> tuple[_Page, str]:
        """Return the listing and the revision it was asked by: the commit where the hub takes one, else the name."""
        if commit and commit != name:
            try:
                page = self._whole(repo_id, commit, stop)
            except (_Refused, HubBusy, BadListing):  # it may not take a commit here, and may say so with a 500
                page = _Page([], "")
            if page.entries:
                return page, commit
        return self._whole(repo_id, name, stop), name

    def _whole(self, repo_id: RepoId, revision: str, stop: threading.Event | None) -> _Page:
        if self._kind == "datasets":
            return self._paged(repo_id, revision, stop)
        page = self._page(repo_id, revision, "", is_recursive=True, stop=stop)
        if len(page.entries) < TRUNCATED_AT:
            return page
        return _Page(self._walk(repo_id, revision, stop), page.commit)

    def _paged(self, repo_id: RepoId, revision: str, stop: threading.Event | None) -> _Page:
        """List a data set, which comes in pages, unlike a model."""
        entries: list[_Entry] = []
        for number in range(1, MAX_WALK_REQUESTS):
            page = self._page(repo_id, revision, "", is_recursive=True, stop=stop, number=number)
            entries += page.entries
            if len(page.entries) < PAGE_ENTRIES:
                return _Page(entries, page.commit)
        raise self._refusals.garbled(repo_id, Message("never ends"))

    def _walk(self, repo_id: RepoId, revision: str, stop: threading.Event | None) -> list[_Entry]:
        """List a repo folder by folder, splitting each that is cut."""
        entries: list[_Entry] = []
        folders = [""]
        asked = 0
        while folders:
            folder = folders.pop()
            asked += 2
            if asked > MAX_WALK_REQUESTS:
                raise self._refusals.garbled(repo_id, Message("has too many folders"))
            below = self._page(repo_id, revision, folder, is_recursive=True, stop=stop).entries if folder else None
            if below is not None and len(below) < TRUNCATED_AT:
                entries += below
                continue
            direct = self._page(repo_id, revision, folder, is_recursive=False, stop=stop).entries
            if len(direct) >= TRUNCATED_AT:
                raise self._refusals.garbled(
                    repo_id, Message("is cut: a folder has more than {count} files", count=TRUNCATED_AT)
                )
            entries += [entry for entry in direct if not entry.is_folder]
            folders += [_child(self._refusals, repo_id, folder, entry) for entry in direct if entry.is_folder]
        return entries

    def _page(
        self,
        repo_id: RepoId,
        revision: str,
        root: str,
        *,
        is_recursive: bool,
        stop: threading.Event | None,
        number: int = 0,
    ) -> _Page:
        """Ask for one listing, or for a page of it from 1 on; a denial is believed only when it stays."""
        part = {"PageNumber": str(number), "PageSize": str(PAGE_ENTRIES)} if number else {}
        query = _query(Revision=revision, Recursive=str(is_recursive), **({"Root": root} if root else {}), **part)
        url = f"{self._api}/{repo_id}/repo/{'tree' if number else 'files'}?{query}"
        answer = self._client.get(url, headers=self._secrets, stop=stop)
        for pause_s in DENIAL_PAUSES_S:
            if answer.status != 403:
                break
            if (stop or threading.Event()).wait(pause_s):
                raise stopped()
            answer = self._client.get(url, headers=self._secrets, stop=stop)
        try:
            return self._unwrapped(repo_id, answer)
        except _Refused as refused:
            if not self._token.is_sent or not refused.is_denial:
                raise
            page = self._page_for_strangers(repo_id, url, stop)
            if page is None:
                raise
            self._token.drop(refused.reason)
            return page

    def _page_for_strangers(self, repo_id: RepoId, url: str, stop: threading.Event | None) -> _Page | None:
        """Return a listing that is had without a token, None if it is not: a wrong token closes a public repo."""
        try:
            return self._unwrapped(repo_id, self._client.get(url, tries=1, stop=stop))
        except Stopped:
            raise
        except (_Refused, Qwen3ftError):
            return None

    def _unwrapped(self, repo_id: RepoId, answer: Answer) -> _Page:
        if answer.status // 100 not in {2, 4}:
            raise self._refusals.unexpected(answer.status)
        body: object = None
        try:
            body = answer.json()
        except BadListing:
            if answer.status == 200:
                raise  # an error page in HTML still has its status
        if answer.status != 200 or at(body, "Success") is False or at(body, "Code") not in {200, None}:
            raise _Refused(answer, is_json=body is not None)
        return self._read_page(repo_id, body)

    def _read_page(self, repo_id: RepoId, body: object) -> _Page:
        entries = at(body, "Data", "Files")
        if entries is None and self._kind == "datasets":
            entries = at(body, "Data")
        if not isinstance(entries, list):
            raise self._refusals.garbled(repo_id, Message("has no list of files"))
        if not all(isinstance(entry, dict) for entry in entries):
            raise self._refusals.garbled(repo_id, Message("holds something that is not a file"))
        commit = at(body, "Data", "LatestCommitter", "Id")
        return _Page(
            [_Entry.of(entry) for entry in entries], commit if isinstance(commit, str) and is_commit(commit) else ""
        )

    def _explained(
        self,
        refused: _Refused,
        repo_id: RepoId,
        revision: str,
        refs: Mapping[str, str],
        stop: threading.Event | None,
    ) -> Qwen3ftError:
        """Return what a refusal means: gated, not for us, a wrong revision, or no such repo."""
        if refused.says(("quota",)):
            return HubBusy("ModelScope: the quota for {repo_id} is used up.", hint="Try again later.", repo_id=repo_id)
        if refused.status in {401, 403}:
            return self._denied(refused, repo_id)
        known = _short_names(refs) or self._revisions(repo_id, stop)
        if (known and revision not in known) or refused.says(_REVISION_WORDS):
            return self._refusals.no_revision(repo_id, revision, known)
        if refused.is_denial:
            return self._denied(refused, repo_id)
        return self._absent(refused, repo_id, revision, is_known=bool(known))

    def _absent(self, refused: _Refused, repo_id: RepoId, revision: str, *, is_known: bool) -> HubError:
        if is_known and not refused.is_json:
            return self._refusals.no_listing(repo_id, refused.status)
        if refused.status not in {200, 404}:
            return self._refusals.unexpected(refused.status, refused.reason)
        return self._refusals.missing(repo_id, "" if revision == self._refusals.default_branch else revision)

    def _denied(self, refused: _Refused, repo_id: RepoId) -> HubError:
        if refused.is_page:
            return self._refusals.blocked(refused.status)
        return self._refusals.refused(repo_id, refused.reason)

    def _revisions(self, repo_id: RepoId, stop: threading.Event | None) -> set[str]:
        """Return the names of branches and tags; none if the repo is missing, or this cannot be known."""
        url = f"{self._api}/{repo_id}/revisions"
        try:
            body = self._client.get(url, headers=self._secrets, tries=1, stop=stop).json()
        except Stopped:
            raise
        except HubError:
            return set()
        table = at(body, "Data", "RevisionMap")
        lists = [rows for rows in table.values() if isinstance(rows, list)] if isinstance(table, dict) else []
        names = [at(row, "Revision") for row in itertools.chain.from_iterable(lists)]
        return {name for name in names if isinstance(name, str) and name.isprintable()}


def _files(
    refusals: Refusals, repo_id: RepoId, entries: list[_Entry]
) -> tuple[tuple[RemoteFile, ...], tuple[LeftOut, ...]]:
    """Return what is downloaded, and what stays on the hub."""
    blobs = [entry for entry in entries if not entry.is_folder]
    paths, rest = choose_paths([(entry.path, entry.size) for entry in blobs])
    files = tuple(
        RemoteFile(path, blobs[number].size, parse_sha256(blobs[number].sha256)) for number, path in paths.items()
    )
    if not files:
        raise refusals.nothing_wanted(repo_id, rest)
    return files, rest


def _child(refusals: Refusals, repo_id: RepoId, folder: str, entry: _Entry) -> str:
    """Return the path of a folder found in `folder`; anything else would have us walk in a circle."""
    path = entry.path
    prefix = f"{folder}/" if folder else ""
    if not path or not path.startswith(prefix) or path == folder or path.count("/") >= MAX_DEPTH:
        raise refusals.garbled(repo_id, Message("names a folder that is not where it says"))
    return path


def _short_names(refs: Mapping[str, str]) -> set[str]:
    kinds = ("refs/heads/", "refs/tags/")
    return {
        ref.removeprefix(kind) for ref in refs for kind in kinds if ref.startswith(kind) and not ref.endswith("^{}")
    }


def _query(**parameters: str) -> str:
    return urlencode(parameters, quote_via=quote)
