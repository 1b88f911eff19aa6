"""Several revisions of one model: asked for at once, brought up to date, repaired, and planned."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import HubUnreachable, ModelNotFound, RevisionNotFound
from qwen3ft_jupyter.hubs.listing import Listing, Request
from tests.download.asking import plan_model
from tests.download.test_ensure import FILES, NAME, contents, ensure, replace_bytes
from tests.servers import Reply, Seen, file_reply
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of, remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.hubs.names import RepoId

MB = 1 << 20
A, B, C = "a" * 40, "b" * 40, "c" * 40
OTHER = {**FILES, "config.json": b'{"model_type": "qwen3", "other": true}'}
HEAVIER = {**FILES, "model.safetensors": bytes_of(3 * MB, 9)}


class Branches(Origin):
    """A hub whose revisions have commits and files of their own."""

    def __init__(self, **branches: tuple[str, Mapping[str, bytes]]) -> None:
        super().__init__({})
        self.branches = branches

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:  # noqa: ARG002
        self.listings_asked += 1
        name, (commit, files) = self._at(revision)
        return Listing(repo_id, self.name, name, commit, tuple(remote(path, data) for path, data in files.items()))

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:  # noqa: ARG002
        self.commits_asked += 1
        return self._at(revision)[1][0]

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:
        return Request(f"{self.server.url}/{listing.commit}/{quote(file.path)}", {})

    def _at(self, revision: str | None) -> tuple[str, tuple[str, Mapping[str, bytes]]]:
        name = revision or "master"
        if self.error is not None:
            raise self.error
        for branch, state in self.branches.items():
            if branch == name or state[0].startswith(name):
                return name, state
        raise RevisionNotFound(f"There is no {name}.")

    def _answer(self, request: Seen) -> Reply:
        if self.fault is not None and (reply := self.fault(request, 0)) is not None:
            return reply
        commit, _, path = request.path.removeprefix("/").partition("/")
        found = [files[path] for known, files in self.branches.values() if known == commit and path in files]
        return file_reply(request, found[0]) if found else Reply(404)


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture
def hub() -> Iterator[Branches]:
    with Branches(master=(A, FILES), dev=(B, OTHER)) as hub:
        yield hub


def stale(cache: ModelCache, revision: str | None) -> list[str]:
    """Return the files of a revision that would be read again."""
    model = cache.find(REPO, revision)
    assert model is not None
    manifest = cache.manifest(model)
    assert manifest is not None
    return [file.path for file in cache.stale_files(model, manifest)]


def slugs(cache: ModelCache) -> dict[str, str]:
    return {model.slug: model.commit for model in cache.list()}


def test_two_revisions_asked_for_at_once_do_not_take_one_another_s_folder(cache: ModelCache, hub: Branches) -> None:
    """Neither is here yet, so both would lie in the first folder; who waited for it has to go elsewhere."""
    second_waits = threading.Event()

    def hold(request: Seen, _: int) -> Reply | None:
        if request.path.startswith(f"/{A}/model"):
            assert second_waits.wait(120)
        return None

    class Second(Recorder):
        def notice(self, message: str) -> None:
            super().notice(message)
            if "waiting" in message:
                second_waits.set()

    hub.fault = hold
    ensured: dict[str, Any] = {}

    def first() -> None:
        ensured["master"] = ensure(cache, hub, revision="master")

    thread = threading.Thread(target=first)
    thread.start()
    hub.server.wait_for(1)
    ensured["dev"] = ensure(cache, hub, revision="dev", reporter=Second())
    thread.join(120)

    assert contents(ensured["master"].model.folder) == FILES
    assert contents(ensured["dev"].model.folder) == OTHER
    assert slugs(cache) == {NAME: A, f"{NAME}@dev": B}


def test_an_update_moves_the_first_folder_on_even_if_another_is_at_that_commit(
    cache: ModelCache, hub: Branches
) -> None:
    """Else the update would be forgotten by the next who names no revision."""
    ensure(cache, hub)
    ensure(cache, hub, revision="dev")
    hub.branches["master"] = hub.branches["dev"]

    updated = ensure(cache, hub, update=True)

    assert updated.bytes_fetched == 0
    assert updated.model.slug == NAME
    assert ensure(cache, hub).model.commit == B
    assert contents(cache.root / NAME) == OTHER
    assert ensure(cache, hub, update=True).was_cached


def test_a_branch_that_has_moved_to_a_commit_that_is_here_is_at_it_offline_too(
    cache: ModelCache, hub: Branches
) -> None:
    ensure(cache, hub)
    ensure(cache, hub, revision="dev")
    hub.branches["dev"] = hub.branches["master"]

    assert ensure(cache, hub, revision="dev").bytes_fetched == 0

    assert ensure(cache, hub, revision="dev", offline=True).model.commit == A


@pytest.mark.parametrize("newest", [HEAVIER, {"config.json": b"{}", "other.safetensors": b"other"}])
def test_what_an_update_replaces_costs_the_other_revision_no_read(
    cache: ModelCache, hub: Branches, newest: dict[str, bytes]
) -> None:
    ensure(cache, hub)
    ensure(cache, hub, revision="dev")
    hub.branches["master"] = (C, newest)

    ensure(cache, hub, update=True)

    assert stale(cache, None) == []
    assert stale(cache, "dev") == []
    assert contents(cache.root / f"{NAME}@dev") == OTHER


def test_of_two_revisions_at_one_commit_the_last_use_is_that_of_the_one_asked_for(
    cache: ModelCache, hub: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen3ft_jupyter.cache.store.TOUCH_S", 0.0)
    ensure(cache, hub)
    ensure(cache, hub, revision="dev")
    hub.branches["master"] = hub.branches["dev"]
    ensure(cache, hub, update=True)
    before = {model.slug: model.last_used for model in cache.list()}

    ensure(cache, hub, revision="dev")

    after = {model.slug: model.last_used for model in cache.list()}
    assert [slug for slug in after if after[slug] != before[slug]] == [f"{NAME}@dev"]


def test_an_empty_revision_is_none(cache: ModelCache, hub: Branches) -> None:
    ensure(cache, hub)
    hub.branches["master"] = (C, HEAVIER)

    assert ensure(cache, hub, revision="").was_cached
    assert slugs(cache) == {NAME: A}


def test_a_revision_that_no_hub_knows_leaves_nothing_behind(cache: ModelCache, hub: Branches) -> None:
    ensure(cache, hub)

    with pytest.raises(RevisionNotFound):
        ensure(cache, hub, revision="typo")

    assert sorted(path.name for path in cache.root.iterdir()) == [NAME]


# A file becomes a folder


def test_a_file_becomes_a_folder_and_a_file_again(cache: ModelCache, hub: Branches) -> None:
    weights = {"config.json": b"{}", "model.safetensors": b"weights"}
    states = [{"a.json": b"1", "b/c.json": b"2"}, {"a.json/x.json": b"3", "b": b"4"}, {"a.json": b"5"}]
    states = [{**weights, **{path.replace("b", "b.json", 1): d for path, d in s.items()}} for s in states]
    recorder = Recorder()

    for number, files in enumerate(states):
        hub.branches["master"] = (f"{number}" * 40, files)
        updated = ensure(cache, hub, update=True, reporter=recorder)
        assert contents(updated.model.folder) == files

    assert recorder.notices == []
    assert not (cache.root / NAME / ".qwen3ft/replaced").exists()
    assert not (cache.root / NAME / "b.json").exists()


# The hub that listed it is gone


def test_a_damaged_model_whose_hub_is_gone_is_repaired_from_whoever_has_the_same_bytes(
    cache: ModelCache, hub: Branches
) -> None:
    with Origin(FILES, name="huggingface", commit=C) as second:
        folder = ensure(cache, hub, second).model.folder
        replace_bytes(folder / "model.safetensors", b"?" * len(FILES["model.safetensors"]))
        hub.error, hub.fault = HubUnreachable("It is gone."), lambda *_: Reply(404)

        repaired = ensure(cache, hub, second, revision=A)

    assert repaired.model.commit == A
    assert repaired.shares == {"Hugging Face": len(FILES["model.safetensors"])}
    assert contents(folder) == FILES


def test_bytes_that_nobody_has_any_more_are_said_to_be_missing(cache: ModelCache, hub: Branches) -> None:
    with Origin(OTHER, name="huggingface", commit=C) as second:
        folder = ensure(cache, hub, second).model.folder
        replace_bytes(folder / "config.json", b"?" * len(FILES["config.json"]))
        hub.error, hub.fault = ModelNotFound("It is gone."), lambda *_: Reply(404)
        second.error = HubUnreachable("It is away.")

        with pytest.raises(ModelNotFound, match="gone"):
            ensure(cache, hub, second, revision=A)

    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


# What a plan says


def bytes_planned(cache: ModelCache, hub: Origin, **wanted: Any) -> int:
    plan = plan_model(cache, {hub.name: hub}, REPO, order=[hub.name], max_connections=4, **wanted)
    assert plan.has_room
    return plan.bytes_to_fetch


@pytest.mark.parametrize(
    ("wanted", "travels"),
    [
        ({}, 0),
        ({"revision": A}, 0),
        ({"revision": "dev"}, 0),
        ({"revision": "master"}, 3 * MB),
        ({"update": True}, 3 * MB),
    ],
)
def test_a_plan_knows_which_revision_the_download_would_take(
    cache: ModelCache, hub: Branches, wanted: dict[str, Any], travels: int
) -> None:
    ensure(cache, hub)
    ensure(cache, hub, revision="dev")
    hub.branches["master"] = (C, HEAVIER)

    assert bytes_planned(cache, hub, **wanted) == travels
    assert ensure(cache, hub, **wanted).bytes_fetched == travels


def test_a_plan_for_a_damaged_model_is_about_its_own_commit(cache: ModelCache, hub: Branches) -> None:
    (ensure(cache, hub).model.folder / "sub/notes.txt").unlink()
    hub.branches["master"] = (C, HEAVIER)
    hub.branches["old"] = (A, FILES)

    assert bytes_planned(cache, hub) == len(FILES["sub/notes.txt"]) == ensure(cache, hub).bytes_fetched
