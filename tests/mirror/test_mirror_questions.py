"""What clients of both hubs ask beside listings and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from qwen3ft_jupyter.cache.models import CachedModel
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.mirror.mirror import Mirror, expected_models
from tests.mirror.conftest import FILES, REPO, ask, fill, own_commit, put_in_cache, sha256
from tests.mirror.test_mirror_clients import environment, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.cache.models import ModelOwner

MODELS = {"alpha/Base": 3.0, "alpha/Chat-Tiny": 1.0, "beta/chat": 2.0}
"""When each was made."""
OWN = own_commit(FILES)


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Mirror]:
    for number, (repo_id, created) in enumerate(MODELS.items()):
        files = {"config.json": b"{}", f"{number}.safetensors": b"w"}
        folder = tmp_path / "cache" / repo_id.replace("/", "_")
        put_in_cache(folder, files, str(number) * 40, "main", repo_id=repo_id, created=created)
    put_in_cache(tmp_path / "cache" / "gamma_words", {"README.md": b"x"}, "f" * 40, "main", repo_id="gamma/words")
    with Mirror(cache_dir=tmp_path / "cache") as running:
        yield running


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", ["alpha/Base", "alpha/Chat-Tiny", "beta/chat", "gamma/words"]),
        ("search=chat", ["alpha/Chat-Tiny", "beta/chat"]),
        ("search=CHAT&author=beta", ["beta/chat"]),
        ("search=nothing", []),
        ("search=tiny%20alpha", ["alpha/Chat-Tiny"]),
        ("search=%20", ["alpha/Base", "alpha/Chat-Tiny", "beta/chat", "gamma/words"]),
        ("author=alpha", ["alpha/Base", "alpha/Chat-Tiny"]),
        ("author=Alpha&limit=1", ["alpha/Base"]),
        ("author=alp", []),
        ("sort=createdAt&author=alpha", ["alpha/Base", "alpha/Chat-Tiny"]),
        ("sort=lastModified&direction=1&author=alpha", ["alpha/Chat-Tiny", "alpha/Base"]),
        ("filter=safetensors&author=gamma", []),
        ("filter=safetensors&search=base", ["alpha/Base"]),
        ("filter=safetensors&filter=license:mit", []),
        ("tags=gguf", []),
        ("pipeline_tag=text-generation", []),
        ("gated=true", []),
        ("gated=false&search=base", ["alpha/Base"]),
        ("limit=0&author=alpha", ["alpha/Base"]),
        ("limit=-1&search=base", ["alpha/Base"]),
        ("limit=99999999999&search=base", ["alpha/Base"]),
    ],
)
def test_hugging_faces_list_of_models_is_filtered_and_sorted(many: Mirror, question: str, found: list[str]) -> None:
    answer = ask(many.url, f"/api/models?{question}")

    assert [model["id"] for model in json.loads(answer.body)] == found


@pytest.mark.parametrize(("question", "is_full"), [("full=true", True), ("full=full", True), ("full=false", False)])
def test_a_list_of_models_names_files_and_commits_where_asked(many: Mirror, question: str, *, is_full: bool) -> None:
    (model,) = json.loads(ask(many.url, f"/api/models?search=base&{question}").body)

    assert ("sha" in model, "siblings" in model) == (is_full, is_full)


def test_a_list_of_models_comes_in_pages_that_keep_the_question(many: Mirror) -> None:
    target, seen = "/api/models?limit=1&search=a&filter=safetensors", []
    while target:
        answer = ask(many.url, target)
        seen += [model["id"] for model in json.loads(answer.body)]
        address = urlsplit(answer.headers.get("link", "").partition(">")[0].removeprefix("<"))
        target = f"{address.path}?{address.query}" if address.path else ""

    assert seen == ["alpha/Base", "alpha/Chat-Tiny", "beta/chat"]


@pytest.mark.parametrize(
    ("question", "found", "total"),
    [
        ("", ["alpha/Base", "alpha/Chat-Tiny", "beta/chat", "gamma/words"], 4),
        ("owner=alpha", ["alpha/Base", "alpha/Chat-Tiny"], 2),
        ("author=beta&search=chat", ["beta/chat"], 1),
        ("page_size=1&page_number=2", ["alpha/Chat-Tiny"], 4),
        ("page_number=9", [], 4),
        ("sort=last_modified&owner=alpha", ["alpha/Base", "alpha/Chat-Tiny"], 2),
    ],
)
def test_modelscopes_list_of_models_is_filtered_and_paged(
    many: Mirror, question: str, found: list[str], total: int
) -> None:
    data = json.loads(ask(many.url, f"/openapi/v1/models?{question}").body)["data"]

    assert ([model["id"] for model in data["models"]], data["total_count"]) == (found, total)


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        (b'{"Path": "alpha", "PageNumber": 1, "PageSize": 10}', 200, ["Base", "Chat-Tiny"]),
        (b'{"Path": "alpha", "PageNumber": 2, "PageSize": 1}', 200, ["Chat-Tiny"]),
        (b'{"Path": "nobody"}', 200, []),
        (b"[1]", 400, None),
        (b"{", 400, None),
        (b"[" * 100_000, 400, None),
    ],
)
def test_modelscopes_older_clients_ask_for_an_owners_models_by_put(
    many: Mirror, body: bytes, status: int, found: list[str] | None
) -> None:
    answer = ask(many.url, "/api/v1/models/", method="PUT", body=body)
    data = json.loads(answer.body)["Data"]

    assert answer.status == status
    assert [model["Name"] for model in data["Models"]] == found if found is not None else data is None


@pytest.mark.parametrize("spelled", ["QWEN3FT/Qwen3-Practice", "qwen3ft/qwen3-practice"])
@pytest.mark.parametrize("from_cache", [True, False])
def test_an_id_in_another_case_is_the_same_model(tmp_path: Path, spelled: str, *, from_cache: bool) -> None:
    folder = put_in_cache(tmp_path / "cache" / "qwen3ft_Qwen3-Practice", FILES, "a" * 40, "main")
    given: dict[str, Any] = {"cache_dir": folder.parent} if from_cache else {"models": {REPO: folder}}
    with Mirror(**given) as mirror:
        info = json.loads(ask(mirror.url, f"/api/models/{spelled}").body)
        file = ask(mirror.url, f"/{spelled}/resolve/main/config.json")
        listing = ask(mirror.url, f"/api/v1/models/{spelled}/repo/files?Revision=master&Recursive=True")

    assert (info["id"], info["sha"]) == (REPO, OWN)
    assert file.body == FILES["config.json"]
    assert len(json.loads(listing.body)["Data"]["Files"]) == len(FILES) + 2


def test_of_two_ids_that_differ_in_case_alone_each_is_its_own(tmp_path: Path) -> None:
    for number, repo_id in enumerate(["a/Model", "a/model"]):
        files = {"config.json": b"%d" % number}
        put_in_cache(tmp_path / "cache" / f"folder{number}", files, str(number) * 40, "main", repo_id=repo_id)
    with Mirror(cache_dir=tmp_path / "cache") as mirror:
        seen = [ask(mirror.url, f"/{name}/resolve/main/config.json").body for name in ("a/Model", "a/model", "A/MODEL")]

    assert seen == [b"0", b"1", b"0"]


def test_raw_is_what_git_keeps(mirror: Mirror) -> None:
    plain = ask(mirror.url, f"/{REPO}/raw/main/config.json")
    pointer = ask(mirror.url, f"/{REPO}/raw/main/model.safetensors")
    whole = ask(mirror.url, f"/models/{REPO}/raw/master/model.safetensors", method="HEAD")
    missing = [ask(mirror.url, f"/{REPO}/raw/{target}").status for target in ("main/x", "v9/config.json", "main/../x")]

    assert plain.body == FILES["config.json"]
    assert pointer.body.startswith(b"version https://git-lfs.github.com/spec/v1\noid sha256:")
    assert sha256(FILES["model.safetensors"]).encode() in pointer.body
    assert int(whole.headers["content-length"]) == len(FILES["model.safetensors"])
    assert missing == [404] * 3


@pytest.mark.parametrize("kind", ["datasets", "spaces"])
def test_there_are_no_repos_of_other_kinds(mirror: Mirror, kind: str) -> None:
    none = ask(mirror.url, f"/api/{kind}?search=x&limit=5")
    targets = (f"/api/{kind}/a/b", f"/api/{kind}/a/b/tree/main", f"/{kind}/a/b/resolve/main/x", f"/api/{kind}/a")
    answers = [ask(mirror.url, target) for target in targets]

    assert json.loads(none.body) == []
    assert {(answer.status, answer.headers["x-error-code"]) for answer in answers} == {(404, "RepoNotFound")}
    assert json.loads(ask(mirror.url, "/openapi/v1/datasets?page_number=1").body)["data"]["datasets"] == []


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/api/repos/create"),
        ("DELETE", "/api/repos/delete"),
        ("POST", f"/api/models/{REPO}/preupload/main"),
        ("POST", f"/api/models/{REPO}/commit/main"),
        ("PUT", f"/api/models/{REPO}/settings"),
        ("PATCH", "/api/collections/x"),
        ("POST", "/api/v1/models"),
        ("POST", f"/api/v1/repos/models/{REPO}/commit/master"),
        ("DELETE", f"/api/v1/models/{REPO}"),
    ],
)
def test_who_wants_to_change_something_reads_that_nothing_can_be(mirror: Mirror, method: str, target: str) -> None:
    answer = ask(mirror.url, target, method=method, body=b"{}")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert "read-only" in answer.headers["x-error-message"]
    assert "read-only" in json.loads(answer.body)["Message"]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/gpt2/resolve/main/config.json"),
        ("HEAD", "/gpt2/resolve/main/config.json"),
        ("GET", "/gpt2/raw/main/a/b.json"),
        ("GET", "/api/models/gpt2"),
        ("GET", "/api/models/gpt2/revision/main"),
        ("GET", "/api/models/gpt2/tree/main?recursive=true"),
        ("GET", "/api/models/gpt2/tree/main/folder"),
        ("POST", "/api/models/gpt2/paths-info/main"),
        ("GET", "/api/models/gpt2/commits/main"),
        ("GET", "/api/models/gpt2/refs"),
        ("GET", "/api/models/gpt2/auth-check"),
        ("GET", "/api/models/no/body/discussions"),
        ("GET", "/api/datasets/squad/revision/main"),
        ("GET", "/datasets/squad/resolve/main/x"),
    ],
)
def test_a_repo_that_is_not_here_is_said_to_be_missing_whatever_is_asked_and_however_it_is_called(
    mirror: Mirror, method: str, target: str
) -> None:
    """At any other answer clients say that the hub cannot be reached."""
    answer = ask(mirror.url, target, method=method, body=b"{}" if method == "POST" else None)

    assert (answer.status, answer.headers["x-error-code"]) == (404, "RepoNotFound")


@pytest.mark.parametrize(
    "target",
    [
        f"/{REPO}",
        f"/{REPO}/blob/main/config.json",
        f"/{REPO}/tree/main",
        f"/models/{REPO}/summary",
        f"/api/models/{REPO}/discussions",
        f"/api/models/{REPO}/likers",
        f"/api/models/{REPO}/xet-read-token/main",
        "/api/collections",
        "/api/settings/webhooks",
        "/api/jobs/me",
        "/openapi/v1/mcp/servers",
        "/api/v1/studios/a/b",
        "/favicon.ico",
    ],
)
def test_what_a_mirror_has_no_answer_to_is_said_in_words(mirror: Mirror, target: str) -> None:
    answer = ask(mirror.url, target)
    body = json.loads(answer.body)

    assert answer.status == 404
    assert "x-error-code" not in answer.headers  # by which clients would note that a repo or file is missing
    assert answer.headers["x-error-message"] == body["error"] == body["Message"]
    assert "resolve/main" in body["error"]


def test_write_access_is_not_had(mirror: Mirror) -> None:
    assert [ask(mirror.url, f"/api/models/{REPO}/auth-check{end}").status for end in ("", "/write")] == [200, 403]


def test_huggingface_hub_asks_everything_it_can(tmp_path: Path, mirror: Mirror) -> None:
    code = f"""
import json
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import RepositoryNotFoundError
api, repo, said = HfApi(token="any"), {REPO!r}, {{}}
said["auth_check"] = api.auth_check(repo)
try:
    api.auth_check("qwen3ft/nothing")
except RepositoryNotFoundError:
    said["auth_check"] = "understood"
said["whoami"] = api.whoami()["name"]
said["commits"] = [commit.commit_id for commit in api.list_repo_commits(repo, formatted=True)]
said["refs"] = sorted(branch.name for branch in api.list_repo_refs(repo).branches)
said["pull requests"] = api.list_repo_refs(repo, include_pull_requests=True).pull_requests
said["models"] = [model.id for model in api.list_models(search="practice", author="qwen3ft", limit=5)]
said["datasets"] = [*api.list_datasets()]
said["short"] = api.model_info(repo, revision={OWN[:8]!r}).sha
said["case"] = api.model_info(repo.upper()).id
said["exists"] = [api.repo_exists(repo), api.file_exists(repo, "config.json"), api.revision_exists(repo, "v9")]
said["opened"] = HfFileSystem().cat_file(f"{{repo}}/sub/notes.md").decode()
print(json.dumps(said))
"""
    said = run_python(code, environment(tmp_path, mirror))

    assert said == {
        "auth_check": "understood",
        "whoami": "qwen3ft-mirror",
        "commits": [OWN],
        "refs": ["main", "master"],
        "pull requests": [],
        "models": [REPO],
        "datasets": [],
        "short": OWN,
        "case": REPO,
        "exists": [True, True, False],
        "opened": FILES["sub/notes.md"].decode(),
    }


def test_modelscopes_commits_are_the_one_there_is(mirror: Mirror) -> None:
    answer = json.loads(ask(mirror.url, f"/api/v1/models/{REPO}/commits?Ref=master&PageNumber=1").body)

    assert ([commit["Id"] for commit in answer["Data"]["Commit"]], answer["TotalCount"]) == ([OWN], 1)


def test_what_is_listed_as_ours_or_known_elsewhere_is_expected_with_whether_it_has_a_record() -> None:
    def model(repo_id: str, owner: ModelOwner, *, is_verified: bool) -> CachedModel:
        return CachedModel(parse_repo_id(repo_id), "x", Path("x"), 1, owner, is_verified=is_verified)

    listed = [
        model("a/own", "qwen3ft", is_verified=True),
        model("a/team", "shared", is_verified=True),
        model("b/copied", "qwen3ft", is_verified=False),
        model("b/teams-copied", "shared", is_verified=False),
        model("b/in-place", "huggingface", is_verified=True),
        model("a/own", "huggingface", is_verified=True),
        model("a/team", "qwen3ft", is_verified=False),
        model("c/theirs", "modelscope", is_verified=False),
        model("c/work", "folder", is_verified=False),
    ]

    class Cache(ModelCache):
        def list(self) -> Any:
            return listed

    expected = expected_models(Cache(Path("nowhere")))

    served = dict.fromkeys(["a/own", "a/team"], True)
    assert expected == {**served, **dict.fromkeys(["b/copied", "b/teams-copied", "b/in-place"], False)}


def test_it_says_which_models_it_does_not_serve(tmp_path: Path) -> None:
    with Mirror({REPO: fill(tmp_path / "model", FILES)}, expected=lambda: ["b/two", "a/one", REPO]) as mirror:
        status = json.loads(ask(mirror.url, "/").body)
        assert mirror.unserved() == status["not_served"]

    assert status == {"service": "qwen3ft mirror", "models": 1, "not_served": ["a/one", "b/two"]}
