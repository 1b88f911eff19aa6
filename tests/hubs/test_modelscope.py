from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import (
    AccessDenied,
    BadListing,
    BadSetting,
    HubBusy,
    HubError,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    RevisionNotFound,
    Stopped,
    UnsafeModel,
)
from qwen3ft_jupyter.hubs import modelscope
from qwen3ft_jupyter.hubs.git_refs import commit_of, parse_refs
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.modelscope import TRUNCATED_AT, ModelScopeHub
from qwen3ft_jupyter.hubs.names import LeftOut, parse_repo_id
from tests.servers import ABORT, Reply, ScriptedServer, Seen, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO = parse_repo_id("Qwen/Qwen3-0.6B")
COMMIT = "c" * 40
OTHER_COMMIT = "d" * 40
DIGEST = "f" * 64
LISTING = "/api/v1/models/Qwen/Qwen3-0.6B/repo/files"
REFS = "/Qwen/Qwen3-0.6B.git/info/refs"
REVISIONS = "/api/v1/models/Qwen/Qwen3-0.6B/revisions"


def pkt(line: str) -> bytes:
    return f"{len(line) + 4:04x}{line}".encode()


def refs_of(**commits: str) -> bytes:
    first, *rest = [f"{commit} {name.replace('__', '/')}" for name, commit in commits.items()]
    lines = [pkt(f"{first}\0side-band-64k agent=git\n"), *(pkt(f"{line}\n") for line in rest)]
    return pkt("# service=git-upload-pack\n") + b"0000" + b"".join(lines) + b"0000"


def blob(path: str, size: Any = 5, sha256: Any = DIGEST) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {"Name": name, "Path": path, "Type": "blob", "Size": size, "Sha256": sha256, "IsLFS": False, "Mode": "33188"}


def tree(path: str) -> dict[str, Any]:
    return {"Name": path.rpartition("/")[2], "Path": path, "Type": "tree", "Size": 0, "Sha256": ""}


def envelope(files: Any, **data: Any) -> dict[str, Any]:
    return {"Code": 200, "Success": True, "Message": "success", "Data": {"Files": files, "IsVisual": 0, **data}}


def refusal(message: str, code: int = 10010205001) -> dict[str, Any]:
    return {"Code": code, "Success": False, "Message": message, "Data": None}


class Play:
    """A ModelScope whose parts a test replaces."""

    def __init__(self) -> None:
        self.refs: Reply = Reply(200, refs_of(HEAD=COMMIT, refs__heads__master=COMMIT))
        self.listing: Any = json_reply(envelope([blob("config.json"), blob("model.safetensors", 1503300328)]))
        self.revisions: Reply = json_reply(refusal("not found"), 404)

    def __call__(self, request: Seen) -> Reply:
        if request.path == REFS:
            if not request.headers["user-agent"].startswith("git/"):
                return Reply(421)
            return self.refs
        if request.path == REVISIONS:
            return self.revisions
        assert request.path == LISTING
        reply = self.listing(request) if callable(self.listing) else self.listing
        assert isinstance(reply, Reply)
        return reply


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.fixture
def server(play: Play) -> Iterator[ScriptedServer]:
    with ScriptedServer(play) as server:
        yield server


@pytest.fixture
def hub(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ModelScopeHub:
    monkeypatch.setattr(modelscope, "DENIAL_PAUSES_S", (0.0, 0.0, 0.0))
    return ModelScopeHub(HttpClient(idle_timeout_s=2.0, chance=lambda: 0.0), f"{server.url}/")


def listings(server: ScriptedServer) -> list[dict[str, str]]:
    return [request.query for request in server.seen if request.path == LISTING]


class TestListing:
    def test_files_come_with_size_and_digest_at_the_commit_of_the_branch(
        self, hub: ModelScopeHub, server: ScriptedServer
    ) -> None:
        listing = hub.listing(REPO)

        assert [(file.path, file.size, file.sha256) for file in listing.files] == [
            ("config.json", 5, DIGEST),
            ("model.safetensors", 1503300328, DIGEST),
        ]
        assert (listing.hub, listing.repo_id, listing.revision) == ("modelscope", REPO, "master")
        assert listing.commit == listing.pin == COMMIT
        assert listing.size == 1503300333
        assert listings(server) == [{"Revision": COMMIT, "Recursive": "True"}]

    def test_a_file_is_asked_for_by_commit(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = json_reply(envelope([blob("a b/\u8bf4\u660e&x=1#2+3.md")]))
        listing = hub.listing(REPO)

        url = hub.file_request(listing, listing.files[0]).url

        quoted = "a%20b%2F%E8%AF%B4%E6%98%8E%26x%3D1%232%2B3.md"
        assert url.endswith(f"/api/v1/models/Qwen/Qwen3-0.6B/repo?Revision={COMMIT}&FilePath={quoted}")

    def test_folders_and_unwanted_files_are_left_out(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = json_reply(
            envelope([tree("sub"), blob("sub/a.json"), blob(".gitattributes"), blob("pytorch_model.bin", -1, "none")])
        )

        listing = hub.listing(REPO)

        assert [file.path for file in listing.files] == ["sub/a.json"]
        assert listing.left_out == (LeftOut("pytorch_model.bin", 0),)

    def test_a_repo_of_which_nothing_is_wanted_is_refused_with_what_it_holds(
        self, hub: ModelScopeHub, play: Play
    ) -> None:
        play.listing = json_reply(envelope([blob(".gitattributes"), blob("pytorch_model.bin", 10**9)]))

        with pytest.raises(UnsafeModel, match=r"pytorch_model\.bin \(1\.0 GB\)"):
            hub.listing(REPO)

    @pytest.mark.parametrize(
        "refused",
        [
            json_reply(refusal("no"), 404),
            json_reply(refusal("no")),
            json_reply(envelope([])),
            Reply(200, b"<html>"),
            Reply(500, b"", {"Retry-After": "0"}),
        ],
    )
    def test_a_hub_that_refuses_the_commit_is_asked_by_name(
        self, hub: ModelScopeHub, play: Play, refused: Reply
    ) -> None:
        good = play.listing
        play.listing = lambda request: good if request.query["Revision"] == "master" else refused

        listing = hub.listing(REPO)

        assert (listing.commit, listing.pin) == (COMMIT, "master")
        assert "Revision=master" in hub.file_request(listing, listing.files[0]).url

    @pytest.mark.parametrize(
        "refs",
        [
            Reply(421),
            Reply(404),
            Reply(500),
            Reply(200, b"<html>"),
            Reply(200, b""),
            Reply(200, [ABORT]),
            Reply(200, b"x" * (5 << 20)),
        ],
    )
    def test_without_git_the_latest_committer_names_the_commit(
        self, hub: ModelScopeHub, play: Play, refs: Reply
    ) -> None:
        play.refs = refs
        play.listing = json_reply(envelope([blob("a.json")], LatestCommitter={"Id": OTHER_COMMIT}))

        listing = hub.listing(REPO)

        assert (listing.commit, listing.pin) == (OTHER_COMMIT, "master")

    @pytest.mark.parametrize("latest", [None, {}, {"Id": "short"}, {"Id": 5}, "text"])
    def test_with_neither_the_commit_is_empty(self, hub: ModelScopeHub, play: Play, latest: Any) -> None:
        play.refs = Reply(404)
        play.listing = json_reply(envelope([blob("a.json")], LatestCommitter=latest))

        assert hub.listing(REPO).commit == ""

    def test_a_tag_is_peeled_to_its_commit(self, hub: ModelScopeHub, play: Play) -> None:
        refs = {"refs__heads__master": COMMIT, "refs__tags__v1": "a" * 40, "refs__tags__v1^{}": OTHER_COMMIT}
        play.refs = Reply(200, refs_of(**refs))

        listing = hub.listing(REPO, "v1")

        assert (listing.revision, listing.commit) == ("v1", OTHER_COMMIT)

    def test_a_commit_is_asked_for_as_it_is(self, hub: ModelScopeHub, server: ScriptedServer) -> None:
        listing = hub.listing(REPO, OTHER_COMMIT)

        assert listing.revision == listing.commit == listing.pin == OTHER_COMMIT
        assert listings(server) == [{"Revision": OTHER_COMMIT, "Recursive": "True"}]


class TestRefusals:
    def test_a_missing_repo_that_answers_200_is_missing(self, hub: ModelScopeHub, play: Play) -> None:
        play.refs = Reply(404)
        play.listing = json_reply(refusal("record not found"))

        with pytest.raises(ModelNotFound, match=r"ModelScope has no model called Qwen/Qwen3-0\.6B") as caught:
            hub.listing(REPO)

        assert "MODELSCOPE_API_TOKEN" in caught.value.hint

    def test_a_missing_repo_that_answers_404_is_missing(self, hub: ModelScopeHub, play: Play) -> None:
        play.refs = Reply(404)
        play.listing = Reply(404, b"<html>not found</html>")

        with pytest.raises(ModelNotFound):
            hub.listing(REPO)

    def test_a_wrong_revision_is_told_from_a_missing_repo_by_git(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = json_reply(refusal("record not found"))

        with pytest.raises(RevisionNotFound, match='no revision "v9"') as caught:
            hub.listing(REPO, "v9")

        assert "master" in caught.value.hint

    def test_a_wrong_revision_is_told_from_a_missing_repo_by_the_list_of_revisions(
        self, hub: ModelScopeHub, play: Play
    ) -> None:
        play.refs = Reply(421)
        play.listing = json_reply(refusal("record not found"), 404)
        table = {"Branches": [{"Revision": "master"}], "Tags": [{"Revision": "v1"}, {"Revision": 5}, None]}
        play.revisions = json_reply({"Code": 200, "Success": True, "Data": {"RevisionMap": table}})

        with pytest.raises(RevisionNotFound) as caught:
            hub.listing(REPO, "v9")

        assert caught.value.hint == "There are: master, v1."

    def test_a_wrong_revision_that_answers_500_is_no_failing_hub(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = Reply(500, b"", {"Retry-After": "0"})

        with pytest.raises(RevisionNotFound):
            hub.listing(REPO, "v9")
        with pytest.raises(HubBusy):
            hub.listing(REPO)

    @pytest.mark.parametrize("revision", ["../up", "a b", "x" * 200, "-x", "a..b", "new\nline"])
    def test_a_revision_that_cannot_be_one_is_not_asked_for(
        self, hub: ModelScopeHub, server: ScriptedServer, revision: str
    ) -> None:
        with pytest.raises(RevisionNotFound):
            hub.listing(REPO, revision)

        assert server.seen == []

    @pytest.mark.parametrize("reply", [Reply(401), Reply(403), json_reply(refusal("user not logged in"))])
    def test_a_private_repo_names_the_token_to_set(self, hub: ModelScopeHub, play: Play, reply: Reply) -> None:
        play.refs = Reply(401)
        play.listing = reply

        with pytest.raises(AccessDenied) as caught:
            hub.listing(REPO)

        assert "set MODELSCOPE_API_TOKEN" in caught.value.hint

    def test_a_token_that_is_not_accepted_is_to_be_renewed(self, server: ScriptedServer, play: Play) -> None:
        play.listing = Reply(401)
        hub = ModelScopeHub(HttpClient(), server.url, "made-up")

        with pytest.raises(AccessDenied) as caught:
            hub.listing(REPO)

        assert "renew" in caught.value.hint
        assert "made-up" not in str(caught.value)

    def test_a_gated_repo_names_the_page(self, hub: ModelScopeHub, play: Play, server: ScriptedServer) -> None:
        play.listing = json_reply(refusal("\u8bf7\u5148\u7533\u8bf7\u8be5\u6a21\u578b"), 403)

        with pytest.raises(ModelGated) as caught:
            hub.listing(REPO)

        assert f"{server.url}/models/Qwen/Qwen3-0.6B" in caught.value.hint

    def test_a_used_up_quota_is_no_denial(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = json_reply({"Code": "QuotaLimitExceed", "Message": "Quota exceeded"}, 403)

        with pytest.raises(HubBusy):
            hub.listing(REPO)

    def test_a_denial_that_passes_is_survived(self, hub: ModelScopeHub, play: Play) -> None:
        good, denials = play.listing, [Reply(403), Reply(403), Reply(403)]
        play.listing = lambda _: denials.pop() if denials else good

        assert len(hub.listing(REPO).files) == 2

    def test_a_hub_that_is_down_is_unreachable(self, play: Play) -> None:
        with ScriptedServer(play) as server:
            url = server.url

        with pytest.raises(HubUnreachable):
            ModelScopeHub(HttpClient(chance=lambda: 0.0), url).listing(REPO)

    def test_a_hub_that_fails_is_busy(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = Reply(502, b"", {"Retry-After": "0"})

        with pytest.raises(HubBusy):
            hub.listing(REPO)

    def test_any_other_status_is_named(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = Reply(418)

        with pytest.raises(HubError, match="418"):
            hub.listing(REPO)

    def test_stopping_ends_the_wait_for_a_denial_to_pass(
        self, hub: ModelScopeHub, play: Play, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(modelscope, "DENIAL_PAUSES_S", (30.0,))
        stop = threading.Event()

        def answer(_: Seen) -> Reply:
            threading.Timer(0.05, stop.set).start()
            return Reply(403)

        play.refs = Reply(404)
        play.listing = answer
        with pytest.raises(Stopped):
            hub.listing(REPO, stop=stop)


class TestGarbage:
    @pytest.mark.parametrize(
        "body",
        [
            [],
            "text",
            {},
            {"Code": 200, "Success": True},
            {"Code": 200, "Success": True, "Data": None},
            {"Code": 200, "Success": True, "Data": {"Files": None}},
            {"Code": 200, "Success": True, "Data": {"Files": {"a": 1}}},
            envelope([]),
            envelope(["text"]),
            envelope([None]),
            envelope([blob(".gitattributes")]),
            envelope([{"Type": "blob"}]),
            envelope([blob("../up.json")]),
            envelope([blob("a.json"), blob("a.json")]),
            envelope([blob("a.json", -1)]),
            envelope([blob("a.json", "5")]),
            envelope([blob("a.json", 5.0)]),
            envelope([blob("a.json", True)]),
            envelope([blob("a.json", 2**53)]),
            envelope([blob("a.json", sha256="")]),
            envelope([blob("a.json", sha256=None)]),
            envelope([blob("a.json", sha256="f" * 63)]),
            envelope([blob("a.json", sha256=12345)]),
        ],
    )
    def test_a_listing_that_cannot_be_used_is_refused(self, hub: ModelScopeHub, play: Play, body: Any) -> None:
        play.listing = json_reply(body)

        with pytest.raises(BadListing):
            hub.listing(REPO)

    def test_a_login_page_is_no_listing(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = Reply(200, b"<html>Welcome to the hotel</html>")

        with pytest.raises(BadListing) as caught:
            hub.listing(REPO)

        assert "login page" in caught.value.hint

    def test_an_empty_file_is_a_file(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = json_reply(envelope([blob("empty.txt", 0, hashlib.sha256().hexdigest())]))

        assert hub.listing(REPO).files[0].size == 0


class TestTruncation:
    """The hub cuts a listing at 3,000 entries and does not say so."""

    def answers(self, files: list[str]) -> Any:
        def answer(request: Seen) -> Reply:
            root, is_recursive = request.query.get("Root", ""), request.query["Recursive"] == "True"
            prefix = f"{root}/" if root else ""
            below = [path.removeprefix(prefix) for path in files if path.startswith(prefix)]
            entries = [blob(f"{prefix}{path}") for path in below if is_recursive or "/" not in path]
            folders = {"/".join(path.split("/")[:depth]) for path in below for depth in range(1, path.count("/") + 1)}
            entries += [tree(f"{prefix}{path}") for path in sorted(folders) if is_recursive or "/" not in path]
            return json_reply(envelope(entries[:TRUNCATED_AT]))

        return answer

    def test_a_repo_of_many_files_is_listed_folder_by_folder(self, hub: ModelScopeHub, play: Play) -> None:
        files = [f"{folder}/{sub}/{number}.json" for folder in "ab" for sub in "xy" for number in range(1100)]
        files += [f"c/{number}.json" for number in range(2000)] + ["config.json"]
        play.listing = self.answers(files)

        assert sorted(file.path for file in hub.listing(REPO).files) == sorted(files)

    def test_a_repo_just_below_the_limit_takes_one_question(
        self, hub: ModelScopeHub, play: Play, server: ScriptedServer
    ) -> None:
        files = [f"{number}.json" for number in range(TRUNCATED_AT - 1)]
        play.listing = self.answers(files)

        assert len(hub.listing(REPO).files) == len(files)
        assert len(listings(server)) == 1

    def test_a_folder_that_cannot_be_listed_whole_is_an_error(self, hub: ModelScopeHub, play: Play) -> None:
        play.listing = self.answers([f"a/{number}.json" for number in range(TRUNCATED_AT + 1)])

        with pytest.raises(BadListing, match="cut"):
            hub.listing(REPO)

    def test_folders_that_lead_in_a_circle_are_an_error(self, hub: ModelScopeHub, play: Play) -> None:
        full = envelope([blob(f"{number}.json") for number in range(TRUNCATED_AT)])
        play.listing = lambda request: json_reply(
            full if request.query["Recursive"] == "True" else envelope([tree(request.query.get("Root", "") or "a")])
        )

        with pytest.raises(BadListing):
            hub.listing(REPO)

    def test_folders_without_end_are_an_error(self, hub: ModelScopeHub, play: Play) -> None:
        full = envelope([blob(f"{number}.json") for number in range(TRUNCATED_AT)])
        play.listing = lambda request: json_reply(
            full if request.query["Recursive"] == "True" else envelope([tree(f"{request.query.get('Root', 'a')}/a")])
        )

        with pytest.raises(BadListing):
            hub.listing(REPO)


class TestTokens:
    def test_the_token_goes_out_both_ways_with_every_question_and_file(self, server: ScriptedServer) -> None:
        hub = ModelScopeHub(HttpClient(), server.url, "made-up")
        listing = hub.listing(REPO)
        request = hub.file_request(listing, listing.files[0])

        for headers in [*(seen.headers for seen in server.seen), request.headers]:
            assert headers["authorization"] == "Bearer made-up"
            assert headers["cookie"] == "m_session_id=made-up"

    def test_a_request_does_not_show_its_token(self, server: ScriptedServer) -> None:
        hub = ModelScopeHub(HttpClient(), server.url, "made-up")
        listing = hub.listing(REPO)

        assert "made-up" not in repr(hub.file_request(listing, listing.files[0]))

    @pytest.mark.parametrize("token", ["a b", "a;b", "a\nb", "\u5bc6", "a,b", 'a"b', "a\\b"])
    def test_a_token_that_would_break_a_header_is_refused_unseen(self, token: str) -> None:
        with pytest.raises(BadSetting, match="MODELSCOPE_API_TOKEN") as caught:
            ModelScopeHub(HttpClient(), "http://hub.example", token)

        assert token not in str(caught.value)


class TestGitRefs:
    def test_branches_come_before_tags(self) -> None:
        refs = parse_refs(refs_of(refs__tags__x="a" * 40, refs__heads__x="b" * 40))

        assert commit_of(refs, "x") == "b" * 40

    def test_an_empty_repo_has_no_refs(self) -> None:
        assert parse_refs(pkt("# service=git-upload-pack\n") + b"0000" + pkt(f"{'0' * 40} capabilities^{{}}\0x")) == {}

    @pytest.mark.parametrize(
        "data", [b"zzzz", b"0001", b"ffff", b"0005x", b"-001", b"003f" + b"a" * 10, b"\xff" * 100, b"0000" * 1000]
    )
    def test_garbage_holds_no_refs(self, data: bytes) -> None:
        assert parse_refs(data) == {}


class TestCommit:
    def test_it_costs_one_request(self, hub: ModelScopeHub, server: ScriptedServer) -> None:
        assert hub.commit(REPO) == COMMIT
        assert server.paths() == [REFS]

    def test_a_commit_costs_none(self, hub: ModelScopeHub, server: ScriptedServer) -> None:
        assert hub.commit(REPO, OTHER_COMMIT) == OTHER_COMMIT
        assert server.seen == []

    @pytest.mark.parametrize("refs", [Reply(404), Reply(503), Reply(200, b"<html>"), Reply(200, b"", {}), Reply(421)])
    def test_a_hub_that_cannot_say_is_asked_once_and_says_nothing(
        self, hub: ModelScopeHub, play: Play, server: ScriptedServer, refs: Reply
    ) -> None:
        play.refs = refs

        assert hub.commit(REPO) == ""
        assert len(server.seen) == 1

    def test_a_branch_it_does_not_have_has_no_commit(self, hub: ModelScopeHub) -> None:
        assert hub.commit(REPO, "elsewhere") == ""

    def test_a_hub_that_is_down_is_unreachable(self, play: Play) -> None:
        with ScriptedServer(play) as server:
            pass

        with pytest.raises(HubUnreachable):
            ModelScopeHub(HttpClient(), server.url).commit(REPO)
