"""Data sets of either hub in a fine-tune's `data`: fetched once, kept as files, read like any others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.download.downloader import Downloader
from qwen3ft_jupyter.errors import BadConfig, BadInput, HubUnreachable, ModelNotFound, NotCached, UnsafeModel
from qwen3ft_jupyter.faces.tuning_views import fine_tune_table
from qwen3ft_jupyter.finetune import output
from qwen3ft_jupyter.finetune.absent import AbsentData
from qwen3ft_jupyter.finetune.check import config_for_preview, with_fetched
from qwen3ft_jupyter.finetune.data import Reading, check_data, read_named
from qwen3ft_jupyter.finetune.earlier import data_of
from qwen3ft_jupyter.finetune.own import MADE_BY
from qwen3ft_jupyter.finetune.results import Record
from qwen3ft_jupyter.hubs.datasets import DatasetName, choose_files, parse_dataset
from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
from qwen3ft_jupyter.hubs.names import RepoId, SafePath
from qwen3ft_jupyter.manager.datasets import dataset_names, ensure_dataset, plan_dataset
from qwen3ft_jupyter.manager.manager import get_model_manager
from qwen3ft_jupyter.manager.params import FineTuneParams, Starter
from qwen3ft_jupyter.work import Controls, Reporter, Work
from tests.servers import ScriptedServer, dataset_hub, json_reply
from tests.test_manager_tuned import done

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.download.request import DownloadRequest
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.settings.declared import Settings
    from tests.servers import Reply, Seen

REPO = "org/talks"
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet", ".txt")


def rows(count: int, name: str = "q") -> bytes:
    lines = [json.dumps({"question": f"{name}{number}", "answer": "a"}) for number in range(count)]
    return "\n".join(lines).encode()


CARD = b"""---
configs:
- config_name: zh
  data_files: [{split: train, path: "zh/*.jsonl"}, {split: test, path: "held/*.jsonl"}]
- config_name: en
  default: true
  data_files: {train: [en/part-0.jsonl, en/part-1.jsonl]}
---
# Talks
"""
FILES = {
    "README.md": CARD,
    ".gitattributes": b"*",
    "zh/a.jsonl": rows(3, "zh"),
    "held/a.jsonl": rows(2, "held"),
    "en/part-0.jsonl": rows(4, "en0-"),
    "en/part-1.jsonl": rows(4, "en1-"),
    "loader.py": b"import os",
}


@pytest.fixture
def hub() -> Iterator[ScriptedServer]:
    with ScriptedServer(dataset_hub({REPO: FILES})) as server:
        yield server


@pytest.fixture
def settings(hub: ScriptedServer, tmp_path: Path) -> Settings:
    return settings_of(hub, tmp_path)


def settings_of(hub: ScriptedServer, folder: Path, **more: Any) -> Settings:
    return get_model_manager(
        cache_dir=folder / "cache", modelscope_endpoint=hub.url, hf_endpoint=hub.url, **more
    ).settings


def fetch_dataset(name: DatasetName, settings: Settings, work: Work) -> Path:
    return ensure_dataset(name, ModelCache(settings.cache_dir), settings, work).model.folder


class Ear(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


def asked(folder: object) -> set[str]:
    data = read_named([str(folder)], Reading())
    return {one.messages[0].content for one in data.conversations}


@pytest.mark.parametrize("prefix", ["hf", "ms"])
def test_a_data_set_of_either_hub_is_fetched_once_and_kept_as_files(
    settings: Settings, hub: ScriptedServer, tmp_path: Path, prefix: str
) -> None:
    name = parse_dataset(f"{prefix}:{REPO}:zh")
    assert name is not None
    ear = Ear()

    folder = fetch_dataset(name, settings, Work(ear))

    assert folder.relative_to(tmp_path / "cache").as_posix() == f".datasets/{name.hub}/zh/org_talks"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if ".qwen3ft" not in path.parts} == {
        "zh/a.jsonl"
    }
    assert asked(folder) == {"zh0", "zh1", "zh2"}
    assert any("Left on the hub" in notice and "held/a.jsonl" in notice for notice in ear.notices)
    assert not any("cannot be loaded" in notice for notice in ear.notices)

    before = len(hub.seen)
    assert fetch_dataset(name, settings, Work()) == folder
    assert len(hub.seen) == before


def test_without_network_what_is_there_is_used_and_what_is_not_is_said(
    settings: Settings, hub: ScriptedServer, tmp_path: Path
) -> None:
    name = DatasetName(RepoId(REPO))
    folder = fetch_dataset(name, settings, Work())
    offline = settings_of(hub, tmp_path, offline=True)

    assert fetch_dataset(name, offline, Work()) == folder
    with pytest.raises(NotCached):
        fetch_dataset(DatasetName(RepoId("org/others")), offline, Work())


def test_what_is_damaged_is_fetched_again(settings: Settings) -> None:
    name = DatasetName(RepoId(REPO))
    path = fetch_dataset(name, settings, Work()) / "en" / "part-0.jsonl"
    path.chmod(0o644)
    path.write_bytes(b"broken")

    fetch_dataset(name, settings, Work())

    assert path.read_bytes() == FILES["en/part-0.jsonl"]


def test_a_fine_tune_is_planned_with_rows_of_a_data_set(
    hub: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ear = Ear()
    manager = get_model_manager(
        cache_dir=tmp_path / "cache", reporter=lambda: ear, modelscope_endpoint=hub.url, hf_endpoint=hub.url
    )

    data = [f"{REPO}#5x2", f"hf:{REPO}:zh"]
    plan = manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=data, device="cpu", fetch=True)

    assert plan.data.conversations == 5 + 3
    assert ear.notices
    assert "3 rows left out because org_talks#5 (3) asks for fewer." in plan.data.notices
    assert any(notice.startswith("An epoch sees 13 rows") for notice in plan.data.notices)


def test_what_was_deleted_since_a_config_named_it_comes_again(
    hub: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config is recorded with the folders of its data sets: a resumed or repeated run finds them there, or anew."""
    monkeypatch.chdir(tmp_path)
    manager = get_model_manager(cache_dir=tmp_path / "cache", modelscope_endpoint=hub.url, hf_endpoint=hub.url)
    config = config_for_preview({"model": PRACTICE_REPO_ID, "data": f"ms:{REPO}:zh:test#1"}, {}, tmp_path)
    fetched = with_fetched(config, manager.fetcher(Work()))
    manager.evict_model(f"ms:{REPO}:zh:test")

    again = with_fetched(fetched, manager.fetcher(Work()))

    assert again == fetched
    assert check_data(again).conversations == 1


@pytest.mark.parametrize("repo", ["my_org/talks", "org/my_talks", "a_b/c_d"])
def test_what_was_deleted_comes_again_whose_owner_only_the_record_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repo: str
) -> None:
    """Owners on ModelScope may hold an underscore, which is also what parts them from the name in a folder."""
    monkeypatch.chdir(tmp_path)
    with ScriptedServer(dataset_hub({repo: {"train.jsonl": rows(4)}})) as hub:
        manager = get_model_manager(cache_dir=tmp_path / "cache", modelscope_endpoint=hub.url, hf_endpoint=hub.url)
        config = config_for_preview({"model": PRACTICE_REPO_ID, "data": f"ms:{repo}#2"}, {}, tmp_path)
        fetched = with_fetched(config, manager.fetcher(Work()))
        known = dataset_names(fetched.data)
        planned = output.plan(fetched, [], resume=False, run_id="x", base_commit=None, datasets=known)
        record = Record.from_json(json.loads(json.dumps(planned.record.to_json())))
        assert record is not None
        names = FineTuneParams.from_dict(FineTuneParams(Starter(), fetched.to_dict(), "", record.datasets).to_dict())
        manager.evict_model(f"ms:{repo}")

        assert data_of(record) == (f"ms:{repo}#2",)
        assert with_fetched(fetched, manager.fetcher(Work()), names.datasets) == fetched
        assert check_data(fetched).conversations == 2


def test_a_record_without_names_of_data_sets_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / ".datasets/modelscope/default/org_talks"
    record = Record.from_json({"made_by": MADE_BY, "data": [f"{path}#3", str(tmp_path / "a.jsonl")]})
    assert record is not None

    assert record.datasets == {}
    assert data_of(record) == ("ms:org/talks#3", str(tmp_path / "a.jsonl"))


def test_nothing_is_fetched_for_a_preview_that_lacks_its_model(
    hub: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manager = get_model_manager(cache_dir=tmp_path / "cache", modelscope_endpoint=hub.url, hf_endpoint=hub.url)

    with pytest.raises(NotCached, match=PRACTICE_REPO_ID):
        manager.preview(REPO, PRACTICE_REPO_ID)

    assert hub.seen == []
    manager.ensure_model_cached(PRACTICE_REPO_ID)
    assert manager.preview(f"{REPO}:zh", PRACTICE_REPO_ID, fetch=True).conversations == 3


def fetched_files(hub: ScriptedServer) -> list[str]:
    """Return which files of rows have been asked for."""
    return [one.path for one in hub.seen if "jsonl" in f"{one.path} {one.query}"]


@pytest.fixture
def manager(hub: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelManager:
    """A manager with the practice model, in a folder with rows of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.jsonl").write_bytes(rows(2, "mine"))
    manager = get_model_manager(cache_dir=tmp_path / "cache", modelscope_endpoint=hub.url, hf_endpoint=hub.url)
    manager.ensure_model_cached(PRACTICE_REPO_ID)
    return manager


SIZE = len(FILES["zh/a.jsonl"])


def test_a_plan_names_what_is_not_here_with_its_size_and_fetches_none_of_it(
    manager: ModelManager, hub: ScriptedServer
) -> None:
    plan = manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=["mine.jsonl", f"{REPO}:zh#1"], device="cpu")

    assert plan.data.rows == 2
    assert plan.absent == (AbsentData(f"ms:{REPO}:zh", SIZE),)
    assert plan.notices[0].startswith(f"Not looked at, for it is not here yet: ms:{REPO}:zh ({SIZE} B). Download it:")
    assert fine_tune_table(plan, "cli").notes[0].endswith(f"Download it: qwen3ft download ms:{REPO}:zh")
    assert fine_tune_table(plan).notes[0].endswith(f"Download it: %qwen3ft download ms:{REPO}:zh")
    assert fetched_files(hub) == []


def test_a_preview_names_what_is_not_here_with_its_size_and_fetches_none_of_it(
    manager: ModelManager, hub: ScriptedServer
) -> None:
    found = manager.preview(["mine.jsonl", f"hf:{REPO}:zh"], PRACTICE_REPO_ID)

    assert (found.rows, found.absent) == (2, (AbsentData(f"hf:{REPO}:zh", SIZE),))
    assert found.notices[0].startswith("Not looked at")
    assert fetched_files(hub) == []


def test_where_nothing_of_the_data_is_here_it_is_said_what_to_download(
    manager: ModelManager, hub: ScriptedServer
) -> None:
    for look in (manager.plan_fine_tune, manager.preview):
        with pytest.raises(NotCached) as caught:
            look(model=PRACTICE_REPO_ID, data=f"{REPO}:zh")
        assert caught.value.message == f"The data is not here yet: ms:{REPO}:zh ({SIZE} B)."
        assert f"download ms:{REPO}:zh" in caught.value.hint

    assert fetched_files(hub) == []


def test_what_downloads_each_of_several_is_said_in_the_grammar_of_the_face(manager: ModelManager) -> None:
    names = [f"ms:{REPO}:zh", f"hf:{REPO}:en"]

    plan = manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=["mine.jsonl", *names], device="cpu")
    with pytest.raises(NotCached) as caught:
        manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=names)

    for table, word in ((fine_tune_table(plan, "cli"), "qwen3ft"), (fine_tune_table(plan), "%qwen3ft")):
        assert table.notes[0].endswith(f": {word} download {names[0]}; {word} download {names[1]}")
    assert all(f"download {name}" in caught.value.hint for name in names)


def test_what_has_been_downloaded_by_its_name_is_planned_with_and_no_hub_is_asked(
    manager: ModelManager, hub: ScriptedServer
) -> None:
    told = manager.plan(f"ms:{REPO}:zh")
    manager.ensure_model_cached(f"MS:{REPO}:zh")
    asked = len(hub.seen)

    plan = manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=f"{REPO}:zh", device="cpu")

    assert (told.bytes_to_fetch, told.problems, plan.data.rows, plan.absent) == (SIZE, (), 3, ())
    assert len(hub.seen) == asked


def test_a_data_set_is_downloaded_as_a_job_that_can_be_followed(manager: ModelManager) -> None:
    job = manager.download(f"ms:{REPO}:zh")

    assert done(job)["bytes"] == SIZE
    assert [str(one.name) for one in manager.cached_datasets()] == [f"ms:{REPO}:zh"]
    assert job.snapshot().title == f"Download ms:{REPO}:zh"


def test_the_speed_of_a_data_set_is_limited_as_that_of_a_model_is(
    hub: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controls of a job hold its limit, which can be lifted; without any, the settings do."""
    limits: list[float | None] = []
    ensure, plan = Downloader.ensure, Downloader.plan

    def ensuring(self: Downloader, request: DownloadRequest, work: Work) -> Ensured:
        limits.append(self.max_speed)
        return ensure(self, request, work)

    def planning(self: Downloader, request: DownloadRequest, work: Work) -> DownloadPlan:
        limits.append(self.max_speed)
        return plan(self, request, work)

    monkeypatch.setattr(Downloader, "ensure", ensuring)
    monkeypatch.setattr(Downloader, "plan", planning)
    manager = get_model_manager(
        cache_dir=tmp_path / "cache", max_speed=10**9, modelscope_endpoint=hub.url, hf_endpoint=hub.url
    )

    manager.plan(f"ms:{REPO}:zh")
    manager.plan(f"ms:{REPO}:zh", max_speed=10**8)
    manager.ensure(f"ms:{REPO}:zh", controls=Controls())
    manager.ensure(f"ms:{REPO}:zh")
    manager.fetcher(Work())(f"ms:{REPO}:zh")

    assert limits == [10**9, 10**8, None, 10**9, 10**9]


def test_what_only_models_have_is_not_asked_of_a_data_set(manager: ModelManager) -> None:
    with pytest.raises(BadInput, match="ms:org/talks is a data set"):
        manager.download("ms:org/talks", force=True)


def test_a_choice_that_there_is_not_is_told_by_the_plan(manager: ModelManager) -> None:
    with pytest.raises(BadInput, match="has no subset fr"):
        manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=["mine.jsonl", f"{REPO}:fr"], device="cpu")


def test_a_hub_that_does_not_answer_keeps_no_plan_waiting(
    manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen3ft_jupyter.manager.datasets.ASKED_S", 0.2)
    is_over = threading.Event()

    def never(_: Seen) -> Reply:
        is_over.wait(60)
        return json_reply({}, 503)

    with ScriptedServer(never) as slow:
        settings = manager.settings
        waiting = get_model_manager(cache_dir=settings.cache_dir, modelscope_endpoint=slow.url, hf_endpoint=slow.url)
        try:
            data = ["mine.jsonl", REPO, "org/more"]
            plan = waiting.plan_fine_tune(model=PRACTICE_REPO_ID, data=data, device="cpu")
        finally:
            is_over.set()

    assert plan.absent == (AbsentData(f"ms:{REPO}", None), AbsentData("ms:org/more", None))
    assert f"ms:{REPO} (size not known)" in plan.notices[0]
    assert {"org/more" in one.path for one in slow.seen} == {False}, "the seconds are those of all data sets together"


def test_a_rough_plan_asks_no_hub(manager: ModelManager, hub: ScriptedServer) -> None:
    data = ["mine.jsonl", f"{REPO}:zh", f"hf:{REPO}:en"]

    plan = manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=data, device="cpu", rough=True)

    assert plan.absent == (AbsentData(f"ms:{REPO}:zh", None), AbsentData(f"hf:{REPO}:en", None))
    assert hub.seen == []


def test_a_form_knows_without_a_hub_which_data_is_not_here(hub: ScriptedServer, manager: ModelManager) -> None:
    assert manager.absent_dataset(f"{REPO}:zh") == f"{REPO}:zh"
    assert manager.absent_dataset(f"hf:{REPO}:zh") == f"hf:{REPO}:zh"
    assert manager.absent_dataset("data/train.jsonl/x") is None
    assert hub.seen == []

    done(manager.download(f"ms:{REPO}:zh"))

    assert manager.absent_dataset(f"{REPO}:zh") is None
    assert manager.absent_dataset(f"hf:{REPO}:zh") == f"hf:{REPO}:zh"


@pytest.fixture
def far(manager: ModelManager) -> Iterator[ModelManager]:
    """The same manager where ModelScope, which is asked first, has no data set, and Hugging Face has one."""
    with ScriptedServer(dataset_hub({})) as empty, ScriptedServer(dataset_hub({REPO: FILES})) as hub:
        yield get_model_manager(
            cache_dir=manager.settings.cache_dir, modelscope_endpoint=empty.url, hf_endpoint=hub.url
        )


def test_a_data_set_named_without_its_hub_is_kept_by_that_of_the_hub_that_has_it(far: ModelManager) -> None:
    (planned,) = far.plan_fine_tune(model=PRACTICE_REPO_ID, data=["mine.jsonl", f"{REPO}:zh"], device="cpu").absent

    folder = far.fetcher(Work())(f"{REPO}:zh")

    assert planned.name == f"hf:{REPO}:zh"
    assert [str(one.name) for one in far.cached_datasets()] == [planned.name]
    assert dataset_names([str(folder)]) == {str(folder): planned.name}
    far.evict_model(planned.name)
    assert far.fetcher(Work())(planned.name) == folder, "by that name it comes again"


def test_the_hubs_are_asked_in_their_order_which_has_a_data_set_and_what_they_say_downloads_it(
    far: ModelManager, manager: ModelManager
) -> None:
    found = far.find_dataset(f"{REPO}:zh")

    assert found == AbsentData(f"hf:{REPO}:zh", len(FILES["zh/a.jsonl"]))
    assert manager.find_dataset(REPO).name == f"ms:{REPO}"
    done(far.download(found.name))
    assert far.absent_dataset(f"{REPO}:zh") is None


def test_a_data_set_that_no_hub_has_or_may_be_asked_about_is_refused(far: ModelManager) -> None:
    for name in ("org/none", f"ms:{REPO}"):
        with pytest.raises(ModelNotFound):
            far.find_dataset(name)
    with pytest.raises(BadInput, match="is no data set"):
        far.find_dataset("a b")
    offline = get_model_manager(cache_dir=far.settings.cache_dir, state_dir=far.settings.state_dir, offline=True)
    with pytest.raises(HubUnreachable, match="switched off"):
        offline.find_dataset(REPO)


@pytest.mark.parametrize("do", ["ensure", "plan"])
def test_a_data_set_named_without_its_hub_is_listed_once(settings: Settings, hub: ScriptedServer, do: str) -> None:
    name, cache = DatasetName(RepoId(REPO), "zh"), ModelCache(settings.cache_dir)

    (ensure_dataset if do == "ensure" else plan_dataset)(name, cache, settings, Work())

    listings = [one.path for one in hub.seen if one.path.endswith("/repo/tree")]
    cards = [one.target for one in hub.seen if "README.md" in one.target]
    assert (len(listings), len(cards)) == (1, 1)


def test_the_models_are_listed_while_a_data_set_is_downloaded(manager: ModelManager, hub: ScriptedServer) -> None:
    """Its name, which has a hub in front, is none of a model."""
    may_answer, answer = threading.Event(), hub.answer
    hub.answer = lambda request: answer(request) if may_answer.wait(60) else json_reply({}, 403)
    job = manager.download(f"ms:{REPO}:zh")
    try:
        names = {row["model_name"] for row in manager.models()}
    finally:
        may_answer.set()
        job.wait()

    assert PRACTICE_REPO_ID in names
    assert not any(REPO in name for name in names)


def test_a_data_set_named_without_its_hub_is_the_copy_that_is_here(far: ModelManager) -> None:
    """What was downloaded by a whole name is what plan, cell and job read, whichever hub is asked first."""
    done(far.download(f"hf:{REPO}:zh"))

    found = far.finder()(f"{REPO}:zh")

    assert found is not None
    assert far.fetcher(Work())(f"{REPO}:zh") == found
    assert [str(one.name) for one in far.cached_datasets()] == [f"hf:{REPO}:zh"]


def test_what_earlier_versions_put_into_the_folder_of_another_hub_is_read_and_named_by_its_own(
    far: ModelManager,
) -> None:
    new = far.fetcher(Work())(f"hf:{REPO}:zh")
    old = far.settings.cache_dir / ".datasets/modelscope/zh/org_talks"
    old.parent.mkdir(parents=True)
    new.rename(old)

    assert far.finder()(f"{REPO}:zh") == far.fetcher(Work())(f"{REPO}:zh") == old
    assert dataset_names([str(old)]) == {str(old): f"hf:{REPO}:zh"}


@pytest.mark.train
def test_a_fine_tune_over_rest_begins_without_a_hub_and_its_job_fetches_the_data(
    manager: ModelManager, tmp_path: Path
) -> None:
    fields = {"model": PRACTICE_REPO_ID, "data": [f"ms:{REPO}:zh"], "device": "cpu", "max_steps": 1, "report": False}
    may_answer, answer = threading.Event(), dataset_hub({REPO: FILES})

    def slow(request: Seen) -> Reply:
        return answer(request) if may_answer.wait(60) else json_reply({}, 403)

    with ScriptedServer(slow) as hub:
        starting = get_model_manager(
            cache_dir=manager.settings.cache_dir, modelscope_endpoint=hub.url, hf_endpoint=hub.url
        )
        started = starting.look_ahead("start", {"config": fields}, folder=tmp_path, stop=threading.Event())
        job = starting.job(started["id"])
        may_answer.set()

        assert job.params.to_dict()["datasets"] == {str(tmp_path / f"ms:{REPO}:zh"): f"ms:{REPO}:zh"}
        folder = Path(done(job)["output_dir"])
        assert fetched_files(hub)
        assert list(json.loads((folder / "config.json").read_bytes())["datasets"].values()) == [f"ms:{REPO}:zh"]


def test_nothing_is_fetched_while_a_field_is_wrong(
    hub: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manager = get_model_manager(cache_dir=tmp_path / "cache", modelscope_endpoint=hub.url, hf_endpoint=hub.url)

    with pytest.raises(BadConfig) as caught:
        manager.fine_tune(model=PRACTICE_REPO_ID, data=REPO, epochs=-1)

    assert hub.seen == []
    assert "does not exist" not in caught.value.message


def test_a_folder_of_that_name_comes_before_a_hub(
    hub: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / REPO).mkdir(parents=True)
    (tmp_path / REPO / "mine.jsonl").write_bytes(rows(2))
    manager = get_model_manager(cache_dir=tmp_path / "cache", modelscope_endpoint=hub.url, hf_endpoint=hub.url)

    plan = manager.plan_fine_tune(model=PRACTICE_REPO_ID, data=REPO, device="cpu")

    assert plan.data.conversations == 2
    assert hub.seen == []


def test_what_nobody_has_is_named_as_a_data_set(settings: Settings, hub: ScriptedServer) -> None:
    with pytest.raises(ModelNotFound, match="has no data set called org/nothing") as caught:
        fetch_dataset(DatasetName(RepoId("org/nothing"), hub="huggingface"), settings, Work())

    assert "If it is a file or a folder of yours, check its path." in caught.value.hint
    with pytest.raises(BadInput, match="org/talks has no subset fr of files that are read") as wrong:
        fetch_dataset(DatasetName(RepoId(REPO), "fr", "modelscope"), settings, Work())
    assert "It has zh, en" in wrong.value.hint


@pytest.mark.parametrize("client", ["huggingface_hub", "modelscope"])
def test_the_hubs_own_clients_take_the_stand_in_for_the_real_one(
    hub: ScriptedServer, tmp_path: Path, client: str
) -> None:
    pytest.importorskip(client)
    code = {
        "huggingface_hub": "from huggingface_hub import snapshot_download as get; "
        f"get({REPO!r}, repo_type='dataset', endpoint={hub.url!r}, local_dir='out')",
        "modelscope": "from modelscope.hub.snapshot_download import dataset_snapshot_download as get; "
        f"get({REPO!r}, endpoint={hub.url!r}, local_dir='out')",
    }[client]
    home = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path), "MODELSCOPE_CACHE": str(tmp_path), "NO_PROXY": "*"}
    environment = {**os.environ, **home, "HF_HUB_DISABLE_XET": "1", "MODELSCOPE_DOMAIN": hub.url}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]
    for path in ("zh/a.jsonl", "en/part-1.jsonl", "README.md"):
        assert (tmp_path / "out" / path).read_bytes() == FILES[path]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("swift/self-cognition", DatasetName(RepoId("swift/self-cognition"))),
        ("HF::org/name", DatasetName(RepoId("org/name"), hub="huggingface")),
        ("ms:org/name:zh", DatasetName(RepoId("org/name"), "zh", "modelscope")),
        ("org/name:zh:test", DatasetName(RepoId("org/name"), "zh", split="test")),
        ("org/name::test", DatasetName(RepoId("org/name"), split="test")),
        ("org/name:..", None),
        ("org/name:zh:..", None),
        ("org/name:zh:test:more", None),
        ("ftp:org/name", None),
        ("one", None),
        ("a/b/c", None),
    ],
)
def test_a_name_says_hub_subset_and_split(text: str, name: DatasetName | None) -> None:
    assert parse_dataset(text) == name
    if name is not None:
        assert parse_dataset(str(name)) == name


def listing(*paths: str) -> Listing:
    files = tuple(RemoteFile(SafePath(path), 1, git_sha1="0" * 40) for path in paths)
    return Listing(RepoId(REPO), "huggingface", "main", "0" * 40, files)


@pytest.mark.parametrize(
    ("paths", "subset", "chosen"),
    [
        (["train.csv", "test.csv", "talks.json"], "", ["train.csv"]),
        (["data/train-0.parquet", "data/train-1.parquet", "data/validation-0.parquet"], "", ["data/train-0.parquet",
          "data/train-1.parquet"]),
        (["a.jsonl", "b.jsonl", "a.parquet", "LICENSE.txt", "dataset_infos.json"], "", ["a.jsonl", "b.jsonl"]),
        (["zh/x.json", "en/x.json"], "en", ["en/x.json"]),
        (["talks_zh.jsonl", "talks_en.jsonl", "zhou.jsonl"], "talks_zh", ["talks_zh.jsonl"]),
        (["test.jsonl"], "", ["test.jsonl"]),
        (["book.txt"], "", ["book.txt"]),
    ],
)  # fmt: skip
def test_without_a_card_names_of_files_tell_subset_and_split(paths: list[str], subset: str, chosen: list[str]) -> None:
    assert choose_files(listing(*paths), "", DatasetName(RepoId(REPO), subset), SUFFIXES) == chosen


SPLITS = ["data/train-0.parquet", "data/test-0.parquet", "data/val-0.parquet", "README.csv"]
CHOICES = """---
configs:
- config_name: zh
  default: true
  data_files: [{split: train, path: zh/train.jsonl}, {split: test, path: zh/test.jsonl}]
- config_name: en
  data_files: {train_sft: en/a.jsonl, train_gen: en/b.jsonl, validation: en/c.jsonl}
- config_name: all
---
"""
CHOSEN = ["zh/train.jsonl", "zh/test.jsonl", "en/a.jsonl", "en/b.jsonl", "en/c.jsonl"]


@pytest.mark.parametrize(
    ("name", "card", "paths", "chosen"),
    [
        ("o/n::test", "", SPLITS, ["data/test-0.parquet"]),
        ("o/n::validation", "", SPLITS, ["data/val-0.parquet"]),  # as the hubs' own clients take it
        ("o/n:test", "", SPLITS, ["data/test-0.parquet"]),
        ("o/n:zh:test", "", ["zh/train.json", "zh/test.json", "en/test.json"], ["zh/test.json"]),
        ("o/n::train_gen", "", ["train_sft-0.json", "train_gen-0.json"], ["train_gen-0.json"]),
        ("o/n", CHOICES, CHOSEN, ["zh/train.jsonl"]),
        ("o/n::test", CHOICES, CHOSEN, ["zh/test.jsonl"]),
        ("o/n:test", CHOICES, CHOSEN, ["zh/test.jsonl"]),  # no subset is called so
        ("o/n:zh:test", CHOICES, CHOSEN, ["zh/test.jsonl"]),
        ("o/n:en:train_gen", CHOICES, CHOSEN, ["en/b.jsonl"]),
        ("o/n:en:val", CHOICES, CHOSEN, ["en/c.jsonl"]),
    ],
)
def test_a_split_is_chosen_by_card_or_by_names_of_files(
    name: str, card: str, paths: list[str], chosen: list[str]
) -> None:
    wanted = parse_dataset(name)
    assert wanted is not None
    assert choose_files(listing(*paths), card, wanted, SUFFIXES) == chosen


@pytest.mark.parametrize(
    ("name", "card", "paths", "problem", "hint"),
    [
        ("o/n::tset", CHOICES, CHOSEN, "has no split tset", 'Did you mean "o/n::test"? It has train, test.'),
        ("o/n:zh:dev", CHOICES, CHOSEN, "has no split dev", "It has train, test. Write for example o/n:zh:train"),
        ("o/n:tset", CHOICES, CHOSEN, "has no subset tset", 'Did you mean "o/n:test"? It has zh, en.'),
        ("o/n:fr", CHOICES, CHOSEN, "has no subset fr", "It has zh, en. Write for example o/n:zh"),
        ("o/n:en", CHOICES, CHOSEN, "no split called train, but train_sft, train_gen", "Name one: o/n:en:train_sft"),
        ("o/n::test", "", ["a.json"], "has no split test", "No names of its files tell splits: leave it out."),
        ("o/n::traim", "", SPLITS, "has no split traim", 'Did you mean "o/n::train"? It has train, val, test.'),
    ],
)
def test_a_choice_that_there_is_not_is_answered_with_those_there_are(
    name: str, card: str, paths: list[str], problem: str, hint: str
) -> None:
    wanted = parse_dataset(name)
    assert wanted is not None
    with pytest.raises(BadInput, match=problem) as caught:
        choose_files(listing(*paths), card, wanted, SUFFIXES)

    assert caught.value.hint == hint


def test_a_split_lies_beside_the_one_to_train_on(settings: Settings, tmp_path: Path) -> None:
    for name, rows_of_it in (("ms:org/talks:zh", {"zh0", "zh1", "zh2"}), ("ms:org/talks:zh:test", {"held0", "held1"})):
        dataset = parse_dataset(name)
        assert dataset is not None
        assert asked(fetch_dataset(dataset, settings, Work())) == rows_of_it

    assert sorted(path.name for path in (tmp_path / "cache/.datasets/modelscope").iterdir()) == ["zh", "zh@test"]


@pytest.mark.parametrize(
    ("card", "subset", "problem"),
    [
        ("---\nconfigs: [{config_name: a, data_files: a.json}, {config_name: b, data_files: b.json}]\n---", "",
         "has several subsets: a, b"),
        ("---\nconfigs: [{config_name: a, data_files: {one: a.json, two: b.json}}]\n---", "",
         "has no split called train, but one, two"),
        ("---\nconfigs: [{config_name: a, data_files: c.json}]\n---", "a", "has no subset a"),
        ("", "c", "has no subset c"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_asked(card: str, subset: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        choose_files(listing("a.json", "b.json"), card, DatasetName(RepoId(REPO), subset), SUFFIXES)


@pytest.mark.parametrize("card", ["---\n[\n---", "---\n- 1\n---", "no front", "---\nconfigs: 3\n---"])
def test_a_card_that_says_nothing_is_passed_over(card: str) -> None:
    assert choose_files(listing("a.json"), card, DatasetName(RepoId(REPO)), SUFFIXES) == ["a.json"]


def test_a_repo_without_rows_is_named_with_what_it_has() -> None:
    with pytest.raises(UnsafeModel, match=r"org/talks holds no rows that are read; it has a\.png"):
        choose_files(listing("a.png"), "", DatasetName(RepoId(REPO)), SUFFIXES)
