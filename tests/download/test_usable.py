"""One answer everywhere to whether a model is complete: in the list, the plan, offline, a check, the load."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.repair import repair_model
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheDamaged, CacheError, HubUnreachable, UnsafeModel
from qwen3ft_jupyter.hubs.names import LeftOut
from qwen3ft_jupyter.loading.safety import check_model_folder
from qwen3ft_jupyter.work import Work
from tests.catalog.test_usable import POINTER, SHARDED, WHOLE
from tests.download.asking import ensure_model, plan_model
from tests.transfer.origin import REPO, Origin, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.hubs.names import RepoId

FOLDER = "Qwen_Qwen3-Test"
BROKEN: dict[str, tuple[Mapping[str, bytes], dict[str, bytes | None], str]] = {
    "a pointer of git-lfs": (WHOLE, {"model.safetensors": POINTER}, "git-lfs pointer"),
    "an index of missing files": (SHARDED, {"model-00002-of-00002.safetensors": None}, "00002-of-00002"),
    "a lone shard": (
        SHARDED,
        {"model-00002-of-00002.safetensors": None, "model.safetensors.index.json": None},
        "00002-of-00002",
    ),
    "a broken index": (SHARDED, {"model.safetensors.index.json": b"{"}, "index.json is broken"),
    "cut weights": (WHOLE, {"model.safetensors": WHOLE["model.safetensors"][:-9]}, "cut short"),
    "empty weights": (WHOLE, {"model.safetensors": b""}, "is empty"),
    "a note of aria2": (WHOLE, {"model.safetensors.aria2": b"holes"}, "has not arrived in whole"),
    "no config": (WHOLE, {"config.json": None}, "config.json is missing"),
    "a cut config": (WHOLE, {"config.json": b'{"a'}, "config.json is broken"),
    "no tokenizer": (WHOLE, {"tokenizer.json": None}, "tokenizer.json is missing"),
}
"""What the hub has, what is otherwise in somebody's folder, and what has to be said of it."""


class PickleHub(Origin):
    """A hub on which files lie that are not taken."""

    left_out: tuple[LeftOut, ...] = (LeftOut("pytorch_model.bin", 10**9),)

    def listing(self, repo_id: RepoId, revision: str | None = None, **given: Any) -> Listing:
        return replace(super().listing(repo_id, revision, **given), left_out=self.left_out)


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture
def pickles() -> Iterator[Origin]:
    with PickleHub({"config.json": b"{}", "README.md": b"# words"}) as origin:
        yield origin


def ensure(cache: ModelCache, origin: Origin, **given: Any) -> Ensured:
    return ensure_model(cache, {"modelscope": origin}, REPO, order=["modelscope"], **given)


def put(folder: Path, files: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> None:
    folder.mkdir(parents=True)
    for path, data in {**files, **changes}.items():
        if data is not None:
            (folder / path).write_bytes(data)


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_is_not_whole_is_not_called_complete_anywhere_and_a_download_makes_it_whole(
    cache: ModelCache, case: str
) -> None:
    files, changes, expected = BROKEN[case]
    put(cache.root / FOLDER, files, changes)

    with Origin(files) as origin:
        (model,) = cache.list()
        assert any(expected in said for said in model.problems)
        assert not model.to_dict()["verified"]
        for call in (
            lambda: ensure(cache, origin, offline=True),
            lambda: cache.verify(REPO),
            lambda: check_model_folder(model.folder),
        ):
            with pytest.raises(Exception, match=expected) as caught:
                call()
            assert getattr(caught.value, "hint", "")
        origin.error = HubUnreachable("It is gone.")
        with pytest.raises(HubUnreachable):
            ensure(cache, origin)
        origin.error = None

        ensured = ensure(cache, origin)  # the cure that is offered

        assert ensured.model.to_dict()["verified"]
        assert cache.verify(REPO).is_ok
        assert ensure(cache, origin, offline=True).was_cached


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "missing: model.safetensors"),
        (lambda path: _write(path, b"!" + path.read_bytes()[1:]), "changed since the last check: model.safetensors"),
        (lambda path: _write(path, path.read_bytes()[:-1]), "changed since the last check: model.safetensors"),
    ],
)
def test_a_model_that_is_not_as_recorded_is_called_verified_no_more_and_a_repair_makes_it_so(
    cache: ModelCache, damage: Any, said: str
) -> None:
    with Origin(WHOLE) as origin:
        damage(ensure(cache, origin).model.folder / "model.safetensors")

        (model,) = ModelCache(cache.root).list()
        assert model.to_dict()["verified"] is False
        assert model.to_dict()["problems"] == [said]
        assert not cache.verify(REPO).is_ok
        (model,) = ModelCache(cache.root).list()
        assert model.to_dict()["verified"] is False, "also once the check's job is forgotten"

        repair_model(cache, REPO, lambda _: ensure(cache, origin).bytes_fetched, work=Work())

        assert ModelCache(cache.root).list()[0].to_dict()["verified"] is True


def test_the_damage_that_a_check_finds_under_a_right_stamp_is_remembered(cache: ModelCache) -> None:
    with Origin(WHOLE) as origin:
        weights = ensure(cache, origin).model.folder / "model.safetensors"
        before = weights.stat()
        _write(weights, weights.read_bytes()[:-1] + b"!")
        cache.record(model := cache.list()[0], _restamped(cache, weights))
        assert before.st_size == weights.stat().st_size
        assert ModelCache(cache.root).list()[0].to_dict()["verified"] is True

        assert cache.verify(model.repo_id).wrong == ("model.safetensors",)

        (model,) = ModelCache(cache.root).list()
        assert model.to_dict()["problems"] == ["wrong at the last check: model.safetensors"]


def test_weights_that_stay_on_the_hub_are_said_in_the_plan_at_the_download_in_the_list_and_at_the_load(
    cache: ModelCache, pickles: Origin
) -> None:
    said = "its weights are pytorch_model.bin (1.0 GB), which stay on the hub: such files can run code"
    told = Recorder()

    plan = plan_model(cache, {"modelscope": pickles}, REPO, order=["modelscope"])
    assert plan.to_dict()["problems"] == [said]
    assert plan.to_dict()["left_out"] == [{"path": "pytorch_model.bin", "size": 10**9}]
    ensured = ensure(cache, pickles, reporter=told)
    unusable = f"{REPO} cannot be loaded as it is: {said}."
    assert told.notices == ["Left on the hub: pytorch_model.bin (1.0 GB).", unusable]
    assert not ensured.result().verified
    assert cache.list()[0].to_dict()["problems"] == [said]
    assert not cache.list()[0].to_dict()["verified"]
    assert not cache.verify(REPO).is_ok
    with pytest.raises(CacheDamaged, match="as the hub has it"):
        repair_model(cache, REPO, lambda _: 0, work=Work())
    with pytest.raises(UnsafeModel, match=r"pytorch_model\.bin") as caught:
        check_model_folder(ensured.model.folder)
    assert "Download" not in caught.value.hint

    again = Recorder()
    assert ensure(cache, pickles, reporter=again).was_cached
    assert again.notices == [unusable]


def test_of_a_repo_that_has_both_what_stays_on_the_hub_is_said_and_the_model_is_whole(cache: ModelCache) -> None:
    told = Recorder()
    with PickleHub(WHOLE) as origin:
        ensured = ensure(cache, origin, reporter=told)

    assert told.notices == ["Left on the hub: pytorch_model.bin (1.0 GB)."]
    assert ensured.result().verified


def test_an_index_on_the_hub_that_names_files_it_has_not_is_said_after_the_download(cache: ModelCache) -> None:
    index = {"model.safetensors.index.json": b'{"weight_map": {"a": "other.safetensors"}}'}
    told = Recorder()
    with Origin({**WHOLE, **index}) as origin:
        ensured = ensure(cache, origin, reporter=told)

    assert "other.safetensors is missing" in told.notices[-1]
    assert not ensured.result().verified
    assert not cache.list()[0].to_dict()["verified"]
    with pytest.raises(CacheDamaged, match=r"other\.safetensors"):
        check_model_folder(ensured.model.folder)


def test_an_unverified_folder_cannot_be_verified_and_the_error_says_how_to(cache: ModelCache) -> None:
    put(cache.root / FOLDER, WHOLE, {})

    with pytest.raises(CacheError, match="no record to compare it with") as caught:
        cache.verify(REPO)

    assert "download" in caught.value.hint


def _write(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def _restamped(cache: ModelCache, weights: Path) -> Any:
    """Return the record with the stamp that `weights` has now."""
    from qwen3ft_jupyter.cache.own.manifest import Stamp, read_manifest

    manifest = read_manifest(weights.parent)
    assert manifest is not None
    return manifest.with_stamps({weights.name: Stamp.of(weights.lstat())})
