"""The Hugging Face hub's protocol, from the side that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.hubs.huggingface import A_PART
from qwen3ft_jupyter.mirror import hf_models
from qwen3ft_jupyter.mirror.models import pick, pick_of
from qwen3ft_jupyter.mirror.refusals import NO_REVISION, PART_OF_COMMIT, READ_ONLY, no_repo, refusal, refused
from qwen3ft_jupyter.mirror.replies import FileQuestion, Missing, Reply, file_reply, find_version, json_reply

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.library import Library
    from qwen3ft_jupyter.mirror.models import ServedModel
    from qwen3ft_jupyter.mirror.replies import Asked

OTHER_KINDS: Final = ("datasets", "spaces")
"""Repos of which a mirror has none."""
_TOPICS: Final = ("revision", "tree", "paths-info", "commits")
"""What is asked of one commit; what comes before it is a name without owner."""


def answer(asked: Asked, library: Library) -> Reply | None:
    """Return the answer, or None if this is no question of this protocol."""
    match asked.parts:
        case ("api", *parts):
            return _api(asked, library, parts)
        case (kind, _, _, "resolve" | "raw", *_) if kind in OTHER_KINDS:
            return no_repo()
        case (_, "resolve" | "raw", *_) if asked.is_read:  # a name without owner, of which there are old ones
            return no_repo()
        case (owner, name, ("resolve" | "raw") as way, revision, *path) if asked.is_read:
            question = FileQuestion(f"{owner}/{name}", revision, "/".join(path), is_by_git=True)
            return _file(asked, library, question) if way == "resolve" else _raw(asked, library, question)
    return None


def _api(asked: Asked, library: Library, parts: list[str]) -> Reply | None:
    match parts:
        case ["models"] if asked.is_read:
            return hf_models.list_models(asked, library.all())
        case [kind] if kind in OTHER_KINDS and asked.is_read:
            return json_reply([])
        case ["models", owner, name, *rest]:
            reply = _about(asked, library, f"{owner}/{name}", rest)
            if reply is None and (asked.is_read or name in _TOPICS) and not library.versions(f"{owner}/{name}"):
                return no_repo()
            return reply
        case [kind, _, *_] if kind in {"models", *OTHER_KINDS}:
            return no_repo()
    return None


def _about(asked: Asked, library: Library, repo_id: str, rest: list[str]) -> Reply | None:
    """Answer a question about one repo."""
    match rest:
        case [] if asked.is_read:
            topic, revision, path = "revision", "", ""
        case [("refs" | "auth-check") as topic, *deeper] if asked.is_read:
            return _about_all(library, repo_id, topic, deeper)
        case [topic, revision, *parts] if topic in _TOPICS:
            path = "/".join(parts)
        case _:
            return None
    found = library.whole_versions(repo_id, revision)
    model = pick(found, revision)
    if model is None and topic == "revision" and A_PART in asked.query:
        model = pick_of(found, revision)  # for its bytes alone, and under the commit that the answer names
    if model is not None:
        return _at(asked, library, model, topic, path)
    if not found:
        return no_repo()
    reason = NO_REVISION if pick_of(found, revision) is None else PART_OF_COMMIT
    return refused(404, "RevisionNotFound", reason)


def _about_all(library: Library, repo_id: str, topic: str, deeper: list[str]) -> Reply | None:
    """Answer a question about all revisions of a repo."""
    found = library.whole_versions(repo_id)
    if not found:
        return no_repo()
    if topic == "refs":
        return _refs(found)
    return refused(403, "", READ_ONLY) if deeper else json_reply({})


def _at(asked: Asked, library: Library, model: ServedModel, topic: str, path: str) -> Reply | None:
    """Answer a question about one commit."""
    if topic == "paths-info":
        return hf_models.list_paths(asked, library, model) if asked.method == "POST" else None
    if not asked.is_read:
        return None
    if topic == "revision":
        return hf_models.info(asked, library, model)
    if topic == "commits":
        return json_reply([hf_models.describe_commit(model)], headers={"X-Total-Count": "1"})
    return hf_models.list_tree(asked, library, model, path)


def _refs(found: list[ServedModel]) -> Reply:
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": model.commit}
        for model in found
        for name in model.branches
    ]
    return json_reply({"branches": branches, "tags": [], "converts": [], "pullRequests": []})


def _file(asked: Asked, library: Library, question: FileQuestion) -> Reply:
    reply = file_reply(asked, library, question)
    return refusal(reply) if isinstance(reply, Missing) else reply


def _raw(asked: Asked, library: Library, question: FileQuestion) -> Reply:
    """Return what git keeps: of a file in LFS, the pointer."""
    model, commit = find_version(library.versions(question.repo_id, question.revision), question.revision)
    file = model.files.get(question.path) if model is not None else None
    if file is None or not file.is_lfs:
        return _file(asked, library, question)
    headers = {"Content-Type": "text/plain; charset=utf-8", "ETag": f'"{file.pointer_sha1}"', "X-Repo-Commit": commit}
    return Reply(200, headers, file.pointer)
