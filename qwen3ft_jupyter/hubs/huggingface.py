"""The Hugging Face hub over its documented protocol: revision to commit, then the tree of that commit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from qwen3ft_jupyter.hubs.failures import host_of, origin_of
from qwen3ft_jupyter.hubs.listing import HUB_LABELS, Listing, RemoteFile, Request, at, is_commit, known_size
from qwen3ft_jupyter.hubs.names import check_paths, is_wanted, parse_sha256
from qwen3ft_jupyter.hubs.refusals import DEFAULT_BRANCHES, MIRROR_TOKENS, TOKEN_VARIABLES, Refusals, check_token
from qwen3ft_jupyter.hubs.retry import QUESTIONS
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


class HuggingFaceHub:
    """Lists models of Hugging Face, of a mirror of it, or of anything that speaks its protocol."""

    name: HubName = "huggingface"

    def __init__(self, client: HttpClient, endpoint: str, token: str | None = None, *, is_mirror: bool = False) -> None:
        """Args: the client, the hub's address, a token that is sent there only, and whether it is called a mirror."""
        self.endpoint = endpoint.rstrip("/")
        self.label = Message("mirror {host}", host=host_of(endpoint)) if is_mirror else HUB_LABELS[self.name]
        self._client = client
        variable = MIRROR_TOKENS if is_mirror else TOKEN_VARIABLES[self.name]
        token = check_token(variable, token)
        self._secrets = {"authorization": f"Bearer {token}"} if token else {}
        self._refusals = Refusals(self.label, DEFAULT_BRANCHES[self.name], variable, has_token=bool(token))

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:
        """Return the commit of `revision`; see `Hub.commit`."""
        name = self._refusals.revision(repo_id, revision)
        return name if is_commit(name) else self._state(repo_id, name, stop, tries=1)[0]

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:
        """Return the wanted files of `repo_id`; see `Hub.listing`."""
        name = self._refusals.revision(repo_id, revision)
        commit, is_gated = self._state(repo_id, name, stop)
        files = self._files(repo_id, name, commit, stop)
        listing = Listing(repo_id, self.name, name, commit, files, commit)
        if is_gated:
            self._check_gate(listing, stop)
        return listing

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:
        """Return the request for one file; large ones are redirected to the hub's store."""
        url = f"{self.endpoint}/{listing.repo_id}/resolve/{quote(listing.pin, safe='')}/{quote(file.path)}"
        return Request(url, self._secrets)

    def _state(
        self, repo_id: RepoId, revision: str, stop: threading.Event | None, *, tries: int = QUESTIONS.attempts
    ) -> tuple[str, bool]:
        """Return the commit of `revision`, and whether a licence has to be accepted first."""
        url = f"{self.endpoint}/api/models/{repo_id}/revision/{quote(revision, safe='')}"
        answer = self._client.get(url, headers=self._secrets, tries=tries, stop=stop)
        self._check(answer, repo_id, revision)
        body = answer.json()
        commit = at(body, "sha")
        if not isinstance(commit, str) or not is_commit(commit):
            raise self._refusals.garbled(repo_id, Message("names no commit"))
        return commit, bool(at(body, "gated"))

    def _files(
        self, repo_id: RepoId, revision: str, commit: str, stop: threading.Event | None
    ) -> tuple[RemoteFile, ...]:
        entries = self._tree(repo_id, revision, commit, stop)
        paths = check_paths([path if isinstance(path := at(entry, "path"), str) else "" for entry in entries])
        files = tuple(
            self._file(repo_id, path, entry) for path, entry in zip(paths, entries, strict=True) if is_wanted(path)
        )
        if not files:
            raise self._refusals.garbled(repo_id, Message("names no file that could be downloaded"))
        return files

    def _file(self, repo_id: RepoId, path: SafePath, entry: object) -> RemoteFile:
        size, lfs = at(entry, "size"), at(entry, "lfs")
        if lfs is None:
            oid, sha256 = at(entry, "oid"), parse_sha256(str(at(entry, "sha256")))  # our own mirror names both
            return RemoteFile(path, known_size(size), sha256, oid if isinstance(oid, str) else "")
        if not isinstance(lfs, dict) or lfs.get("size", size) != size:
            raise self._refusals.garbled(repo_id, Message("contradicts itself about {path}", path=path))
        # the entry's own oid names the pointer file that git keeps, not the content
        sha256, git_sha1 = parse_sha256(str(lfs.get("oid", "")).removeprefix("sha256:")), at(entry, "gitSha1")
        return RemoteFile(path, known_size(size), sha256, git_sha1 if isinstance(git_sha1, str) else None)

    def _tree(self, repo_id: RepoId, revision: str, commit: str, stop: threading.Event | None) -> list[object]:
        entries: list[object] = []
        url: str | None = f"{self.endpoint}/api/models/{repo_id}/tree/{commit}?recursive=true&expand=false"
        visited: set[str] = set()
        while url is not None:
            if url in visited or len(visited) >= MAX_PAGES:
                raise self._refusals.garbled(repo_id, Message("never ends"))
            visited.add(url)
            answer = self._client.get(url, headers=self._secrets, stop=stop)
            self._check(answer, repo_id, revision)
            page = answer.json()
            if not isinstance(page, list) or not all(isinstance(entry, dict) for entry in page):
                raise self._refusals.garbled(repo_id, Message("is no list of files"))
            entries += [entry for entry in page if entry.get("type") == "file"]
            url = self._next_page(repo_id, url, answer.headers.get("link", ""))
        return entries

    def _next_page(self, repo_id: RepoId, url: str, link: str) -> str | None:
        match = _NEXT.search(link)
        if match is None:
            return None
        target = urljoin(url, str(match[1]))
        if origin_of(target) != origin_of(self.endpoint):
            raise self._refusals.garbled(repo_id, Message("goes on at another host"))
        return target

    def _check_gate(self, listing: Listing, stop: threading.Event | None) -> None:
        """Ask for the smallest file: the listing of a gated repo is public, its files are not."""
        smallest = min(listing.files, key=lambda file: file.size)
        request = self.file_request(listing, smallest)
        with self._client.open(request.url, headers=request.headers, stop=stop) as response:
            if response.status in {401, 403}:
                raise self._gated(listing.repo_id)

    def _check(self, answer: Answer, repo_id: RepoId, revision: str) -> None:
        """Raise what an answer other than 200 means."""
        if answer.status != 200:
            raise self._explained(answer, repo_id, revision)

    def _explained(self, answer: Answer, repo_id: RepoId, revision: str) -> Qwen3ftError:
        code = answer.headers.get("x-error-code", "")
        if code == "RepoNotFound":
            return self._refusals.missing(repo_id)
        if code == "GatedRepo":
            return self._gated(repo_id)
        if code == "RevisionNotFound":
            return self._refusals.no_revision(repo_id, revision)
        if answer.status in {401, 403}:
            return self._refusals.denied(repo_id)
        if answer.status == 404:
            return self._refusals.missing(repo_id)
        return self._refusals.unexpected(answer.status)

    def _gated(self, repo_id: RepoId) -> Qwen3ftError:
        return self._refusals.gated(repo_id, f"{self.endpoint}/{repo_id}")
