"""The sentences in which the mirror says no, and the form that Hugging Face's clients expect them in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.mirror.replies import json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.mirror.replies import Missing, Reply

NO_REPO = "This mirror does not have it whole. It serves the verified models of a qwen3ft cache, and nothing else."
NO_REVISION = "This mirror has another revision."
PART_OF_COMMIT = (
    "This mirror has files of that commit, but not all of them, so it does not list it. Leave the revision out: "
    "what is here is a commit of its own."
)
READ_ONLY = "This mirror is read-only."
NO_ANSWER: Final = (
    "This mirror has no answer to that: it has the files of models, at /OWNER/NAME/resolve/main/FILE, and nothing else."
)
MISDIRECTED: Final = (
    "This mirror is asked by a name that is not its own. If other machines are to reach it, start it with --host."
)


def read_only() -> Reply:
    """Return that nothing can be changed here."""
    return _said(405, READ_ONLY, {"Allow": "GET, HEAD"})


def no_answer() -> Reply:
    """Return that the hubs may know, but a mirror does not."""
    return _said(404, NO_ANSWER, {})


def misdirected() -> Reply:
    """Return that the request names another host than this; of a mirror for this machine alone, any other."""
    return _said(421, MISDIRECTED, {"Connection": "close"})


def _said(status: int, words: str, headers: Mapping[str, str]) -> Reply:
    """Return an error whose words clients of both hubs show, whichever was asked."""
    body = {"error": words, "Success": False, "Code": status, "Message": words, "message": words}
    return replace(json_reply(body, status=status, headers={"X-Error-Message": words, **headers}), reason=words)


def refused(status: int, code: str, message: str, *, commit: str = "") -> Reply:
    """Return an error; `message` becomes a header, so it is ours, never the client's."""
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    headers |= {"X-Repo-Commit": commit} if commit else {}
    return json_reply({"error": message}, status=status, headers=headers)


def no_repo() -> Reply:
    """Return that there is no such repo."""
    return refused(404, "RepoNotFound", NO_REPO)


def refusal(missing: Missing) -> Reply:
    """Return why a file is not handed out.

    Clients note for good which files a commit lacks. So a commit is named only where it is ours.
    """
    match missing.what:
        case "repo":
            return no_repo()
        case "revision":
            return refused(404, "RevisionNotFound", NO_REVISION)
        case "file":
            return refused(404, "EntryNotFound", "Entry not found", commit=missing.commit)
    # not EntryNotFound: clients would note for good that this commit lacks the file
    return refused(410, "", "This file is damaged on this mirror.")
