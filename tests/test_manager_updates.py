"""News of cached models: asked when somebody wants to know, remembered for a day, and of no hub asked twice in vain."""

from __future__ import annotations

import json
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadInput, HubUnreachable, NotCached, Stopped, UnknownModel
from qwen3ft_jupyter.hubs import routes
from qwen3ft_jupyter.hubs.http import CONNECT_TIMEOUT_S, QUESTION_IDLE_S
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.manager import ModelManager, get_model_manager, updates
from qwen3ft_jupyter.manager.updates import NEWS_NAME, REMEMBERED_S, ModelNews
from qwen3ft_jupyter.messages import render
from qwen3ft_jupyter.mirror.mirror import Mirror
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from tests.servers import ABORT, Reply, ScriptedServer, Seen, json_reply

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.settings.declared import HubName

REPO, OTHER = "org/small", "org/other"
NEWER = "d" * 40


class Hub:
    """A hub whose branches have moved on."""

    def __init__(self) -> None:
        self.commits = {REPO: NEWER, OTHER: NEWER}
        self.asked: list[str] = []

    def __call__(self, seen: Seen) -> Reply:
        self.asked.append(seen.path)
        for name, commit in self.commits.items():
            if seen.path == f"/api/models/{name}/revision/main":
                return json_reply({"id": name, "sha": commit, "siblings": [], "private": False, "gated": False})
        return json_reply({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})


def manager_of(folder: Path, endpoint: str, **more: Any) -> ModelManager:
    more = {"cache_dir": folder / "cache", "state_dir": folder / "state", "use_modelscope": False, **more}
    return get_model_manager(modelscope_endpoint=endpoint, hf_endpoint=endpoint, **more)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    with Mirror({REPO: MODEL_FOLDER, OTHER: MODEL_FOLDER}) as mirror:
        manager = manager_of(tmp_path, mirror.url)
        manager.ensure_model_cached(REPO)
        manager.ensure_model_cached(OTHER)
    return tmp_path


def date_copies(folder: Path, created: float) -> None:
    """Let the copies in the cache be as old as this."""
    for manifest in (folder / "cache").glob("*/.qwen3ft/manifest.json"):
        recorded = json.loads(manifest.read_text())
        manifest.unlink()
        manifest.write_text(json.dumps({**recorded, "created": created}))


def test_a_newer_commit_is_told_and_remembered_without_asking_again(cache: Path) -> None:
    hub = Hub()
    with ScriptedServer(hub) as server:
        manager = manager_of(cache, server.url)
        before = manager.known_updates()
        assert hub.asked == []
        checked = manager.check_updates()
        asked = len(hub.asked)
        known = manager_of(cache, server.url).known_updates()

    assert [(one.latest, one.has_update, one.checked) for one in before] == [("", False, None)] * 2
    assert {(one.model_name, one.latest, one.has_update) for one in checked} == {
        (REPO, NEWER, True),
        (OTHER, NEWER, True),
    }
    assert known == checked
    assert len(hub.asked) == asked == 2


def test_what_is_up_to_date_is_no_update(cache: Path) -> None:
    hub = Hub()
    hub.commits = {one.model_name: one.commit for one in manager_of(cache, "http://127.0.0.1:9").known_updates()}
    with ScriptedServer(hub) as server:
        checked = manager_of(cache, server.url).check_updates()

    assert [one.has_update for one in checked] == [False, False]
    assert all(one.checked for one in checked)


def test_a_model_that_is_gone_is_told_beside_the_others(cache: Path) -> None:
    hub = Hub()
    del hub.commits[OTHER]
    with ScriptedServer(hub) as server:
        checked = {str(one.model_name): one for one in manager_of(cache, server.url).check_updates()}

    assert checked[REPO].has_update
    assert not checked[OTHER].has_update
    assert OTHER in checked[OTHER].problem


def test_a_hub_that_cannot_be_reached_is_asked_once_and_what_was_said_before_is_kept(cache: Path) -> None:
    with ScriptedServer(Hub()) as server:
        said = manager_of(cache, server.url).check_updates()
    manager = manager_of(cache, "http://127.0.0.1:9")

    with pytest.raises(HubUnreachable):
        manager.check_updates()

    assert manager.known_updates() == said


def test_what_one_model_was_told_is_answered_although_the_hub_is_gone_for_the_next(cache: Path) -> None:
    hub = Hub()

    def answer(seen: Seen) -> Reply:
        return Reply(body=[ABORT]) if hub.asked else hub(seen)

    with ScriptedServer(answer) as server:
        manager = manager_of(cache, server.url)
        first, second = manager.check_updates()

    assert (first.latest, first.problem) == (NEWER, "")
    assert second.latest == ""
    assert "broke off" in second.problem
    assert [one.latest for one in manager.known_updates()] == [NEWER, ""]


@pytest.mark.parametrize("hub", ["huggingface", "modelscope"])
def test_a_hub_that_takes_connections_and_stays_silent_is_asked_about_one_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: HubName
) -> None:
    with Mirror({REPO: MODEL_FOLDER, OTHER: MODEL_FOLDER}) as mirror:
        for name in (REPO, OTHER):
            manager_of(tmp_path, mirror.url, use_modelscope=hub == "modelscope").ensure_model_cached(name)
    monkeypatch.setattr(updates, "PATIENCE_S", 0.3)
    asked, is_over = [], threading.Event()

    def hang(seen: Seen) -> Reply:
        asked.append(seen.path)
        is_over.wait(120)
        return json_reply({})

    with ScriptedServer(hang) as server:
        manager = manager_of(tmp_path, server.url)
        try:
            with pytest.raises(HubUnreachable, match="does not answer"):
                manager.check_updates()
        finally:
            is_over.set()

    assert {one.hub for one in manager.known_updates()} == {hub}
    assert len(asked) <= 1  # none, where the machine is too busy to ask within so short a patience


def test_a_hub_that_says_nothing_of_a_branch_after_all_our_patience_is_asked_no_more(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ModelScope's git service, whose failures count as an answer without that branch."""
    asked = []

    class Slow:
        endpoint = "https://hub.example"

        def commit(self, repo_id: str, _revision: str, *, stop: threading.Event) -> str:
            asked.append(repo_id)
            stop.wait()
            return ""

    monkeypatch.setattr(updates, "PATIENCE_S", 0.1)
    monkeypatch.setattr(routes, "make_hubs", lambda *_, **__: {"huggingface": Slow()})

    with pytest.raises(HubUnreachable, match=r"hub\.example took the connection but does not answer"):
        manager_of(cache, "http://127.0.0.1:9").check_updates()

    assert len(asked) == 1


def test_patience_ends_before_a_silent_hub_counts_as_one_that_cannot_say() -> None:
    assert CONNECT_TIMEOUT_S < updates.PATIENCE_S < QUESTION_IDLE_S


def test_offline_says_so_and_asks_nobody(cache: Path) -> None:
    hub = Hub()
    with ScriptedServer(hub) as server, pytest.raises(HubUnreachable, match="switched off"):
        manager_of(cache, server.url, offline=True).check_updates()

    assert hub.asked == []


def test_news_are_forgotten_after_a_day_and_what_is_none_of_ours_is_left_out(cache: Path) -> None:
    manager = manager_of(cache, "http://127.0.0.1:9")
    now = time.time()
    date_copies(cache, now - 2 * REMEMBERED_S)
    file = cache / "state" / NEWS_NAME
    file.parent.mkdir(exist_ok=True)
    stored = {
        f"huggingface {REPO} main": [NEWER, now - REMEMBERED_S - 1],
        f"huggingface {OTHER} main": [NEWER, now - 60],
        "huggingface": [NEWER, now],
        "a b c": ["<b>", now],
        "d e f": None,
    }
    for text in ("{", "[]", "null", json.dumps(stored)):
        file.write_text(text)
        latest = {one.model_name: one.latest for one in manager.known_updates()}

    assert latest == {REPO: "", OTHER: NEWER}


def test_a_copy_that_has_come_to_the_commit_has_no_update(cache: Path) -> None:
    """What was said is compared with what is cached now."""
    with ScriptedServer(Hub()) as server:
        manager = manager_of(cache, server.url)
        manager.check_updates()
    with Mirror({REPO: MODEL_FOLDER, OTHER: MODEL_FOLDER}) as mirror:
        here = manager_of(cache, mirror.url)
        [commit] = {one.commit for one in here.known_updates() if one.model_name == REPO}
        file = cache / "state" / NEWS_NAME
        file.write_text(file.read_text().replace(NEWER, commit))

    assert [one.has_update for one in here.known_updates() if one.model_name == REPO] == [False]


def test_what_was_said_before_an_update_came_is_told_no_more(cache: Path, tmp_path: Path) -> None:
    """The hub may have moved on between: what it said then is older than the copy, and no update of it."""
    with ScriptedServer(Hub()) as server:
        manager_of(cache, server.url).check_updates()
    newest = shutil.copytree(MODEL_FOLDER, tmp_path / "newest", ignore=shutil.ignore_patterns(".qwen3ft"))
    (newest / "README.md").unlink()
    (newest / "README.md").write_text("# Newest")
    with Mirror({REPO: newest, OTHER: MODEL_FOLDER}) as mirror:
        manager = manager_of(cache, mirror.url)
        before = {str(one.model_name): one for one in manager.known_updates()}
        manager.ensure_model_cached(REPO, update=True)
        after = {str(one.model_name): one for one in manager.known_updates()}
        checked = {str(one.model_name): one for one in manager.check_updates()}

    assert after[REPO].commit not in (NEWER, before[REPO].commit)
    assert (before[REPO].latest, before[REPO].has_update) == (NEWER, True)
    assert (after[REPO].latest, after[REPO].checked, after[REPO].has_update) == ("", None, False)
    assert after[OTHER] == before[OTHER]
    assert (checked[REPO].latest, checked[REPO].has_update) == (after[REPO].commit, False)


def test_a_copy_of_a_commit_and_the_practice_model_are_not_asked_about(tmp_path: Path) -> None:
    with Mirror({REPO: MODEL_FOLDER}) as mirror:
        manager = manager_of(tmp_path, mirror.url)
        manager.ensure_model_cached("qwen3ft/Qwen3-Practice")
        commit = manager.details(REPO, ask=True).commit
        manager.ensure_model_cached(REPO, revision=commit)
        [copy] = [model for model in manager.cached_models() if model.repo_id == REPO]

    assert copy.revision == commit
    assert manager.known_updates() == []


def test_asking_ends_when_it_is_stopped(cache: Path) -> None:
    stop, is_over = threading.Event(), threading.Event()

    def hang(_seen: Seen) -> Reply:
        stop.set()
        is_over.wait(120)
        return json_reply({})

    with ScriptedServer(hang) as server:
        try:
            with pytest.raises(Stopped):
                manager_of(cache, server.url).check_updates(stop=stop)
        finally:
            is_over.set()


def test_how_much_an_update_would_fetch_is_what_it_fetches(cache: Path, tmp_path: Path) -> None:
    newest = shutil.copytree(MODEL_FOLDER, tmp_path / "newest", ignore=shutil.ignore_patterns(".qwen3ft"))
    (newest / "README.md").unlink()
    (newest / "README.md").write_text("# Newest")
    with Mirror({REPO: newest, OTHER: MODEL_FOLDER}) as mirror:
        manager = manager_of(cache, mirror.url)
        checked = {str(one.model_name): one for one in manager.check_updates(sizes=True)}
        unsized = manager.check_updates([REPO])
        done = manager.ensure(REPO, update=True)

    assert (checked[REPO].has_update, checked[OTHER].has_update) == (True, False)
    assert (checked[REPO].bytes_to_fetch, checked[OTHER].bytes_to_fetch) == (done.bytes_fetched, None)
    assert done.bytes_fetched == len("# Newest")
    assert [one.bytes_to_fetch for one in unsized] == [None]


def test_what_an_update_would_fetch_is_told_of_the_others_where_a_hub_does_not_list_one(cache: Path) -> None:
    """It knows of the commit, and not of its files."""
    with ScriptedServer(Hub()) as server:
        checked = manager_of(cache, server.url).check_updates([REPO], sizes=True)

    assert [(one.has_update, one.bytes_to_fetch) for one in checked] == [(True, None)]
    assert checked[0].problem


def test_only_the_models_that_are_named_are_asked_about(cache: Path) -> None:
    hub = Hub()
    with ScriptedServer(hub) as server:
        manager = manager_of(cache, server.url)
        one = manager.check_updates([REPO])
        asked = len(hub.asked)
        both = manager.check_updates([f"https://huggingface.co/{REPO}", OTHER, f"{OTHER}@main"])

    assert ([news.model_name for news in one], asked) == ([REPO], 1)
    assert [news.model_name for news in both] == [REPO, OTHER]


def test_a_model_of_which_there_can_be_no_news_is_refused_before_a_hub_is_asked(tmp_path: Path) -> None:
    with Mirror({REPO: MODEL_FOLDER}) as mirror:
        manager = manager_of(tmp_path, mirror.url)
        commit = manager.details(REPO, ask=True).commit
        manager.ensure_model_cached(REPO, revision=commit)
    manager = manager_of(tmp_path, "http://127.0.0.1:9")

    with pytest.raises(BadInput, match="no copy of it in this cache follows a branch"):
        manager.check_updates([REPO])
    with pytest.raises(NotCached, match="org/other is not in the cache") as refused:
        manager.check_updates([OTHER])
    assert "download org/other" in render(refused.value.hint, "en")
    with pytest.raises(UnknownModel):
        manager.check_updates(["Qwen/Qwen3-7B-Instruct"])


@pytest.mark.parametrize(("slug", "beside"), [("org_small", None), ("org_small@v1", "v1")])
def test_a_copy_beside_the_first_is_meant_by_its_revision(slug: str, beside: str | None) -> None:
    assert ModelNews(RepoId(REPO), slug, "huggingface", "v1", NEWER).beside == beside
