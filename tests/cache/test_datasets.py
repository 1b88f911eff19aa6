"""Data sets are kept in the cache as models are: they count, make room, go by name, move, and are checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.datasets import dataset_cache, list_datasets
from qwen3ft_jupyter.cache.move import move_cache
from qwen3ft_jupyter.cache.own.datasets import dataset_at
from qwen3ft_jupyter.cache.own.manifest import read_manifest, write_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import read_regular
from qwen3ft_jupyter.errors import BadInput, CacheDamaged, ModelInUse, NotCached
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.hubs.datasets import DatasetName, kept_dataset
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.manager.datasets import ensure_dataset
from qwen3ft_jupyter.manager.jobs import ModelJobs
from qwen3ft_jupyter.manager.params import EvaluateParams, FineTuneParams
from qwen3ft_jupyter.work import Reporter, Work
from tests.cache.making import make_cached
from tests.jobs.following import LIMIT_S
from tests.played_disks import CopyingDisk
from tests.servers import ScriptedServer, dataset_hub

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

TALKS = RepoId("org/talks")
ROWS = {"a.jsonl": b'{"question": "q", "answer": "a"}\n' * 100}
NAME = "ms:org/talks:zh:test"


class Ear(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache with a model and a data set that is called alike."""
    root = tmp_path / "cache"
    make_cached(root, TALKS)
    make_cached(root / ".datasets/modelscope/zh@test", TALKS, ROWS)
    return root


@pytest.fixture
def manager(root: Path, tmp_path: Path) -> ModelManager:
    return get_model_manager(cache_dir=root, state_dir=tmp_path / "state", offline=True)


def names(cache: ModelCache) -> list[str]:
    return [str(one.name) for one in list_datasets(cache)]


def test_they_are_listed_apart_from_models_and_count(manager: ModelManager) -> None:
    (row,) = manager.list_cached_datasets()
    (model,) = manager.list_cached_models()
    summary = manager.cache_summary()

    assert (row["name"], row["repo_id"], row["subset"], row["split"]) == (NAME, TALKS, "zh", "test")
    assert (row["size"], row["verified"], row["problems"]) == (len(ROWS["a.jsonl"]), True, [])
    assert model["path"] != row["path"]
    assert (summary["datasets"], summary["datasets_size"]) == (1, row["size"])
    assert summary["used"] == model["size"] + row["size"]


def test_their_manifests_are_read_again_only_if_they_have_changed(
    manager: ModelManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counting(path: str, most: int) -> bytes:
        read.append(path)
        return read_regular(path, most)

    monkeypatch.setattr("qwen3ft_jupyter.cache.own.manifest.read_regular", counting)
    first = manager.cache_summary()
    count = len(read)

    assert manager.cache_summary() == first
    assert manager.list_cached_datasets()
    assert (count, read[count:]) == (2, [])  # that of the model, that of the data set

    manager.pin(NAME)
    read.clear()
    assert manager.list_cached_datasets()[0]["pinned"]
    manager.cache_summary()
    assert len(read) == 1

    make_cached(root / ".datasets/modelscope/default", TALKS, ROWS)
    assert manager.cache_summary()["datasets"] == 2


def test_one_goes_by_its_name_and_nothing_else_does(manager: ModelManager, root: Path) -> None:
    folder = root / ".datasets/modelscope/zh@test/org_talks"
    (folder / "notes.txt").write_text("mine")
    ear = Ear()

    freed = manager.evict_model(NAME, reporter=ear)

    assert freed == len(ROWS["a.jsonl"])
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert f"%qwen3ft evict {NAME} --everything" in " ".join(ear.notices)
    assert manager.cached_datasets() == []
    assert len(manager.list_cached_models()) == 1
    assert manager.evict_model(NAME, everything=True) == len("mine")
    assert not folder.exists()


def test_a_name_that_does_not_say_the_hub_is_a_models(manager: ModelManager) -> None:
    manager.evict_model(TALKS)

    assert [row["name"] for row in manager.list_cached_datasets()] == [NAME]
    with pytest.raises(NotCached) as caught:
        manager.evict_model(TALKS)
    assert caught.value.hint == f"A data set is called so: {NAME}."
    with pytest.raises(NotCached) as unknown:
        manager.verify("hf:org/talks")
    assert unknown.value.hint == f"Data sets in the cache: {NAME}."
    with pytest.raises(BadInput, match="revision and owner are about models"):
        manager.evict_model(NAME, revision="v1")


def test_all_models_may_go_and_data_sets_stay_and_are_named(manager: ModelManager) -> None:
    ear = Ear()

    evicted = manager.evict_all(reporter=ear)

    assert [one.repo_id for one in evicted] == [TALKS]
    assert ear.notices == [f"{NAME} stays: it is a data set, which goes only by its name."]


@pytest.mark.parametrize("kind", ["fine-tune", "evaluation"])
def test_one_that_a_job_reads_stays(
    manager: ModelManager, root: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = root / ".datasets/modelscope/zh@test/org_talks"
    jobs = manager._model_jobs
    config = FineTuneConfig.from_dict({"model": "a/b", "data": f"{path}#5x2"}).to_dict()
    params: FineTuneParams | EvaluateParams = FineTuneParams(jobs.starter(), config)
    if kind == "evaluation":
        params = EvaluateParams(jobs.starter(), "a/b", "a/b", config)

    class Job:
        id = "20260102-030405-finetune-abcd"

    monkeypatch.setattr(ModelJobs, "active", lambda _self: [(Job, params)])

    with pytest.raises(ModelInUse, match=f"{NAME} is used by the running job {Job.id}"):
        manager.evict_model(NAME)
    assert [one.is_in_use for one in manager.cache.holdings(manager._model_jobs)] == [False, True]
    assert manager.evict_model(TALKS) > 0  # the model is another one


@pytest.mark.parametrize("kind", ["fine-tune", "evaluation"])
@pytest.mark.parametrize("name", [NAME, NAME.removeprefix("ms:")])
def test_one_that_a_job_will_find_by_its_name_stays(
    manager: ModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    """A job started from the panel has the name in its folder for a path, and looks for the data set itself."""
    jobs, path = manager._model_jobs, str(tmp_path / name)
    config = FineTuneConfig.from_dict({"model": "a/b", "data": f"{path}#5x2"}).to_dict()
    params: FineTuneParams | EvaluateParams = FineTuneParams(jobs.starter(), config, datasets={path: name})
    if kind == "evaluation":
        params = EvaluateParams(jobs.starter(), "a/b", "a/b", config, datasets={path: name})

    class Job:
        id = "20260102-030405-finetune-abcd"

    monkeypatch.setattr(ModelJobs, "active", lambda _self: [(Job, params)])

    with pytest.raises(ModelInUse, match=f"{NAME} is used by the running job {Job.id}"):
        manager.evict_model(NAME)
    assert [one.is_in_use for one in manager.cache.holdings(manager._model_jobs)] == [False, True]


def test_the_least_recently_used_make_room_unless_they_are_pinned(root: Path, tmp_path: Path) -> None:
    """Of two data sets and a model the one that was used longest ago goes for a new one; the pinned one does not."""
    other = make_cached(root / ".datasets/huggingface/default", RepoId("org/old"), ROWS)
    for folder, last_used, pinned in (
        (root / "org_talks", 30.0, False),
        (root / ".datasets/modelscope/zh@test/org_talks", 20.0, False),
        (other, 10.0, True),
    ):
        manifest = read_manifest(folder)
        assert manifest is not None
        write_manifest(folder, replace(manifest, last_used=last_used, created=last_used, pinned=pinned))
    used = ModelCache(root).used_bytes()
    ear = Ear()
    with ScriptedServer(dataset_hub({"org/new": {"b.jsonl": ROWS["a.jsonl"]}})) as hub:
        manager = get_model_manager(
            cache_dir=root,
            state_dir=tmp_path / "state",
            modelscope_endpoint=hub.url,
            hf_endpoint=hub.url,
            quota=used + 100,
        )
        done = ensure_dataset(
            DatasetName(RepoId("org/new")), manager.cache, manager.settings, Work(ear), is_used=manager._model_jobs
        )

    assert done.evicted == [NAME]
    assert names(manager.cache) == ["hf:org/old", "ms:org/new"]
    assert any(NAME in notice and "least recently used" in notice for notice in ear.notices)
    assert manager.cache.used_bytes() <= used + 100


def test_pinning_and_checking_go_by_the_same_name(manager: ModelManager, root: Path) -> None:
    manager.pin(NAME)
    assert manager.list_cached_datasets()[0]["pinned"]
    assert manager.verify(NAME).is_ok
    path = root / ".datasets/modelscope/zh@test/org_talks/a.jsonl"
    path.chmod(0o644)
    path.write_bytes(b"broken")

    assert manager.verify(NAME).wrong == ("a.jsonl",)
    job = manager.start_verify(NAME)
    assert job.wait(LIMIT_S).result["wrong"] == ["a.jsonl"]  # type: ignore[index]
    assert job.snapshot().title == f"Verify {NAME}"
    assert not manager.list_cached_datasets()[0]["verified"]
    with pytest.raises(CacheDamaged):
        manager.repair(NAME)  # there is no network


def test_what_is_damaged_is_repaired_from_the_hub(tmp_path: Path) -> None:
    with ScriptedServer(dataset_hub({TALKS: {"zh/a.jsonl": ROWS["a.jsonl"]}})) as hub:
        manager = get_model_manager(
            cache_dir=tmp_path / "cache",
            state_dir=tmp_path / "state",
            modelscope_endpoint=hub.url,
            hf_endpoint=hub.url,
        )
        folder = manager.fetcher(Work())(f"hf:{TALKS}:zh")
        (folder / "zh/a.jsonl").chmod(0o644)
        (folder / "zh/a.jsonl").write_bytes(b"broken")

        assert manager.repair(f"hf:{TALKS}:zh").repaired == ("zh/a.jsonl",)

    assert (folder / "zh/a.jsonl").read_bytes() == ROWS["a.jsonl"]


@pytest.mark.parametrize("disk", [None, CopyingDisk()], ids=["renamed", "copied"])
def test_they_move_with_the_cache(root: Path, tmp_path: Path, disk: Disk | None) -> None:
    target = tmp_path / "elsewhere"
    given: dict[str, Any] = {} if disk is None else {"disk": disk}

    report = move_cache(root, target, **given)

    assert report.moved == (".datasets/modelscope/zh@test/org_talks", "org_talks")
    assert report.left == ()
    assert not root.exists()
    assert names(ModelCache(target)) == [NAME]
    (moved,) = list_datasets(ModelCache(target))
    assert (moved.kept.folder / "a.jsonl").read_bytes() == ROWS["a.jsonl"]


def test_one_in_use_keeps_the_cache_where_it_is(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelInUse):
        move_cache(root, tmp_path / "elsewhere", is_used=lambda name: name == NAME)

    assert names(ModelCache(root)) == [NAME]


def test_a_link_in_the_place_of_the_data_sets_is_not_followed(tmp_path: Path) -> None:
    make_cached(tmp_path / "outside/modelscope/zh", TALKS, ROWS)
    root = tmp_path / "cache"
    make_cached(root, TALKS)
    (root / ".datasets").symlink_to(tmp_path / "outside")

    assert list_datasets(ModelCache(root)) == []
    assert ModelCache(root).used_bytes() == sum(model.size_bytes for model in ModelCache(root).own())


def test_a_path_into_one_tells_its_name(root: Path) -> None:
    folder = root / ".datasets/modelscope/zh@test/org_talks"

    assert str(dataset_at(root, folder / "a.jsonl")) == NAME
    assert str(dataset_at(root, folder.with_name("org_talks#5x2"))) == NAME
    assert dataset_at(root, root / "org_talks") is None
    assert dataset_cache(ModelCache(root), DatasetName(TALKS, "zh", split="test"), "modelscope").root == folder.parent


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("huggingface/default/org_my_talks", "hf:org/my_talks"),
        ("modelscope/default/org_talks", "ms:org/talks"),
        ("modelscope/default/Shanghai_AI_Laboratory_talks", None),
    ],
)
def test_a_folder_whose_owner_cannot_be_told_is_no_name_of_somebody_elses_data(folder: str, name: str | None) -> None:
    assert kept_dataset(PurePosixPath("/models/.datasets") / folder) == name
