"""A plan says beforehand what the download then does, and does nothing itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import BadInput, NoSpace, NotCached, Stopped
from qwen3ft_jupyter.work import Controls, Progress
from tests.cache.making import make_cached
from tests.download.asking import plan_model
from tests.download.test_ensure import FILES, ensure, make_plain, replace_bytes
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of, wait_until_given_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.download.plan import DownloadPlan

MB = 1 << 20
SIZE = sum(map(len, FILES.values()))
NEWER = {**FILES, "config.json": b'{"model_type": "qwen3", "newer": true}'}


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache", [tmp_path / "layer"], places=[Place("folder", tmp_path / "models")])


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def plan(cache: ModelCache, *origins: Origin, **wanted: Any) -> DownloadPlan:
    """Plan, and see that nothing on the disk has changed by it."""
    before = tree(cache.root)
    planned = plan_model(
        cache,
        {origin.name: origin for origin in origins},
        REPO,
        order=[origin.name for origin in origins],
        max_connections=4,
        **wanted,
    )
    assert tree(cache.root) == before
    return planned


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.rglob("*")}


def actions(planned: DownloadPlan) -> dict[str, str]:
    return {file.path: file.action for file in planned.files}


def prepare_nothing(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    return {}


def prepare_whole(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    ensure(cache, origin)
    return {}


def prepare_force(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    ensure(cache, origin)
    return {"force": True}


def prepare_begun(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    stop, controls = threading.Event(), Controls(max_speed=2 * MB)

    class Impatient(Recorder):
        def progress(self, progress: Progress) -> None:
            if progress.phase == "transferring" and progress.done > MB:
                stop.set()

    with pytest.raises(Stopped):
        ensure(cache, origin, reporter=Impatient(), stop=stop, controls=controls)
    wait_until_given_back(cache.root)
    assert 0 < plan(cache, origin).bytes_to_fetch < SIZE
    return {}


def prepare_update(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    ensure(cache, origin)
    origin.head, origin.files = "d" * 40, dict(NEWER)
    return {"update": True}


def prepare_revision(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    return {**prepare_update(cache, origin, tmp_path), "update": False, "revision": "v2"}


def prepare_adoption(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", FILES)
    return {}


def prepare_hub_only(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    return {**prepare_adoption(cache, origin, tmp_path), "sources": ["modelscope"]}


def prepare_damage(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    (ensure(cache, origin).model.folder / "config.json").unlink()
    return {}


def prepare_another_model(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    make_cached(cache.root, "someone/Else", {"weights.safetensors": FILES["model.safetensors"]})
    return {}


def prepare_quota(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    make_cached(cache.root, "someone/Old", {"model.safetensors": bytes_of(4 * MB, 5)})
    return {"quota": 5 * MB}


def prepare_damaged_piece(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    origin.files["model.safetensors"] = bytes_of(40 * MB, 7)
    weights = ensure(cache, origin).model.folder / "model.safetensors"
    replace_bytes(weights, weights.read_bytes()[: 30 * MB] + b"?" + weights.read_bytes()[30 * MB + 1 :])
    return {}


def prepare_moved_on(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    return {**prepare_update(cache, origin, tmp_path), "update": False}


def prepare_layer(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    ensure(ModelCache(tmp_path / "layer"), origin)
    return {"sources": ["modelscope"], "quota": MB}


def prepare_in_place(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    return {**prepare_adoption(cache, origin, tmp_path), "in_place": True, "quota": MB}


def prepare_used_in_place(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    ensure(cache, origin, **prepare_in_place(cache, origin, tmp_path))
    return {"quota": MB}


def prepare_in_place_but_incomplete(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    prepare_adoption(cache, origin, tmp_path)
    (tmp_path / "models" / "Qwen" / "Qwen3-Test" / "config.json").write_bytes(b"{}")
    return {"in_place": True}


def prepare_update_within_the_quota(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    wanted = prepare_update(cache, origin, tmp_path)
    origin.files["model.safetensors"] = bytes_of(3 * MB, 8)
    return {**wanted, "quota": 4 * MB}


def prepare_force_within_the_quota(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    return {**prepare_force(cache, origin, tmp_path), "quota": 4 * MB}


def prepare_quota_takes_a_revision(cache: ModelCache, origin: Origin, tmp_path: Path) -> dict[str, Any]:
    old = {"model.safetensors": bytes_of(4 * MB, 5)}
    make_cached(cache.root, "someone/Old", {"model.safetensors": b"small"}, pinned=True)
    make_cached(cache.root, "someone/Old", old, name="someone_Old@master")
    return {"quota": 5 * MB}


SITUATIONS = [value for name, value in sorted(globals().items()) if name.startswith("prepare_")]


@pytest.mark.parametrize("prepare", SITUATIONS)
def test_what_is_planned_is_what_happens(cache: ModelCache, origin: Origin, tmp_path: Path, prepare: Any) -> None:
    wanted = prepare(cache, origin, tmp_path)

    planned = plan(cache, origin, **wanted)
    ensured = ensure(cache, origin, **wanted)

    assert planned.bytes_to_fetch == ensured.bytes_fetched
    assert planned.to_evict == tuple(ensured.evicted)
    assert planned.has_room


def test_of_a_model_that_is_whole_nothing_travels(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)

    planned = plan(cache, origin)

    assert set(actions(planned).values()) == {"kept"}
    assert (planned.bytes_to_fetch, planned.bytes_reused, planned.sources) == (0, SIZE, ())


def test_an_update_names_what_has_changed(cache: ModelCache, origin: Origin) -> None:
    ensure(cache, origin)
    origin.head, origin.files = "d" * 40, dict(NEWER)

    planned = plan(cache, origin, update=True)

    assert planned.is_update
    assert planned.commit == "d" * 40
    assert [path for path, action in actions(planned).items() if action != "kept"] == ["config.json"]


def test_what_another_tool_has_is_adopted_from_a_place_with_a_name(
    cache: ModelCache, origin: Origin, tmp_path: Path
) -> None:
    make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", FILES)

    planned = plan(cache, origin)

    assert set(actions(planned).values()) == {"adopted"}
    assert all(file.source for file in planned.files)


def test_what_does_not_fit_says_so_and_the_download_refuses(cache: ModelCache, origin: Origin) -> None:
    make_cached(cache.root, "someone/Pinned", {"model.safetensors": bytes_of(1 * MB, 5)})
    cache.pin("someone/Pinned")

    planned = plan(cache, origin, quota=2 * MB)

    assert not planned.has_room
    assert planned.over_quota_bytes > 0
    with pytest.raises(NoSpace, match="quota"):
        ensure(cache, origin, quota=2 * MB)


def test_a_large_download_is_timed_by_a_probe(cache: ModelCache) -> None:
    with Origin({"model.safetensors": bytes_of(48 * MB, 3)}) as origin:
        recorder = Recorder()
        planned = plan(cache, origin, reporter=recorder)

    assert planned.rate is not None
    assert planned.seconds == pytest.approx(planned.bytes_to_fetch / planned.rate)
    assert "probing" in recorder.phases()


def test_the_time_is_reckoned_under_the_limit_in_force(cache: ModelCache) -> None:
    with Origin({"model.safetensors": bytes_of(48 * MB, 3)}) as origin:
        planned = plan(cache, origin, controls=Controls(max_speed=MB))

    assert (planned.rate, planned.seconds) == (MB, 48)


def test_offline_nothing_can_be_known(cache: ModelCache, origin: Origin) -> None:
    with pytest.raises(NotCached, match="switched off"):
        plan(cache, origin, offline=True)
    assert not origin.server.seen


def test_a_source_that_is_none_is_named(cache: ModelCache, origin: Origin) -> None:
    with pytest.raises(BadInput, match="floppy"):
        plan(cache, origin, sources=["floppy"])
