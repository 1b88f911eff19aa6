"""ModelScope's protocol, from the side that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.mirror.models import Folder, pick, tree
from qwen3ft_jupyter.mirror.replies import Missing, Reply, file_reply, json_reply
from qwen3ft_jupyter.settings.kinds import is_true

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedFile, ServedModel
    from qwen3ft_jupyter.mirror.replies import Asked

NO_REPO = 10010205001
NO_REPO_STATUS = 404
"""The hub itself answers 200 and says no in the body alone, which its client takes for an empty repo, downloaded."""
NO_REPO_MESSAGE = "The repo is not on this mirror."
NO_REVISION = 10010205002
NO_FILE = 10010205003
"""Codes in the hub's form; its clients go by the status and by `Success`."""


def answer(asked: Asked, library: Library) -> Reply | None:
    """Return the answer, or None if this is no question of this protocol."""
    match asked.parts if asked.is_read else ():
        case ("api", "v1", "models", owner, name, *rest):
            return _about(asked, library, f"{owner}/{name}", rest)
        case ("models", owner, name, "resolve", revision, *path):
            return _file(asked, library, f"{owner}/{name}", revision, "/".join(path))
        case ("api", "v1", "repos", "internalAccelerationInfo"):
            return _good({"InternalRegionQueryAddress": ""})  # no faster route than this one
        case ("openapi", "v1", "models", *repo):
            return _open_answer(library, "/".join(repo))
        case (owner, name, "info", "refs") if name.endswith(".git"):
            return _git_refs(library.whole_versions(f"{owner}/{name.removesuffix('.git')}"))
    return None


def refused(status: int, code: int, message: str) -> Reply:
    """Return an error in ModelScope's envelope."""
    body = {"Code": code, "Success": False, "Message": message, "Data": None, "RequestId": ""}
    return json_reply({**body, "success": False, "code": str(code), "message": message}, status=status)


def _open_answer(library: Library, repo_id: str) -> Reply:
    """Answer the newer interface: one model, or all of them."""
    if repo_id:
        found = library.whole_versions(repo_id)
        # here a missing repo is 404, as the hub does it
        return _open(_open_info(found[0])) if found else refused(404, NO_REPO, NO_REPO_MESSAGE)
    models = [_open_info(model) for model in library.all()]
    return _open({"models": models, "total_count": len(models), "page_number": 1, "page_size": len(models)})


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
            return _revisions(found) if rest else _good(_info(found[0]))
        case ["repo", "files"]:
            found = library.whole_versions(repo_id, revision)
            model = pick(found, revision)
            if model is None:
                return _refusal("revision" if found else "repo")
            is_recursive = is_true(query.get("Recursive", ""))
            return _listing(model, query.get("Root", "").strip("/"), is_recursive=is_recursive)
    return None


def _listing(model: ServedModel, root: str, *, is_recursive: bool) -> Reply:
    files = [_entry(entry, model) for entry in tree(model, root, is_recursive=is_recursive)]
    commit = {"Id": model.commit, "ShortId": model.commit[:8], "CommittedDate": int(model.created)}
    return _good({"Files": files, "IsVisual": 0, "LatestCommitter": commit})


def _entry(entry: Folder | ServedFile, model: ServedModel) -> object:
    is_folder = isinstance(entry, Folder)
    return {
        "Name": entry.path.rpartition("/")[2],
        "Path": entry.path,
        "Type": "tree" if is_folder else "blob",
        "Mode": "16384" if is_folder else "33188",
        "Size": 0 if isinstance(entry, Folder) else entry.size,
        "IsLFS": not is_folder,
        "Sha256": "" if isinstance(entry, Folder) else entry.sha256,
        "Revision": model.commit,
        "CommitId": model.commit,
        "CommitMessage": "mirror",
        "CommitterName": "mirror",
        "CommittedDate": int(model.created),
        "InCheck": False,
    }


def _file(asked: Asked, library: Library, repo_id: str, revision: str, path: str) -> Reply:
    reply = file_reply(asked, library, repo_id, revision, path)
    return _refusal(reply.what) if isinstance(reply, Missing) else reply


def _refusal(what: str) -> Reply:
    match what:
        case "repo":
            return refused(NO_REPO_STATUS, NO_REPO, NO_REPO_MESSAGE)
        case "revision":
            return refused(404, NO_REVISION, "This mirror has another revision.")
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
    return _good({"RevisionMap": {"Branches": branches, "Tags": []}})


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


def _git_refs(found: list[ServedModel]) -> Reply:
    """Answer as git does (gitprotocol-http): which commit each branch points to."""
    if not found:
        return refused(404, NO_REPO, NO_REPO_MESSAGE)
    refs = sorted((name, model.commit) for model in found for name in model.branches)
    lines = [f"{found[0].commit} HEAD\0symref=HEAD:refs/heads/master\n"] if found[0].is_default else []
    lines += [f"{commit} refs/heads/{name}\n" for name, commit in refs]
    packets = [_packet("# service=git-upload-pack\n"), b"0000", *map(_packet, lines), b"0000"]
    return Reply(200, {"Content-Type": "application/x-git-upload-pack-advertisement"}, b"".join(packets))


def _packet(line: str) -> bytes:
    data = line.encode()
    return b"%04x%s" % (len(data) + 4, data)


def _good(data: object) -> Reply:
    return json_reply({"Code": 200, "Success": True, "Message": "success", "RequestId": "", "Data": data})


def _open(data: object) -> Reply:
    return json_reply({"success": True, "data": data, "request_id": ""})
