"""Uploads with the hubs' real clients to a hub on loopback."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from qwen3ft_jupyter.errors import (
    AccessDenied,
    BadInput,
    BadName,
    HubBusy,
    HubError,
    HubUnreachable,
    MissingPackage,
    ModelNotFound,
    Qwen3ftError,
    Stopped,
    TransferError,
)
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.tokens import TOKEN_VARIABLES, Token
from qwen3ft_jupyter.upload.plan import Item, find_obstacle
from qwen3ft_jupyter.upload.push import open_shelf, push
from qwen3ft_jupyter.upload.refusals import Place
from qwen3ft_jupyter.work import Controls, Progress, Reporter, Work
from tests.upload_hub import TOKEN, Fault, Repo, UploadHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.settings.declared import HubName
    from qwen3ft_jupyter.upload.plan import PushResult

REPO = "me/first"
WEIGHTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
SIZE = 600_000


class Ear(Reporter):
    """Keeps what it is told; calls `on_progress` with each."""

    def __init__(self, on_progress: Callable[[Progress], None] = lambda _progress: None) -> None:
        self.phases: list[Progress] = []
        self.notices: list[str] = []
        self.on_progress = on_progress

    def progress(self, progress: Progress) -> None:
        self.phases.append(progress)
        self.on_progress(progress)

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which nothing is to be found, and nothing to be written."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr("random.random", lambda: 0.0)  # pauses as short as they come
    return folder


@pytest.fixture
def hub() -> Iterator[UploadHub]:
    with UploadHub() as hub:
        yield hub


@pytest.fixture(params=["modelscope", "huggingface"])
def name(request: pytest.FixtureRequest) -> HubName:
    return cast("HubName", request.param)


@pytest.fixture
def files(tmp_path: Path) -> list[Item]:
    """A model in two parts, and what belongs to it."""
    folder = tmp_path / "model"
    folder.mkdir()
    contents = {path: os.urandom(SIZE) for path in WEIGHTS}
    contents |= {"config.json": b'{"model_type": "qwen3"}', "tokenizer.json": os.urandom(30_000)}
    for path, data in contents.items():
        (folder / path).write_bytes(data)
    card = b"---\nlicense: apache-2.0\n---\n\n# First\n"
    return [
        Item("README.md", len(card), None, card),
        *(Item(path, len(data), folder / path) for path, data in contents.items()),
    ]


def content(file: Item) -> bytes:
    return file.source.read_bytes() if file.source else file.content


def place_of(hub: UploadHub, name: HubName, repo: str = REPO, token: str = TOKEN) -> Place:
    return Place(name, hub.url, parse_repo_id(repo), Token(TOKEN_VARIABLES[name], token, "the environment"))


def upload(
    hub: UploadHub,
    name: HubName,
    files: list[Item],
    work: Work | None = None,
    *,
    is_private: bool = True,
    **where: str,
) -> PushResult:
    with contextlib.closing(HttpClient()) as client:
        made = open_shelf(place_of(hub, name, **where), "apache-2.0")
        return push(made, client, files, work or Work(), is_private=is_private)


def test_the_repo_holds_the_very_bytes_in_one_commit(
    hub: UploadHub, name: HubName, files: list[Item], home: Path
) -> None:
    ear = Ear()

    result = upload(hub, name, files, Work(ear))

    repo = hub.repos[REPO]
    assert repo.files == {file.path: content(file) for file in files}
    assert (repo.is_private, repo.commits) == (True, [sorted(repo.files)])
    assert result.commit
    assert (result.files, result.size) == (5, sum(file.size for file in files))
    assert result.sent >= 2 * SIZE
    assert list(dict.fromkeys(one.phase for one in ear.phases)) == ["resolving", "checking", "uploading"]
    assert (ear.phases[-1].done, ear.phases[-1].total) == (result.size, result.size)
    assert [*home.iterdir()] == []


def test_what_is_there_is_not_sent_again(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    upload(hub, name, files)

    again = upload(hub, name, files)

    assert (again.commit, again.sent) == ("", 0)
    assert set(hub.sent.values()) == {1}
    assert len(hub.repos[REPO].commits) == 1


def test_a_commit_brings_only_what_has_changed_and_other_files_stay(
    hub: UploadHub, name: HubName, files: list[Item]
) -> None:
    hub.repos[REPO] = Repo(is_private=True, files={"notes.txt": b"mine"})
    upload(hub, name, files)
    files[0] = Item("README.md", 5, None, b"# New")

    upload(hub, name, files)

    assert hub.repos[REPO].commits[-1] == ["README.md"]
    assert hub.repos[REPO].files["notes.txt"] == b"mine"


def test_large_files_go_in_parts_where_the_hub_wants_parts(hub: UploadHub, files: list[Item]) -> None:
    hub.part_bytes = 250_000

    result = upload(hub, "huggingface", files)

    assert hub.repos[REPO].files == {file.path: content(file) for file in files}
    assert len(hub.parts) == 6
    assert result.sent == 2 * SIZE


def test_a_connection_that_breaks_off_is_tried_again(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    hub.faults["/put/"] = [Fault(0, reset_after=SIZE // 3)]

    upload(hub, name, files)

    assert hub.repos[REPO].files == {file.path: content(file) for file in files}


def test_an_upload_that_failed_goes_on_where_it_was(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    second = hashlib.sha256(content(files[2])).hexdigest()
    hub.faults[second] = [Fault(403, {"error": "signature expired"})]
    with pytest.raises(AccessDenied, match="signature expired"):
        upload(hub, name, files)
    assert hub.repos[REPO].commits == []

    result = upload(hub, name, files)

    assert SIZE <= result.sent < 2 * SIZE
    assert set(hub.sent.values()) == {1}
    assert hub.repos[REPO].files == {file.path: content(file) for file in files}


def test_a_stop_is_heeded_between_two_reads(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    def stop_in_the_second(progress: Progress) -> None:
        if progress.phase == "uploading" and progress.detail == WEIGHTS[1] and progress.done > SIZE:
            work.stop.set()

    work = Work(Ear(stop_in_the_second))
    with pytest.raises(Stopped):
        upload(hub, name, files, work)
    assert hub.repos[REPO].commits == []

    upload(hub, name, files)

    assert hub.repos[REPO].files == {file.path: content(file) for file in files}
    assert hub.sent[hashlib.sha256(content(files[1])).hexdigest()] == 1


def test_a_pause_is_kept_within_a_file(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    controls = Controls()

    def rest_once(progress: Progress) -> None:
        controls.is_paused = progress.phase == "uploading" and "paused" not in [one.phase for one in ear.phases]

    ear = Ear(rest_once)
    upload(hub, name, files, Work(ear, controls=controls))

    assert [one.phase for one in ear.phases].count("paused") == 1
    assert hub.repos[REPO].files == {file.path: content(file) for file in files}


@pytest.mark.parametrize("phase", ["checking", "uploading"])
def test_a_disk_that_cannot_be_read_is_no_fault_of_the_network(
    hub: UploadHub, name: HubName, files: list[Item], phase: str
) -> None:
    seen: list[Progress] = []

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if seen and seen[-1].phase == phase:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    class Disk:
        def open(self, _mode: str) -> io.BytesIO:
            return Failing(bytes(SIZE))

    files[1] = Item(WEIGHTS[0], SIZE, cast("Any", Disk()))

    with pytest.raises(TransferError, match=rf"{WEIGHTS[0]} cannot be read: Input/output error"):
        upload(hub, name, [files[2], files[1]], Work(Ear(seen.append)))

    assert hub.repos[REPO].commits == []


def test_a_file_that_changes_meanwhile_is_named(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    def shorten(progress: Progress) -> None:
        if progress.phase == "uploading":
            os.truncate(str(files[2].source), SIZE // 2)

    with pytest.raises(TransferError, match=f"{WEIGHTS[1]} has changed while it was uploaded"):
        upload(hub, name, files, Work(Ear(shorten)))

    assert hub.repos[REPO].commits == []


# Who may see it


def test_private_files_do_not_go_to_a_public_repo(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    hub.repos[REPO] = Repo(is_private=False)

    with pytest.raises(BadInput, match=f"{REPO} is public, and the files are to be private") as caught:
        upload(hub, name, files)

    assert "--public" in caught.value.hint
    assert (hub.count("/put/"), hub.count("/commit/")) == (0, 0)
    upload(hub, name, files, is_private=False)
    assert hub.repos[REPO].commits


def test_a_repo_that_comes_out_public_though_it_was_to_be_private_gets_nothing(
    hub: UploadHub, name: HubName, files: list[Item]
) -> None:
    hub.creates_public = True

    with pytest.raises(BadInput, match="is public"):
        upload(hub, name, files)

    assert (hub.blobs, hub.repos[REPO].commits) == ({}, [])


def test_a_public_repo_is_made_only_when_asked_for(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    upload(hub, name, files, is_private=False)

    assert not hub.repos[REPO].is_private


def test_a_private_repo_stays_private_and_that_is_said(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    hub.repos[REPO], ear = Repo(is_private=True), Ear()

    upload(hub, name, files, Work(ear), is_private=False)

    assert hub.repos[REPO].is_private
    assert ear.notices == [f"{REPO} is private, and stays so: that is changed on its page."]


def test_a_repo_that_somebody_makes_at_the_same_moment_is_looked_at_again(
    hub: UploadHub, name: HubName, files: list[Item]
) -> None:
    hub.repos[REPO] = Repo(is_private=False)
    hub.faults[f"models/{REPO}"] = [Fault(404)]

    with pytest.raises(BadInput, match="is public"):
        upload(hub, name, files)

    assert hub.blobs == {}


def test_the_token_goes_to_the_hub_alone(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    """A hub may keep its files in a store of somebody else, at addresses that are signed."""
    with UploadHub() as store:
        store.blobs, hub.other = hub.blobs, store

        upload(hub, name, files)

        assert {token for tokens in store.tokens.values() for token in tokens} == {""}
        assert hub.repos[REPO].files == {file.path: content(file) for file in files}


# Refusals


@pytest.mark.parametrize(
    ("route", "fault", "kind", "words"),
    [
        (
            "models/me",
            Fault(401, {"error": f"Token {TOKEN} is expired"}),
            AccessDenied,
            'HTTP 401.*"Token .* is expired"',
        ),
        ("create|v1/models$", Fault(403, {"error": "token may only read"}), AccessDenied, "may only read"),
        ("/batch", Fault(403, {"error": "Private repository storage limit reached"}), HubError, "storage limit"),
        ("/batch", Fault(413), HubError, "HTTP 413"),
        ("/commit/", Fault(409, {"error": "the branch has moved"}), HubError, "the branch has moved"),
        ("/put/", Fault(403, {"error": "no"}), AccessDenied, "HTTP 403"),
        ("/commit/", Fault(400, {"error": "license is not valid"}), BadName, "license is not valid"),
    ],
)
def test_what_the_hub_refuses_is_told_with_its_own_words_and_a_cure(  # noqa: PLR0917 - what refuses, and how
    hub: UploadHub,
    name: HubName,
    files: list[Item],
    route: str,
    fault: Fault,
    kind: type[Qwen3ftError],
    words: str,
) -> None:
    if "|" in route:
        route = "/api/repos/create" if name == "huggingface" else "/api/v1/models"
        hub.faults["/api/v1/models/me"] = [Fault(404)]  # it lies below the route that makes repos
    hub.faults[route] = [fault]

    with pytest.raises(kind, match=words) as caught:
        upload(hub, name, files)

    assert type(caught.value) is kind
    assert caught.value.hint
    assert TOKEN not in repr(caught.value) + str(caught.value.details)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert REPO not in hub.repos or hub.repos[REPO].commits == []


def test_a_repo_of_somebody_else_is_refused(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    with pytest.raises(AccessDenied) as caught:
        upload(hub, name, files, repo="Qwen/Qwen3-0.6B")

    assert "Qwen must be you, or an organisation" in caught.value.hint
    assert "the environment" in caught.value.hint


def test_a_namespace_that_is_not_there_is_named(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    hub.faults["/api/repos/create" if name == "huggingface" else "/batch"] = [Fault(404, {"error": "no such owner"})]

    with pytest.raises(ModelNotFound, match="no such owner") as caught:
        upload(hub, name, files)

    assert "Check the spelling of me" in caught.value.hint


def test_a_hub_that_is_away_is_named(hub: UploadHub, name: HubName, files: list[Item]) -> None:
    with UploadHub() as gone:
        pass

    with pytest.raises(HubUnreachable, match=r"127\.0\.0\.1"):
        upload(gone, name, files)


def test_a_busy_hub_that_asks_for_too_long_a_wait_is_given_up(hub: UploadHub, files: list[Item]) -> None:
    """That of Hugging Face is waited for by its client, however long it asks for."""
    hub.faults["/commit/"] = [Fault(429, {"Message": "slow down"}, {"Retry-After": "900"})]

    with pytest.raises(HubBusy):
        upload(hub, "modelscope", files)


def test_without_a_token_or_offline_nothing_is_begun(name: HubName) -> None:
    token = Token(TOKEN_VARIABLES[name])

    refused = find_obstacle(name, REPO, token, is_offline=False)

    assert isinstance(refused, AccessDenied)
    assert TOKEN_VARIABLES[name] in refused.hint
    assert isinstance(find_obstacle(name, REPO, Token("X", TOKEN), is_offline=True), BadInput)
    assert find_obstacle(name, REPO, Token("X", TOKEN), is_offline=False) is None


def test_a_client_that_is_not_installed_is_named(
    hub: UploadHub, name: HubName, files: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, package = {
        "modelscope": ("modelscope_hub", "modelscope"),
        "huggingface": ("huggingface_hub", "huggingface_hub"),
    }[name]
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingPackage) as caught:
        upload(hub, name, files)

    assert caught.value.hint == f"pip install -U {package}"
