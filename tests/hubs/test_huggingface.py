from __future__ import annotations

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
    UnsafeModel,
)
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from tests.servers import Reply, ScriptedServer, Seen, json_reply, redirect

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO = parse_repo_id("Qwen/Qwen3-0.6B")
COMMIT = "c" * 40
SHA1 = "a" * 40
SHA256 = "f" * 64
TREE = f"/api/models/Qwen/Qwen3-0.6B/tree/{COMMIT}"


def plain(path: Any, size: Any = 5, oid: Any = SHA1) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": size, "oid": oid}


def large(path: str, size: Any = 1503300328, oid: Any = SHA256, lfs_size: Any = 1503300328) -> dict[str, Any]:
    lfs = {"oid": oid, "size": lfs_size, "pointerSize": 135}
    return {"type": "file", "path": path, "size": size, "oid": SHA1, "lfs": lfs, "xetHash": "e" * 64}


class Play:
    """A Hugging Face hub whose parts a test replaces."""

    def __init__(self) -> None:
        self.revision: Reply = json_reply({"id": "Qwen/Qwen3-0.6B", "sha": COMMIT, "gated": False, "siblings": []})
        self.tree: Any = json_reply([plain("config.json"), large("model.safetensors"), {"type": "directory"}])
        self.file: Reply = Reply(200, b"12345")

    def __call__(self, request: Seen) -> Reply:
        if request.path.startswith("/api/models/Qwen/Qwen3-0.6B/revision/"):
            return self.revision
        if request.path.startswith("/Qwen/Qwen3-0.6B/resolve/"):
            return self.file
        reply = self.tree(request) if callable(self.tree) else self.tree
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
def hub(server: ScriptedServer) -> HuggingFaceHub:
    return HuggingFaceHub(HttpClient(idle_timeout_s=2.0, chance=lambda: 0.0), server.url)


def refused(status: int, code: str = "", message: str = "") -> Reply:
    headers = {"X-Error-Code": code} if code else {}
    return json_reply({"error": message}, status, headers)


class TestListing:
    def test_a_revision_becomes_a_commit_and_its_tree(self, hub: HuggingFaceHub, server: ScriptedServer) -> None:
        listing = hub.listing(REPO)

        assert (listing.hub, listing.revision, listing.commit, listing.pin) == ("huggingface", "main", COMMIT, COMMIT)
        assert [request.target for request in server.seen] == [
            "/api/models/Qwen/Qwen3-0.6B/revision/main",
            f"{TREE}?recursive=true&expand=false",
        ]

    def test_small_files_are_known_by_git_and_large_ones_by_sha256(self, hub: HuggingFaceHub) -> None:
        config, weights = hub.listing(REPO).files

        assert (config.size, config.sha256, config.git_sha1) == (5, None, SHA1)
        assert (weights.size, weights.sha256, weights.git_sha1) == (1503300328, SHA256, None)

    def test_what_stays_on_the_hub_is_listed_apart(self, hub: HuggingFaceHub, play: Play) -> None:
        play.tree = json_reply([plain("config.json"), plain(".gitattributes"), large("pytorch_model.bin")])

        listing = hub.listing(REPO)

        assert [file.path for file in listing.files] == ["config.json"]
        assert [file.path for file in listing.left_out] == ["pytorch_model.bin"]

    def test_a_repo_of_which_nothing_is_wanted_is_refused_with_what_it_holds(
        self, hub: HuggingFaceHub, play: Play
    ) -> None:
        play.tree = json_reply([large("pytorch_model.bin")])

        with pytest.raises(UnsafeModel, match=r"pytorch_model\.bin \("):
            hub.listing(REPO)

    def test_a_file_is_asked_for_by_commit(self, hub: HuggingFaceHub, server: ScriptedServer, play: Play) -> None:
        play.tree = json_reply([plain("a b/x#y%.json")])
        listing = hub.listing(REPO)

        request = hub.file_request(listing, listing.files[0])

        assert request.url == f"{server.url}/Qwen/Qwen3-0.6B/resolve/{COMMIT}/a%20b/x%23y%25.json"
        assert request.headers == {}

    def test_a_branch_with_a_slash_is_one_part_of_the_address(
        self, hub: HuggingFaceHub, server: ScriptedServer
    ) -> None:
        hub.listing(REPO, "refs/pr/1")

        assert server.seen[0].target.endswith("/revision/refs%2Fpr%2F1")

    def test_pages_are_followed_to_the_end(self, hub: HuggingFaceHub, play: Play) -> None:
        def answer(request: Seen) -> Reply:
            page = int(request.query.get("cursor", "0"))
            link = f'<{TREE}?cursor={page + 1}>; rel="next"' if page < 3 else '<http://other/>; rel="prev"'
            return json_reply([plain(f"{page}.json")], headers={"Link": link})

        play.tree = answer

        assert [file.path for file in hub.listing(REPO).files] == ["0.json", "1.json", "2.json", "3.json"]

    def test_a_renamed_repo_is_followed(self, play: Play) -> None:
        def answer(request: Seen) -> Reply:
            if request.path.startswith("/api/models/old/"):
                return redirect(request.target.replace("/old/name", "/Qwen/Qwen3-0.6B"), 307)
            return play(request)

        with ScriptedServer(answer) as server:
            listing = HuggingFaceHub(HttpClient(), server.url).listing(parse_repo_id("old/name"))

        assert len(listing.files) == 2

    def test_the_token_goes_with_every_question_and_file(self, server: ScriptedServer) -> None:
        hub = HuggingFaceHub(HttpClient(), server.url, "made-up")
        listing = hub.listing(REPO)
        request = hub.file_request(listing, listing.files[0])

        assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer made-up"}
        assert request.headers == {"authorization": "Bearer made-up"}
        assert "made-up" not in repr(request)


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (refused(404, "RepoNotFound"), ModelNotFound),
            (refused(401, "RepoNotFound"), ModelNotFound),
            (refused(404), ModelNotFound),
            (refused(401), AccessDenied),
            (refused(403), AccessDenied),
            (refused(403, "GatedRepo"), ModelGated),
            (refused(401, "GatedRepo"), ModelGated),
            (refused(404, "RevisionNotFound"), RevisionNotFound),
            (Reply(503, b"", {"Retry-After": "0"}), HubBusy),
            (refused(400), HubError),
        ],
    )
    def test_each_refusal_has_its_own_error(
        self, hub: HuggingFaceHub, play: Play, reply: Reply, expected: type[HubError]
    ) -> None:
        play.revision = reply

        with pytest.raises(HubError) as caught:
            hub.listing(REPO)

        assert type(caught.value) is expected
        assert caught.value.hint

    def test_no_network_is_unreachable(self, play: Play) -> None:
        with ScriptedServer(play) as server:
            url = server.url

        with pytest.raises(HubUnreachable):
            HuggingFaceHub(HttpClient(chance=lambda: 0.0), url).listing(REPO)

    def test_a_gated_repo_is_noticed_before_the_first_byte(
        self, hub: HuggingFaceHub, play: Play, server: ScriptedServer
    ) -> None:
        play.revision = json_reply({"sha": COMMIT, "gated": "manual"})
        play.file = refused(401, "GatedRepo")

        with pytest.raises(ModelGated) as caught:
            hub.listing(REPO)

        assert f"{server.url}/Qwen/Qwen3-0.6B" in caught.value.hint
        assert "HF_TOKEN" in caught.value.hint

    def test_a_gated_repo_whose_licence_was_accepted_is_listed(self, hub: HuggingFaceHub, play: Play) -> None:
        play.revision = json_reply({"sha": COMMIT, "gated": "auto"})

        assert len(hub.listing(REPO).files) == 2


class TestGarbage:
    @pytest.mark.parametrize("body", [[], None, {}, {"sha": 5}, {"sha": "short"}, {"sha": COMMIT.upper()}])
    def test_a_revision_without_commit_is_refused(self, hub: HuggingFaceHub, play: Play, body: Any) -> None:
        play.revision = json_reply(body)

        with pytest.raises(BadListing):
            hub.listing(REPO)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            "text",
            ["text"],
            [plain(".gitattributes")],
            [plain(None)],
            [plain("../up")],
            [plain("a.json"), plain("a.json")],
            [plain("a.json", -1)],
            [plain("a.json", "5")],
            [plain("a.json", 1e3)],
            [plain("a.json", 2**60)],
            [plain("a.json", oid=None)],
            [plain("a.json", oid="a" * 41)],
            [large("a.safetensors", lfs_size=7)],
            [large("a.safetensors", oid="f" * 40)],
            [large("a.safetensors", oid=None)],
            [{**plain("a.json"), "lfs": "text"}],
        ],
    )
    def test_a_tree_that_cannot_be_used_is_refused(self, hub: HuggingFaceHub, play: Play, body: Any) -> None:
        play.tree = json_reply(body)

        with pytest.raises(BadListing):
            hub.listing(REPO)

    @pytest.mark.parametrize("link", ["<http://other.example/next>", "<//other.example/next>", "<https://127.0.0.1/x>"])
    def test_a_tree_does_not_go_on_at_another_host(self, hub: HuggingFaceHub, play: Play, link: str) -> None:
        play.tree = json_reply([plain("a.json")], headers={"Link": f'{link}; rel="next"'})

        with pytest.raises(BadListing, match="another host"):
            hub.listing(REPO)

    def test_a_tree_that_goes_in_a_circle_is_refused(self, hub: HuggingFaceHub, play: Play) -> None:
        play.tree = json_reply([plain("a.json")], headers={"Link": f'<{TREE}>; rel="next"'})

        with pytest.raises(BadListing, match="never ends"):
            hub.listing(REPO)

    def test_a_tree_without_end_is_refused(self, hub: HuggingFaceHub, play: Play) -> None:
        play.tree = lambda request: json_reply([], headers={"Link": f'<{request.target}1>; rel="next"'})

        with pytest.raises(BadListing, match="never ends"):
            hub.listing(REPO)


class TestCommit:
    def test_it_costs_one_request(self, hub: HuggingFaceHub, server: ScriptedServer) -> None:
        assert hub.commit(REPO) == COMMIT
        assert server.paths() == ["/api/models/Qwen/Qwen3-0.6B/revision/main"]

    def test_a_commit_costs_none(self, hub: HuggingFaceHub, server: ScriptedServer) -> None:
        assert hub.commit(REPO, COMMIT) == COMMIT
        assert server.seen == []

    def test_a_busy_hub_is_asked_once(self, hub: HuggingFaceHub, play: Play, server: ScriptedServer) -> None:
        play.revision = Reply(503)

        with pytest.raises(HubBusy):
            hub.commit(REPO, "v1")
        assert len(server.seen) == 1

    def test_a_missing_model_is_missing(self, hub: HuggingFaceHub, play: Play) -> None:
        play.revision = refused(404, "RepoNotFound")

        with pytest.raises(ModelNotFound):
            hub.commit(REPO)


class TestMirror:
    def test_its_errors_name_it_and_the_setting_of_its_token(self, server: ScriptedServer, play: Play) -> None:
        mirror = HuggingFaceHub(HttpClient(), server.url, is_mirror=True)
        play.revision = refused(401)

        with pytest.raises(AccessDenied) as caught:
            mirror.listing(REPO)

        assert caught.value.message == f"mirror 127.0.0.1:{server.port} does not give access to {REPO}."
        assert "QWEN3FT_MIRROR_TOKENS" in caught.value.hint

    def test_a_token_that_would_break_a_header_is_named_by_its_setting(self) -> None:
        with pytest.raises(BadSetting, match="QWEN3FT_MIRROR_TOKENS"):
            HuggingFaceHub(HttpClient(), "http://hub.example", "a b", is_mirror=True)
