"""The Hugging Face hub's protocol, from the side that answers."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlencode

from qwen3ft_jupyter.mirror.models import Folder, ServedFile, pick, tree
from qwen3ft_jupyter.mirror.replies import Missing, Reply, file_reply, json_reply
from qwen3ft_jupyter.settings.kinds import is_true

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedModel
    from qwen3ft_jupyter.mirror.replies import Asked

PAGE_SIZE = 1000
"""Entries of a tree in one answer, as on the hub."""


def answer(asked: Asked, library: Library) -> Reply | None:
    """Return the answer, or None if this is no question of this protocol."""
    match asked.parts:
        case ("api", "models"):
            return json_reply([_info(model, has_blobs=False) for model in library.all()])
        case ("api", "models", owner, name, *rest):
            return _about(asked, library, f"{owner}/{name}", rest)
        case (owner, name, "resolve", revision, *path) if asked.is_read:
            reply = file_reply(asked, library, f"{owner}/{name}", revision, "/".join(path))
            return _refusal(reply) if isinstance(reply, Missing) else reply
    return None


def refused(status: int, code: str, message: str, *, commit: str = "") -> Reply:
    """Return an error; `message` becomes a header, so it is ours, never the client's."""
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    headers |= {"X-Repo-Commit": commit} if commit else {}
    return json_reply({"error": message}, status=status, headers=headers)


def _about(asked: Asked, library: Library, repo_id: str, rest: list[str]) -> Reply | None:
    match rest:
        case [] if asked.is_read:
            topic, revision, path = "revision", "", ""
        case ["refs"] if asked.is_read:
            found = library.whole_versions(repo_id)
            return _refs(found) if found else _no_repo()
        case [("revision" | "tree" | "paths-info") as topic, revision, *parts]:
            path = "/".join(parts)
        case _:
            return None
    found = library.whole_versions(repo_id, revision)
    model = pick(found, revision)
    if model is None:
        return _refusal(Missing("revision" if found else "repo"))
    return _at(asked, model, topic, path)


def _at(asked: Asked, model: ServedModel, topic: str, path: str) -> Reply | None:
    """Answer a question about one commit."""
    if topic == "revision" and asked.is_read:
        return _info_reply(asked, model)
    if topic == "tree" and asked.is_read:
        return _tree(asked, model, path)
    if topic == "paths-info" and asked.method == "POST":
        return _paths_info(asked, model)
    return None


def _info_reply(asked: Asked, model: ServedModel) -> Reply:
    has_blobs = is_true(asked.query.get("blobs", ""))
    return json_reply(_info(model, has_blobs=has_blobs), headers={"X-Repo-Commit": model.commit})


def _info(model: ServedModel, *, has_blobs: bool) -> object:
    moment = _time(model.created)
    siblings = [_sibling(file, has_blobs=has_blobs) for file in model.below("")]
    return {
        "_id": model.commit[:24],
        "id": model.repo_id,
        "modelId": model.repo_id,
        "author": model.repo_id.partition("/")[0],
        "sha": model.commit,
        "lastModified": moment,
        "createdAt": moment,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": siblings,
        "usedStorage": model.size,
    }


def _sibling(file: ServedFile, *, has_blobs: bool) -> object:
    blob = {"size": file.size, "blobId": file.git_sha1, "lfs": _lfs(file)} if has_blobs else {}
    return {"rfilename": file.path, **blob}


def _refs(found: list[ServedModel]) -> Reply:
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": model.commit}
        for model in found
        for name in model.branches
    ]
    return json_reply({"branches": branches, "tags": [], "converts": []})


def _tree(asked: Asked, model: ServedModel, root: str) -> Reply:
    query = asked.query
    entries = tree(model, root, is_recursive=is_true(query.get("recursive", "")))
    if not entries:
        return refused(404, "EntryNotFound", "There is no such folder.", commit=model.commit)
    is_expanded = is_true(query.get("expand", ""))
    start = _number(query.get("cursor"), 0)
    limit = max(1, min(PAGE_SIZE, _number(query.get("limit"), PAGE_SIZE)))
    page = [_entry(entry, model, is_expanded=is_expanded) for entry in entries[start : start + limit]]
    headers = {"X-Repo-Commit": model.commit}
    if start + limit < len(entries):
        following = urlencode({**query, "cursor": start + limit}, quote_via=quote)
        headers["Link"] = f'<{asked.origin}{_clean(asked)}?{following}>; rel="next"'
    return json_reply(page, headers=headers)


def _clean(asked: Asked) -> str:
    """Return the path of the request, escaped by us."""
    return "/" + "/".join(quote(part, safe="") for part in asked.parts)


def _paths_info(asked: Asked, model: ServedModel) -> Reply:
    """Describe the paths named in the body, as JSON or as a form; those that are not there are left out."""
    try:
        if "json" in asked.headers.get("content-type", ""):
            body = json.loads(asked.body)
            paths, is_expanded = body["paths"], body.get("expand") is True
        else:
            form = parse_qs(asked.body.decode())
            paths, is_expanded = form["paths"], is_true(form.get("expand", [""])[0])
        paths = [paths] if isinstance(paths, str) else paths
        named = {path.strip("/") for path in paths}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return refused(400, "", "The body names no paths.")
    entries = [entry for entry in tree(model, "", is_recursive=True) if entry.path in named]
    return json_reply([_entry(entry, model, is_expanded=is_expanded) for entry in entries])


def _entry(entry: Folder | ServedFile, model: ServedModel, *, is_expanded: bool) -> object:
    last = {"id": model.commit, "title": "mirror", "date": _time(model.created)}
    extra = {"lastCommit": last} if is_expanded else {}
    if isinstance(entry, Folder):
        return {"type": "directory", "oid": entry.git_sha1, "size": 0, "path": entry.path, **extra}
    file = {"type": "file", "oid": entry.git_sha1, "size": entry.size, "path": entry.path, "lfs": _lfs(entry)}
    return file | extra


def _lfs(file: ServedFile) -> object:
    """Every file is shown as a large one: those carry a sha256, so that clients can check what they get."""
    return {"oid": file.sha256, "sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}


def _refusal(missing: Missing) -> Reply:
    match missing.what:
        case "repo":
            return _no_repo()
        case "revision":
            return refused(404, "RevisionNotFound", "Invalid rev id: this mirror has another one")
        case "file":
            return refused(404, "EntryNotFound", "Entry not found", commit=missing.commit)
    # not EntryNotFound: clients would note for good that this commit lacks the file
    return refused(410, "", "This file is damaged on this mirror.")


def _no_repo() -> Reply:
    return refused(404, "RepoNotFound", "Repository not found")


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else default
