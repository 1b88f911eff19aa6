"""ModelScope's protocol, from the side that answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.mirror.models import Folder, ServedFile, pick, pick_of, tree
from qwen3ft_jupyter.mirror.refusals import NO_REPO as NO_REPO_MESSAGE
from qwen3ft_jupyter.mirror.refusals import NO_REVISION as NO_REVISION_MESSAGE
from qwen3ft_jupyter.mirror.refusals import PART_OF_COMMIT
from qwen3ft_jupyter.mirror.replies import FileQuestion, Missing, Reply, file_reply, json_reply
from qwen3ft_jupyter.settings.kinds import is_true

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedModel
    from qwen3ft_jupyter.mirror.replies import Asked

NO_REPO = 10010205001
NO_REPO_STATUS = 404
"""The hub itself answers 200 and says no in the body alone, which its client takes for an empty repo, downloaded."""
NO_REVISION = 10010205002
NO_FILE = 10010205003
"""Codes in the hub's form; its clients go by the status and by `Success`."""
_GOOD: Final[dict[str, object]] = {"Code": 200, "Success": True, "Message": "success", "RequestId": ""}


def answer(asked: Asked, library: Library) -> Reply | None:
    """Return the answer, or None if this is no question of this protocol."""
    match asked.parts:
        case ("api", "v1", "models") if asked.method == "PUT":  # how its clients ask for the models of an owner
            return _list_owner(asked, library)
        case (("api" | "openapi") as api, "v1", *parts) if asked.is_read:
            return _api(asked, library, api, parts)
        case ("models", owner, name, "resolve" | "raw", revision, *path) if asked.is_read:
            return _file(asked, library, f"{owner}/{name}", revision, "/".join(path))
    return None


def _api(asked: Asked, library: Library, api: str, parts: list[str]) -> Reply | None:
    match (api, *parts):
        case ("api", "models", owner, name, *rest):
            return _about(asked, library, f"{owner}/{name}", rest)
        case ("openapi", "models", *repo):
            return _open_answer(asked, library, "/".join(repo))
        case ("api", "repos", "internalAccelerationInfo"):
            return good({"InternalRegionQueryAddress": ""})  # no faster route than this one
        case (_, "datasets"):
            return good_open({"datasets": [], "Data": [], "total_count": 0, "page_number": 1, "page_size": 10})
        case (_, "datasets", *_) | ("api", "models", _):
            return _refusal("repo")
    return None


def refused(status: int, code: int, message: str) -> Reply:
    """Return an error in ModelScope's envelope; `message` becomes its reason, so it is ours, never the client's."""
    body = {"Code": code, "Success": False, "Message": message, "Data": None, "RequestId": ""}
    reply = json_reply({**body, "success": False, "code": str(code), "message": message}, status=status)
    return replace(reply, reason=message)


def _open_answer(asked: Asked, library: Library, repo_id: str) -> Reply:
    """Answer the newer interface: one model, or a page of those that pass the filters."""
    if repo_id:
        found = library.whole_versions(repo_id)
        # here a missing repo is 404, as the hub does it
        return good_open(_open_info(found[0])) if found else refused(404, NO_REPO, NO_REPO_MESSAGE)
    query = asked.query
    owner, words = query.get("owner") or query.get("author") or "", query.get("search", "")
    found = [model for model in library.all() if _matches(model, owner, words)]
    if query.get("sort") == "last_modified":
        found.sort(key=lambda model: -model.created)
    number, size = _count(query.get("page_number"), 1), _count(query.get("page_size"), 10)
    models = [_open_info(model) for model in found[(number - 1) * size : number * size]]
    return good_open({"models": models, "total_count": len(found), "page_number": number, "page_size": size})


def _list_owner(asked: Asked, library: Library) -> Reply:
    try:
        body = json.loads(asked.body)
        owner = str(body.get("Path") or "")
        number, size = _count(str(body.get("PageNumber")), 1), _count(str(body.get("PageSize")), 10)
    except (ValueError, AttributeError, RecursionError):
        return refused(400, 400, "The body is no question.")
    found = [model for model in library.all() if _matches(model, owner, "")]
    page = found[(number - 1) * size : number * size]
    return good({"Models": [_info(model) for model in page], "TotalCount": len(found)})


def _matches(model: ServedModel, owner: str, words: str) -> bool:
    repo_id = model.repo_id.lower()
    return owner.lower() in {"", repo_id.partition("/")[0]} and words.lower() in repo_id


def _count(text: str | None, default: int) -> int:
    return max(1, int(text)) if text and text.isascii() and text.isdigit() and len(text) < 6 else default


def _about(asked: Asked, library: Library, repo_id: str, rest: list[str]) -> Reply | None:
    query = asked.query
    revision = query.get("Revision") or "master"
    match rest:
        case ["repo"]:  # one file: the others need not be whole
            return _file(asked, library, repo_id, revision, query.get("FilePath", ""))
        case [] | ["revisions"]:
            found = library.whole_versions(repo_id)
            if not found:
                return _refusal("repo")
            return _revisions(found) if rest else good(_info(found[0]))
        case ["repo", "files"]:
            return _listed(asked, library, repo_id, revision)
        case ["commits"]:
            return _listed(asked, library, repo_id, query.get("Ref") or revision, is_history=True)
    return None


def _listed(asked: Asked, library: Library, repo_id: str, revision: str, *, is_history: bool = False) -> Reply:
    """Answer what a revision consists of, or came from."""
    found = library.whole_versions(repo_id, revision)
    model = pick(found, revision)
    if model is None:
        is_part = pick_of(found, revision) is not None
        return _refusal("part" if is_part else "revision" if found else "repo")
    if is_history:
        return json_reply({**_GOOD, "Data": {"Commit": [_commit(model)]}, "TotalCount": 1})
    is_recursive = is_true(asked.query.get("Recursive", ""))
    return _listing(model, asked.query.get("Root", "").strip("/"), is_recursive=is_recursive)


def _commit(model: ServedModel) -> object:
    created = int(model.created)
    names = {"Id": model.commit, "ShortId": model.commit[:8], "Title": "What this mirror has", "Message": ""}
    who = {"AuthorName": "qwen3ft-mirror", "CommitterName": "qwen3ft-mirror"}
    return {**names, **who, "AuthoredDate": created, "CommittedDate": created, "CreatedAt": created}


def _listing(model: ServedModel, root: str, *, is_recursive: bool) -> Reply:
    files = [_entry(entry, model) for entry in tree(model, root, is_recursive=is_recursive)]
    commit = {"Id": model.commit, "ShortId": model.commit[:8], "CommittedDate": int(model.created)}
    return good({"Files": files, "IsVisual": 0, "LatestCommitter": commit})


def _entry(entry: Folder | ServedFile, model: ServedModel) -> object:
    is_folder = isinstance(entry, Folder)
    return {
        "Name": entry.path.rpartition("/")[2],
        "Path": entry.path,
        "Type": "tree" if is_folder else "blob",
        "Mode": "16384" if is_folder else "33188",
        "Size": 0 if isinstance(entry, Folder) else entry.size,
        "IsLFS": isinstance(entry, ServedFile) and entry.is_lfs,
        "Sha256": "" if isinstance(entry, Folder) else entry.sha256,
        "Revision": model.commit,
        "CommitId": model.commit,
        "CommitMessage": "mirror",
        "CommitterName": "mirror",
        "CommittedDate": int(model.created),
        "InCheck": False,
    }


def _file(asked: Asked, library: Library, repo_id: str, revision: str, path: str) -> Reply:
    reply = file_reply(asked, library, FileQuestion(repo_id, revision, path))
    return _refusal(reply.what) if isinstance(reply, Missing) else reply


def _refusal(what: str) -> Reply:
    match what:
        case "repo":
            return refused(NO_REPO_STATUS, NO_REPO, NO_REPO_MESSAGE)
        case "revision":
            return refused(404, NO_REVISION, NO_REVISION_MESSAGE)
        case "part":
            return refused(404, NO_REVISION, PART_OF_COMMIT)
        case "file":
            return refused(404, NO_FILE, "The file is not in this repo.")
    return refused(410, NO_FILE, "This file is damaged on this mirror.")


def _info(model: ServedModel) -> object:
    owner, _, name = model.repo_id.partition("/")
    return {
        "Path": owner,
        "Name": name,
        "Revision": "master",
        "Visibility": 5,
        "CreatedTime": int(model.created),
        "LastUpdatedTime": int(model.created),
        "StorageSize": model.size,
        "Downloads": 0,
    }


def _revisions(found: list[ServedModel]) -> Reply:
    branches = [{"Revision": name, "CreatedAt": int(model.created)} for model in found for name in model.branches]
    return good({"RevisionMap": {"Branches": branches, "Tags": []}})


def _open_info(model: ServedModel) -> object:
    return {
        "id": model.repo_id,
        "display_name": model.repo_id,
        "downloads": 0,
        "likes": 0,
        "file_size": model.size,
        "created_at": int(model.created),
        "last_modified": int(model.created),
    }


def good(data: object) -> Reply:
    """Return an answer in ModelScope's envelope."""
    return json_reply({**_GOOD, "Data": data})


def good_open(data: object) -> Reply:
    """Return an answer in the envelope of the newer interface."""
    return json_reply({"success": True, "data": data, "request_id": ""})
