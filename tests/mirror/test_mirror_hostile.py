"""Requests that mean to reach a file outside what is listed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest

from tests.mirror.conftest import REPO, ask

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.mirror import Mirror

HOSTILE = [
    "../elsewhere/secret.txt",
    "..%2felsewhere%2fsecret.txt",
    "%2e%2e/elsewhere/secret.txt",
    "sub/../config.json",
    "sub/%2e%2e/config.json",
    "./config.json",
    "//config.json",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "..\\config.json",
    "config.json%00",
    "config.json/",
    "CONFIG.json",
    ".env",
    ".git/config",
    ".qwen3ft/manifest.json",
    "outside.txt",
    "linked/secret.txt",
    "optimizer.pt",
    "sub",
    "",
    "%252e%252e/elsewhere/secret.txt",
    "..%252felsewhere%252fsecret.txt",
    "..%5celsewhere%5csecret.txt",
    "..;/elsewhere/secret.txt",
    "%c0%ae%c0%ae/elsewhere/secret.txt",
    "%ef%bc%8e%ef%bc%8e/elsewhere/secret.txt",
    "sub/../../elsewhere/secret.txt",
    "sub%2f..%2f..%2felsewhere%2fsecret.txt",
    "....//elsewhere/secret.txt",
    "%2e%2e%2felsewhere%00.json",
    "%00/etc/passwd",
    "outside.txt%00config.json",
    "file:///etc/passwd",
    "C:%5cWindows%5cwin.ini",
    "%5c%5chost%5cshare",
    "/proc/self/environ",
    "%2fproc%2fself%2fenviron",
    "~/.ssh/id_rsa",
    "config.json.",
    "config.json%20",
    "config.json::$DATA",
    "config.json%0a",
    "linked%2fsecret.txt",
    "linked/../linked/secret.txt",
    "outside.txt/",
    ".env%2f",
    ".git%2fconfig",
    "%2egit/config",
    "sub/deep/..",
    "?",
    "%3f",
    "%",
    "%zz",
    "config.json#x",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_but_listed_names_is_served(mirror: Mirror, path: str) -> None:
    places = (f"/{REPO}/resolve/main", f"/{REPO}/raw/main", f"/models/{REPO}/resolve/main", f"/models/{REPO}/raw/main")
    ways = [f"{place}/{path}" for place in places]
    ways += [f"/api/v1/models/{REPO}/repo?Revision=master&FilePath={way}" for way in (path, quote(path, safe=""))]

    answers = [ask(mirror.url, way) for way in ways if " " not in way]

    # a slash too many at the end is dropped, as the hubs do; it names a listed file all the same
    allowed = {200, 404} if path == "config.json/" else {404}
    if "#" in path:
        allowed = {200, 404}  # in a query it ends the name
    assert {answer.status for answer in answers} <= allowed
    assert not any(leaks(answer.body) for answer in answers)


def leaks(body: bytes) -> bool:
    """Return whether a body holds something of a file that is not listed."""
    return any(words in body for words in (b"secret", b"root:", b"PATH=", b"pickle"))


@pytest.mark.parametrize("path", HOSTILE)
def test_no_listing_leaves_the_model(mirror: Mirror, path: str) -> None:
    """As a folder, as a revision, as part of a repo's name, and in the body of a question."""
    targets = [
        f"/api/models/{REPO}/tree/main/{path}",
        f"/api/v1/models/{REPO}/repo/files?Revision=master&Recursive=True&Root={quote(path, safe='')}",
        f"/api/v1/models/{REPO}/repo/files?Revision={quote(path, safe='')}",
        f"/api/models/{REPO}/revision/{quote(path, safe='')}",
        f"/{REPO}/resolve/{quote(path, safe='')}/config.json",
        f"/api/models/{quote(path, safe='')}/{quote(path, safe='')}",
        f"/api/models/{path}/tree/main",
        f"/{quote(path, safe='')}.git/info/refs",
        f"/qwen3ft/{quote(path, safe='')}/git-upload-pack",
    ]
    answers = [ask(mirror.url, target) for target in targets if " " not in target]
    body = json.dumps({"paths": [path, unquote(path)]}).encode()
    answers += [
        ask(
            mirror.url, f"/api/models/{REPO}/paths-info/main", method="POST", body=body, Content_Type="application/json"
        )
    ]

    named = json.loads(answers[-1].body)
    assert {entry["path"] for entry in named} <= {"config.json", "sub", "sub/deep"}
    assert not any(leaks(answer.body) for answer in answers)
    assert {answer.status for answer in answers} <= {200, 404}


@pytest.mark.parametrize(
    "target",
    [
        "/qwen3ft/../qwen3ft/Qwen3-Practice/resolve/main/config.json",
        "/..%2f..%2fetc/passwd/resolve/main/x",
        "/api/v1/models/..%2f../etc/repo?FilePath=passwd",
        "/api/models/%00/%00",
        "/" + "a/" * 3000,
    ],
)
def test_hostile_repo_names_are_just_not_there(mirror: Mirror, target: str) -> None:
    answer = ask(mirror.url, target)

    assert answer.status == 404 or json.loads(answer.body)["Success"] is False
