"""A download that was given up is shown, named as what can go, and reclaimed by a quota before anything is refused."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter import cli
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.lease import hold_lease
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import ModelInUse, NoSpace
from qwen3ft_jupyter.faces.views import cache_table, unfinished_notes
from qwen3ft_jupyter.manager import get_model_manager
from qwen3ft_jupyter.manager.overview import CacheSummary
from qwen3ft_jupyter.work import Work
from tests.cache.making import make_cached
from tests.download.asking import ensure_model
from tests.servers import Reply, Seen
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.download.apply import Ensured

MB = 1 << 20
FILES = {"config.json": b"{}", "model.safetensors": bytes_of(2 * MB, 1)}
SLUG = "Qwen_Qwen3-Test"


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def abandon(cache: ModelCache, name: str, size: int = MB, *, age_s: float = 0) -> Path:
    """Leave what a killed process leaves of a download."""
    folder = incoming_folder(cache.root, name)
    folder.mkdir(parents=True)
    path = folder / f"{'ab' * 32}.0123456789abcdef.part"
    path.write_bytes(os.urandom(size))
    path.with_suffix(".journal").write_text(
        f'{{"v": 1, "key": "{"ab" * 32}", "size": {2 * size}, "data": "{path.name}"}}\n[0, {size}, 7]\n'
        '{"released": true}\n'
    )
    os.utime(path, (time.time() - age_s,) * 2)
    return folder


def ensure(cache: ModelCache, origin: Origin, **given: object) -> Ensured:
    return ensure_model(cache, {"modelscope": origin}, REPO, order=["modelscope"], **given)


def summary(cache: ModelCache) -> CacheSummary:
    return CacheSummary("/models", 0, 0, 0, None, None, 0, tuple(cache.unfinished_downloads()))


def test_one_that_failed_is_listed_with_its_name_its_size_and_how_to_go_on_or_free_it(cache: ModelCache) -> None:
    with Origin(FILES) as origin:
        told = Recorder()

        def refuse_once_much_is_here(seen: Seen, _: int) -> Reply | None:
            if seen.path != "/config.json":
                return None
            told.wait_for(lambda r: any(event.done > MB for event in r.events if event.phase == "transferring"))
            return Reply(404)

        origin.fault = refuse_once_much_is_here
        with pytest.raises(Exception, match=r"config\.json"):
            ensure(cache, origin, revision="v1_1", reporter=told)
        (one,) = cache.unfinished_downloads()

        assert (one.repo_id, one.revision, one.is_active) == (REPO, "v1_1", False)
        assert one.size_bytes == cache.used_bytes() == cache.incoming_bytes() > MB
        assert time.time() - one.last_active < 60
        (line,) = unfinished_notes(summary(cache), "cli")
        assert f"qwen3ft download {REPO} --revision v1_1" in line
        assert f"qwen3ft evict {REPO}" in line
        assert line in cache_table([], summary(cache), "cli").notes

        origin.fault = None
        assert ensure(cache, origin, revision="v1_1").bytes_fetched < MB, "the cure that is offered goes on"
        assert cache.unfinished_downloads() == []


def test_freeing_one_as_offered_frees_it(cache: ModelCache) -> None:
    abandon(cache, SLUG)

    assert cache.evict(REPO) == MB

    assert cache.used_bytes() == 0
    assert not (cache.root / ".incoming").exists()


def test_one_that_is_under_way_is_said_to_be(cache: ModelCache) -> None:
    folder = abandon(cache, SLUG)
    with hold_lease(folder, REPO, Work()):
        (one,) = cache.unfinished_downloads()
        assert one.is_active
        assert unfinished_notes(summary(cache), "cli")[0].startswith("On its way")
        with pytest.raises(ModelInUse):
            cache.evict_for_room(f".incoming/{SLUG}")


def test_a_quota_reclaims_what_was_given_up_the_oldest_first_and_says_so(cache: ModelCache) -> None:
    old = abandon(cache, "a_old", age_s=9999)
    young = abandon(cache, "a_young", age_s=10)
    told = Recorder()

    with Origin(FILES) as origin:
        ensured = ensure(cache, origin, quota=3 * MB + MB // 2, reporter=told)

    assert not old.exists()
    assert young.exists()
    assert list(ensured.evicted) == ["the unfinished download of a/old"]
    assert any("the unfinished download of a/old" in notice for notice in told.notices)


def test_the_longest_unused_goes_first_be_it_a_model_or_a_download_given_up(cache: ModelCache) -> None:
    make_cached(cache.root, "a/model", {"model.safetensors": os.urandom(MB)})  # last used 9999 seconds ago
    young = abandon(cache, "a_young", age_s=10)

    with Origin(FILES) as origin:
        ensured = ensure(cache, origin, quota=3 * MB + MB // 2)

    assert list(ensured.evicted) == ["a/model"]
    assert young.exists()


def test_what_another_process_is_downloading_is_not_reclaimed(cache: ModelCache) -> None:
    folder = abandon(cache, "a_other")
    with hold_lease(folder, "a/other", Work()), Origin(FILES) as origin, pytest.raises(NoSpace):
        ensure(cache, origin, quota=2 * MB + MB // 2)

    assert any(folder.glob("*.part"))


def test_its_own_half_is_not_reclaimed_for_a_download(cache: ModelCache) -> None:
    own, beside = abandon(cache, SLUG, age_s=9999), abandon(cache, f"{SLUG}@v2", age_s=9999)

    with Origin(FILES) as origin, pytest.raises(NoSpace):
        ensure(cache, origin, quota=2 * MB)

    assert any(own.glob("*.part"))
    assert any(beside.glob("*.part"))


def test_evicting_all_frees_what_was_given_up_and_says_what_stays(cache: ModelCache) -> None:
    make_cached(cache.root, "a/pinned", pinned=True)
    make_cached(cache.root, "a/model")
    mine = cache.root / "me_mine"
    mine.mkdir()
    (mine / "config.json").write_text("{}")
    abandon(cache, "a_old")
    abandon(cache, "a_pinned")
    busy = abandon(cache, "a_busy")
    told = Recorder()

    with hold_lease(busy, "a/busy", Work()):
        evicted = cache.evict_all(reporter=told)

    assert [(one.repo_id, one.is_unfinished) for one in evicted] == [("a/model", False), ("a/old", True)]
    assert sorted(told.notices) == [
        "a/pinned stays: it is pinned.",
        "me/mine stays: it was not downloaded into this cache, so it goes only by its name.",
        "the unfinished download of a/busy stays: it is being downloaded.",
        "the unfinished download of a/pinned stays: its model stays.",
    ]


def test_every_face_lists_it_alike(
    cache: ModelCache, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = abandon(cache, SLUG)
    monkeypatch.setenv("MODEL_CACHE_DIR", str(cache.root))

    (row,) = get_model_manager().cache_summary()["unfinished"]
    assert cli.main(["list", "--json"]) == 0
    (listed,) = [one for one in json.loads(capsys.readouterr().out) if one.get("unfinished")]

    assert (row["model_name"], row["size"], row["active"]) == (REPO, MB, False)
    assert listed == {**row, "path": str(folder), "verified": False, "unfinished": True}
