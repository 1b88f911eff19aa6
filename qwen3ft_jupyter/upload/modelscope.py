"""A repo on ModelScope, written through modelscope_hub, the client that comes with modelscope.

The requests are those of its `upload_folder`, made one by one: that one cannot be stopped, reads what it sends without
telling, makes a repo that is not there a public one, and keeps what went wrong to itself.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwen3ft_jupyter.upload.reading import READ_BYTES, Passage, PushedFile
from qwen3ft_jupyter.upload.shelf import MESSAGE, explaining, missing, trying

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelscope_hub import HubApi

    from qwen3ft_jupyter.upload.plan import Item, Standing
    from qwen3ft_jupyter.upload.refusals import Place
    from qwen3ft_jupyter.work import Work

_NOWHERE = Path(os.devnull, "nothing")
"""Where the client keeps its own records: it would write an id of this user into the home folder."""
_NO_TOKEN: Mapping[str, Any] = {"Authorization": None, "Cookie": None}
"""Headers that take away those of the client."""


class ModelScopeShelf:
    """See `Shelf`."""

    def __init__(self, place: Place, licence: str) -> None:
        """Take the repo, and the licence that a new one gets. Raises MissingPackage."""
        try:
            from modelscope_hub import HubApi, HubConfig
        except ImportError as error:
            raise missing("modelscope") from error
        self.place, self._licence = place, licence
        # an empty token: none at all, not that of somebody's login
        token = place.token.value or ""
        config = HubConfig(endpoint=place.endpoint, token=token, config_dir=_NOWHERE, cache_dir=_NOWHERE)
        self._api: HubApi = HubApi(config)

    def create(self, *, is_private: bool) -> None:
        """See `Shelf`."""
        from modelscope_hub import License
        from modelscope_hub.errors import is_repo_exists_error

        licences = {str(one).lower(): str(one) for one in License}  # the hub knows these, in this spelling
        licence = licences.get(self._licence.lower(), str(License.OTHER))
        given = {"visibility": "private" if is_private else "public", "license": licence}
        with explaining(self.place):
            try:
                self._api.create_repo(self.place.repo_id, "model", **given)
            except Exception as error:
                if not is_repo_exists_error(error):
                    raise

    def put(self, files: Sequence[Item], standing: Standing, work: Work) -> tuple[str, int]:
        """See `Shelf`."""
        checking = Passage(work, "checking", sum(file.size for file in files))
        digests = {}
        for file in files:
            digests[file.path] = _digest(file, checking)
            checking.through(file)
        changed = [file for file in files if standing.digests.get(file.path) != digests[file.path]]
        if not changed:
            return "", 0
        uploading = Passage(work, "uploading", sum(file.size for file in changed))
        ahead = [file for file in changed if _goes_ahead(file)]
        addresses = trying(self.place, work, lambda: self._addresses(ahead, digests))
        actions = []
        for file in ahead:
            if addresses.get(digests[file.path]):
                self._send(file, digests[file.path], uploading, work)
            actions.append(_pointer(file, digests[file.path]))
            uploading.through(file)
        sent = uploading.moved
        for file in changed:
            if file not in ahead:
                actions.append(_inline(file, uploading))
                uploading.through(file)
        return trying(self.place, work, lambda: self._commit(actions)), sent

    def _addresses(self, files: Sequence[Item], digests: Mapping[str, str]) -> Mapping[str, str | None]:
        """Return by digest where files go that the hub does not have."""
        wanted = {digests[file.path]: file.size for file in files}
        objects = [{"oid": digest, "size": size} for digest, size in wanted.items()]
        return dict(self._api.legacy.validate_blobs(self.place.repo_id, "model", objects)) if objects else {}

    def _send(self, file: Item, digest: str, passage: Passage, work: Work) -> None:
        def send() -> None:
            address = self._addresses([file], {file.path: digest}).get(digest)  # they expire
            if address is not None:
                headers = {} if self._is_own(address) else _NO_TOKEN
                with PushedFile(file, passage) as data:
                    self._api.legacy.upload_blob(address, data, file.size, headers=headers)

        trying(self.place, work, send)

    def _is_own(self, address: str) -> bool:
        """Return whether the token may go to an address: the hub's, or that of its files; no store of somebody else.

        The client itself sends it wherever the hub points.
        """
        asked, own = urlsplit(address), urlsplit(self.place.endpoint)
        if (asked.scheme, asked.netloc) == (own.scheme, own.netloc):
            return True
        host = own.hostname or ""
        base = host.partition(".")[2] if host.count(".") >= 2 else host  # www.modelscope.cn and modelscope.cn are one
        return asked.scheme == "https" and asked.hostname in {base, f"www.{base}", f"lfs.{base}", f"pre-lfs.{base}"}

    def _commit(self, actions: Sequence[Mapping[str, Any]]) -> str:
        answer = self._api.legacy.create_commit(self.place.repo_id, "model", list(actions), MESSAGE)
        found = answer.get("commitId") or answer.get("CommitId") or answer.get("oid") or answer.get("Id")
        return str(found or "")


def _digest(file: Item, passage: Passage) -> str:
    digest = hashlib.sha256()
    with PushedFile(file, passage) as data:
        while part := data.read(READ_BYTES):
            digest.update(part)
    return digest.hexdigest()


def _goes_ahead(file: Item) -> bool:
    """Return whether a file goes ahead of the commit, by the client's own rule: the hub reads some names itself."""
    from modelscope_hub.constants import (
        MODEL_LFS_SUFFIX,
        UPLOAD_INLINE_METADATA_PATHS,
        UPLOAD_LFS_FORCE_THRESHOLD_BYTES,
    )

    path = PurePosixPath(file.path)
    if not file.size or path.name.upper() in UPLOAD_INLINE_METADATA_PATHS:
        return False
    return file.size > UPLOAD_LFS_FORCE_THRESHOLD_BYTES or path.suffix.lower() in MODEL_LFS_SUFFIX


def _pointer(file: Item, digest: str) -> dict[str, Any]:
    kept = {"size": file.size, "sha256": digest, "content": "", "encoding": ""}
    return {"action": "create", "path": file.path, "type": "lfs", **kept}


def _inline(file: Item, passage: Passage) -> dict[str, Any]:
    with PushedFile(file, passage) as data:
        content = b64encode(data.read()).decode()
    kept = {"size": file.size, "sha256": "", "content": content, "encoding": "base64"}
    return {"action": "create", "path": file.path, "type": "normal", **kept}
