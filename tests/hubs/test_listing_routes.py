"""Listings behind reverse proxies, redirects and half mirrors; and what a revision is called on either hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadListing, HubBusy, HubError, ModelNotFound, RevisionNotFound
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.routes import resolve
from qwen3ft_jupyter.work import Work
from tests.servers import Reply, ScriptedServer, Seen, json_reply, redirect
from tests.transfer.origin import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.hubs.listing import Hub

REPO = parse_repo_id("acme/Tiny-1")
COMMIT = "c" * 40
OTHER = "d" * 40
TOKEN = "made-up-token"
BLOB = {"Path": "config.json", "Type": "blob", "Size": 2, "Sha256": "f" * 64}
NOT_FOUND = json_reply({"Code": 10010205001, "Success": False, "Message": "record not found"}, 404)
NO_SUCH = json_reply({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})


def entry(path: str) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": 2, "oid": "a" * 40}


def client() -> HttpClient:
    return HttpClient(chance=lambda: 0.0)


# Pages


class Paged:
    """A hub with 2,500 files on three pages, each naming the next as the hub thinks it is called."""

    def __init__(self, name_of: Callable[[str], str], *, below: str = "") -> None:
        self.name_of = name_of
        self.below = below

    def __call__(self, seen: Seen) -> Reply:
        assert seen.path.startswith(self.below), seen.path
        if "/revision/" in seen.path:
            return json_reply({"sha": COMMIT})
        page = int(seen.query.get("cursor", "0"))
        if page == 2:
            return json_reply([entry(f"{page}-{number}.json") for number in range(500)])
        own = f"{seen.path}?recursive=true&expand=false&cursor={page + 1}"
        link = f'<{self.name_of(own)}>; rel="next"'
        return json_reply([entry(f"{page}-{number}.json") for number in range(1000)], headers={"Link": link})


@pytest.mark.parametrize(
    "name_of",
    [
        lambda own: own,
        lambda own: f"https://huggingface.co{own}",
        lambda own: f"http://10.255.255.1:8080{own}",
        lambda own: f"//hub.internal{own}",
        lambda own: f"https://hub.internal/some/prefix{own}",
        lambda own: f"http://user:secret@hub.internal{own}",
    ],
    ids=["relative", "the real hub", "inside", "no scheme", "another prefix", "with a password"],
)
@pytest.mark.parametrize("prefix", ["", "/artifactory/hf"])
def test_pages_are_all_asked_for_at_our_endpoint_whatever_the_hub_calls_itself(
    name_of: Callable[[str], str], prefix: str
) -> None:
    with ScriptedServer(Paged(name_of, below=prefix)) as server:
        listing = HuggingFaceHub(client(), f"{server.url}{prefix}", TOKEN).listing(REPO)
        cursors = [seen.query.get("cursor", "") for seen in server.seen if "/tree/" in seen.path]

    assert len(listing.files) == 2500
    assert cursors == ["", "1", "2"]
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {TOKEN}"}


def test_pages_of_a_hub_that_sends_on_to_another_host_are_found_and_no_token_goes_there() -> None:
    paged = Paged(lambda own: f"{real.url}{own}")
    front_of = ScriptedServer(lambda seen: redirect(f"{real.url}{seen.target}", 308))
    with ScriptedServer(paged) as real, front_of as front:
        listing = HuggingFaceHub(client(), front.url, TOKEN).listing(REPO)

    assert len(listing.files) == 2500
    assert not any("authorization" in seen.headers for seen in real.seen)
    assert all("authorization" in seen.headers for seen in front.seen)


@pytest.mark.parametrize(
    "link", ["http://other.example/", "https://other.example/api/datasets/a/tree/b", "http://[bad"]
)
def test_pages_that_are_none_of_a_tree_are_not_asked_for(link: str) -> None:
    def answer(seen: Seen) -> Reply:
        if "/revision/" in seen.path:
            return json_reply({"sha": COMMIT})
        return json_reply([entry("a.json")], headers={"Link": f'<{link}>; rel="next"'})

    with ScriptedServer(answer) as server, pytest.raises(BadListing, match="goes on at"):
        HuggingFaceHub(client(), server.url).listing(REPO)


# Half mirrors


@pytest.mark.parametrize("status", [400, 404, 405, 410, 501])
def test_an_endpoint_that_knows_the_commit_but_lists_no_files_is_called_what_it_is(status: int) -> None:
    def answer(seen: Seen) -> Reply:
        return json_reply({"sha": COMMIT}) if "/revision/" in seen.path else Reply(status, b"<html>no route</html>")

    with ScriptedServer(answer) as server, pytest.raises(HubError) as caught:
        HuggingFaceHub(client(), server.url).listing(REPO)

    assert "does not list its files" in caught.value.message
    assert "HF_ENDPOINT" in caught.value.hint
    assert type(caught.value) is HubError


@pytest.mark.parametrize("status", [404, 405])
def test_the_same_of_modelscope(status: int) -> None:
    line = f"{COMMIT} refs/heads/master\n"

    def answer(seen: Seen) -> Reply:
        is_git = seen.path.endswith("/info/refs")
        return Reply(200, f"{len(line) + 4:04x}{line}0000".encode()) if is_git else Reply(status, b"<html>no</html>")

    with ScriptedServer(answer) as server, pytest.raises(HubError, match="does not list its files") as caught:
        ModelScopeHub(client(), server.url).listing(REPO)

    assert "MODELSCOPE_ENDPOINT" in caught.value.hint


def test_the_next_hub_is_asked_where_one_lists_no_files_and_that_is_said() -> None:
    def half(seen: Seen) -> Reply:
        return json_reply({"sha": COMMIT}) if "/revision/" in seen.path else Reply(404)

    heard = Recorder()
    with ScriptedServer(half) as first, ScriptedServer(modelscope_with("master")) as second:
        hubs: dict[Any, Hub] = {
            "huggingface": HuggingFaceHub(client(), first.url),
            "modelscope": ModelScopeHub(client(), second.url),
        }
        listing = resolve(hubs, ("huggingface", "modelscope"), REPO, work=Work(reporter=heard))

    assert listing.hub == "modelscope"
    assert any("does not list its files" in notice for notice in heard.notices)


# Revisions


def modelscope_with(*branches: str, has_git: bool = True, wrong_status: int = 404) -> Callable[[Seen], Reply]:
    """Return a ModelScope with these branches, each at a commit of its own."""
    commits = {branch: f"{number:x}" * 40 for number, branch in enumerate(branches, 1)}
    lines = [f"{commit} refs/heads/{branch}\n" for branch, commit in commits.items()]
    refs = "".join(f"{len(line) + 4:04x}{line}" for line in lines) + "0000"
    table = {"Branches": [{"Revision": branch} for branch in branches], "Tags": []}

    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/info/refs"):
            return Reply(200, refs.encode()) if has_git else Reply(404)
        if seen.path.endswith("/revisions"):
            return json_reply({"Code": 200, "Success": True, "Data": {"RevisionMap": table}})
        if seen.query["Revision"] not in {*commits, *commits.values()}:
            return NOT_FOUND if wrong_status == 404 else Reply(wrong_status)
        return json_reply({"Code": 200, "Success": True, "Data": {"Files": [BLOB]}})

    return answer


def huggingface_with(*branches: str, has_codes: bool = True) -> Callable[[Seen], Reply]:
    commits = {branch: f"{number:x}" * 40 for number, branch in enumerate(branches, 1)}

    def answer(seen: Seen) -> Reply:
        _, _, revision = seen.path.partition("/revision/")
        if revision:
            commit = commits.get(revision, revision if revision in commits.values() else "")
            return json_reply({"sha": commit}) if commit else NO_SUCH if has_codes else Reply(404)
        return json_reply([entry("config.json")])

    return answer


@pytest.mark.parametrize("asked", ["main", "master", None])
@pytest.mark.parametrize(
    ("kind", "server_of", "own"),
    [
        (ModelScopeHub, modelscope_with("master"), "master"),
        (ModelScopeHub, modelscope_with("master", has_git=False), "master"),
        (HuggingFaceHub, huggingface_with("main"), "main"),
        (HuggingFaceHub, huggingface_with("main", has_codes=False), "main"),
    ],
    ids=["ModelScope", "ModelScope without git", "Hugging Face", "a mirror without codes"],
)
def test_either_name_of_a_default_branch_is_the_hubs_own(
    kind: Any, server_of: Callable[[Seen], Reply], own: str, asked: str | None
) -> None:
    with ScriptedServer(server_of) as server:
        hub = kind(client(), server.url)
        listing = hub.listing(REPO, asked)

    assert listing.revision == own
    assert [file.path for file in listing.files] == ["config.json"]


def test_the_commit_of_a_default_branch_is_known_by_either_name() -> None:
    with ScriptedServer(modelscope_with("master")) as one, ScriptedServer(huggingface_with("main")) as two:
        modelscope, huggingface = ModelScopeHub(client(), one.url), HuggingFaceHub(client(), two.url)

        assert modelscope.commit(REPO, "main") == modelscope.commit(REPO, "master") == "1" * 40
        assert huggingface.commit(REPO, "master") == huggingface.commit(REPO, "main") == "1" * 40


def test_a_branch_that_is_there_is_taken_by_its_name() -> None:
    """Some repos have both: then each name means its own branch."""
    with (
        ScriptedServer(modelscope_with("master", "main")) as one,
        ScriptedServer(huggingface_with("main", "master")) as two,
    ):
        on_modelscope = ModelScopeHub(client(), one.url).listing(REPO, "main")
        on_huggingface = HuggingFaceHub(client(), two.url).listing(REPO, "master")

    assert (on_modelscope.revision, on_modelscope.commit) == ("main", "2" * 40)
    assert (on_huggingface.revision, on_huggingface.commit) == ("master", "2" * 40)


@pytest.mark.parametrize("revision", ["develop", "v9", "Main", "mains", "trunk", OTHER])
@pytest.mark.parametrize(
    ("kind", "server_of"),
    [(ModelScopeHub, modelscope_with("master")), (HuggingFaceHub, huggingface_with("main"))],
)
def test_any_other_revision_that_is_not_there_is_named(kind: Any, server_of: Any, revision: str) -> None:
    with ScriptedServer(server_of) as server, pytest.raises(RevisionNotFound, match=revision):
        kind(client(), server.url).listing(REPO, revision)


def test_a_404_without_a_code_is_about_the_revision_where_the_model_is_there() -> None:
    with ScriptedServer(huggingface_with("main", has_codes=False)) as server:
        hub = HuggingFaceHub(client(), server.url)
        with pytest.raises(RevisionNotFound, match="v9"):
            hub.listing(REPO, "v9")


def test_a_404_without_a_code_is_about_the_model_where_nothing_is_there() -> None:
    with ScriptedServer(lambda _: Reply(404)) as server:
        hub = HuggingFaceHub(client(), server.url)
        with pytest.raises(ModelNotFound, match=r"no model called acme/Tiny-1[.]"):
            hub.listing(REPO, "v9")


def test_a_404_names_both_where_nobody_can_tell() -> None:
    def answer(seen: Seen) -> Reply:
        return Reply(404) if seen.path.endswith("/v9") else Reply(503, b"", {"Retry-After": "0"})

    with ScriptedServer(answer) as server, pytest.raises(ModelNotFound, match='or no revision "v9"'):
        HuggingFaceHub(client(), server.url).listing(REPO, "v9")


def test_a_commit_of_one_hub_is_asked_of_the_next_and_that_is_said() -> None:
    heard = Recorder()
    with ScriptedServer(modelscope_with("master")) as first, ScriptedServer(huggingface_with("x", "main")) as second:
        hubs: dict[Any, Hub] = {
            "modelscope": ModelScopeHub(client(), first.url),
            "huggingface": HuggingFaceHub(client(), second.url),
        }
        listing = resolve(hubs, ("modelscope", "huggingface"), REPO, "2" * 40, work=Work(reporter=heard))

    assert (listing.hub, listing.commit) == ("huggingface", "2" * 40)
    assert any("2" * 40 in notice for notice in heard.notices)


@pytest.mark.parametrize("asked", ["main", "master"])
def test_the_next_hub_takes_either_name_too(asked: str) -> None:
    with ScriptedServer(lambda _: NOT_FOUND) as first, ScriptedServer(huggingface_with("main")) as second:
        hubs: dict[Any, Hub] = {
            "modelscope": ModelScopeHub(client(), first.url),
            "huggingface": HuggingFaceHub(client(), second.url),
        }
        listing = resolve(hubs, ("modelscope", "huggingface"), REPO, asked, work=Work())

    assert (listing.hub, listing.revision) == ("huggingface", "main")


def test_a_failing_hub_is_not_taken_for_one_without_the_branch() -> None:
    failing = modelscope_with("master", has_git=False, wrong_status=503)
    with ScriptedServer(failing) as server, pytest.raises(HubBusy):
        ModelScopeHub(client(), server.url).listing(REPO, "v9")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("QwenLM/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("acme/qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("a/Practice", "qwen3ft/Qwen3-Practice"),
    ],
)
def test_a_model_that_is_known_under_another_owner_is_hinted_at(name: str, near: str) -> None:
    with ScriptedServer(lambda _: NOT_FOUND) as one, ScriptedServer(lambda _: Reply(404)) as two:
        for hub in (ModelScopeHub(client(), one.url), HuggingFaceHub(client(), two.url)):
            with pytest.raises(ModelNotFound) as caught:
                hub.listing(parse_repo_id(name))
            assert f'"{near}"' in caught.value.hint
