"""What is known of one model: from the cache without a request, from a hub only when that is asked for."""

from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.own.partials import note_download
from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.errors import BadInput, HubUnreachable, ModelNotFound, Stopped, UnknownModel
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.mirror.mirror import Mirror
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from qwen3ft_jupyter.work import Reporter
from tests.servers import ScriptedServer, Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.settings.declared import HubName

REPO = "org/small"
NOBODY = "http://127.0.0.1:9"
FILES = {path.name: path.read_bytes() for path in MODEL_FOLDER.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with Mirror({REPO: MODEL_FOLDER}) as mirror:
        yield mirror.url


def manager_of(folder: Path, endpoint: str, **more: Any) -> ModelManager:
    return get_model_manager(
        cache_dir=folder / "cache",
        state_dir=folder / "state",
        modelscope_endpoint=endpoint,
        hf_endpoint=endpoint,
        **more,
    )


@pytest.fixture(params=[True, False], ids=["ModelScope", "Hugging Face"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, hub: str) -> ModelManager:
    return manager_of(tmp_path, hub, use_modelscope=request.param)


def test_a_cached_model_tells_its_files_and_digests_without_a_request(tmp_path: Path, hub: str) -> None:
    manager_of(tmp_path, hub).ensure_model_cached(REPO)

    details = manager_of(tmp_path, NOBODY).details(REPO, ask=True)

    assert details.is_cached
    assert details.files is not None
    assert {file.path: (file.size, file.sha256) for file in details.files} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in FILES.items()
    }


def test_of_one_that_is_not_cached_a_hub_is_asked_only_where_that_is_wanted(manager: ModelManager) -> None:
    unasked, asked = manager.details(REPO), manager.details(REPO, ask=True)

    assert (unasked.files, unasked.hub) == (None, None)
    assert not asked.is_cached
    assert asked.hub == manager.settings.hub
    assert {file["path"] for file in asked.to_dict()["files"]} == set(FILES)
    assert all(file["sha256"] or file["git_sha1"] for file in asked.to_dict()["files"])


def test_the_card_is_the_cached_one_or_a_hubs_without_its_front_matter(tmp_path: Path, manager: ModelManager) -> None:
    assert manager.card(REPO).text is None
    asked = manager.card(REPO, ask=True)
    manager.ensure_model_cached(REPO)
    cached = manager_of(tmp_path, NOBODY).card(REPO)

    assert asked.hub == manager.settings.hub
    assert cached.hub is None
    assert asked.text == cached.text
    assert cached.text is not None
    assert cached.text.startswith("# ")
    assert (asked.license, cached.license) == ("apache-2.0", "apache-2.0")


def test_a_model_without_a_card_has_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(FILES["config.json"])
    with Mirror({REPO: folder}) as mirror:
        assert manager_of(tmp_path, mirror.url).card(REPO, ask=True).text == ""


def test_the_practice_model_needs_no_hub(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, NOBODY, offline=True)

    assert manager.details(PRACTICE_REPO_ID, ask=True).files
    assert manager.card(PRACTICE_REPO_ID, ask=True).text


def test_offline_says_so_and_what_to_do(tmp_path: Path, hub: str) -> None:
    manager = manager_of(tmp_path, hub, offline=True)

    for ask in (manager.details, manager.card):
        assert ask(REPO).to_dict()["cached" if ask == manager.details else "text"] in (False, None)
        with pytest.raises(HubUnreachable, match="switched off") as refused:
            ask(REPO, ask=True)
        assert "QWEN3FT_OFFLINE" in refused.value.hint


def test_what_no_hub_has_and_nobody_published_is_refused(manager: ModelManager) -> None:
    with pytest.raises(ModelNotFound):
        manager.details("org/absent", ask=True)
    with pytest.raises(UnknownModel):
        manager.card("Qwen/Qwen3-7B-Instruct", ask=True)


def test_asking_ends_when_it_is_stopped(tmp_path: Path) -> None:
    """A hub that never answers: whoever asked leaves."""
    stop, is_over = threading.Event(), threading.Event()

    def hang(_seen: Seen) -> Any:
        stop.set()
        is_over.wait(120)
        raise ConnectionError

    with ScriptedServer(hang) as server:
        try:
            with pytest.raises(Stopped):
                manager_of(tmp_path, server.url).card(REPO, ask=True, stop=stop)
        finally:
            is_over.set()


def test_an_address_is_read_as_every_method_reads_it_and_what_is_no_model_is_answered_with_a_cure(
    tmp_path: Path,
) -> None:
    manager = manager_of(tmp_path, NOBODY)

    assert manager.read_name("https://modelscope.cn/models/Qwen/Qwen3-8B/files").to_dict() == {
        "model_name": "Qwen/Qwen3-8B",
        "revision": "",
    }
    for text in (
        "ms:Qwen/Qwen3-8B",
        "https://huggingface.co/datasets/a/b",
        "https://hf.co/spaces/a/b",
        "https://example.org/a/b",
        "Qwen/Qwen3-7B",
    ):
        with pytest.raises(BadInput) as refused:
            manager.read_name(text)
        assert refused.value.hint


@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_the_hub_that_is_named_is_asked_first(tmp_path: Path, hub: HubName) -> None:
    with Mirror({REPO: MODEL_FOLDER}) as mirror:
        other = "huggingface" if hub == "modelscope" else "modelscope"
        manager = manager_of(tmp_path, mirror.url, use_modelscope=other == "modelscope")

        assert manager.plan(REPO, hub=hub).hub == hub
        assert manager.plan(REPO).hub == other


def test_a_hub_that_the_settings_leave_out_is_not_asked_and_that_is_told(tmp_path: Path, hub: str) -> None:
    told: list[str] = []

    class Told(Reporter):
        def notice(self, message: str) -> None:
            told.append(message)

    manager = manager_of(tmp_path, hub, use_modelscope=True, fallback=False)

    assert manager.plan(REPO, hub="huggingface", reporter=Told()).hub == "modelscope"
    assert told[0] == "The settings leave out Hugging Face: ModelScope is asked."


def test_what_else_is_known_of_a_model_needs_no_hub(tmp_path: Path) -> None:
    details = manager_of(tmp_path, NOBODY).details("Qwen/Qwen3-0.6B")

    assert details.files is None
    assert details.about.catalogued
    assert (details.license, details.copies, details.unfinished) == ("Apache-2.0", [], [])


def test_the_licence_that_no_catalogue_knows_is_that_of_the_card(tmp_path: Path, manager: ModelManager) -> None:
    assert manager.details(REPO).license == ""
    asked = manager.details(REPO, ask=True).license
    manager.ensure_model_cached(REPO)

    assert (asked, manager_of(tmp_path, NOBODY).details(REPO).license) == ("apache-2.0", "apache-2.0")


def test_a_hub_that_does_not_give_the_card_gives_the_files_all_the_same(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL_FOLDER, tmp_path / "model")
    with Mirror({REPO: folder}) as mirror:
        manager = manager_of(tmp_path, mirror.url)
        files = manager.details(REPO, ask=True).files
        (folder / "README.md").unlink()
        (folder / "README.md").mkdir()
        unread = manager.details(REPO, ask=True)

    assert files is not None
    assert unread.license == ""
    assert unread.files


def test_every_copy_on_this_disk_is_told_with_how_whole_it_is(tmp_path: Path, hub: str) -> None:
    manager = manager_of(tmp_path, hub)
    folder = Path(manager.ensure_model_cached(REPO))
    manager.pin(REPO)
    whole = manager.details(REPO)
    (folder / "config.json").unlink()
    damaged = manager.details(REPO)

    [copy], [broken] = whole.copies, damaged.copies
    assert (copy.folder, copy.pinned, copy.is_sound) == (folder, True, True)
    assert (whole.about.cached, whole.about.verified) == (True, True)
    assert not broken.is_sound
    assert "config.json" in str(broken.changes)
    assert not damaged.about.verified


def test_a_download_that_has_not_ended_is_told(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, NOBODY)
    incoming = tmp_path / "cache" / ".incoming" / "org_small"
    incoming.mkdir(parents=True)
    (incoming / "a.part").write_bytes(b"x" * 5000)
    note_download(incoming, RepoId(REPO), None)

    [unfinished] = manager.details(REPO).to_dict()["unfinished"]

    assert (unfinished["model_name"], unfinished["active"]) == (REPO, False)
    assert manager.details("org/other").unfinished == []
