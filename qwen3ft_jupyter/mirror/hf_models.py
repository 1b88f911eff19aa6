"""What Hugging Face's hub says of models: which there are, and what is in one."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

from qwen3ft_jupyter.mirror.models import Folder, tree
from qwen3ft_jupyter.mirror.refusals import no_repo, refused
from qwen3ft_jupyter.mirror.replies import json_reply
from qwen3ft_jupyter.settings.kinds import is_true

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedFile, ServedModel
    from qwen3ft_jupyter.mirror.replies import Asked, Reply

PAGE_SIZE: Final = 1000
"""Entries of a list in one answer, as on the hub."""
_UNKNOWN_FILTERS: Final = ("apps", "inference", "inference_provider", "num_parameters", "trained_dataset")
"""What the mirror knows of no model, so that none passes."""


def list_models(asked: Asked, models: Sequence[ServedModel]) -> Reply:
    """Return the models that pass the filters of a question, in its order."""
    query = asked.query
    found = [model for model in models if _passes(asked, model)]
    if query.get("sort") in {"createdAt", "lastModified", "created_at", "last_modified"}:
        found.sort(key=lambda model: model.created, reverse=query.get("direction") != "1")
    is_full = query.get("full", "") not in {"", "0", "false", "False"} or "expand" in query
    return _paged(asked, [_listed(model, is_full=is_full) for model in found])


def info(asked: Asked, library: Library, model: ServedModel) -> Reply:
    """Return what is known of a model at one commit."""
    git_names: Mapping[str, str] | None = None
    if is_true(asked.query.get("blobs", "")):
        git_names = name_by_git(library, model, model.files.values())
        if git_names is None:
            return no_repo()
    siblings = [_sibling(file, git_names) for file in model.below("")]
    body = {**_summary(model), "sha": model.commit, "siblings": siblings, "usedStorage": model.size}
    return json_reply(body, headers={"X-Repo-Commit": model.commit})


def list_tree(asked: Asked, library: Library, model: ServedModel, root: str) -> Reply:
    """Return a page of a folder's entries."""
    query = asked.query
    entries = tree(model, root, is_recursive=is_true(query.get("recursive", "")))
    if not entries:
        return refused(404, "EntryNotFound", "There is no such folder.", commit=model.commit)
    git_names = name_by_git(library, model, (entry for entry in entries if not isinstance(entry, Folder)))
    if git_names is None:
        return no_repo()
    is_expanded = is_true(query.get("expand", ""))
    listed = [_entry(entry, model, git_names, is_expanded=is_expanded) for entry in entries]
    return _paged(asked, listed, {"X-Repo-Commit": model.commit})


def list_paths(asked: Asked, library: Library, model: ServedModel) -> Reply:
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
    git_names = name_by_git(library, model, (entry for entry in entries if not isinstance(entry, Folder)))
    if git_names is None:
        return no_repo()
    return json_reply([_entry(entry, model, git_names, is_expanded=is_expanded) for entry in entries])


def name_by_git(library: Library, model: ServedModel, files: Iterable[ServedFile]) -> Mapping[str, str] | None:
    """Return git's digest of each file that is not in LFS, by path; None if one is not as listed any more.

    Raises:
        OSError: The machine is exhausted just now.
        Stopped: The mirror is closing.
    """
    names = {file.path: library.git_sha1(model, file) for file in files if not file.is_lfs}
    return None if None in names.values() else {str(path): name for path, name in names.items() if name is not None}


def describe_commit(model: ServedModel) -> object:
    """Return the one commit that there is of a model."""
    return {
        "id": model.commit,
        "title": "What this mirror has",
        "message": "",
        "authors": [{"user": "qwen3ft-mirror", "avatar": ""}],
        "date": _time(model.created),
    }


def _passes(asked: Asked, model: ServedModel) -> bool:
    query = asked.query
    repo_id = model.repo_id.lower()
    tags = {tag.lower() for tag in _tags(model)}
    filters = [value for name, value in _pairs(asked) if name.removesuffix("[]") in {"filter", "tags"}]
    return (
        all(word in repo_id for word in query.get("search", "").lower().split())
        and query.get("author", "").lower() in {"", repo_id.partition("/")[0]}
        and not is_true(query.get("gated", ""))
        and not query.get("pipeline_tag")
        and not any(query.get(name) for name in _UNKNOWN_FILTERS)
        and all(tag.lower() in tags for value in filters for tag in value.split(","))
    )


def _pairs(asked: Asked) -> list[tuple[str, str]]:
    return parse_qsl(asked.target.partition("?")[2])


def _tags(model: ServedModel) -> list[str]:
    return ["safetensors"] if any(path.endswith(".safetensors") for path in model.files) else []


def _summary(model: ServedModel) -> dict[str, object]:
    moment = _time(model.created)
    return {
        "_id": model.commit[:24],
        "id": model.repo_id,
        "modelId": model.repo_id,
        "author": model.repo_id.partition("/")[0],
        "lastModified": moment,
        "createdAt": moment,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(model),
    }


def _listed(model: ServedModel, *, is_full: bool) -> object:
    siblings = [_sibling(file, None) for file in model.below("")]
    return {**_summary(model), **({"sha": model.commit, "siblings": siblings} if is_full else {})}


def _sibling(file: ServedFile, git_names: Mapping[str, str] | None) -> object:
    if git_names is None:
        return {"rfilename": file.path}
    blob = {"size": file.size, "blobId": _oid(file, git_names)}
    return {"rfilename": file.path, **blob, **({"lfs": _lfs(file)} if file.is_lfs else {})}


def _paged(asked: Asked, entries: Sequence[object], headers: Mapping[str, str] | None = None) -> Reply:
    """Return the page of a list that is asked for, with the address of the next."""
    query = asked.query
    start = _number(query.get("cursor"), 0)
    limit = max(1, min(PAGE_SIZE, _number(query.get("limit"), PAGE_SIZE)))
    headers = dict(headers or {})
    if start + limit < len(entries):
        kept = [(name, value) for name, value in _pairs(asked) if name != "cursor"]
        following = urlencode([*kept, ("cursor", str(start + limit))], quote_via=quote)
        headers["Link"] = f'<{asked.origin}{_clean(asked)}?{following}>; rel="next"'
    return json_reply(entries[start : start + limit], headers=headers)


def _clean(asked: Asked) -> str:
    """Return the path of the request, escaped by us."""
    return "/" + "/".join(quote(part, safe="") for part in asked.parts)


def _entry(
    entry: Folder | ServedFile, model: ServedModel, git_names: Mapping[str, str], *, is_expanded: bool
) -> object:
    last = {"id": model.commit, "title": "mirror", "date": _time(model.created)}
    extra: dict[str, object] = {"lastCommit": last} if is_expanded else {}
    if isinstance(entry, Folder):
        return {"type": "directory", "oid": entry.git_sha1, "size": 0, "path": entry.path, **extra}
    file = {"type": "file", "oid": _oid(entry, git_names), "size": entry.size, "path": entry.path}
    # the digest that the hub's listing lacks: whichever hub lists a file, our own client finds it by one of them
    other: dict[str, object] = {"lfs": _lfs(entry)} if entry.is_lfs else {"sha256": entry.sha256}
    return file | other | extra


def _oid(file: ServedFile, git_names: Mapping[str, str]) -> str:
    """Return git's name of what it keeps: the file, or a pointer to it."""
    return file.pointer_sha1 if file.is_lfs else git_names[file.path]


def _lfs(file: ServedFile) -> object:
    return {"oid": file.sha256, "sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else default
